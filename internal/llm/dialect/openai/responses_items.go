package openai

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/dialect"
	"github.com/rephlo/rephlo/internal/llm/wire"
	wireopenai "github.com/rephlo/rephlo/internal/llm/wire/openai"
)

// items reads the conversation: what the assistant thought, said and called in
// neighbouring items is one message.
func items(in *wireopenai.ResponsesRequest, r *llm.Request) error {
	if in.Instructions != nil && *in.Instructions != "" {
		r.Messages = append(r.Messages, llm.Message{Role: llm.RoleSystem, Parts: []llm.Part{{Kind: llm.PartText, Text: *in.Instructions}}})
	}
	if text, ok := wire.Text(in.Input); ok {
		r.Messages = append(r.Messages, llm.Message{Role: llm.RoleUser, Parts: []llm.Part{{Kind: llm.PartText, Text: text}}})
		return nil
	}
	if in.Input.Kind() != '[' {
		return dialect.Wrong("input", "must be a string or a list of items")
	}
	var list []wireopenai.ResponsesItem
	if err := dialect.Read(in.Input, &list, "input"); err != nil {
		return err
	}
	for i := range list {
		role, parts, err := item(r, &list[i], dialect.Index("input", i))
		if err != nil {
			return err
		}
		if n := len(r.Messages); n > 0 && role == llm.RoleAssistant && r.Messages[n-1].Role == role {
			r.Messages[n-1].Parts = append(r.Messages[n-1].Parts, parts...)
			continue
		}
		r.Messages = append(r.Messages, llm.Message{Role: role, Parts: parts})
	}
	return nil
}

func item(r *llm.Request, it *wireopenai.ResponsesItem, at string) (llm.Role, []llm.Part, error) {
	dialect.Unknown(r, it.Rest, at, "id", "status", "phase")
	switch it.Type {
	case "", "message":
		role, ok := roles[it.Role]
		if !ok || role == llm.RoleTool {
			return 0, nil, dialect.Wrong(at+".role", "must be user, assistant, system or developer")
		}
		parts, err := responsesContent(it.Content, at+".content")
		return role, parts, err
	case "function_call", "custom_tool_call":
		call := &llm.ToolCall{ID: llm.OriginalID(it.CallID), Name: it.Name, Arguments: it.Arguments}
		if it.Type == "custom_tool_call" {
			call.Arguments, call.Custom = it.Input, true
		}
		return llm.RoleAssistant, []llm.Part{{Kind: llm.PartToolCall, Call: call}}, nil
	case "function_call_output", "custom_tool_call_output":
		parts, err := responsesContent(it.Output, at+".output")
		if err != nil {
			return 0, nil, err
		}
		out := &llm.ToolResult{ID: llm.OriginalID(it.CallID), Parts: parts}
		markError(out)
		return llm.RoleTool, []llm.Part{{Kind: llm.PartToolResult, Result: out}}, nil
	case "reasoning":
		p := llm.Part{Kind: llm.PartReasoning}
		for _, s := range it.Summary {
			p.Text += s.Text
		}
		if it.EncryptedContent != nil {
			p.State = llm.Unwrap(*it.EncryptedContent, issuer)
			p.Redacted = p.State != nil && p.Text == ""
		}
		return llm.RoleAssistant, []llm.Part{p}, nil
	case "item_reference":
		return 0, nil, dialect.Unsupported(at+".type", "nothing is kept between requests. Send the item itself")
	}
	return 0, nil, dialect.Unsupported(at+".type", "items of this type are only known to the model provider")
}

// markError reads how failed calls are written in this dialect.
func markError(out *llm.ToolResult) {
	const mark = "Error: "
	if len(out.Parts) > 0 && out.Parts[0].Kind == llm.PartText && len(out.Parts[0].Text) >= len(mark) && out.Parts[0].Text[:len(mark)] == mark {
		out.Parts[0].Text, out.IsError = out.Parts[0].Text[len(mark):], true
	}
}

func responsesContent(v jsontext.Value, at string) ([]llm.Part, error) {
	if !dialect.Said(v) {
		return nil, nil
	}
	if text, ok := wire.Text(v); ok {
		return []llm.Part{{Kind: llm.PartText, Text: text}}, nil
	}
	if v.Kind() != '[' {
		return nil, dialect.Wrong(at, "must be a string or a list of parts")
	}
	var in []wireopenai.ResponsesPart
	if err := dialect.Read(v, &in, at); err != nil {
		return nil, err
	}
	parts := make([]llm.Part, 0, len(in))
	for i := range in {
		p, err := responsesPart(&in[i], dialect.Index(at, i))
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	return parts, nil
}

func responsesPart(p *wireopenai.ResponsesPart, at string) (llm.Part, error) {
	if p.FileID != nil && *p.FileID != "" {
		return llm.Part{}, dialect.Unsupported(at+".file_id", "files are kept in the operator's account. Send the bytes or an address")
	}
	switch {
	case p.Type == "input_text", p.Type == "output_text", p.Type == "text":
		return llm.Part{Kind: llm.PartText, Text: p.Text}, nil
	case p.Type == "refusal":
		return llm.Part{Kind: llm.PartRefusal, Text: p.Refusal}, nil
	case p.Type == "input_image" && p.ImageURL != nil:
		m := media(*p.ImageURL)
		if p.Detail != nil {
			m.Detail = *p.Detail
		}
		return llm.Part{Kind: llm.PartImage, Media: m}, nil
	case p.Type == "input_file" && p.FileData != nil:
		m := media(*p.FileData)
		if m.URL != "" {
			return llm.Part{}, dialect.Wrong(at+".file_data", "must be a data URL")
		}
		m.Name = p.Filename
		return llm.Part{Kind: llm.PartDocument, Media: m}, nil
	case p.Type == "input_file" && p.FileURL != nil:
		return llm.Part{Kind: llm.PartDocument, Media: &llm.Media{URL: *p.FileURL, Name: p.Filename}}, nil
	case p.Type == "input_audio" && p.InputAudio != nil:
		return llm.Part{Kind: llm.PartAudio, Media: &llm.Media{Type: audioType(p.InputAudio.Format), Data: p.InputAudio.Data}}, nil
	}
	return llm.Part{}, dialect.Wrong(at, "is no part that can be sent")
}
