package google

import (
	"bytes"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/dialect"
	"github.com/rephlo/rephlo/internal/llm/wire"
	wiregoogle "github.com/rephlo/rephlo/internal/llm/wire/google"
)

// vendor is whose signatures this dialect carries as they are.
const vendor = "google"

// reader reads the conversation. Calls of this dialect need no ids: a result
// answers the first call of its name that has none.
type reader struct {
	r      *llm.Request
	detail string // of images that state none
	calls  int
	open   []llm.ToolCall // without a result
}

func contents(in *wiregoogle.Request, r *llm.Request) error {
	d := reader{r: r}
	if c := in.GenerationConfig; c != nil {
		d.detail = detail(c.MediaResolution)
	}
	if s := in.SystemInstruction; s != nil {
		if err := d.turn(s, llm.RoleSystem, "systemInstruction"); err != nil {
			return err
		}
	}
	for i := range in.Contents {
		c, at := &in.Contents[i], dialect.Index("contents", i)
		role := llm.RoleUser
		switch c.Role {
		case "", "user", "function", "tool":
		case "model":
			role = llm.RoleAssistant
		case "system":
			role = llm.RoleSystem
		default:
			return dialect.Wrong(at+".role", "must be user or model")
		}
		if err := d.turn(c, role, at); err != nil {
			return err
		}
	}
	return nil
}

func detail(word string) string {
	switch strings.TrimPrefix(strings.ToUpper(word), "MEDIA_RESOLUTION_") {
	case "LOW":
		return "low"
	case "HIGH", "ULTRA_HIGH":
		return "high"
	}
	return ""
}

// turn appends a turn: its results as a message of their own, in front.
func (d *reader) turn(c *wiregoogle.Content, role llm.Role, at string) error {
	var results, parts []llm.Part
	for i := range c.Parts {
		p, at := &c.Parts[i], dialect.Index(at+".parts", i)
		if p.FunctionResponse != nil {
			out, err := d.result(p.FunctionResponse, at)
			if err != nil {
				return err
			}
			results = append(results, llm.Part{Kind: llm.PartToolResult, Result: out})
			continue
		}
		some, err := d.part(p, at)
		if err != nil {
			return err
		}
		parts = append(parts, some...)
		dialect.Unknown(d.r, p.Rest, at, "videoMetadata")
	}
	if len(results) > 0 {
		d.r.Messages = append(d.r.Messages, llm.Message{Role: llm.RoleTool, Parts: results})
	}
	switch last := d.last(); {
	case role == llm.RoleAssistant && last != nil && last.Role == role:
		last.Parts = join(append(last.Parts, parts...))
	case len(parts) > 0 || len(results) == 0:
		d.r.Messages = append(d.r.Messages, llm.Message{Role: role, Parts: join(parts)})
	}
	dialect.Unknown(d.r, c.Rest, at)
	return nil
}

func (d *reader) last() *llm.Message {
	if len(d.r.Messages) == 0 {
		return nil
	}
	return &d.r.Messages[len(d.r.Messages)-1]
}

// join makes one of the pieces of a thought, as clients that collect a stream
// send them back, each as a part or even a turn of its own. What signs it comes
// with the last piece.
func join(parts []llm.Part) []llm.Part {
	out := parts[:0]
	for _, p := range parts {
		if n := len(out) - 1; n >= 0 && thought(p) && thought(out[n]) && out[n].State == nil {
			out[n].Text, out[n].State = out[n].Text+p.Text, p.State
			continue
		}
		out = append(out, p)
	}
	return out
}

func thought(p llm.Part) bool { return p.Kind == llm.PartReasoning && !p.Redacted }

