package openai

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/dialect"
	"github.com/rephlo/rephlo/internal/llm/wire"
	wireopenai "github.com/rephlo/rephlo/internal/llm/wire/openai"
)

var roles = map[string]llm.Role{
	"system": llm.RoleSystem, "developer": llm.RoleDeveloper, "user": llm.RoleUser, "assistant": llm.RoleAssistant, "tool": llm.RoleTool, "function": llm.RoleTool,
}

// messages reads the conversation.
func messages(in *wireopenai.ChatRequest, r *llm.Request) error {
	r.Messages = make([]llm.Message, 0, len(in.Messages))
	calls := 0 // of the older form, which have no ids
	for i := range in.Messages {
		m, at := &in.Messages[i], dialect.Index("messages", i)
		role, ok := roles[m.Role]
		if !ok {
			return dialect.Wrong(at+".role", "must be system, developer, user, assistant, tool or function")
		}
		out := llm.Message{Role: role}
		if m.Name != nil && m.Role != "function" {
			out.Name = *m.Name
		}
		parts, err := content(r, m.Content, at)
		if err != nil {
			return err
		}
		if c := mark(m.CacheControl); c.On && len(parts) > 0 {
			parts[len(parts)-1].Cache = c
		}
		switch role {
		case llm.RoleTool:
			parts = []llm.Part{{Kind: llm.PartToolResult, Result: result(m, parts, calls)}}
		case llm.RoleAssistant:
			if m.FunctionCall != nil {
				calls++
			}
			parts = append(thoughts(m), parts...)
			if parts, err = answered(m, parts, at, calls); err != nil {
				return err
			}
		case llm.RoleSystem, llm.RoleDeveloper, llm.RoleUser:
		}
		out.Parts = parts
		r.Messages = append(r.Messages, out)
		dialect.Unknown(r, m.Rest, at, "annotations", "audio", "reasoning")
	}
	return nil
}

const legacyID = "call_fn"

// result reads a message of the role tool or function. A text that starts with
// "Error: " is a failed call: that is how failures are written in this dialect.
func result(m *wireopenai.ChatMessage, parts []llm.Part, calls int) *llm.ToolResult {
	out := &llm.ToolResult{Parts: parts}
	switch {
	case m.ToolCallID != nil:
		out.ID = llm.OriginalID(*m.ToolCallID)
	case m.Name != nil:
		out.ID, out.Name = llm.MissingID(legacyID, calls), *m.Name
	}
	if len(parts) > 0 && parts[0].Kind == llm.PartText {
		if text, failed := strings.CutPrefix(parts[0].Text, "Error: "); failed {
			parts[0].Text, out.IsError = text, true
		}
	}
	return out
}

// thoughts reads what the assistant thought: reasoning_details, or the text
// alone.
func thoughts(m *wireopenai.ChatMessage) []llm.Part {
	var parts []llm.Part
	for _, d := range m.ReasoningDetails {
		p := llm.Part{Kind: llm.PartReasoning}
		switch {
		case d.Text != nil:
			p.Text = *d.Text
		case d.Summary != nil:
			p.Text = *d.Summary
		}
		switch {
		case d.Signature != nil:
			p.State = llm.Unwrap(*d.Signature, "")
		case d.Data != nil:
			p.State = llm.Unwrap(*d.Data, "")
			p.Redacted = d.Type == "reasoning.encrypted"
		}
		if p.Text != "" || p.State != nil {
			parts = append(parts, p)
		}
	}
	if len(parts) == 0 && m.ReasoningContent != nil && *m.ReasoningContent != "" {
		parts = append(parts, llm.Part{Kind: llm.PartReasoning, Text: *m.ReasoningContent})
	}
	return parts
}

