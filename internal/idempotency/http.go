package idempotency

import (
	"bytes"
	"context"
	"net"
	"net/http"

	"github.com/rephlo/rephlo/internal/web"
)

// kept are the headers of an answer that are part of it; the others are made
// anew for each request.
var kept = []string{"Content-Type", "Content-Disposition", "Etag", "Location"}

// Middleware gives every route that changes something its Idempotency-Key. It
// belongs within the route's own checks: who may not call the route is not told
// what it answered before.
func (s *Service) Middleware() web.Middleware {
	return func(next web.Handler) web.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			keys := r.Header[web.KeyHeader]
			if len(keys) == 0 || r.Method == http.MethodGet || r.Method == http.MethodHead {
				return next(w, r)
			}
			if len(keys) != 1 || keys[0] == "" || len(keys[0]) > maxKey {
				return errKey
			}
			return s.once(next, w, r, keys[0])
		}
	}
}

func (s *Service) once(next web.Handler, w http.ResponseWriter, r *http.Request, key string) error {
	body, err := web.ReadBody(r)
	if err != nil {
		return err
	}
	r.Body = readable{bytes.NewReader(body)}
	c := s.call(s.caller(r), r.Method, r.URL.Path, key, r.URL.RawQuery, body)
	earlier, err := s.begin(r.Context(), c)
	if err != nil {
		return err
	}
	if earlier != nil {
		return earlier.write(w)
	}
	// Who leaves in the middle may come back with the same key, so the work is
	// done to its end.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), patience)
	defer cancel()
	rec := &recorder{ResponseWriter: w}
	ended := false
	defer func() {
		if !ended { // the handler panicked
			s.end(ctx, c, nil)
		}
	}()
	err = next(rec, r.WithContext(ctx))
	ended = true
	s.end(ctx, c, rec.answer(err))
	if err != nil {
		return err
	}
	return rec.send()
}

// caller names who sends r: the user, or the address of somebody who is not
// signed in.
func (s *Service) caller(r *http.Request) string {
	if user := s.user(r.Context()); user != "" {
		return "user " + user
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return "address " + host
}

type readable struct{ *bytes.Reader }

func (readable) Close() error { return nil }

// recorder holds an answer back until it is kept. One that is too large to keep
// goes straight on.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
	passed bool // the answer is on its way
}

// Unwrap serves http.ResponseController and web.Note.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	if !r.passed && r.body.Len()+len(b) > maxAnswer {
		r.passed = true
		if err := r.flush(); err != nil {
			return 0, err
		}
	}
	if r.passed {
		return r.ResponseWriter.Write(b)
	}
	return r.body.Write(b)
}

func (r *recorder) flush() error {
	r.ResponseWriter.WriteHeader(r.status)
	_, err := r.ResponseWriter.Write(r.body.Bytes())
	return err
}

// send lets the answer go.
func (r *recorder) send() error {
	if r.passed {
		return nil
	}
	r.WriteHeader(http.StatusOK)
	_ = r.flush() // a client that left is not our error
	return nil
}

// answer is what a repetition gets to see, or nil when it tries again.
func (r *recorder) answer(err error) *answer {
	if err != nil {
		return failed(web.Classify(err))
	}
	r.WriteHeader(http.StatusOK)
	header := r.Header()
	if r.passed || !keeps(r.status) || header.Get("Set-Cookie") != "" {
		return nil
	}
	a := &answer{Status: r.status, Header: map[string]string{}, Body: r.body.Bytes()}
	for _, name := range kept {
		if v := header.Get(name); v != "" {
			a.Header[name] = v
		}
	}
	return a
}

// write answers a repetition.
func (a *answer) write(w http.ResponseWriter) error {
	h := w.Header()
	h.Set("Idempotency-Replayed", "true")
	if a.Fault != nil {
		return a.Fault.restore()
	}
	for name, v := range a.Header {
		h.Set(name, v)
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // a client that left is not our error
	return nil
}
