package anthropic

import (
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/wire"
)

func (m *messages) appendPart(b []byte, p *llm.Part) []byte {
	start := len(b)
	b = append(wire.Next(b), '{')
	switch p.Kind {
	case llm.PartText, llm.PartRefusal:
		b = wire.String(wire.String(b, "type", "text"), "text", p.Text)
	case llm.PartImage:
		b = m.appendSource(wire.String(b, "type", "image"), p.Media)
	case llm.PartDocument:
		b = m.appendSource(wire.String(b, "type", "document"), p.Media)
		title := p.Text
		if title == "" {
			title = p.Media.Name
		}
		b = wire.OptString(b, "title", title)
	case llm.PartReasoning:
		if p.Redacted {
			b = wire.String(wire.String(b, "type", "redacted_thinking"), "data", p.State.Data)
			break
		}
		b = wire.String(wire.String(b, "type", "thinking"), "thinking", p.Text)
		b = wire.String(b, "signature", p.State.Data)
	case llm.PartToolCall:
		b = m.appendCall(b, p.Call)
	case llm.PartToolResult:
		b = m.appendResult(b, p.Result)
	case llm.PartOther:
		if p.Other.Name != "search_result" {
			m.notes.Lacks(p.Other.Class, p.Other.Name)
			return b[:start]
		}
		return append(wire.Next(b[:start]), p.Other.Value...)
	case llm.PartAudio, llm.PartVideo:
		m.notes.Refuse("messages", "This model takes neither sound nor video.")
		return b[:start]
	}
	return append(m.mark(b, p.Cache), '}')
}

func (m *messages) appendSource(b []byte, media *llm.Media) []byte {
	b = append(wire.Name(b, "source"), '{')
	switch {
	case media.URL != "":
		b = wire.String(wire.String(b, "type", "url"), "url", media.URL)
	case media.Text != "":
		b = wire.String(wire.String(b, "type", "text"), "media_type", "text/plain")
		b = wire.String(b, "data", media.Text)
	default:
		b = wire.String(wire.String(b, "type", "base64"), "media_type", media.Type)
		b = wire.String(b, "data", media.Data)
	}
	return append(b, '}')
}

// appendCall appends the members of a call. What is no JSON object is put into
// one.
func (m *messages) appendCall(b []byte, call *llm.ToolCall) []byte {
	b = wire.String(wire.String(b, "type", "tool_use"), "id", llm.ToolID(call.ID, llm.MessagesID))
	b = append(wire.Name(wire.String(b, "name", m.name(call.Name)), "input"), ""...)
	switch {
	case call.Custom:
		return append(wire.String(append(b, '{'), "input", call.Arguments), '}')
	case blank(call.Arguments):
		return append(b, "{}"...)
	case wire.Object(call.Arguments):
		return append(b, call.Arguments...)
	}
	m.notes.Warn(llm.ArgumentsRaw, "messages", "")
	return append(wire.String(append(b, '{'), "_raw", call.Arguments), '}')
}

func (m *messages) appendResult(b []byte, r *llm.ToolResult) []byte {
	b = wire.String(wire.String(b, "type", "tool_result"), "tool_use_id", llm.ToolID(r.ID, llm.MessagesID))
	switch {
	case len(r.Parts) == 0:
	case len(r.Parts) == 1 && r.Parts[0].Kind == llm.PartText && !r.Parts[0].Cache.On:
		b = wire.String(b, "content", r.Parts[0].Text)
	default:
		b = append(wire.Name(b, "content"), '[')
		for i := range r.Parts {
			if p := &r.Parts[i]; p.Kind != llm.PartText || !blank(p.Text) {
				b = m.appendPart(b, p)
			}
		}
		b = append(b, ']')
	}
	if r.IsError {
		b = wire.Bool(b, "is_error", true)
	}
	return b
}

// maxName is how long the service lets a tool's name be.
const maxName = 128

// freeSchema is the schema of a function that stands for a free-form tool.
const freeSchema = `{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}`

func (m *messages) name(name string) string { return m.names.Out(name, llm.PlainName(name, maxName)) }

func (m *messages) appendTools(b []byte) []byte {
	if m.forced != "" {
		b = append(wire.Name(b, "tools"), `[{`...)
		b = wire.OptString(wire.String(b, "name", m.forced), "description", m.req.Format.Description)
		schema := m.req.Format.Schema
		if len(schema) == 0 {
			schema = []byte(`{"type":"object"}`)
		}
		b = append(wire.Raw(b, "input_schema", schema), "}]"...)
		b = append(wire.Name(b, "tool_choice"), `{"type":"tool"`...)
		return append(wire.String(b, "name", m.forced), '}')
	}
	tools := m.req.Tools
	if allowed := m.req.Choice.Allowed; len(allowed) > 0 {
		tools = nil
		for _, t := range m.req.Tools {
			for _, a := range allowed {
				if t.Name == a {
					tools = append(tools, t)
				}
			}
		}
		m.notes.Warn(llm.Adjusted, "tool_choice", "tools")
	}
	if len(tools) == 0 {
		return b
	}
	b = append(wire.Name(b, "tools"), '[')
	for i := range tools {
		b = m.appendTool(b, &tools[i])
	}
	return m.appendChoice(append(b, ']'))
}

func (m *messages) appendTool(b []byte, t *llm.Tool) []byte {
	if len(t.Hosted) > 0 {
		m.notes.Refuse("tools", "Tools that the provider runs, such as "+t.Name+", are possible only in the provider's own protocol.")
		return b
	}
	b = append(wire.Next(b), '{')
	b = wire.OptString(wire.String(b, "name", m.name(t.Name)), "description", t.Description)
	switch {
	case t.Custom:
		m.names.Free(t.Name)
		if llm.Grammar(t.Format) {
			m.notes.Refuse("tools", "This model has no tools with a grammar.")
		}
		b = wire.Raw(b, "input_schema", freeSchema)
	case len(t.Parameters) == 0:
		b = wire.Raw(b, "input_schema", `{"type":"object","properties":{}}`)
	default:
		b = wire.Raw(b, "input_schema", t.Parameters)
	}
	if t.Strict != nil && *t.Strict {
		b = wire.Bool(b, "strict", true)
	}
	return append(m.mark(b, t.Cache), '}')
}

func (m *messages) appendChoice(b []byte) []byte {
	ch := m.req.Choice
	single := m.req.Parallel != nil && !*m.req.Parallel
	word := [...]string{llm.ToolsAuto: "auto", llm.ToolsNone: "none", llm.ToolsAny: "any", llm.ToolsNamed: "tool"}[ch.Mode]
	if word == "" {
		if !single {
			return b
		}
		word = "auto"
	}
	b = wire.String(append(wire.Name(b, "tool_choice"), '{'), "type", word)
	if ch.Mode == llm.ToolsNamed {
		b = wire.String(b, "name", m.name(ch.Name))
	}
	if single && ch.Mode != llm.ToolsNone {
		b = wire.Bool(b, "disable_parallel_tool_use", true)
	}
	return append(b, '}')
}
