package web

import (
	"net/http"
	"slices"
)

// exposed are the headers that scripts of allowed sites may read.
const exposed = "X-Request-Id, Request-Id, Retry-After, Idempotency-Replayed, RateLimit, RateLimit-Policy, WWW-Authenticate, DPoP-Nonce, " +
	"X-Rephlo-Credits-Charged, X-Rephlo-Credits-Remaining, X-Rephlo-Warnings, X-Rephlo-Model"

func (m *Mux) allows(rt *route, origin string) string {
	switch {
	case origin == "" || origin == "null":
		return ""
	case rt.anyOrigin:
		return "*"
	case rt.origins != nil && rt.origins(origin), slices.Contains(m.cfg.Origins, origin), m.cfg.Allowed != nil && m.cfg.Allowed(origin):
		return origin
	}
	return ""
}

// cors lets the script of an allowed site read the answer. Credentials in
// cookies are never allowed.
func (m *Mux) cors(w http.ResponseWriter, r *http.Request, rt *route) {
	origin := r.Header["Origin"]
	if len(origin) != 1 {
		return
	}
	allowed := m.allows(rt, origin[0])
	h := w.Header()
	h.Add("Vary", "Origin")
	if allowed == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", allowed)
	h.Set("Access-Control-Expose-Headers", exposed)
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
}

// preflight answers a browser's question before a cross-site request.
func (m *Mux) preflight(w *Response, r *http.Request) {
	method := r.Header.Get("Access-Control-Request-Method")
	rt := m.lookup(method, r)
	if rt == nil {
		m.unknown(w, r)
		return
	}
	w.route = rt
	m.cors(w, r, rt)
	if w.Header().Get("Access-Control-Allow-Origin") != "" {
		w.Header().Set("Access-Control-Allow-Methods", method)
		w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, DPoP, Idempotency-Key, If-Match, Rephlo-Version, X-Api-Key, X-Request-Id, X-Rephlo-Include")
		w.Header().Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
}

// SameOrigin refuses unsafe requests that another site's page caused: for
// routes that act on a cookie.
func SameOrigin() Option {
	protection := http.NewCrossOriginProtection()
	return With(func(next Handler) Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			if err := protection.Check(r); err != nil {
				return errCrossSite.Because(err)
			}
			return next(w, r)
		}
	})
}
