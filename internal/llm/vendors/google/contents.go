package google

import (
	"path"
	"slices"
	"strings"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/wire"
)

// placeholder is what Google takes for the signature of a call that has none,
// because the client did not send it back or another model made the call
// (ai.google.dev/gemini-api/docs/thought-signatures).
const placeholder = "skip_thought_signature_validator"

// contents appends the conversation: contents, then systemInstruction.
func (e *encoder) contents(b []byte) []byte {
	messages := e.req.Messages
	head := 0
	for head < len(messages) && system(messages[head].Role) {
		head++
	}
	for i := range messages {
		for _, p := range messages[i].Parts {
			if p.Kind == llm.PartToolCall {
				e.called[p.Call.ID] = p.Call.Name
			}
		}
	}
	b = append(wire.Name(b, "contents"), '[')
	for i := head; i < len(messages); {
		end := i + 1
		for end < len(messages) && role(messages[end].Role) == role(messages[i].Role) {
			end++
		}
		b = e.turn(b, messages[i:end])
		i = end
	}
	b = append(b, ']')
	return e.instruction(b, messages[:head])
}

func system(r llm.Role) bool { return r == llm.RoleSystem || r == llm.RoleDeveloper }

func role(r llm.Role) string {
	if r == llm.RoleAssistant {
		return "model"
	}
	return "user"
}

func (e *encoder) instruction(b []byte, messages []llm.Message) []byte {
	start := len(b)
	b = append(wire.Name(b, "systemInstruction"), `{"parts":[`...)
	inner := len(b)
	for i := range messages {
		for _, p := range messages[i].Parts {
			if p.Kind == llm.PartText && strings.TrimSpace(p.Text) != "" {
				b = text(b, p.Text)
			}
		}
	}
	if len(b) == inner {
		return b[:start]
	}
	return append(b, "]}"...)
}

func text(b []byte, text string) []byte {
	return append(wire.String(append(wire.Next(b), '{'), "text", text), '}')
}

// turn appends neighbours of one role as one turn; nothing when it is empty.
func (e *encoder) turn(b []byte, messages []llm.Message) []byte {
	start := len(b)
	b = wire.String(append(wire.Next(b), '{'), "role", role(messages[0].Role))
	b = append(wire.Name(b, "parts"), '[')
	inner := len(b)
	if messages[0].Role == llm.RoleAssistant {
		for i := range messages {
			b = e.answered(b, messages[i].Parts)
		}
	} else {
		b = e.said(b, messages)
	}
	if len(b) == inner {
		return b[:start]
	}
	return append(b, "]}"...)
}

// said appends what is not the model's: the results first, in their order.
func (e *encoder) said(b []byte, messages []llm.Message) []byte {
	for i := range messages {
		for _, p := range messages[i].Parts {
			if p.Kind == llm.PartToolResult {
				b = e.result(b, p.Result)
			}
		}
	}
	for i := range messages {
		for _, p := range messages[i].Parts {
			if system(messages[i].Role) && p.Kind == llm.PartText && p.Text != "" {
				e.notes.Warn(llm.Inlined, "messages", "")
				p.Text = "<system>" + p.Text + "</system>"
			}
			if p.Kind != llm.PartToolResult {
				b = e.part(b, &p)
			}
		}
	}
	return b
}

// part appends a text or a medium.
func (e *encoder) part(b []byte, p *llm.Part) []byte {
	switch p.Kind { //nolint:exhaustive // the others are refused
	case llm.PartText, llm.PartRefusal:
		if p.Text == "" {
			return b
		}
		return text(b, p.Text)
	case llm.PartImage, llm.PartAudio, llm.PartVideo, llm.PartDocument:
		return e.media(b, p)
	}
	e.notes.Refuse("messages", "The conversation has a part that this model does not take.")
	return b
}

func (e *encoder) media(b []byte, p *llm.Part) []byte {
	m := p.Media
	if m.Text != "" {
		if title := p.Text + m.Name; title != "" {
			return text(b, title+"\n"+m.Text)
		}
		return text(b, m.Text)
	}
	kind := m.Type
	if kind == "" {
		kind = guess(p.Kind, m)
	}
	if m.URL == "" {
		b = append(wire.Next(b), `{"inlineData":{`...)
		return append(wire.String(wire.String(b, "mimeType", kind), "data", m.Data), "}}"...)
	}
	if e.to.Options.NoImageURL {
		e.notes.Refuse("messages", "This model does not load files from addresses. Send the bytes as a data URL.")
	}
	b = append(wire.Next(b), `{"fileData":{`...)
	return append(wire.String(wire.String(b, "mimeType", kind), "fileUri", m.URL), "}}"...)
}

