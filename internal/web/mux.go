package web

import (
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rephlo/rephlo/internal/fault"
)

// Handler is an http.Handler that may fail.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Middleware wraps a Handler.
type Middleware func(Handler) Handler

// ErrorWriter writes f in the shape of one surface. The request id is
// RequestID(w); the status is f.Kind.Status().
type ErrorWriter func(w http.ResponseWriter, r *http.Request, f *fault.Error)

// Mounter is what a slice offers: something that registers routes.
type Mounter interface{ Mount(m *Mux) }

// Config is what a Mux needs. The zero value serves any host without CORS.
type Config struct {
	Log *slog.Logger
	Now func() time.Time
	// Name and Version head the OpenAPI description, which Contract completes.
	Name, Version string
	Contract      Contract
	// Hosts are the names clients may use, with ports, in lower case; another
	// answers 421. Empty allows all.
	Hosts []string
	// Origins may read answers from other sites' scripts (CORS), exactly as
	// written. There is no wildcard.
	Origins []string
	// Allowed says of further origins whether they may; nil: there are none.
	Allowed func(origin string) bool
	// Proxies are whom to believe about where a request comes from; handlers see
	// that as RemoteAddr. nil believes nobody.
	Proxies func() Proxies
	// Gate refuses a request before its route sees it, in the route's shape; nil
	// lets all through.
	Gate func(path string) *fault.Error
	// DocURL precedes an error's code in its docUrl.
	DocURL string
	// Patience is how long a request may take from its head to its answer, on
	// routes without Raw; zero means 30 s. Then its connection is cut.
	Patience time.Duration
	// HTTPS says that clients reach us over TLS, so HSTS is sent.
	HTTPS bool
	// Challenge gives the WWW-Authenticate header of a refusal with this code
	// and these details.
	Challenge func(code string, details map[string]any) string
	// Use wraps each route that is not mounted with Raw.
	Use []Middleware
	// Inside wraps the handler of each such route within what the route itself
	// asks for: nobody gets there who may not.
	Inside []Middleware
}

// Mux routes requests. Register routes before serving; serving is then safe
// for concurrent use.
type Mux struct {
	cfg    Config
	mux    *http.ServeMux
	first  *http.ServeMux // asked before mux
	api    huma.API
	slice  string // whose route is being mounted
	routes []*route
	byPath map[string]*route // by pattern
	// exact are the handlers of patterns without wildcards: they win over any
	// other pattern, so nothing else need be asked for them.
	exact map[endpoint]http.HandlerFunc
}

// endpoint is a method and a path without wildcards.
type endpoint struct{ method, path string }

// route is a registered pattern and its policies.
type route struct {
	method, path string
	raw, once    bool
	first        bool
	errors       ErrorWriter
	body         int64
	use          []Middleware
	origins      func(origin string) bool
	anyOrigin    bool
	operation    huma.Operation
	permission   string
	contract     description
}

// Option sets a policy of one route.
type Option func(*route)

// Raw leaves out the middleware of the Mux: for a hot path that does by itself
// what it needs.
func Raw() Option { return func(r *route) { r.raw = true } }

// Errors writes the route's failures with w.
func Errors(w ErrorWriter) Option { return func(r *route) { r.errors = w } }

// Body allows request bodies of n bytes; the default is 1 MiB.
func Body(n int64) Option { return func(r *route) { r.body = n } }

// With wraps the route; the first wraps outermost, inside the Mux's own.
func With(m ...Middleware) Option { return func(r *route) { r.use = append(r.use, m...) } }

// AnyOrigin lets scripts of any site read the answer: for public metadata.
func AnyOrigin() Option { return func(r *route) { r.anyOrigin = true } }

// Origins lets scripts of the sites that ok accepts read the answer.
func Origins(ok func(origin string) bool) Option { return func(r *route) { r.origins = ok } }

// First tries the route before those without First: for a path that net/http
// would find as good as another, /things/parts/{id} beside /things/{id}/parts.
func First() Option { return func(r *route) { r.first = true } }

// Status sets the success status of a typed route.
func Status(code int) Option { return func(r *route) { r.operation.DefaultStatus = code } }

// Also describes a second success status of a typed route, with the same body:
// for what is done at once or, as it turns out, later.
func Also(code int) Option { return func(r *route) { r.contract.also = code } }

// Doc says in a few words what the route is for. A plain route is in the OpenAPI
// document when it has this.
func Doc(summary string) Option { return func(r *route) { r.operation.Summary = summary } }

// Permission names the permission that the route asks for, for its description
// and for those who check every route. It enforces nothing.
func Permission(name string) Option {
	return func(r *route) {
		r.permission = name
		r.operation.Extensions = map[string]any{"x-permission": name}
	}
}

// All is several options as one. A nil Option does nothing, here and elsewhere.
func All(opts ...Option) Option {
	return func(r *route) {
		for _, o := range opts {
			if o != nil {
				o(r)
			}
		}
	}
}

const defaultBody = 1 << 20