// answered adds what the assistant refused and called.
func answered(m *wireopenai.ChatMessage, parts []llm.Part, at string, calls int) ([]llm.Part, error) {
	if m.Refusal != nil && *m.Refusal != "" {
		parts = append(parts, llm.Part{Kind: llm.PartRefusal, Text: *m.Refusal})
	}
	for i, c := range m.ToolCalls {
		call := &llm.ToolCall{ID: llm.OriginalID(c.ID)}
		switch {
		case c.Function != nil:
			call.Name, call.Arguments = c.Function.Name, c.Function.Arguments
		case c.Custom != nil:
			call.Name, call.Arguments, call.Custom = c.Custom.Name, c.Custom.Input, true
		default:
			return nil, dialect.Wrong(dialect.Index(at+".tool_calls", i), "calls nothing")
		}
		p := llm.Part{Kind: llm.PartToolCall, Call: call}
		if c.ExtraContent != nil && c.ExtraContent.Google != nil {
			p.State = llm.Unwrap(c.ExtraContent.Google.ThoughtSignature, google)
		}
		parts = append(parts, p)
	}
	if f := m.FunctionCall; f != nil {
		parts = append(parts, llm.Part{Kind: llm.PartToolCall, Call: &llm.ToolCall{ID: llm.MissingID(legacyID, calls), Name: f.Name, Arguments: f.Arguments}})
	}
	return parts, nil
}

// google is whose signatures have their own place in this dialect.
const google = "google"

// content reads a string, null or parts.
func content(r *llm.Request, v jsontext.Value, at string) ([]llm.Part, error) {
	at += ".content"
	if !dialect.Said(v) {
		return nil, nil
	}
	if text, ok := wire.Text(v); ok {
		return []llm.Part{{Kind: llm.PartText, Text: text}}, nil
	}
	if v.Kind() != '[' {
		return nil, dialect.Wrong(at, "must be a string or a list of parts")
	}
	var in []wireopenai.ChatPart
	if err := dialect.Read(v, &in, at); err != nil {
		return nil, err
	}
	parts := make([]llm.Part, 0, len(in))
	for i := range in {
		p, err := part(&in[i], dialect.Index(at, i))
		if err != nil {
			return nil, err
		}
		p.Cache = mark(in[i].CacheControl)
		p.Cache.On = p.Cache.On || dialect.Said(in[i].Breakpoint)
		parts = append(parts, p)
		dialect.Unknown(r, in[i].Rest, dialect.Index(at, i), "annotations")
	}
	return parts, nil
}

func part(p *wireopenai.ChatPart, at string) (llm.Part, error) {
	switch {
	case p.Type == "text":
		return llm.Part{Kind: llm.PartText, Text: p.Text}, nil
	case p.Type == "refusal":
		return llm.Part{Kind: llm.PartRefusal, Text: p.Refusal}, nil
	case p.Type == "image_url" && p.ImageURL != nil:
		m := media(p.ImageURL.URL)
		if p.ImageURL.Detail != nil {
			m.Detail = *p.ImageURL.Detail
		}
		return llm.Part{Kind: llm.PartImage, Media: m}, nil
	case p.Type == "input_audio" && p.InputAudio != nil:
		return llm.Part{Kind: llm.PartAudio, Media: &llm.Media{Type: audioType(p.InputAudio.Format), Data: p.InputAudio.Data}}, nil
	case p.Type == "file" && p.File != nil:
		if p.File.FileID != nil && *p.File.FileID != "" {
			return llm.Part{}, dialect.Unsupported(at+".file.file_id", "files are kept in the operator's account. Send file_data")
		}
		m := media(p.File.FileData)
		if m.URL != "" {
			return llm.Part{}, dialect.Wrong(at+".file.file_data", "must be a data URL")
		}
		m.Name = p.File.Filename
		return llm.Part{Kind: llm.PartDocument, Media: m}, nil
	}
	return llm.Part{}, dialect.Wrong(at, "is no part that can be sent")
}

// media reads a data URL, or keeps another one.
func media(url string) *llm.Media {
	rest, ok := strings.CutPrefix(url, "data:")
	if !ok {
		return &llm.Media{URL: url}
	}
	kind, data, ok := strings.Cut(rest, ",")
	kind, coded := strings.CutSuffix(kind, ";base64")
	if !ok || !coded {
		return &llm.Media{URL: url}
	}
	kind, _, _ = strings.Cut(kind, ";")
	return &llm.Media{Type: strings.ToLower(kind), Data: data}
}

func audioType(format string) string {
	if format == "mp3" {
		return "audio/mpeg"
	}
	return "audio/" + format
}
