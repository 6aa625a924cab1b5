package web

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Names of the security schemes.
const (
	SchemeToken     = "accessToken"
	SchemeKey       = "apiKey"
	SchemeKeyHeader = "apiKeyHeader"
	SchemeGoogleKey = "googleKeyHeader"
	SchemeBasic     = "clientBasic"
)

var schemes = map[string]*huma.SecurityScheme{
	SchemeToken:     {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "An access token of the Identity Provider. The scopes that an operation needs are listed beside it."},
	SchemeKey:       {Type: "http", Scheme: "bearer", BearerFormat: "API key", Description: "An API key in the Authorization header."},
	SchemeKeyHeader: {Type: "apiKey", In: "header", Name: "x-api-key", Description: "An API key, as clients of Anthropic send it."},
	SchemeGoogleKey: {Type: "apiKey", In: "header", Name: "x-goog-api-key", Description: "An API key, as clients of Google send it."},
	SchemeBasic:     {Type: "http", Scheme: "basic", Description: "client_id and client_secret of an OAuth client. Clients may authenticate in the other ways that the metadata lists, too."},
}

// Document returns the OpenAPI description of the routes as JSON, after Complete.
func (m *Mux) Document() ([]byte, error) {
	b, err := json.MarshalIndent(m.api.OpenAPI(), "", " ")
	if err != nil {
		return nil, fmt.Errorf("describe the routes: %w", err)
	}
	return append(b, '\n'), nil
}

