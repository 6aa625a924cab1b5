package app

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// maker makes requests by schemas: such as fit, and such as do not.
type maker struct {
	*rand.Rand
	registry huma.Registry
	seen     []string // texts of earlier answers: ids that exist
	now      time.Time
}

func pick[T any](m *maker, of ...T) T { return of[m.IntN(len(of))] }

func (m *maker) chance(percent int) bool { return m.IntN(100) < percent }

// known are texts that mean something somewhere.
var known = map[string][]string{
	"model": {"test-echo"}, "modelId": {"test-echo"}, "defaultModelId": {"test-echo"}, "id": {"test-echo", "mine"}, "email": {"somebody@example.com"},
	"reason": {why}, "roleId": {"analyst"}, "permission": {"models.view"}, "tier": {"pro", "free"}, "url": {"https://127.0.0.1:1/x"}, "baseUrl": {"https://127.0.0.1:1/v1"},
	"password": {"correct horse battery staple"}, "vendorModelId": {"gpt"}, "cidr": {"10.0.0.0/8"}, "category": {"email"}, "name": {"account.sweep", "Some name"},
	"grant_type": {"authorization_code", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:device_code"}, "response_type": {"code"},
}

// nasty are texts that are wrong nearly everywhere.
var nasty = []string{
	"", " ", "x", "0", "-1", "null", "../../etc/passwd", "' OR 1=1 --", "\"><script>alert(1)</script>", "%00", "\x00", "\u202e", "\U0001F600", "{{7*7}}", "a\r\nb: c",
	"99999999999999999999", "1e309", "2026-13-45T99:99:99Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", strings.Repeat("a", 300), strings.Repeat("é", 5000),
}

func (m *maker) text(name string, s *huma.Schema) string {
	switch {
	case s.Format == "date-time":
		return m.now.Add(time.Duration(m.Int64N(int64(60*24*time.Hour))) - 30*24*time.Hour).UTC().Format(time.RFC3339)
	case s.Format == "binary":
		return "bytes"
	case known[name] != nil && m.chance(80):
		return pick(m, known[name]...)
	case len(m.seen) > 0 && m.chance(60):
		return pick(m, m.seen...)
	}
	text := pick(m, "alpha", "Some words", "x-1", "2026-01", "a.b", strings.Repeat("long ", 30))
	if s.MaxLength != nil && len(text) > *s.MaxLength {
		text = text[:*s.MaxLength]
	}
	for s.MinLength != nil && len(text) < *s.MinLength {
		text += "abc"
	}
	return text
}

// fit makes a value of s.
func (m *maker) fit(name string, s *huma.Schema, depth int) any {
	for s.Ref != "" {
		s = m.registry.SchemaFromRef(s.Ref)
	}
	if len(s.Enum) > 0 {
		return pick(m, s.Enum...)
	}
	if s.Nullable && m.chance(10) {
		return nil
	}
	low, high := 0.0, 1000.0
	if s.Minimum != nil {
		low = *s.Minimum
	}
	if s.Maximum != nil {
		high = *s.Maximum
	}
	switch s.Type {
	case huma.TypeBoolean:
		return m.chance(50)
	case huma.TypeInteger:
		return int64(pick(m, low, high, low+float64(m.IntN(1+int(min(high-low, 100))))))
	case huma.TypeNumber:
		return pick(m, low, high, min(high, low+0.25), min(high, low+0.000001))
	case huma.TypeArray:
		out := []any{}
		for range max(m.IntN(3), valueOr(s.MinItems)) {
			out = append(out, m.fit(name, s.Items, depth+1))
		}
		return out
	case huma.TypeObject:
		return m.object(s, depth)
	case huma.TypeString:
		return m.text(name, s)
	}
	return pick[any](m, "anything", 1, []any{}, map[string]any{}) // without a type
}

func valueOr(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

func (m *maker) object(s *huma.Schema, depth int) any {
	out := map[string]any{}
	for name, p := range s.Properties {
		if slices.Contains(s.Required, name) || depth < 4 && m.chance(40) {
			out[name] = m.fit(name, p, depth+1)
		}
	}
	if more, ok := s.AdditionalProperties.(*huma.Schema); ok {
		out["key"] = m.fit("key", more, depth+1)
	}
	if len(s.Properties) == 0 && s.AdditionalProperties == nil { // messages and the like
		out["role"], out["content"] = "user", "Say hello"
	}
	return out
}

// spoil breaks one thing in v.
func (m *maker) spoil(v any) any {
	switch at := v.(type) {
	case map[string]any:
		names := make([]string, 0, len(at))
		for name := range at {
			names = append(names, name)
		}
		slices.Sort(names)
		if len(names) == 0 || m.chance(15) {
			at[pick(m, "unknown", "__proto__", "ID", "")] = 1
			return at
		}
		name := pick(m, names...)
		if m.chance(20) {
			delete(at, name)
		} else {
			at[name] = m.spoil(at[name])
		}
		return at
	case []any:
		if len(at) > 0 && m.chance(70) {
			i := m.IntN(len(at))
			at[i] = m.spoil(at[i])
			return at
		}
	}
	return pick[any](
		m, nil, true, -1, 0, 1<<53, -9.5, 1e300, json.RawMessage("99999999999999999999999"), []any{}, []any{nil}, map[string]any{}, map[string]any{"a": map[string]any{}},
		pick(m, nasty...), pick(m, nasty...),
	)
}

// body makes a JSON body of s; some are not even JSON.
func (m *maker) body(s *huma.Schema, valid bool) string {
	v := m.fit("", s, 0)
	if !valid {
		if m.chance(10) {
			return pick(m, "", "{", "[]", "null", `"x"`, `{"a":1,"a":2}`, "{}{}", "\xff\xfe", strings.Repeat(`{"a":`, 100), strings.Repeat("[", 70)+strings.Repeat("]", 70), "1e999")
		}
		for range 1 + m.IntN(2) {
			v = m.spoil(v)
		}
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}
