package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/money"
)

var (
	errMalformed  = fault.New(fault.Invalid, "invalid_request", "The body is not valid JSON.")
	errValidation = fault.New(fault.Unprocessable, "validation_error", "Some fields are wrong; details.fields lists them.")
	errUnknown    = fault.New(fault.Unprocessable, "unknown_field", "The body has a field that this endpoint does not know.")
	errMedia      = fault.New(fault.UnsupportedMedia, "unsupported_media_type", "Send the body uncompressed with Content-Type: application/json.")
)

// Route mounts a typed JSON endpoint: I has the parameters and a field Body, O
// the answer likewise, with tags as in huma. What the schema forbids never
// reaches h. Errors are faults, as everywhere.
func Route[I, O any](m *Mux, pattern string, h func(ctx context.Context, in *I) (*O, error), opts ...Option) {
	rt := m.route(pattern, opts)
	op := rt.operation
	op.Method, op.Path = rt.method, rt.path
	op.OperationID = operationID(rt.method, rt.path)
	op.MaxBodyBytes = rt.body
	op.BodyReadTimeout = m.cfg.Patience
	op.Metadata = map[string]any{routeKey: rt}
	m.slice = cmp.Or(slice(reflect.TypeFor[I]()), slice(reflect.TypeFor[O]()))
	huma.Register(m.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := h(ctx, in)
		if err != nil {
			return nil, &failure{err: err}
		}
		return out, nil
	})
}

const routeKey = "route"

// refPrefix precedes the name of a schema where it is referred to.
const refPrefix = "#/components/schemas/"

// operationID names an operation after its method and path.
func operationID(method, path string) string {
	return strings.ToLower(method) + strings.NewReplacer("/", "-", "{", "", "}", "", ".", "-", ":", "-").Replace(path)
}

func newAPI(m *Mux) huma.API {
	cfg := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI:    "3.1.0",
			Info:       &huma.Info{Title: m.cfg.Name, Version: m.cfg.Version},
			Components: &huma.Components{Schemas: huma.NewMapRegistry(refPrefix, m.schemaName)},
		},
		Formats:          map[string]huma.Format{"application/json": {Marshal: marshal, Unmarshal: Unmarshal}, "json": {Marshal: marshal, Unmarshal: Unmarshal}},
		DefaultFormat:    "application/json",
		NoFormatFallback: false,
	}
	cfg.Components.Schemas.RegisterTypeAlias(reflect.TypeFor[money.Credits](), reflect.TypeFor[anyCredits]())
	cfg.Components.Schemas.RegisterTypeAlias(reflect.TypeFor[json.Number](), reflect.TypeFor[float64]())
	takeErrors()
	return huma.NewAPI(cfg, adapter{m})
}

// takeErrors is done once: huma has one maker of errors for the process, and
// one process may make several Muxes.
var takeErrors = sync.OnceFunc(func() { huma.NewErrorWithContext = newFailure })

// schemaName tells types of different packages apart. A type without a name
// belongs to the package whose route is being mounted.
func (m *Mux) schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name := huma.DefaultSchemaNamer(t, hint)
	if generic, of, ok := strings.Cut(t.Name(), "["); ok { // Page[….webhook.Body] is PageWebhookBody
		pkg, of, _ := strings.Cut(strings.TrimSuffix(of[strings.LastIndexByte(of, '/')+1:], "]"), ".")
		name = upper(generic) + upper(pkg) + upper(of)
	}
	base := slice(t)
	if base == "web" {
		return name
	}
	if t.Name() == "" {
		base = m.slice
	}
	return upper(base) + name
}

// slice is the last part of the package that t belongs to.
func slice(t reflect.Type) string {
	pkg := t.PkgPath()
	return pkg[strings.LastIndexByte(pkg, '/')+1:]
}

func upper(word string) string {
	if word == "" {
		return ""
	}
	return strings.ToUpper(word[:1]) + word[1:]
}

// adapter mounts huma's operations on our Mux, with our middleware and errors.
type adapter struct{ m *Mux }