// Complete adds to the description of the routes what holds for all. Call it
// once, when all are mounted and before serving.
func (m *Mux) Complete() {
	api := m.api.OpenAPI()
	api.Info.Description = m.cfg.Contract.About
	api.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	api.Servers = []*huma.Server{{URL: "/"}}
	api.Components.Parameters = map[string]*huma.Param{}
	api.Components.Headers = map[string]*huma.Header{
		"RequestId": {Description: "The id of the request: the caller's, if it had one of 8 to 64 letters, digits, _ and -.", Schema: &huma.Schema{Type: huma.TypeString}},
	}
	api.Components.SecuritySchemes = map[string]*huma.SecurityScheme{}
	tags := map[string]bool{}
	for _, rt := range m.routes {
		for _, op := range rt.contract.described {
			m.refine(rt, op)
			tags[op.Tags[0]] = true
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(tags)) {
		api.Tags = append(api.Tags, &huma.Tag{Name: tag})
	}
	if fields := api.Components.Schemas.Map()["ErrorFields"]; fields != nil && len(m.cfg.Contract.Codes) > 0 {
		// Not an enum: a code that is added must not break a client.
		fields.Properties["code"].Extensions = map[string]any{"x-extensible-enum": m.cfg.Contract.Codes}
	}
	m.grow()
}

// refine completes one operation.
func (m *Mux) refine(rt *route, op *huma.Operation) {
	op.Tags = []string{rt.contract.tag}
	if rt.contract.tag == "" {
		op.Tags[0] = tagOf(op.Path)
	}
	m.secure(rt, op)
	for _, p := range op.Parameters {
		explain(p)
	}
	if op.Method != http.MethodGet && len(m.cfg.Inside) > 0 && !rt.raw {
		op.Parameters = slices.DeleteFunc(op.Parameters, func(p *huma.Param) bool { return p.In == "header" && strings.EqualFold(p.Name, KeyHeader) })
		op.Parameters = append(op.Parameters, m.key(rt.once))
	}
	if also := rt.contract.also; also != 0 {
		usual := op.Responses[strconv.Itoa(cmp.Or(op.DefaultStatus, http.StatusOK))]
		op.Responses[strconv.Itoa(also)] = &huma.Response{Description: http.StatusText(also), Headers: maps.Clone(usual.Headers), Content: usual.Content}
	}
	failure := rt.contract.failure
	if failure == nil {
		failure = reflect.TypeFor[errorBody]()
	}
	op.Responses["default"] = &huma.Response{Description: "An error", Content: map[string]*huma.MediaType{
		mediaJSON: {Schema: m.api.OpenAPI().Components.Schemas.Schema(failure, true, "")},
	}}
	for _, res := range op.Responses {
		if res.Headers == nil {
			res.Headers = map[string]*huma.Header{}
		}
		res.Headers["X-Request-Id"] = &huma.Header{Ref: "#/components/headers/RequestId"}
	}
}

// key is the parameter with which a caller names a change.
func (m *Mux) key(required bool) *huma.Param {
	name := "IdempotencyKey"
	if required {
		name = "RequiredIdempotencyKey"
	}
	most := 255
	m.api.OpenAPI().Components.Parameters[name] = &huma.Param{
		Name: KeyHeader, In: "header", Required: required, Schema: &huma.Schema{Type: huma.TypeString, MaxLength: &most},
		Description: "A name of your own for this change. When the request is repeated with it within 24 hours, it does nothing twice and gets the stored answer.",
	}
	return &huma.Param{Ref: "#/components/parameters/" + name}
}

// secure says what a caller must have.
func (m *Mux) secure(rt *route, op *huma.Operation) {
	c := m.cfg.Contract
	use := func(name string, scopes ...string) {
		m.api.OpenAPI().Components.SecuritySchemes[name] = schemes[name]
		op.Security = append(op.Security, map[string][]string{name: append([]string{}, scopes...)})
	}
	scopes := rt.contract.scopes
	switch {
	case len(rt.contract.secured) > 0:
		for _, name := range rt.contract.secured {
			use(name, scopes...)
		}
	case rt.contract.open || !c.Private:
		op.Security = []map[string][]string{{}}
	case rt.permission != "":
		use(SchemeToken, "admin")
		op.Description = strings.TrimSpace("Needs the permission `" + rt.permission + "`.\n\n" + op.Description)
	default:
		use(SchemeToken, scopes...)
		byKey := !rt.contract.people && !slices.ContainsFunc(scopes, func(s string) bool { return !slices.Contains(c.KeyScopes, s) })
		if byKey && c.KeyScopes != nil {
			use(SchemeKey)
			use(SchemeKeyHeader)
			use(SchemeGoogleKey)
		}
	}
}

var explained = map[string]string{
	"limit":          "How many entries a page has at most.",
	"cursor":         "`nextCursor` of the page before.",
	"created_after":  "Only what was made later than this.",
	"created_before": "Only what was made earlier than this.",
	"If-Match":       "The ETag of what you read: when it has changed since, the answer is 412.",
}

// explain describes a parameter that many operations have.
func explain(p *huma.Param) {
	if p.Description == "" {
		p.Description = explained[p.Name]
	}
}

// tagOf names the group of a path after its first own part.
func tagOf(path string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	prefix := ""
	switch {
	case parts[0] == "admin":
		prefix, parts = "Admin: ", parts[1:]
	case slices.Contains([]string{"v1", "v1beta", "api"}, parts[0]) && len(parts) > 1:
		parts = parts[1:]
	case parts[0] == ".well-known":
		return "Discovery"
	}
	word, _, file := strings.Cut(strings.ReplaceAll(parts[0], "-", " "), ".")
	switch {
	case word == "":
		return "Service"
	case file:
		return "Documentation"
	}
	first, rest, _ := strings.Cut(word, " ")
	if slices.Contains([]string{"api", "ip"}, first) {
		return prefix + strings.TrimSpace(strings.ToUpper(first)+" "+rest)
	}
	return prefix + upper(word)
}

// grow lets the answers grow: only what is sent to us is closed to further
// fields. The schemas that it changes check nothing. What huma would write for
// its own errors goes.
func (m *Mux) grow() {
	registry := m.api.OpenAPI().Components.Schemas
	all := registry.Map()
	sent, used := map[string]bool{}, map[string]bool{}
	for _, rt := range m.routes {
		for _, op := range rt.contract.described {
			if op.RequestBody != nil {
				for _, c := range op.RequestBody.Content {
					reach(all, c.Schema, sent)
				}
			}
			for _, p := range op.Parameters {
				reach(all, p.Schema, used)
			}
			for _, res := range op.Responses {
				for _, c := range res.Content {
					reach(all, c.Schema, used)
				}
			}
		}
	}
	for name, s := range all {
		if !sent[name] && s.AdditionalProperties == false {
			s.AdditionalProperties = nil
		}
		if !sent[name] && !used[name] {
			delete(all, name)
		}
	}
	for name, s := range all {
		if !sent[name] {
			orNull(s, registry.TypeFromRef(refPrefix+name))
		}
	}
}

// orNull says which fields of an answer may be null: pointers and maps that are
// not left out when they are nil. t is the type that s describes.
func orNull(s *huma.Schema, t reflect.Type) {
	if t == nil || t.Kind() != reflect.Struct {
		return
	}
	for _, f := range reflect.VisibleFields(t) {
		name, how, _ := strings.Cut(f.Tag.Get("json"), ",")
		p := s.Properties[name]
		if p == nil || strings.Contains(how, "omit") || f.Tag.Get("nullable") == "false" {
			continue
		}
		switch {
		case f.Type.Kind() == reflect.Pointer && p.Ref != "":
			s.Properties[name] = &huma.Schema{AnyOf: []*huma.Schema{{Ref: p.Ref}, {Type: "null", Enum: []any{nil}}}, Description: p.Description}
		case f.Type.Kind() == reflect.Pointer || f.Type.Kind() == reflect.Map:
			p.Nullable = p.Type != ""
		}
	}
}

// reach marks the named schemas that s consists of.
func reach(all map[string]*huma.Schema, s *huma.Schema, seen map[string]bool) {
	if s == nil {
		return
	}
	if name, ok := strings.CutPrefix(s.Ref, refPrefix); ok {
		if !seen[name] {
			seen[name] = true
			reach(all, all[name], seen)
		}
		return
	}
	reach(all, s.Items, seen)
	for _, p := range s.Properties {
		reach(all, p, seen)
	}
	if more, ok := s.AdditionalProperties.(*huma.Schema); ok {
		reach(all, more, seen)
	}
	for _, list := range [][]*huma.Schema{s.OneOf, s.AnyOf, s.AllOf} {
		for _, one := range list {
			reach(all, one, seen)
		}
	}
}