// part reads a part; a text with a signature is two.
func (d *reader) part(p *wiregoogle.Part, at string) ([]llm.Part, error) {
	state := state(p.ThoughtSignature)
	switch {
	case p.FunctionCall != nil:
		return []llm.Part{{Kind: llm.PartToolCall, Call: d.call(p.FunctionCall), State: state}}, nil
	case p.Thought && (p.Text != nil || state != nil): // clients with types leave an empty text out
		thought := llm.Part{Kind: llm.PartReasoning, State: state}
		if p.Text != nil {
			thought.Text = *p.Text
		}
		return []llm.Part{thought}, nil
	case p.Text != nil:
		var out []llm.Part
		if *p.Text != "" || state == nil {
			out = append(out, llm.Part{Kind: llm.PartText, Text: *p.Text})
		}
		if state != nil {
			out = append(out, llm.Part{Kind: llm.PartReasoning, State: state, Redacted: true})
		}
		return out, nil
	case p.InlineData != nil:
		m := &llm.Media{Type: strings.ToLower(p.InlineData.MimeType), Data: p.InlineData.Data, Name: p.InlineData.DisplayName}
		return []llm.Part{d.media(p, m)}, nil
	case p.FileData != nil:
		if !public(p.FileData.FileURI) {
			return nil, dialect.Unsupported(at+".fileData.fileUri", "files are kept in the operator's account. Send inlineData, or an https address")
		}
		return []llm.Part{d.media(p, &llm.Media{Type: strings.ToLower(p.FileData.MimeType), URL: p.FileData.FileURI})}, nil
	case state != nil:
		return []llm.Part{{Kind: llm.PartReasoning, State: state, Redacted: true}}, nil
	case len(p.ExecutableCode) > 0, len(p.CodeResult) > 0:
		return nil, dialect.Unsupported(at, "code that the provider ran")
	case len(p.Rest) == 0: // an empty text of ours, which clients with types send back without its text
		return nil, nil
	}
	return nil, dialect.Wrong(at, "is no part that can be sent")
}

// public reports whether an address is one that anybody could send.
func public(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https" && u.Host != "" && !strings.HasSuffix(strings.ToLower(u.Hostname()), "googleapis.com")
}

func (d *reader) media(p *wiregoogle.Part, m *llm.Media) llm.Part {
	out := llm.Part{Kind: llm.PartDocument, Media: m}
	kind, _, _ := strings.Cut(m.Type, "/")
	switch kind {
	case "image", "":
		out.Kind = llm.PartImage
		m.Detail = d.detail
		if p.MediaResolution != nil {
			m.Detail = detail(p.MediaResolution.Level)
		}
	case "audio":
		out.Kind = llm.PartAudio
	case "video":
		out.Kind = llm.PartVideo
	}
	return out
}

func (d *reader) call(f *wiregoogle.FunctionCall) *llm.ToolCall {
	c := llm.ToolCall{ID: llm.OriginalID(f.ID), Name: f.Name, Arguments: string(bytes.TrimSpace(f.Args))}
	if c.ID == "" {
		c.ID = llm.MissingID("contents", d.calls)
	}
	if f.Args.Kind() != '{' {
		c.Arguments = "{}"
	}
	d.calls++
	d.open = append(d.open, c)
	return &c
}

// result reads a functionResponse. The text of a result is in response.output;
// of another object all of it is the text.
func (d *reader) result(f *wiregoogle.FunctionResponse, at string) (*llm.ToolResult, error) {
	out := &llm.ToolResult{ID: llm.OriginalID(f.ID), Name: f.Name}
	for i, c := range d.open {
		if out.ID == c.ID || out.ID == "" && f.Name == c.Name {
			out.ID = c.ID
			d.open = append(d.open[:i:i], d.open[i+1:]...)
			break
		}
	}
	if out.ID == "" {
		out.ID = llm.MissingID("results", d.calls)
		d.calls++
	}
	said := string(bytes.TrimSpace(f.Response))
	if one, isError, ok := only(f.Response); ok {
		said, out.IsError = one, isError
	}
	out.Parts = append(out.Parts, llm.Part{Kind: llm.PartText, Text: said})
	for i := range f.Parts {
		some, err := d.part(&f.Parts[i], dialect.Index(at+".functionResponse.parts", i))
		if err != nil {
			return nil, err
		}
		out.Parts = append(out.Parts, some...)
	}
	dialect.Unknown(d.r, f.Rest, at+".functionResponse")
	return out, nil
}

// only returns the text of {"output":"…"} and {"error":"…"}.
func only(v jsontext.Value) (text string, isError, ok bool) {
	var in map[string]jsontext.Value
	if json.Unmarshal(v, &in) != nil || len(in) != 1 {
		return "", false, false
	}
	if text, ok = wire.Text(in["output"]); ok {
		return text, false, true
	}
	text, ok = wire.Text(in["error"])
	return text, ok, ok
}
