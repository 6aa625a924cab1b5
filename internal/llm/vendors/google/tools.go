package google

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/wire"
)

// freeSchema is the schema of a function that stands for a free-form tool.
const freeSchema = `{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}`

func (e *encoder) tools(b []byte) []byte {
	r := e.req
	if len(r.Tools) == 0 {
		return b
	}
	only := r.Choice.Allowed
	if r.Choice.Mode == llm.ToolsAny {
		only = nil // allowedFunctionNames says it
	} else if len(only) > 0 {
		e.notes.Warn(llm.Adjusted, "tool_choice", "tools")
	}
	b = append(wire.Name(b, "tools"), `[{"functionDeclarations":[`...)
	for i := range r.Tools {
		if t := &r.Tools[i]; len(only) == 0 || slices.Contains(only, t.Name) {
			b = e.tool(b, t)
		}
	}
	return e.choice(append(b, "]}]"...))
}

func (e *encoder) tool(b []byte, t *llm.Tool) []byte {
	if len(t.Hosted) > 0 {
		e.notes.Refuse("tools", "Tools that the provider runs, such as "+t.Name+", are possible only in the provider's own protocol.")
		return b
	}
	b = wire.String(append(wire.Next(b), '{'), "name", e.name(t.Name))
	b = wire.OptString(b, "description", t.Description)
	switch {
	case t.Custom:
		e.names.Free(t.Name)
		if llm.Grammar(t.Format) {
			e.notes.Refuse("tools", "This model has no tools with a grammar.")
		}
		b = wire.Raw(b, "parametersJsonSchema", freeSchema)
	case len(t.Parameters) > 0:
		b = wire.Raw(b, "parametersJsonSchema", inlined(t.Parameters))
	}
	return append(b, '}')
}

func (e *encoder) choice(b []byte) []byte {
	c := e.req.Choice
	mode, allowed := "", []string(nil)
	switch c.Mode {
	case llm.ToolsAuto:
		mode = "AUTO"
	case llm.ToolsNone:
		mode = "NONE"
	case llm.ToolsAny:
		mode, allowed = "ANY", c.Allowed
	case llm.ToolsNamed:
		mode, allowed = "ANY", []string{c.Name}
	default:
		return b
	}
	b = append(wire.Name(b, "toolConfig"), `{"functionCallingConfig":{`...)
	b = wire.String(b, "mode", mode)
	if len(allowed) > 0 {
		b = append(wire.Name(b, "allowedFunctionNames"), '[')
		for _, name := range allowed {
			b = wire.Quote(wire.Next(b), e.name(name))
		}
		b = append(b, ']')
	}
	return append(b, "}}"...)
}

// Bounds of a schema that is rewritten; beyond them it is sent as it is.
const (
	maxSchema = 256 << 10
	maxDepth  = 32
	maxRefs   = 200
)

// inlined returns a schema as Google takes it: without $schema at its root, and
// with the definitions in the place of local references. Those that contain
// themselves stay.
func inlined(schema jsontext.Value) jsontext.Value {
	if len(schema) > maxSchema || !bytes.Contains(schema, []byte(`$`)) && !bytes.Contains(schema, []byte(`\`)) {
		return schema
	}
	i := inliner{root: schema, found: map[string]jsontext.Value{}}
	out, ok := i.value(nil, schema, nil)
	if !ok {
		return schema
	}
	return out
}

type inliner struct {
	root  jsontext.Value
	found map[string]jsontext.Value // by reference; nil for one that leads nowhere
}

// value appends v with its references replaced. open are the references inside
// of which v stands.
func (i *inliner) value(b []byte, v jsontext.Value, open []string) ([]byte, bool) {
	if len(b) > maxSchema || len(open) > maxDepth {
		return b, false
	}
	d := jsontext.NewDecoder(bytes.NewReader(v))
	switch v.Kind() {
	case '{':
		return i.object(b, d, v, open)
	case '[':
		_, _ = d.ReadToken() // its kind is known
		b = append(wire.Next(b), '[')
		for d.PeekKind() != ']' {
			element, err := d.ReadValue()
			if err != nil {
				return b, false
			}
			var ok bool
			if b, ok = i.value(b, element, open); !ok {
				return b, false
			}
		}
		return append(b, ']'), true
	}
	return append(wire.Next(b), v...), true
}

func (i *inliner) object(b []byte, d *jsontext.Decoder, v jsontext.Value, open []string) ([]byte, bool) {
	if ref, ok := reference(v); ok && !slices.Contains(open, ref) {
		target, known := i.found[ref]
		if !known && len(i.found) < maxRefs {
			target = i.find(ref)
			i.found[ref] = target
		}
		if target != nil {
			return i.value(b, target, append(slices.Clip(open), ref))
		}
	}
	_, _ = d.ReadToken() // its kind is known
	b = append(wire.Next(b), '{')
	atRoot := len(open) == 0 && len(v) == len(i.root)
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return b, false
		}
		key := name.String()
		member, err := d.ReadValue()
		if err != nil {
			return b, false
		}
		if atRoot && key == "$schema" {
			continue
		}
		b = append(wire.Quote(wire.Next(b), key), ':')
		var ok bool
		if b, ok = i.value(b, member, open); !ok {
			return b, false
		}
	}
	return append(b, '}'), true
}

// reference returns the local reference that an object consists of.
func reference(v jsontext.Value) (string, bool) {
	var in struct {
		Ref string `json:"$ref"`
	}
	if !bytes.Contains(v, []byte(`$ref`)) || json.Unmarshal(v, &in) != nil || !strings.HasPrefix(in.Ref, "#") {
		return "", false
	}
	return in.Ref, true
}

// find returns what a local reference points at (RFC 6901), or nil.
func (i *inliner) find(ref string) jsontext.Value {
	v := i.root
	for token := range strings.SplitSeq(strings.TrimPrefix(strings.TrimPrefix(ref, "#"), "/"), "/") {
		if token == "" {
			return nil // the root contains the reference
		}
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		switch v.Kind() {
		case '{':
			var members map[string]jsontext.Value
			if json.Unmarshal(v, &members) != nil {
				return nil
			}
			v = members[token]
		case '[':
			var elements []jsontext.Value
			n, err := strconv.Atoi(token)
			if err != nil || json.Unmarshal(v, &elements) != nil || n < 0 || n >= len(elements) {
				return nil
			}
			v = elements[n]
		default:
			return nil
		}
		if v == nil {
			return nil
		}
	}
	return v
}
