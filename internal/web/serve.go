package web

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
)

// Version is the date of the HTTP contract; every answer carries it.
const Version = "2026-11-01"

const (
	maxURL     = 8 << 10
	maxHeaders = 32 << 10
)

var (
	errMethod  = fault.New(fault.MethodNotAllowed, "method_not_allowed", "This method is not possible here.")
	errHost    = fault.New(fault.WrongHost, "wrong_host", "This server does not serve that host name. Use the configured address.")
	errURI     = fault.New(fault.URITooLong, "uri_too_long", "The address is longer than 8 KiB. Send the values in the body.")
	errHeaders = fault.New(fault.HeadersTooLarge, "headers_too_large", "The headers are larger than 32 KiB together. Send fewer or shorter ones, cookies among them.")
	// ErrTooLarge answers a body above the limit of its endpoint.
	ErrTooLarge = fault.New(fault.TooLarge, "request_too_large", "The body is larger than this endpoint takes. Send less.")
)

// Response is the ResponseWriter that every handler gets. It remembers what
// the request event needs.
type Response struct {
	http.ResponseWriter
	id      string
	route   *route
	status  int
	written int64
	attrs   []slog.Attr
	body    requestBody
}

// requestBody remembers whether a request's body was read to its end.
type requestBody struct {
	io.ReadCloser
	ended bool
}

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.ended = true
	}
	return n, err
}

// RequestID returns the id of the request that w answers.
func RequestID(w http.ResponseWriter) string { return w.Header().Get("X-Request-Id") }

// Note adds attributes to the one log event of the request that w answers.
func Note(w http.ResponseWriter, attrs ...slog.Attr) {
	for w != nil {
		if res, ok := w.(*Response); ok {
			if res.attrs == nil {
				res.attrs = make([]slog.Attr, 0, len(attrs)+eventAttrs)
			}
			res.attrs = append(res.attrs, attrs...)
			return
		}
		inner, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return
		}
		w = inner.Unwrap()
	}
}

// WriteHeader implements http.ResponseWriter.
func (r *Response) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *Response) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.written += int64(n)
	return n, err
}

// Unwrap serves http.ResponseController.
func (r *Response) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Flush implements http.Flusher.
func (r *Response) Flush() {
	if f, ok := r.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// Hijack implements http.Hijacker.
func (r *Response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(r.ResponseWriter).Hijack()
}

// Started reports whether the answer has begun, so that no error can be
// written any more.
func (r *Response) Started() bool { return r.status != 0 }

// ServeHTTP implements http.Handler.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := m.cfg.Now()
	m.meet(r)
	res := &Response{ResponseWriter: w, id: requestID(r, started)}
	m.headers(res)
	defer m.finish(res, r, started)
	switch {
	case len(r.URL.Path)+len(r.URL.RawQuery) > maxURL:
		m.refuse(res, r, errURI)
	case headerSize(r) > maxHeaders:
		m.refuse(res, r, errHeaders)
	case !m.hostAllowed(r.Host):
		m.refuse(res, r, errHost)
	case r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "":
		m.preflight(res, r)
	default:
		if m.cfg.Gate != nil {
			if f := m.cfg.Gate(r.URL.Path); f != nil {
				m.refuse(res, r, f)
				return
			}
		}
		m.serve(res, r)
	}
}

// meet puts the address of the client in the place of the proxy's.
func (m *Mux) meet(r *http.Request) {
	if m.cfg.Proxies == nil {
		return
	}
	p := m.cfg.Proxies()
	if len(p.Networks) == 0 {
		return
	}
	if peer, ok := address(r.RemoteAddr); ok && p.trusts(peer) {
		if client, ok := p.Address(r); ok && client != peer {
			r.RemoteAddr = netip.AddrPortFrom(client, 0).String()
		}
	}
}

// refuse answers a request that does not reach its route, in that route's
// shape.
func (m *Mux) refuse(res *Response, r *http.Request, f *fault.Error) {
	rt := m.lookup(r.Method, r)
	if rt == nil {
		rt = &route{errors: m.writeError}
	}
	m.fail(res, r, rt, f)
}

// headerSize returns how many bytes the header's names and values have.
func headerSize(r *http.Request) int {
	n := 0
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v) + len(": \r\n")
		}
	}
	return n
}

// finish contains a panic and logs the request's one event.
func (m *Mux) finish(res *Response, r *http.Request, started time.Time) {
	p, cut := recover(), res.Started()
	if p == http.ErrAbortHandler { //nolint:errorlint // the sentinel of net/http, compared as it does
		res.attrs = append(res.attrs, slog.Bool("aborted", true))
	} else if p != nil {
		m.cfg.Log.ErrorContext(r.Context(), "panic", "request_id", res.id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		if !cut {
			m.writeError(res, r, fault.ErrInternal)
		}
	}
	if m.cfg.Log.Enabled(r.Context(), slog.LevelInfo) {
		m.event(r.Context(), res, r, m.cfg.Now().Sub(started))
	}
	if p != nil && cut {
		panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's way to cut an answer that cannot be completed
	}
}

// eventAttrs is how many attributes every request's event has.
const eventAttrs = 6

func (m *Mux) event(ctx context.Context, res *Response, r *http.Request, took time.Duration) {
	path := "unmatched"
	if res.route != nil {
		path = res.route.path
	}
	attrs := append(res.attrs,
		slog.String("request_id", res.id), slog.String("method", r.Method), slog.String("route", path),
		slog.Int("status", res.status), slog.Int64("bytes", res.written), slog.Duration("took", took))
	m.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "request", attrs...)
}

// requestID takes the caller's id if it has the allowed form, else makes one.
func requestID(r *http.Request, now time.Time) string {
	given := r.Header["X-Request-Id"]
	if len(given) == 1 && len(given[0]) >= 8 && len(given[0]) <= 64 && strings.Trim(given[0], idAlphabet) == "" {
		return given[0]
	}
	return id.New("req", now)
}

const idAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

// Header values that every answer shares, so that setting them allocates once.
var (
	headerNosniff  = []string{"nosniff"}
	headerNoStore  = []string{"no-store"}
	headerReferrer = []string{"no-referrer"}
	headerDeny     = []string{"DENY"}
	headerCSP      = []string{"default-src 'none'; frame-ancestors 'none'"}
	headerCORP     = []string{"same-origin"}
	headerHSTS     = []string{"max-age=31536000"}
	headerVersion  = []string{Version}
)

func (m *Mux) headers(res *Response) {
	h := res.Header()
	h["X-Request-Id"] = []string{res.id}
	h["X-Content-Type-Options"] = headerNosniff
	h["Cache-Control"] = headerNoStore
	h["Referrer-Policy"] = headerReferrer
	h["X-Frame-Options"] = headerDeny
	h["Content-Security-Policy"] = headerCSP
	h["Cross-Origin-Resource-Policy"] = headerCORP
	h["Rephlo-Version"] = headerVersion
	if m.cfg.HTTPS {
		h["Strict-Transport-Security"] = headerHSTS
	}
}

func (m *Mux) hostAllowed(host string) bool {
	return len(m.cfg.Hosts) == 0 || slices.Contains(m.cfg.Hosts, host) || slices.Contains(m.cfg.Hosts, strings.ToLower(host))
}