// NewMux returns an empty Mux.
func NewMux(cfg Config) *Mux {
	if cfg.Now == nil {
		cfg.Now = time.Now //nolint:forbidigo // the default of an injectable clock
	}
	if cfg.Patience == 0 {
		cfg.Patience = 30 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	m := &Mux{cfg: cfg, mux: http.NewServeMux(), first: http.NewServeMux(), byPath: map[string]*route{}, exact: map[endpoint]http.HandlerFunc{}}
	m.api = newAPI(m)
	m.mux.HandleFunc("/", m.unknown)
	return m
}

// Handle mounts h at pattern, "METHOD /path" as in http.ServeMux.
func (m *Mux) Handle(pattern string, h Handler, opts ...Option) {
	rt := m.route(pattern, opts)
	m.mount(rt, h)
	m.describe(rt)
}

func (m *Mux) route(pattern string, opts []Option) *route {
	method, path, _ := strings.Cut(pattern, " ")
	rt := &route{method: method, path: path, errors: m.writeError, body: defaultBody}
	for _, o := range opts {
		if o != nil {
			o(rt)
		}
	}
	m.routes = append(m.routes, rt)
	m.byPath[pattern] = rt
	return rt
}

func (m *Mux) mount(rt *route, h Handler) {
	if !rt.raw {
		for _, u := range slices.Backward(m.cfg.Inside) {
			h = u(h)
		}
	}
	for _, u := range slices.Backward(rt.use) {
		h = u(h)
	}
	if !rt.raw {
		for _, u := range slices.Backward(m.cfg.Use) {
			h = u(h)
		}
	}
	mux := m.mux
	if rt.first {
		mux = m.first
	}
	serve := func(w http.ResponseWriter, r *http.Request) {
		if res, ok := w.(*Response); ok {
			res.route = rt
		}
		m.cors(w, r, rt)
		if !rt.raw {
			defer m.hurry(w)()
		}
		if r.ContentLength > rt.body {
			m.fail(w, r, rt, ErrTooLarge.Saying("The body has %d bytes and this endpoint takes %d. Send less.", r.ContentLength, rt.body))
			return
		}
		if r.Body != nil && r.Body != http.NoBody {
			limited := http.MaxBytesReader(w, r.Body, rt.body)
			if res, ok := w.(*Response); ok {
				res.body = requestBody{ReadCloser: limited}
				limited = &res.body
			}
			r.Body = limited
		}
		if err := h(w, r); err != nil {
			m.fail(w, r, rt, err)
		}
	}
	mux.HandleFunc(rt.method+" "+rt.path, serve)
	if !strings.HasSuffix(rt.path, "/") && !strings.Contains(rt.path, "{") {
		m.exact[endpoint{rt.method, rt.path}] = serve
	}
}

// hurry bounds the time of a request, so that who sends or reads slowly does not
// hold a connection. The bound on reading stays, for what is left of the body;
// net/http takes it away when the connection's next request begins.
func (m *Mux) hurry(w http.ResponseWriter) (done func()) {
	c := http.NewResponseController(w)
	until := time.Now().Add(m.cfg.Patience) //nolint:forbidigo // deadlines of connections follow the real clock
	_ = c.SetReadDeadline(until)            // writers without a connection have none
	_ = c.SetWriteDeadline(until)
	return func() { _ = c.SetWriteDeadline(time.Time{}) }
}

// Routes lists the patterns that are mounted, for tests that check each.
func (m *Mux) Routes() []string {
	var out []string
	for _, r := range m.routes {
		out = append(out, r.method+" "+r.path)
	}
	slices.Sort(out)
	return out
}

// Pages lists the patterns that are mounted with Page.
func (m *Mux) Pages() []string {
	var out []string
	for _, r := range m.routes {
		if r.contract.page {
			out = append(out, r.method+" "+r.path)
		}
	}
	return out
}

// Pattern returns the pattern that would serve the method and path; "" if none.
func (m *Mux) Pattern(method, path string) string {
	rt := m.lookup(method, &http.Request{URL: &url.URL{Path: path}})
	if rt == nil {
		return ""
	}
	return rt.method + " " + rt.path
}

// Permissions says which permission each pattern names; "" for those that name
// none.
func (m *Mux) Permissions() map[string]string {
	out := map[string]string{}
	for _, r := range m.routes {
		out[r.method+" "+r.path] = r.permission
	}
	return out
}

// OpenAPI returns the description of the typed routes.
func (m *Mux) OpenAPI() *huma.OpenAPI { return m.api.OpenAPI() }

// unknown answers paths and methods that no route has.
func (m *Mux) unknown(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		if rt := m.lookup(method, r); rt != nil {
			allowed = append(allowed, method)
		}
	}
	rt := &route{errors: m.writeError}
	if len(allowed) == 0 {
		m.fail(w, r, rt, fault.ErrNotFound)
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	m.fail(w, r, rt, errMethod.Saying("%s is not possible here; use %s.", r.Method, strings.Join(allowed, " or ")))
}

// lookup returns the route that would serve r with another method.
func (m *Mux) lookup(method string, r *http.Request) *route {
	probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
	if _, pattern := m.first.Handler(probe); pattern != "" {
		return m.byPath[pattern]
	}
	_, pattern := m.mux.Handler(probe)
	return m.byPath[pattern]
}

// serve passes r to its route.
func (m *Mux) serve(w http.ResponseWriter, r *http.Request) {
	if h := m.exact[endpoint{r.Method, r.URL.Path}]; h != nil {
		h(w, r)
		return
	}
	if _, pattern := m.first.Handler(r); pattern != "" {
		m.first.ServeHTTP(w, r)
		return
	}
	m.mux.ServeHTTP(w, r)
}