func (a adapter) Handle(op *huma.Operation, handler func(huma.Context)) {
	rt, ok := op.Metadata[routeKey].(*route)
	if !ok {
		return
	}
	rt.contract.described = append(rt.contract.described, op)
	a.m.mount(rt, func(w http.ResponseWriter, r *http.Request) error {
		if r.Method != http.MethodGet && r.Method != http.MethodDelete && !acceptable(r) {
			return errMedia
		}
		c := &capture{humaContext: humago.NewContext(op, r, w)}
		handler(c)
		return c.err
	})
}

func acceptable(r *http.Request) bool {
	if r.Header.Get("Content-Encoding") != "" {
		return false
	}
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return r.ContentLength == 0 || strings.EqualFold(strings.TrimSpace(media), "application/json")
}

func (a adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.m.ServeHTTP(w, r) }

type humaContext = huma.Context

// capture keeps the error of a typed handler, so that it leaves through
// Mux.fail like every other, and lets huma write nothing for it.
type capture struct {
	humaContext
	err error
}

func (c *capture) Unwrap() huma.Context { return c.humaContext }

func (c *capture) SetStatus(code int) {
	if c.err == nil && code < http.StatusBadRequest {
		c.humaContext.SetStatus(code)
	}
}

func (c *capture) BodyWriter() io.Writer { return captureWriter{c} }

// captureWriter is where huma writes an answer or a failure.
type captureWriter struct{ c *capture }

func (w captureWriter) Write(b []byte) (int, error) {
	if w.c.err != nil {
		return len(b), nil
	}
	return w.c.humaContext.BodyWriter().Write(b)
}

func marshal(w io.Writer, v any) error {
	if f, ok := v.(*failure); ok {
		if cw, ok := w.(captureWriter); ok {
			cw.c.err = f.err
			return nil
		}
	}
	return json.NewEncoder(w).Encode(v)
}

// failure carries an error through huma untouched.
type failure struct{ err error }

func (f *failure) Error() string  { return f.err.Error() }
func (f *failure) Unwrap() error  { return f.err }
func (f *failure) GetStatus() int { return Classify(f.err).Kind.Status() }

// newFailure receives what huma finds wrong with a request. The values sent
// are dropped: they may be secrets.
func newFailure(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
	f := &failure{err: classify(status, msg, errs)}
	if c, ok := ctx.(*capture); ok {
		c.err = f.err
	}
	return f
}

func classify(status int, msg string, errs []error) error {
	for _, err := range errs {
		if f, ok := errors.AsType[*failure](err); ok {
			return f.err
		}
	}
	switch status {
	case http.StatusRequestEntityTooLarge:
		return ErrTooLarge
	case http.StatusUnsupportedMediaType:
		return errMedia
	case http.StatusBadRequest:
		return errMalformed.Saying("The body is not valid JSON: %s.", msg)
	case http.StatusUnprocessableEntity:
		return validation(errs)
	case http.StatusRequestTimeout:
		return errMalformed.Saying("The body did not arrive in time.")
	}
	return fmt.Errorf("%s: %w", msg, errors.Join(errs...))
}

// validation lists the wrong fields, or names the first unknown one.
func validation(errs []error) error {
	type field struct {
		Field   string `json:"field"`
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	fields := []field{}
	for _, err := range errs {
		d, ok := errors.AsType[*huma.ErrorDetail](err)
		if !ok {
			continue
		}
		name := strings.TrimPrefix(strings.TrimPrefix(d.Location, "body."), "query.")
		if d.Message == "unexpected property" {
			return errUnknown.Saying("The body has a field %q that this endpoint does not know. Remove it or correct its name.", name).At(name)
		}
		fields = append(fields, field{Field: name, Code: "invalid", Message: d.Message})
	}
	if len(fields) == 0 {
		return errMalformed
	}
	return errValidation.Saying("The field %s is wrong: %s.", fields[0].Field, fields[0].Message).
		At(fields[0].Field).With("fields", fields)
}
