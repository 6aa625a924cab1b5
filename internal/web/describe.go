package web

import (
	"cmp"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Contract completes the OpenAPI description of a Mux.
type Contract struct {
	// About introduces the service, in Markdown.
	About string
	// Private says that a route without Open needs an access token.
	Private bool
	// KeyScopes are the scopes that API keys can have; nil: there are no keys.
	KeyScopes []string
	// Codes are those that errors can carry.
	Codes []string
}

// description is what a route says about itself beyond its types.
type description struct {
	page      bool
	open      bool
	people    bool // no API key
	also      int  // a second success status
	scopes    []string
	secured   []string
	tag       string
	paths     []string
	failure   reflect.Type
	takes     []content
	gives     []content
	params    reflect.Type
	described []*huma.Operation
}

// content is a body with its media type.
type content struct {
	status int
	media  string
	of     reflect.Type
}

const mediaJSON = "application/json"

// Detail says more about the route than Doc, in Markdown.
func Detail(text string) Option { return func(r *route) { r.operation.Description = text } }

// Page says that the route is a page for people, or a part of one, and thus no
// part of the contract.
func Page() Option { return func(r *route) { r.contract.page = true } }

// Open says that nobody has to sign in for the route. It opens nothing.
func Open() Option { return func(r *route) { r.contract.open = true } }

// People says that API keys cannot use the route. It enforces nothing.
func People() Option { return func(r *route) { r.contract.people = true } }

// Scopes names the scopes that the route asks for. It enforces nothing.
func Scopes(scopes ...string) Option {
	return func(r *route) { r.contract.scopes = append(r.contract.scopes, scopes...) }
}

// Secured names the security schemes of which the route takes any.
func Secured(schemes ...string) Option {
	return func(r *route) { r.contract.secured = schemes }
}

// Tag names the group of the route; the default is made from its path.
func Tag(name string) Option { return func(r *route) { r.contract.tag = name } }

// As describes a plain route under other paths than its own.
func As(paths ...string) Option { return func(r *route) { r.contract.paths = paths } }

// Takes describes a body of a plain route by a value of its type; nil is bytes.
func Takes(media string, body any) Option {
	return func(r *route) {
		r.contract.takes = append(r.contract.takes, content{0, cmp.Or(media, mediaJSON), reflect.TypeOf(body)})
	}
}

// Gives describes an answer of a plain route by a value of its type; nil is
// bytes. The media type is "-" where there is no body.
func Gives(status int, media string, body any) Option {
	return func(r *route) {
		r.contract.gives = append(r.contract.gives, content{status, cmp.Or(media, mediaJSON), reflect.TypeOf(body)})
	}
}

// Params describes the parameters of a plain route by a struct whose fields have
// a tag query, header or path, as the input of a typed route has.
func Params(of any) Option { return func(r *route) { r.contract.params = reflect.TypeOf(of) } }

// Failures describes the shape of the route's errors by a value of its type.
func Failures(body any) Option { return func(r *route) { r.contract.failure = reflect.TypeOf(body) } }

// describe adds a plain route to the OpenAPI document.
func (m *Mux) describe(rt *route) {
	if rt.operation.Summary == "" || rt.contract.page {
		return
	}
	paths := rt.contract.paths
	if len(paths) == 0 {
		paths = []string{rt.path}
	}
	for _, path := range paths {
		op := rt.operation
		op.Method, op.Path = rt.method, strings.NewReplacer("{$}", "", "...}", "}").Replace(path)
		op.OperationID = operationID(op.Method, op.Path)
		op.Parameters = m.parameters(op.Path, rt.contract.params)
		if len(rt.contract.takes) > 0 {
			op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{}}
			for _, c := range rt.contract.takes {
				op.RequestBody.Content[c.media] = m.media(c)
			}
		}
		op.Responses = map[string]*huma.Response{}
		for _, c := range rt.contract.gives {
			status := strconv.Itoa(c.status)
			if op.Responses[status] == nil {
				op.Responses[status] = &huma.Response{Description: http.StatusText(c.status)}
			}
			if c.media == "-" {
				continue
			}
			if op.Responses[status].Content == nil {
				op.Responses[status].Content = map[string]*huma.MediaType{}
			}
			op.Responses[status].Content[c.media] = m.media(c)
		}
		m.api.OpenAPI().AddOperation(&op)
		rt.contract.described = append(rt.contract.described, &op)
	}
}

func (m *Mux) media(c content) *huma.MediaType {
	if c.of == nil {
		s := &huma.Schema{Type: huma.TypeString}
		if !strings.HasPrefix(c.media, "text/") {
			s.Format = "binary"
		}
		return &huma.MediaType{Schema: s}
	}
	m.slice = slice(c.of)
	return &huma.MediaType{Schema: m.api.OpenAPI().Components.Schemas.Schema(c.of, true, "")}
}

// parameters are those of the path and those that the fields of t name.
func (m *Mux) parameters(path string, t reflect.Type) []*huma.Param {
	var out []*huma.Param
	said := map[string]bool{}
	if t != nil {
		for _, f := range reflect.VisibleFields(t) {
			for _, in := range []string{"path", "query", "header"} {
				name := f.Tag.Get(in)
				if name == "" {
					continue
				}
				said[name] = true
				s := huma.SchemaFromField(m.api.OpenAPI().Components.Schemas, f, "")
				p := &huma.Param{Name: name, In: in, Description: s.Description, Required: in == "path" || f.Tag.Get("required") == "true", Schema: s}
				s.Description = ""
				out = append(out, p)
			}
		}
	}
	for part := range strings.SplitSeq(path, "{") {
		name, _, ok := strings.Cut(part, "}")
		if ok && !said[name] {
			out = append(out, &huma.Param{Name: name, In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}})
		}
	}
	return out
}
