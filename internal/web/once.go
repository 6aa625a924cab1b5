package web

import (
	"net/http"
	"slices"

	"github.com/rephlo/rephlo/internal/fault"
)

// KeyHeader carries a client's own name for a request, so that one that is
// repeated does nothing twice.
const KeyHeader = "Idempotency-Key"

// ErrKeyRequired answers a change that must not happen twice by accident.
var ErrKeyRequired = fault.New(fault.Invalid, "idempotency_key_required", "Send an Idempotency-Key of your own, so that a repeated request does nothing twice.").At(KeyHeader)

// ErrKeyReuse answers a key that named another request before.
var ErrKeyReuse = fault.New(fault.Unprocessable, "idempotency_key_reuse", "This Idempotency-Key was used with another body. Use a new one.").At(KeyHeader)

// Once refuses requests to the route that do not name themselves.
func Once() Option {
	return func(rt *route) {
		rt.once = true
		rt.use = append(rt.use, func(next Handler) Handler {
			return func(w http.ResponseWriter, r *http.Request) error {
				if r.Header.Get(KeyHeader) == "" {
					return ErrKeyRequired
				}
				return next(w, r)
			}
		})
	}
}

// OnceRoutes lists the patterns that are mounted with Once.
func (m *Mux) OnceRoutes() []string {
	var out []string
	for _, r := range m.routes {
		if r.once {
			out = append(out, r.method+" "+r.path)
		}
	}
	slices.Sort(out)
	return out
}
