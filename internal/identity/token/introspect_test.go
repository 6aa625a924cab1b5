package token_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// server is a client that can prove itself, with the tokens of ada.
type server struct {
	w          *world
	id, secret string
}

func (w *world) confidential(id string) server {
	w.t.Helper()
	secret, err := w.clients.Create(w.t.Context(), client.Client{
		ID: id, Name: id, AuthMethod: client.AuthBasic, RedirectURIs: []string{"https://" + id + ".test/cb"}, Scopes: []string{"openid", "offline_access", "llm.inference"},
		Grants: []string{client.GrantCode, client.GrantRefresh}, RefreshLife: client.LifeStandalone,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return server{w, id, secret}
}

func (s server) auth(r *http.Request) { r.SetBasicAuth(s.id, s.secret) }

func (s server) tokens() answer {
	s.w.t.Helper()
	redirect := "https://" + s.id + ".test/cb"
	code := s.w.code("openid offline_access llm.inference", func(c *grant.Code) { c.ClientID, c.RedirectURI = s.id, redirect })
	a := s.w.post("/oauth/token", form("grant_type", "authorization_code", "code", code, "redirect_uri", redirect, "code_verifier", verifier), s.auth)
	if a.status != 200 || a.RefreshToken == "" {
		s.w.t.Fatalf("%d %s", a.status, a.Description)
	}
	return a
}

// introspect asks about a token and returns the answer's members.
func (s server) introspect(token string, edit ...func(*http.Request)) (int, map[string]any, string) {
	s.w.t.Helper()
	r, err := http.NewRequestWithContext(s.w.t.Context(), "POST", s.w.url+"/oauth/introspect", strings.NewReader(url.Values{"token": {token}}.Encode()))
	if err != nil {
		s.w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	s.auth(r)
	for _, f := range edit {
		f(r)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		s.w.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.w.t.Fatal(err)
	}
	var out map[string]any
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(body, &out); err != nil {
			s.w.t.Fatal(err)
		}
	}
	return res.StatusCode, out, string(body)
}

// O22: a client learns of its own live tokens what they say, and of all others
// only that they are not active.
func TestIntrospection(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		shop, other := w.confidential("shop"), w.confidential("other")
		a, desktop := shop.tokens(), w.exchange(w.code("openid offline_access"))
		status, got, _ := shop.introspect(a.AccessToken)
		if status != 200 || got["active"] != true || got["sub"] != ada.ID || got["client_id"] != "shop" || got["aud"] != api || got["token_type"] != "Bearer" ||
			got["scope"] != a.Scope || got["exp"] != float64(w.now().Add(time.Hour).Unix()) || got["iss"] != w.url || got["jti"] == nil {
			t.Errorf("access token: %d %v", status, got)
		}
		if _, got, _ := shop.introspect(a.RefreshToken); got["active"] != true || got["sub"] != ada.ID || got["token_type"] != nil || got["aud"] != nil {
			t.Errorf("refresh token: %v", got)
		}
		dead := func(what, token string, s server) {
			t.Helper()
			if status, got, _ := s.introspect(token); status != 200 || len(got) != 1 || got["active"] != false {
				t.Errorf("%s: %d %v", what, status, got)
			}
		}
		dead("another client's access token", a.AccessToken, other)
		dead("another client's refresh token", a.RefreshToken, other)
		dead("a public client's token", desktop.AccessToken, shop)
		dead("an ID token", a.IDToken, shop)
		dead("nonsense", "x", shop)
		dead("a changed token", a.AccessToken[:len(a.AccessToken)-2]+"AA", shop)

		next := w.post("/oauth/token", form("grant_type", "refresh_token", "refresh_token", a.RefreshToken), shop.auth)
		dead("a used refresh token", a.RefreshToken, shop)
		if _, got, _ := shop.introspect(next.RefreshToken); got["active"] != true {
			t.Errorf("looking at a used token ended its family: %v", got)
		}
		w.advance(time.Second)
		w.post("/oauth/revoke", form("token", next.RefreshToken), shop.auth)
		dead("a revoked refresh token", next.RefreshToken, shop)
		dead("an access token of a revoked authorization", next.AccessToken, shop)

		fresh := shop.tokens()
		suspended := ada
		suspended.Active = false
		w.users.set(suspended, nil)
		dead("the token of a suspended user", fresh.AccessToken, shop)
		dead("the refresh token of a suspended user", fresh.RefreshToken, shop)
		w.users.set(ada, nil)
		if _, got, _ := shop.introspect(fresh.AccessToken); got["active"] != true {
			t.Errorf("after the suspension: %v", got)
		}
		w.advance(2 * time.Hour)
		dead("an expired token", fresh.AccessToken, shop)
	})
}

func TestIntrospectionIsForClientsThatProveThemselves(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		shop := w.confidential("shop")
		a := shop.tokens()
		w.want("public client", w.post("/oauth/introspect", form("client_id", "rephlo-desktop", "token", a.AccessToken)), 401, "invalid_client")
		w.want("nobody", w.post("/oauth/introspect", form("token", a.AccessToken)), 401, "invalid_client")
		w.want("no token", w.post("/oauth/introspect", form(), shop.auth), 400, "invalid_request")
		w.want("wrong secret", w.post("/oauth/introspect", form("token", "x"), func(r *http.Request) { r.SetBasicAuth("shop", "wrong") }), 401, "invalid_client")
		w.users.set(ada, errDown)
		if status, _, body := shop.introspect(a.AccessToken); status != 503 || strings.Contains(body, "active") {
			t.Errorf("while the database is down: %d %s", status, body)
		}
	})
}

// RFC 9701: the answer as a JWT that passes for no token.
func TestSignedIntrospection(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		shop := w.confidential("shop")
		a := shop.tokens()
		status, _, token := shop.introspect(a.AccessToken, func(r *http.Request) { r.Header.Set("Accept", "application/token-introspection+jwt") })
		parts := strings.Split(token, ".")
		if status != 200 || len(parts) != 3 {
			t.Fatalf("%d %s", status, token)
		}
		var head struct{ Typ, Alg string }
		var body map[string]any
		for i, v := range []any{&head, &body} {
			raw, err := base64.RawURLEncoding.DecodeString(parts[i])
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(raw, v); err != nil {
				t.Fatal(err)
			}
		}
		inner, _ := body["token_introspection"].(map[string]any)
		if head.Typ != "token-introspection+jwt" || head.Alg != "ES256" || body["iss"] != w.url || body["aud"] != "shop" || body["sub"] != nil || body["exp"] != nil || inner["active"] != true {
			t.Errorf("%+v %v", head, body)
		}
		if _, err := w.resource.Verify(token); err == nil {
			t.Error("the answer passes for an access token")
		}
	})
}

// introspectAs asks about a token as the client of an assertion.
func (w *world) introspectAs(assertion, value string) string {
	w.t.Helper()
	res, err := http.PostForm(w.url+"/oauth/introspect", assertionForm(assertion, "token", value)) //nolint:noctx // a test
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(body)
}
