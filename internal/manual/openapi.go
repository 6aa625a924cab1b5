package manual

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// document is the part of an OpenAPI document that the pages show.
type document struct {
	Info struct {
		Title, Version, Description string
	}
	Paths      map[string]map[string]*operation
	Components struct {
		Schemas    map[string]*schema
		Parameters map[string]*parameter
	}
}

type operation struct {
	Method, Path string `json:"-"`
	ID           string `json:"operationId"`
	Summary      string
	Description  string
	Tags         []string
	Security     []map[string][]string
	Permission   string `json:"x-permission"`
	Parameters   []*parameter
	Body         *body `json:"requestBody"`
	Responses    map[string]*body
}

type body struct {
	Description string
	Content     map[string]struct{ Schema *schema }
}

type parameter struct {
	Ref         string `json:"$ref"`
	Name, In    string
	Description string
	Required    bool
	Schema      *schema
}

type schema struct {
	Ref                  string `json:"$ref"`
	Type                 json.RawMessage
	Format               string
	Description          string
	Enum                 []any
	Default              any
	Minimum, Maximum     *float64
	MaxLength            *int
	Required             []string
	Properties           map[string]*schema
	Items                *schema
	AdditionalProperties json.RawMessage
}

// field is a line of a table of fields.
type field struct {
	Name, Type, Doc string
	Enum            []string
	Default         string
	Required        bool
}

const (
	prefixSchemas    = "#/components/schemas/"
	prefixParameters = "#/components/parameters/"
	deepest          = 4 // levels of fields that a page shows
)

// parse reads data and lists its operations by path.
func parse(data []byte) (*document, []*operation, error) {
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, nil, fmt.Errorf("read the description: %w", err)
	}
	var all []*operation
	for path, item := range d.Paths {
		for method, op := range item {
			op.Method, op.Path = strings.ToUpper(method), path
			for i, p := range op.Parameters {
				if name, ok := strings.CutPrefix(p.Ref, prefixParameters); ok {
					op.Parameters[i] = d.Components.Parameters[name]
				}
			}
			all = append(all, op)
		}
	}
	slices.SortFunc(all, func(a, b *operation) int { return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method)) })
	return &d, all, nil
}

func (d *document) resolve(s *schema) *schema {
	if s == nil {
		return &schema{}
	}
	if name, ok := strings.CutPrefix(s.Ref, prefixSchemas); ok && d.Components.Schemas[name] != nil {
		return d.Components.Schemas[name]
	}
	return s
}

// types returns what s may be, without null, and whether it may be null.
func (s *schema) types() (types []string, null bool) {
	var one string
	if json.Unmarshal(s.Type, &one) == nil && one != "" {
		return []string{one}, false
	}
	var several []string
	_ = json.Unmarshal(s.Type, &several) // else there are none
	null = slices.Contains(several, "null")
	return slices.DeleteFunc(several, func(t string) bool { return t == "null" }), null
}

// word names the type of s for people.
func (d *document) word(s *schema) string {
	s = d.resolve(s)
	types, null := s.types()
	out := strings.Join(types, " or ")
	switch {
	case out == "array":
		out = "list of " + d.word(s.Items)
	case out == "string" && s.Format != "":
		out = map[string]string{"date-time": "time", "binary": "bytes"}[s.Format]
		out = cmp.Or(out, s.Format)
	case out == "":
		out = "anything"
	}
	if null {
		out += " or null"
	}
	return out
}

// fields lists the fields of s and of what is in it, named from the top.
func (d *document) fields(s *schema, prefix string, depth int) []field {
	s = d.resolve(s)
	if types, _ := s.types(); slices.Equal(types, []string{"array"}) {
		return d.fields(s.Items, prefix+"[]", depth)
	}
	if depth == deepest {
		return nil
	}
	if prefix != "" && !strings.HasSuffix(prefix, ".") {
		prefix += "."
	}
	prefix = strings.TrimPrefix(prefix, "[].")
	var out []field
	for _, name := range sortedKeys(s.Properties) {
		p := s.Properties[name]
		out = append(out, d.line(prefix+name, p, slices.Contains(s.Required, name)))
		out = append(out, d.fields(p, prefix+name, depth+1)...)
	}
	return out
}

// line describes one field.
func (d *document) line(name string, p *schema, required bool) field {
	to := d.resolve(p)
	f := field{Name: name, Type: d.word(p), Doc: cmp.Or(p.Description, to.Description), Required: required}
	for _, e := range to.Enum {
		f.Enum = append(f.Enum, fmt.Sprint(e))
	}
	if to.Default != nil {
		f.Default = fmt.Sprint(to.Default)
	}
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	switch {
	case to.Minimum != nil && to.Maximum != nil:
		f.Type += " from " + number(*to.Minimum) + " to " + number(*to.Maximum)
	case to.Minimum != nil:
		f.Type += " from " + number(*to.Minimum)
	case to.Maximum != nil:
		f.Type += " up to " + number(*to.Maximum)
	case to.MaxLength != nil:
		f.Type += " of at most " + strconv.Itoa(*to.MaxLength) + " characters"
	}
	return f
}

// sample returns an example of what s describes; optional fields are left out.
func (d *document) sample(s *schema, depth int) any {
	s = d.resolve(s)
	if len(s.Enum) > 0 {
		return s.Enum[0]
	}
	types, _ := s.types()
	switch word := strings.Join(types, ""); {
	case depth > deepest:
		return nil
	case word == "object":
		out := map[string]any{}
		for _, name := range s.Required {
			out[name] = d.sample(s.Properties[name], depth+1)
		}
		return out
	case word == "array":
		return []any{d.sample(s.Items, depth+1)}
	case word == "integer" || word == "number":
		if s.Minimum != nil {
			return *s.Minimum
		}
		return 1
	case word == "boolean":
		return true
	case s.Format == "date-time":
		return "2026-11-01T00:00:00Z"
	default:
		return "…"
	}
}

// sortedKeys returns the keys of m in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
