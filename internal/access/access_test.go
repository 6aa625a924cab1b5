package access_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

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

func TestAWrongCodeInTheBodyIsNotAWrongToken(t *testing.T) {
	t.Parallel()
	challenge := access.Challenge("https://api.test/meta")
	for code, want := range map[string]string{
		"code_invalid": `Bearer resource_metadata="https://api.test/meta"`, "passkey_refused": `Bearer resource_metadata="https://api.test/meta"`,
		"setup_token_invalid": `Bearer resource_metadata="https://api.test/meta"`, "unauthorized": `Bearer resource_metadata="https://api.test/meta"`,
		"token_expired":   `Bearer resource_metadata="https://api.test/meta", error="invalid_token"`,
		"api_key_invalid": `Bearer resource_metadata="https://api.test/meta", error="invalid_token"`,
	} {
		if got := challenge(code, nil); got != want {
			t.Errorf("%s: %s, want %s", code, got, want)
		}
	}
}

func TestRecentAsksForANewSignIn(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	actor := access.Actor{UserID: "usr_1", Scopes: []string{access.ScopeAccountManage}}
	m := web.NewMux(web.Config{
		Challenge: access.Challenge("https://api.test/meta"),
		Use: []web.Middleware{func(next web.Handler) web.Handler {
			return func(w http.ResponseWriter, r *http.Request) error {
				return next(w, r.WithContext(access.With(r.Context(), actor, nil)))
			}
		}},
	})
	web.Route(m, "DELETE /me", func(context.Context, *struct{}) (*struct{}, error) { return nil, nil },
		access.Recent(5*time.Minute, func() time.Time { return now }))
	ask := func() (int, string) {
		rec := httptest.NewRecorder()
		m.ServeHTTP(rec, httptest.NewRequest(http.MethodDelete, "/me", nil))
		return rec.Code, rec.Header().Get("WWW-Authenticate")
	}
	actor.AuthTime = now.Add(-5 * time.Minute)
	if status, _ := ask(); status != 204 {
		t.Errorf("five minutes after the sign-in: %d", status)
	}
	actor.AuthTime = now.Add(-5*time.Minute - time.Second)
	const want = `Bearer resource_metadata="https://api.test/meta", error="insufficient_user_authentication", max_age="300"`
	if status, challenge := ask(); status != 401 || challenge != want {
		t.Errorf("a second later: %d %s", status, challenge)
	}
	actor.AuthTime, actor.KeyID = now, "key_1"
	if status, _ := ask(); status != 403 {
		t.Errorf("by an API key: %d", status)
	}
}
