package anthropic

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/wire"
)

// onlyJSON asks for an object where the service has no parameter for it.
const onlyJSON = "Answer with one JSON object only."

// form decides how the answer gets its form: by the service, by an instruction,
// or as the arguments of a tool that the model has to call.
func (m *messages) form() {
	f := m.req.Format
	switch {
	case f.Kind == llm.FormatJSON:
		m.fenced = true
		m.system = append(m.system, llm.Part{Kind: llm.PartText, Text: onlyJSON})
		m.notes.Warn(llm.Emulated, "response_format", "")
	case f.Kind != llm.FormatSchema || m.to.Abilities.JSONSchema:
	case len(m.req.Tools) > 0 || m.req.Reasoning.On() && !m.to.Abilities.NoReasoning:
		m.notes.Refuse("response_format", "This model gives structured output only without tools and without thinking. Leave them out, or use a model that has structured output.")
	default:
		m.forced = "answer"
		if llm.PlainName(f.Name, maxName) {
			m.forced = f.Name
		}
		m.notes.Warn(llm.Emulated, "response_format", "")
	}
}

// refused keywords of JSON Schema are not taken in structured output
// (docs.claude.com/en/docs/build-with-claude/structured-outputs).
var refused = map[string]bool{
	"minimum": true, "maximum": true, "exclusiveMinimum": true, "exclusiveMaximum": true, "multipleOf": true, "minLength": true, "maxLength": true,
	"maxItems": true, "uniqueItems": true, "minProperties": true, "maxProperties": true,
}

// place is what a value in a schema is.
type place uint8

const (
	aSchema  place = iota
	schemas        // an object whose values are schemas
	anything       // a value that is compared, not a schema
)

var places = map[string]place{
	"properties": schemas, "patternProperties": schemas, "$defs": schemas, "definitions": schemas, "dependentSchemas": schemas,
	"enum": anything, "const": anything, "default": anything, "examples": anything,
}

// relaxed returns schema without the keywords that are refused, each of which
// is a warning with its place.
func (m *messages) relaxed(schema jsontext.Value) jsontext.Value {
	out, ok := m.relax(nil, jsontext.NewDecoder(bytes.NewReader(schema)), aSchema, "")
	if !ok {
		return schema
	}
	return out
}

func (m *messages) relax(b []byte, d *jsontext.Decoder, p place, at string) ([]byte, bool) {
	kind := d.PeekKind()
	if p == anything || kind != '{' && kind != '[' {
		v, err := d.ReadValue()
		return append(b, v...), err == nil
	}
	if _, err := d.ReadToken(); err != nil {
		return b, false
	}
	b = append(b, byte(kind))
	for d.PeekKind() != '}' && d.PeekKind() != ']' {
		next, here := p, at
		if kind == '{' {
			t, err := d.ReadToken()
			if err != nil {
				return b, false
			}
			name := t.String()
			here = at + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
			if p == aSchema && refused[name] {
				m.notes.Warn(llm.SchemaRelaxed, "response_format", here)
				if d.SkipValue() != nil {
					return b, false
				}
				continue
			}
			next = aSchema
			if p == aSchema {
				next = places[name]
			}
			b = append(wire.Quote(wire.Next(b), name), ':')
		} else {
			b = wire.Next(b)
		}
		var ok bool
		if b, ok = m.relax(b, d, next, here); !ok {
			return b, false
		}
	}
	t, err := d.ReadToken()
	if err != nil {
		return b, false
	}
	return append(b, byte(t.Kind())), true
}
