package google

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm/wire"
)

// jsonSchema makes a JSON Schema of Google's own form of one (ai.google.dev/api/
// caching, Schema), whose types are in capitals and which has nullable. What it
// cannot read it leaves as it is.
func jsonSchema(schema jsontext.Value) jsontext.Value {
	out, ok := convert(nil, schema, true)
	if !ok {
		return schema
	}
	return out
}

// schemaMaps are the members whose names are the user's and whose values are
// schemas.
var schemaMaps = map[string]bool{"properties": true, "$defs": true, "defs": true, "definitions": true, "patternProperties": true}

// schemas are the members that are schemas, or lists of them.
var schemas = map[string]bool{"items": true, "prefixItems": true, "anyOf": true, "allOf": true, "oneOf": true, "not": true, "additionalProperties": true}

// convert appends v, which is a schema or a list of them.
func convert(b []byte, v jsontext.Value, isSchema bool) ([]byte, bool) {
	d := jsontext.NewDecoder(bytes.NewReader(v))
	switch v.Kind() {
	case '[':
		_, _ = d.ReadToken() // its kind is known
		b = append(wire.Next(b), '[')
		for d.PeekKind() != ']' {
			element, err := d.ReadValue()
			if err != nil {
				return b, false
			}
			var ok bool
			if b, ok = convert(b, element, isSchema); !ok {
				return b, false
			}
		}
		return append(b, ']'), true
	case '{':
		_, _ = d.ReadToken() // its kind is known
		b = append(wire.Next(b), '{')
		nullable := isSchema && isNullable(v)
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
			var ok bool
			if b, ok = convertMember(b, key, member, isSchema, nullable); !ok {
				return b, false
			}
		}
		return append(b, '}'), true
	}
	return append(wire.Next(b), v...), true
}

func convertMember(b []byte, key string, v jsontext.Value, isSchema, nullable bool) ([]byte, bool) {
	kind, isText := wire.Text(v)
	switch {
	case !isSchema: // a name of the user's, whose value is a schema
		return convert(append(wire.Quote(wire.Next(b), key), ':'), v, true)
	case key == "nullable", key == "propertyOrdering":
		return b, true
	case key == "type" && isText:
		kind = strings.ToLower(kind)
		if kind == "type_unspecified" {
			return b, true
		}
		if nullable {
			b = append(wire.Quote(append(wire.Name(b, key), '['), kind), `,"null"]`...)
			return b, true
		}
		return wire.String(b, key, kind), true
	case schemaMaps[key] && v.Kind() == '{':
		return convert(append(wire.Quote(wire.Next(b), key), ':'), v, false)
	case schemas[key]:
		return convert(append(wire.Quote(wire.Next(b), key), ':'), v, true)
	}
	return append(append(wire.Quote(wire.Next(b), key), ':'), v...), true
}

func isNullable(v jsontext.Value) bool {
	d := jsontext.NewDecoder(bytes.NewReader(v))
	_, _ = d.ReadToken() // an object
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return false
		}
		is := name.String() == "nullable"
		member, err := d.ReadValue()
		if err != nil {
			return false
		}
		if is {
			return member.Kind() == 't'
		}
	}
	return false
}
