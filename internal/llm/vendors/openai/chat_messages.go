package openai

import (
	"strings"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/wire"
)

func (c *chat) messages(b []byte) []byte {
	b = append(wire.Name(b, "messages"), '[')
	if f := c.req.Format; f.Kind == llm.FormatSchema && c.to.Options.NoJSONSchema {
		b = append(wire.String(append(wire.Next(b), '{'), "role", "system"), `,"content":`...)
		b = append(wire.Quote(b, "Answer with one JSON object only. It must fit this JSON Schema: "+string(f.Schema)), '}')
	}
	for i := range c.req.Messages {
		m := &c.req.Messages[i]
		if m.Role != llm.RoleTool {
			b = c.shown(b)
		}
		switch m.Role {
		case llm.RoleAssistant:
			b = c.assistant(b, m)
		case llm.RoleTool:
			b = c.results(b, m)
		case llm.RoleDeveloper:
			role := "system"
			if c.own || c.to.Options.DeveloperRole {
				role = "developer"
			}
			b = c.message(b, role, m)
		case llm.RoleSystem:
			b = c.message(b, "system", m)
		case llm.RoleUser:
			b = c.message(b, "user", m)
		}
	}
	return append(c.shown(b), ']')
}

// shown appends the images of the results before, as the user's: all results
// of a turn must follow it at once.
func (c *chat) shown(b []byte) []byte {
	if len(c.images) == 0 {
		return b
	}
	m := llm.Message{Parts: c.images}
	c.images = nil
	return c.message(b, "user", &m)
}

func (c *chat) message(b []byte, role string, m *llm.Message) []byte {
	b = wire.String(append(wire.Next(b), '{'), "role", role)
	b = wire.OptString(b, "name", m.Name)
	return append(c.content(b, m.Parts), '}')
}

// content appends the member content: a string where that says it all.
func (c *chat) content(b []byte, parts []llm.Part) []byte {
	if len(parts) == 0 {
		return wire.String(b, "content", "")
	}
	if p := &parts[0]; len(parts) == 1 && p.Kind == llm.PartText && !c.marked(p) {
		return wire.String(b, "content", p.Text)
	}
	b = append(wire.Name(b, "content"), '[')
	for i := range parts {
		b = c.part(b, &parts[i])
	}
	return append(b, ']')
}

func (c *chat) marked(p *llm.Part) bool { return p.Cache.On && c.to.Abilities.Breakpoints }

func (c *chat) part(b []byte, p *llm.Part) []byte {
	start := len(b)
	b = append(wire.Next(b), '{')
	switch p.Kind {
	case llm.PartText, llm.PartRefusal:
		b = wire.String(wire.String(b, "type", "text"), "text", p.Text)
	case llm.PartImage:
		b = append(wire.Name(wire.String(b, "type", "image_url"), "image_url"), '{')
		if p.Media.URL != "" && c.to.Options.NoImageURL {
			c.notes.Refuse("messages", "This model takes images only as data URLs.")
		}
		b = append(wire.OptString(source(b, "url", p.Media), "detail", p.Media.Detail), '}')
	case llm.PartDocument:
		b = c.document(b, p)
	case llm.PartAudio:
		b = c.audio(b, p.Media)
	case llm.PartOther:
		c.notes.Lacks(p.Other.Class, p.Other.Name)
		return b[:start]
	default:
		c.notes.Refuse("messages", "The conversation has a part that this model does not take, such as a video.")
		return b[:start]
	}
	if c.marked(p) {
		b = append(wire.Name(b, "prompt_cache_breakpoint"), `{"type":"explicit"}`...)
	}
	return append(b, '}')
}

// source appends a URL, or the bytes as one.
func source(b []byte, name string, m *llm.Media) []byte {
	if m.URL != "" {
		return wire.String(b, name, m.URL)
	}
	b = append(wire.Name(b, name), '"')
	b = append(append(append(b, "data:"...), m.Type...), ";base64,"...)
	quoted := wire.Quote(nil, m.Data) // base64 needs no escapes, but nobody has checked it
	return append(b, quoted[1:]...)
}

func (c *chat) document(b []byte, p *llm.Part) []byte {
	switch m := p.Media; {
	case m.Text != "":
		text := m.Text
		if p.Text != "" {
			text = p.Text + "\n\n" + text
		}
		return wire.String(wire.String(b, "type", "text"), "text", text)
	case m.URL != "":
		c.notes.Refuse("messages", "This model takes documents only as bytes, not by address.")
		return b
	default:
		name := m.Name
		if name == "" {
			name = "document.pdf"
		}
		b = append(wire.Name(wire.String(b, "type", "file"), "file"), '{')
		return append(source(wire.String(b, "filename", name), "file_data", m), '}')
	}
}

