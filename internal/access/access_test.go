package access_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/web"
)

func TestNeedsAndChallenge(t *testing.T) {
	t.Parallel()
	m := web.NewMux(web.Config{
		Challenge: access.Challenge("https://api.test/.well-known/oauth-protected-resource"),
		Use: []web.Middleware{func(next web.Handler) web.Handler {
			return func(w http.ResponseWriter, r *http.Request) error {
				if s := r.Header.Get("Scope"); s != "" {
					r = r.WithContext(access.With(r.Context(), access.Actor{UserID: "usr_1", Scopes: []string{s}}, nil))
				}
				return next(w, r)
			}
		}},
	})
	web.Route(m, "GET /me", func(context.Context, *struct{}) (*struct{}, error) { return nil, nil }, access.Needs(access.ScopeUser))

	for _, tt := range []struct {
		scope     string
		status    int
		challenge string
	}{
		{"", 401, `Bearer resource_metadata="https://api.test/.well-known/oauth-protected-resource"`},
		{"user.info", 204, ""},
		{"account.manage", 204, ""},
		{"admin", 403, `Bearer resource_metadata="https://api.test/.well-known/oauth-protected-resource", error="insufficient_scope", scope="user.info"`},
	} {
		r := httptest.NewRequest("GET", "/me", nil)
		r.Header.Set("Scope", tt.scope)
		rec := httptest.NewRecorder()
		m.ServeHTTP(rec, r)
		if got := rec.Header().Get("WWW-Authenticate"); rec.Code != tt.status || got != tt.challenge {
			t.Errorf("scope %q: %d %q, want %d %q", tt.scope, rec.Code, got, tt.status, tt.challenge)
		}
	}
}
