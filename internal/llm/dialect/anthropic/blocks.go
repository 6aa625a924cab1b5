package anthropic

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/dialect"
	"github.com/rephlo/rephlo/internal/llm/wire"
	wireanthropic "github.com/rephlo/rephlo/internal/llm/wire/anthropic"
)

// conversation reads the system prompt and the messages. Results of tools
// become messages of their own.
func conversation(in *wireanthropic.Request, r *llm.Request) error {
	system, err := content(r, in.System, "system")
	if err != nil {
		return err
	}
	if len(system) > 0 {
		r.Messages = append(r.Messages, llm.Message{Role: llm.RoleSystem, Parts: system})
	}
	for i := range in.Messages {
		m, at := &in.Messages[i], dialect.Index("messages", i)
		parts, err := content(r, m.Content, at+".content")
		if err != nil {
			return err
		}
		dialect.Unknown(r, m.Rest, at)
		switch m.Role {
		case "user":
			split(r, parts)
		case "assistant":
			r.Messages = append(r.Messages, llm.Message{Role: llm.RoleAssistant, Parts: sealed(parts)})
		case "system":
			r.Messages = append(r.Messages, llm.Message{Role: llm.RoleSystem, Parts: parts})
		default:
			return dialect.Wrong(at+".role", "must be user, assistant or system")
		}
	}
	return nil
}

// split makes messages of a user's turn: results of tools stand apart.
func split(r *llm.Request, parts []llm.Part) {
	start := 0
	for i := range parts {
		result := parts[i].Kind == llm.PartToolResult
		if i+1 < len(parts) && (parts[i+1].Kind == llm.PartToolResult) == result {
			continue
		}
		role := llm.RoleUser
		if result {
			role = llm.RoleTool
		}
		r.Messages = append(r.Messages, llm.Message{Role: role, Parts: parts[start : i+1 : i+1]})
		start = i + 1
	}
	if len(parts) == 0 {
		r.Messages = append(r.Messages, llm.Message{Role: llm.RoleUser})
	}
}

// sealed gives calls the states of their own that were sent as blocks behind
// them, because this dialect has no place for them in a call.
func sealed(parts []llm.Part) []llm.Part {
	out := parts[:0]
	for _, p := range parts {
		if n := len(out); p.Redacted && p.State != nil && p.State.Vendor == google && n > 0 && out[n-1].Kind == llm.PartToolCall && out[n-1].State == nil {
			out[n-1].State = p.State
			continue
		}
		out = append(out, p)
	}
	return out
}

// google is the vendor whose calls have states of their own.
const google = "google"

// content reads a string or blocks.
func content(r *llm.Request, v jsontext.Value, at string) ([]llm.Part, error) {
	if !dialect.Said(v) {
		return nil, nil
	}
	if text, ok := wire.Text(v); ok {
		return []llm.Part{{Kind: llm.PartText, Text: text}}, nil
	}
	if v.Kind() != '[' {
		return nil, dialect.Wrong(at, "must be a string or a list of blocks")
	}
	var raw []jsontext.Value
	if err := dialect.Read(v, &raw, at); err != nil {
		return nil, err
	}
	parts := make([]llm.Part, 0, len(raw))
	for i := range raw {
		here := dialect.Index(at, i)
		var b wireanthropic.Block
		if err := dialect.Read(raw[i], &b, here); err != nil {
			return nil, err
		}
		p, err := part(r, &b, raw[i], here)
		if err != nil {
			return nil, err
		}
		p.Cache = mark(b.CacheControl)
		if p.Kind != 0 {
			parts = append(parts, p)
		}
	}
	return parts, nil
}

// part reads a block; of no kind is one that says nothing.
func part(r *llm.Request, b *wireanthropic.Block, raw jsontext.Value, at string) (llm.Part, error) {
	if b.Type != "search_result" {
		dialect.Unknown(r, b.Rest, at, "caller")
	}
	switch b.Type {
	case "text":
		return llm.Part{Kind: llm.PartText, Text: b.Text}, nil
	case "image":
		media, err := source(b.Source, at+".source")
		return llm.Part{Kind: llm.PartImage, Media: media}, err
	case "document":
		return document(r, b, at)
	case "thinking":
		p := llm.Part{Kind: llm.PartReasoning, Text: b.Thinking, State: llm.Unwrap(b.Signature, issuer)}
		if p.Text == "" && p.State == nil {
			p.Kind = 0
		}
		return p, nil
	case "redacted_thinking":
		p := llm.Part{Kind: llm.PartReasoning, State: llm.Unwrap(b.Data, issuer), Redacted: true}
		if p.State == nil {
			p.Kind = 0
		}
		return p, nil
	case "tool_use":
		call := &llm.ToolCall{ID: llm.OriginalID(b.ID), Name: b.Name, Arguments: string(b.Input)}
		if !dialect.Said(b.Input) {
			call.Arguments = "{}"
		}
		return llm.Part{Kind: llm.PartToolCall, Call: call}, nil
	case "tool_result":
		inner, err := content(r, b.Content, at+".content")
		result := &llm.ToolResult{ID: llm.OriginalID(b.ToolUseID), Parts: inner, IsError: b.IsError != nil && *b.IsError}
		return llm.Part{Kind: llm.PartToolResult, Result: result}, err
	case "search_result":
		return llm.Part{Kind: llm.PartOther, Other: &llm.Extra{Name: b.Type, Class: llm.Meaning, Value: raw}}, nil
	}
	return llm.Part{Kind: llm.PartOther, Other: &llm.Extra{Name: at + ".type", Class: llm.Meaning, Value: raw}}, nil
}

func document(r *llm.Request, b *wireanthropic.Block, at string) (llm.Part, error) {
	media, err := source(b.Source, at+".source")
	p := llm.Part{Kind: llm.PartDocument, Media: media}
	if b.Title != nil {
		p.Text = *b.Title
	}
	if b.Citations.Kind() == '{' && !isOff(b.Citations) {
		r.Extra = append(r.Extra, llm.Extra{Name: "citations", Class: llm.Meaning, Value: b.Citations})
	}
	if b.Context != nil && *b.Context != "" {
		r.Extra = append(r.Extra, llm.Extra{Name: at + ".context", Class: llm.Tuning})
	}
	return p, err
}

// isOff reports whether citations are not asked for.
func isOff(v jsontext.Value) bool {
	var c struct {
		Enabled bool `json:"enabled"`
	}
	return dialect.Read(v, &c, "") == nil && !c.Enabled
}

func source(v jsontext.Value, at string) (*llm.Media, error) {
	var s wireanthropic.Source
	if !dialect.Said(v) {
		return nil, dialect.Wrong(at, "is missing")
	}
	if err := dialect.Read(v, &s, at); err != nil {
		return nil, err
	}
	switch s.Type {
	case "base64":
		return &llm.Media{Type: s.MediaType, Data: s.Data}, nil
	case "url":
		return &llm.Media{URL: s.URL}, nil
	case "text":
		return &llm.Media{Type: s.MediaType, Text: s.Data}, nil
	case "file":
		return nil, dialect.Unsupported(at+".file_id", "files are kept in the operator's account. Send the bytes")
	}
	return nil, dialect.Wrong(at+".type", "must be base64, url or text")
}