func (c *chat) audio(b []byte, m *llm.Media) []byte {
	format := strings.TrimPrefix(m.Type, "audio/")
	switch format {
	case "mpeg":
		format = "mp3"
	case "x-wav", "wave":
		format = "wav"
	case "wav", "mp3":
	default:
		c.notes.Refuse("messages", "This model takes sound only as wav or mp3.")
	}
	b = append(wire.Name(wire.String(b, "type", "input_audio"), "input_audio"), '{')
	return append(wire.String(wire.String(b, "data", m.Data), "format", format), '}')
}

// assistant appends what the model said before.
func (c *chat) assistant(b []byte, m *llm.Message) []byte {
	text, refusal, thought := "", "", ""
	calls := 0
	for i := range m.Parts {
		switch p := &m.Parts[i]; p.Kind { //nolint:exhaustive // the model writes no others
		case llm.PartText:
			text += p.Text
		case llm.PartRefusal:
			refusal += p.Text
		case llm.PartReasoning:
			thought += p.Text
		case llm.PartToolCall:
			calls++
		default:
			c.notes.Refuse("messages", "An answer in the conversation has a part that this model does not take.")
		}
	}
	b = wire.String(append(wire.Next(b), '{'), "role", "assistant")
	b = wire.OptString(b, "name", m.Name)
	if text == "" && (calls > 0 || refusal != "") {
		b = wire.Raw(b, "content", "null")
	} else {
		b = wire.String(b, "content", text)
	}
	b = wire.OptString(b, "refusal", refusal)
	if c.to.Options.EchoReasoning {
		b = wire.String(b, c.reasoningField(), thought)
	}
	b = c.thoughts(b, m.Parts)
	if calls > 0 {
		b = append(wire.Name(b, "tool_calls"), '[')
		for i := range m.Parts {
			if p := &m.Parts[i]; p.Kind == llm.PartToolCall {
				b = c.call(b, p)
			}
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func (c *chat) reasoningField() string {
	if c.to.Options.ReasoningField != "" {
		return c.to.Options.ReasoningField
	}
	return "reasoning_content"
}

// thoughts gives the vendor back what only it can read.
func (c *chat) thoughts(b []byte, parts []llm.Part) []byte {
	n := 0
	for i := range parts {
		p := &parts[i]
		if p.State == nil || p.Kind != llm.PartReasoning {
			continue
		}
		if !p.State.For(c.to) {
			c.notes.Warn(llm.ReasoningLost, "messages", "")
			continue
		}
		if n++; n == 1 {
			b = append(wire.Name(b, "reasoning_details"), '[')
		}
		b = append(wire.Next(b), '{')
		if p.Redacted {
			b = wire.String(wire.String(b, "type", "reasoning.encrypted"), "data", p.State.Data)
		} else {
			b = wire.String(wire.String(b, "type", "reasoning.text"), "text", p.Text)
			b = wire.String(b, "signature", p.State.Data)
		}
		b = append(wire.Int(b, "index", n-1), '}')
	}
	if n > 0 {
		b = append(b, ']')
	}
	return b
}

func (c *chat) id(id string) string {
	if c.to.Options.ShortIDs {
		return llm.ShortID(id)
	}
	return llm.ToolID(id, llm.ChatID)
}

func (c *chat) call(b []byte, p *llm.Part) []byte {
	call := p.Call
	b = wire.String(append(wire.Next(b), '{'), "id", c.id(call.ID))
	if call.Custom && c.own {
		b = append(wire.Name(wire.String(b, "type", "custom"), "custom"), '{')
		b = wire.String(wire.String(b, "name", c.name(call.Name)), "input", call.Arguments)
		return append(b, "}}"...)
	}
	arguments := call.Arguments
	switch {
	case call.Custom:
		arguments = string(append(wire.String([]byte{'{'}, "input", call.Arguments), '}'))
	case arguments == "":
		arguments = "{}"
	}
	b = append(wire.Name(wire.String(b, "type", "function"), "function"), '{')
	b = append(wire.String(wire.String(b, "name", c.name(call.Name)), "arguments", arguments), '}')
	if p.State != nil && p.State.For(c.to) {
		b = append(wire.Name(b, "extra_content"), `{"google":{`...)
		b = append(wire.String(b, "thought_signature", p.State.Data), "}}"...)
	}
	return append(b, '}')
}

// results appends a message for each result. Images have no place in it.
func (c *chat) results(b []byte, m *llm.Message) []byte {
	for i := range m.Parts {
		r := m.Parts[i].Result
		if r == nil {
			continue
		}
		text := ""
		if r.IsError {
			text = "Error: "
		}
		headed := false
		for _, p := range r.Parts {
			switch {
			case p.Kind == llm.PartText:
				text += p.Text
			case p.Kind == llm.PartDocument && p.Media.Text != "":
				text += p.Media.Text
			default:
				if !headed {
					headed = true
					c.images = append(c.images, llm.Part{Kind: llm.PartText, Text: "Image from tool call " + r.ID})
				}
				c.images = append(c.images, p)
			}
		}
		b = wire.String(append(wire.Next(b), '{'), "role", "tool")
		b = append(wire.String(wire.String(b, "tool_call_id", c.id(r.ID)), "content", text), '}')
	}
	return b
}