var kinds = map[string]string{
	".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp", ".png": "image/png", ".heic": "image/heic",
	".mp4": "video/mp4", ".mov": "video/mov", ".webm": "video/webm", ".mp3": "audio/mpeg", ".wav": "audio/wav", ".pdf": "application/pdf",
}

// guess returns a type for what states none, by the end of its name.
func guess(kind llm.PartKind, m *llm.Media) string {
	address, _, _ := strings.Cut(m.URL, "?")
	if t := kinds[strings.ToLower(path.Ext(address))]; t != "" {
		return t
	}
	switch kind { //nolint:exhaustive // the others are documents
	case llm.PartImage:
		return "image/png"
	case llm.PartAudio:
		return "audio/wav"
	case llm.PartVideo:
		return "video/mp4"
	}
	return "application/pdf"
}

// answered appends what the model said before.
func (e *encoder) answered(b []byte, parts []llm.Part) []byte {
	signed := generation(e.to.Model) < 3 // older models do not ask for it
	for i := range parts {
		p := &parts[i]
		switch p.Kind { //nolint:exhaustive // the others are below
		case llm.PartReasoning:
			b = e.thought(b, p)
		case llm.PartToolCall:
			// Of parallel calls only the first has a signature.
			b = e.call(b, p, !signed)
			signed = true
		default:
			b = e.part(b, p)
		}
	}
	return b
}

// thought gives the model its own signature back. Thoughts without one, and
// those of others, are not sent: they would be read as text.
func (e *encoder) thought(b []byte, p *llm.Part) []byte {
	switch {
	case p.State == nil:
		return b
	case !p.State.For(e.to):
		e.notes.Warn(llm.ReasoningLost, "messages", "")
		return b
	}
	b = wire.String(append(wire.Next(b), '{'), "text", p.Text)
	if p.Text != "" {
		b = wire.Bool(b, "thought", true)
	}
	return append(wire.String(b, "thoughtSignature", p.State.Data), '}')
}

func (e *encoder) call(b []byte, p *llm.Part, needsSignature bool) []byte {
	c := p.Call
	b = append(wire.Next(b), `{"functionCall":{`...)
	b = wire.String(wire.OptString(b, "id", c.ID), "name", e.name(c.Name))
	switch {
	case c.Custom:
		b = append(wire.String(append(wire.Name(b, "args"), '{'), "input", c.Arguments), '}')
	case strings.TrimSpace(c.Arguments) == "":
		b = wire.Raw(b, "args", "{}")
	case wire.Object(c.Arguments):
		b = wire.Raw(b, "args", strings.TrimSpace(c.Arguments))
	default:
		e.notes.Warn(llm.ArgumentsRaw, "messages", "")
		b = append(wire.String(append(wire.Name(b, "args"), '{'), "_raw", c.Arguments), '}')
	}
	b = append(b, '}')
	switch {
	case p.State.For(e.to):
		b = wire.String(b, "thoughtSignature", p.State.Data)
	case needsSignature:
		e.notes.Warn(llm.SignatureEmpty, "messages", "")
		b = wire.String(b, "thoughtSignature", placeholder)
	}
	return append(b, '}')
}

// result appends a functionResponse, whose response is an object.
func (e *encoder) result(b []byte, r *llm.ToolResult) []byte {
	name := r.Name
	if n, ok := e.called[r.ID]; ok {
		name = n
	}
	said, media := "", []llm.Part(nil)
	for _, p := range r.Parts {
		if p.Kind == llm.PartText {
			said += p.Text
			continue
		}
		media = append(media, p)
	}
	b = append(wire.Next(b), `{"functionResponse":{`...)
	b = wire.String(wire.OptString(b, "id", r.ID), "name", e.name(name))
	switch {
	case r.IsError:
		b = append(wire.String(append(wire.Name(b, "response"), '{'), "error", said), '}')
	case wire.Object(said):
		b = wire.Raw(b, "response", strings.TrimSpace(said))
	default:
		b = append(wire.String(append(wire.Name(b, "response"), '{'), "output", said), '}')
	}
	if len(media) > 0 {
		b = append(wire.Name(b, "parts"), '[')
		for i := range media {
			b = e.part(b, &media[i])
		}
		b = append(b, ']')
	}
	return append(b, "}}"...)
}

// name returns the name of a function as Google takes it: a letter or _, then
// letters, digits and _.:- up to 64 in all.
func (e *encoder) name(name string) string {
	ok := name != "" && len(name) <= 64
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		ok = ok && (letter || i > 0 && (c >= '0' && c <= '9' || slices.Contains([]byte(".:-"), c)))
	}
	return e.names.Out(name, ok)
}
