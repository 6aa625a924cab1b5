package token_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/identity/token"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// O36: what a code gives.
func TestCodeGivesTokens(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		a := w.exchange(w.code("openid offline_access llm.inference"))
		if a.status != 200 || a.TokenType != "Bearer" || a.ExpiresIn != 3600 || a.Scope != "openid offline_access llm.inference" ||
			!strings.HasPrefix(a.RefreshToken, "rph_rt_") || a.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("answer %d %+v", a.status, a)
		}
		c := w.claims(a)
		if c.Subject != ada.ID || c.ClientID != "rephlo-desktop" || c.Audience != api || c.GrantID == "" || c.ACR != "single" ||
			!slices.Equal(c.AMR, []string{"pwd"}) || c.AuthTime.IsZero() || oauth.IssuedMilli(c.JTI) != w.now().UnixMilli() {
			t.Errorf("claims %+v", c)
		}
		if c.SessionID != "" {
			t.Error("a standalone authorization ends with its session")
		}
		id, err := w.resource.Hint(a.IDToken)
		if err != nil || id.Nonce != "n0nce" || id.Audience != "rephlo-desktop" || id.SessionID != "ses_1" || id.ATHash != oauth.ATHash("", a.AccessToken) {
			t.Errorf("ID token %+v, %v", id, err)
		}
		if _, err := w.resource.Verify(a.IDToken); err == nil {
			t.Error("the ID token passes for an access token")
		}
	})
}

// O8: a refresh token needs offline_access; without it signing out ends the
// access token.
func TestNoRefreshTokenWithoutOfflineAccess(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		a := w.exchange(w.code("llm.inference"))
		if a.status != 200 || a.RefreshToken != "" || a.IDToken != "" {
			t.Fatalf("answer %+v", a)
		}
		c := w.claims(a)
		if c.SessionID != "ses_1" || w.grants.Revoked(c) {
			t.Fatalf("claims %+v", c)
		}
		if err := w.grants.Revoke(t.Context(), grant.KindSession, "ses_1"); err != nil {
			t.Fatal(err)
		}
		if !w.grants.Revoked(c) {
			t.Error("the token survived the sign-out")
		}
		once := client.Client{
			ID: "once", Name: "Once", Public: true, AuthMethod: client.AuthNone, RedirectURIs: []string{"https://once.test/cb"},
			Scopes: oauth.Scopes(), Grants: []string{client.GrantCode}, RefreshLife: client.LifeSession,
		}
		if _, err := w.clients.Create(t.Context(), once); err != nil {
			t.Fatal(err)
		}
		w.advance(time.Second)
		code := w.code("openid offline_access", func(c *grant.Code) { c.ClientID, c.RedirectURI = "once", "https://once.test/cb" })
		a = w.post("/oauth/token", form("grant_type", "authorization_code", "client_id", "once", "code", code, "code_verifier", verifier))
		if a.status != 200 || a.RefreshToken != "" {
			t.Errorf("a client without the refresh grant got %+v", a)
		}
		w.want("refresh of that client", w.post("/oauth/token", form("grant_type", "refresh_token", "client_id", "once", "refresh_token", "x")), 400, "unauthorized_client")
	})
}

func TestTokenRefusals(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		without := func(name string) url.Values {
			v := exchangeForm(w.code("openid"))
			v.Del(name)
			return v
		}
		with := func(name, value string) url.Values {
			v := exchangeForm(w.code("openid"))
			v.Set(name, value)
			return v
		}
		twice := exchangeForm(w.code("openid"), "code", "x")
		for _, tt := range []struct {
			name   string
			form   url.Values
			status int
			want   string
		}{
			{"no grant type", without("grant_type"), 400, "invalid_request"},
			{"password", with("grant_type", "password"), 400, "unsupported_grant_type"},
			{"client credentials of a public client", with("grant_type", "client_credentials"), 400, "unauthorized_client"},
			{"no client", without("client_id"), 401, "invalid_client"},
			{"unknown client", with("client_id", "nobody"), 401, "invalid_client"},
			{"another client", with("client_id", "rephlo-cli"), 400, "invalid_grant"},
			{"public with a secret", with("client_secret", "x"), 401, "invalid_client"},
			{"assertion", with("client_assertion", "x"), 401, "invalid_client"},
			{"no code", without("code"), 400, "invalid_request"},
			{"code twice", twice, 400, "invalid_request"},
			{"junk", with("code", "junk"), 400, "invalid_grant"},
			{"another redirect", with("redirect_uri", "http://127.0.0.1:4712/callback"), 400, "invalid_grant"},
			{"no verifier", without("code_verifier"), 400, "invalid_grant"},
			{"wrong verifier", with("code_verifier", strings.Repeat("a", 43)), 400, "invalid_grant"},
			{"short verifier", with("code_verifier", verifier[:42]), 400, "invalid_grant"},
			{"long verifier", with("code_verifier", strings.Repeat("a", 129)), 400, "invalid_grant"},
			{"huge verifier", with("code_verifier", strings.Repeat("a", 3<<10)), 400, "invalid_request"},
			{"foreign resource", with("resource", "https://other.test"), 400, "invalid_target"},
			{"resource not authorized", with("resource", api), 400, "invalid_target"},
			{"two resources", exchangeForm(w.code("openid"), "resource", api, "resource", "https://other.test"), 400, "invalid_target"},
			{"huge body", with("x", strings.Repeat("a", 65<<10)), 413, "invalid_request"},
			{"no refresh token", form("grant_type", "refresh_token", "client_id", "rephlo-desktop"), 400, "invalid_request"},
		} {
			a := w.post("/oauth/token", tt.form)
			w.want(tt.name, a, tt.status, tt.want)
			if a.header.Get("WWW-Authenticate") != "" {
				t.Errorf("%s: a challenge although Basic was not tried", tt.name)
			}
		}
		json := w.post("/oauth/token", exchangeForm(w.code("openid")), func(r *http.Request) { r.Header.Set("Content-Type", "application/json") })
		w.want("JSON", json, 400, "invalid_request")
		query := w.post("/oauth/token?"+exchangeForm(w.code("openid")).Encode(), nil)
		w.want("parameters in the address", query, 401, "invalid_client")
	})
}

// O4, O5: a code works once and for a minute; its reuse takes everything back.
func TestCodeReuseRevokes(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		code := w.code("openid offline_access llm.inference")
		first := w.exchange(code)
		c := w.claims(first)
		w.advance(time.Second)
		w.want("second use", w.exchange(code), 400, "invalid_grant")
		if !w.grants.Revoked(c) {
			t.Error("the access token survived")
		}
		w.want("its refresh token", w.refresh(first.RefreshToken), 400, "invalid_grant")
		late := w.code("openid")
		w.advance(61 * time.Second)
		w.want("after a minute", w.exchange(late), 400, "invalid_grant")
	})
}

func TestRacingExchangesHaveOneWinner(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		code := w.code("openid")
		answers := make([]answer, 50)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i] = w.exchange(code) })
		}
		wg.Wait()
		won := 0
		for _, a := range answers {
			if a.status == 200 {
				won++
			} else {
				w.want("a loser", a, 400, "invalid_grant")
			}
		}
		if won != 1 {
			t.Errorf("%d exchanges succeeded, want 1", won)
		}
	})
}

// O9, O10, O12 over HTTP.
func TestRefresh(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		first := w.exchange(w.code("openid offline_access llm.inference"))
		c := w.claims(first)
		w.advance(time.Minute)
		w.want("growing", w.refresh(first.RefreshToken, "scope", "openid admin"), 400, "invalid_scope")
		w.want("another audience", w.refresh(first.RefreshToken, "resource", "https://other.test"), 400, "invalid_target")
		w.want("another client", w.post("/oauth/token", form("grant_type", "refresh_token", "client_id", "rephlo-cli", "refresh_token", first.RefreshToken)), 400, "invalid_grant")
		second := w.refresh(first.RefreshToken, "scope", "llm.inference", "resource", api+"/")
		if second.status != 200 || second.Scope != "llm.inference" || second.IDToken != "" || second.RefreshToken == first.RefreshToken {
			t.Fatalf("narrowed: %+v", second)
		}
		if c2 := w.claims(second); c2.JTI == c.JTI || c2.GrantID != c.GrantID || !c2.AuthTime.Equal(c.AuthTime) {
			t.Errorf("claims %+v", c2)
		}
		again := w.refresh(first.RefreshToken)
		if again.RefreshToken != second.RefreshToken || again.AccessToken == second.AccessToken || again.Scope != first.Scope {
			t.Errorf("a retry in the grace gave %+v", again)
		}
		if id, err := w.resource.Hint(again.IDToken); err != nil || id.Nonce != "" || id.SessionID != "ses_1" {
			t.Errorf("ID token at refresh %+v, %v", id, err)
		}
		w.advance(11 * time.Second)
		w.want("after the grace", w.refresh(first.RefreshToken), 400, "invalid_grant")
		w.want("its successor", w.refresh(second.RefreshToken), 400, "invalid_grant")
		if !w.grants.Revoked(w.claims(again)) {
			t.Error("the access token survived the reuse")
		}
	})
}

// A suspended user gets nothing; a failing store consumes nothing.
func TestUserState(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		code := w.code("openid offline_access admin llm.inference")
		w.users.set(ada, errDown)
		a := w.exchange(code)
		w.want("store down", a, 503, "temporarily_unavailable")
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		w.users.set(ada, nil)
		a = w.exchange(code)
		if a.status != 200 || strings.Contains(a.Scope, "admin") {
			t.Fatalf("after the failure: %d %s, scope %q", a.status, a.Error, a.Scope)
		}
		w.users.set(ada, errDown)
		w.want("refresh, store down", w.refresh(a.RefreshToken), 503, "temporarily_unavailable")
		boss := ada
		boss.Roles = []string{"super_admin"}
		w.users.set(boss, nil)
		a = w.refresh(a.RefreshToken)
		if a.status != 200 || !strings.Contains(a.Scope, "admin") {
			t.Fatalf("refresh with a role: %d %s, scope %q", a.status, a.Error, a.Scope)
		}
		gone := ada
		gone.Active = false
		w.users.set(gone, nil)
		w.want("refresh of a suspended user", w.refresh(a.RefreshToken), 400, "invalid_grant")
		w.want("code of a suspended user", w.exchange(w.code("openid")), 400, "invalid_grant")
	})
}

// A database that does not answer in time is our failure: 503, and the code is
// still good.
func TestSec_O47(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		code := w.code("openid")
		holding, release, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
		redemption := grant.Redemption{Code: code, ClientID: "rephlo-desktop", Verifier: verifier}
		go func() {
			defer close(done)
			_ = w.grants.RedeemCode(context.Background(), redemption, func(context.Context, grant.Authorization) error {
				close(holding)
				<-release
				return errDown
			})
		}()
		<-holding
		desktop, err := w.clients.ByID(t.Context(), "rephlo-desktop")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err = w.tokens.Exchange(ctx, token.Request{Client: desktop, GrantType: client.GrantCode, Code: code, Verifier: verifier})
		if f := fault.From(err); f.Code != "temporarily_unavailable" || f.RetryAfter == 0 {
			t.Errorf("while the database hangs: %v", err)
		}
		close(release)
		<-done
		w.want("afterwards", w.exchange(code), 200, "")
	})
}

// O21: confidential clients, with each method and no other.
func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		secrets := map[string]string{}
		for id, method := range map[string]client.AuthMethod{"basic": client.AuthBasic, "post": client.AuthPost} {
			secret, err := w.clients.Create(t.Context(), client.Client{
				ID: id, Name: id, AuthMethod: method, RedirectURIs: []string{"https://shop.test/cb"}, Scopes: []string{"openid"},
				Grants: []string{client.GrantCode}, RefreshLife: client.LifeSession,
			})
			if err != nil {
				t.Fatal(err)
			}
			secrets[id] = secret
		}
		code := func(id string) string {
			return w.code("openid", func(c *grant.Code) { c.ClientID, c.RedirectURI = id, "https://shop.test/cb" })
		}
		body := func(id string, more ...string) url.Values {
			return form(append([]string{"grant_type", "authorization_code", "code", code(id), "redirect_uri", "https://shop.test/cb", "code_verifier", verifier}, more...)...)
		}
		basic := func(id, secret string) func(*http.Request) {
			return func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret)) }
		}
		w.want("basic", w.post("/oauth/token", body("basic"), basic("basic", secrets["basic"])), 200, "")
		w.want("basic and its id", w.post("/oauth/token", body("basic", "client_id", "basic"), basic("basic", secrets["basic"])), 200, "")
		w.want("post", w.post("/oauth/token", body("post", "client_id", "post", "client_secret", secrets["post"])), 200, "")
		w.want("post by basic", w.post("/oauth/token", body("post"), basic("post", secrets["post"])), 401, "invalid_client")
		w.want("both", w.post("/oauth/token", body("basic", "client_secret", secrets["basic"]), basic("basic", secrets["basic"])), 400, "invalid_request")
		w.want("two ids", w.post("/oauth/token", body("basic", "client_id", "post"), basic("basic", secrets["basic"])), 400, "invalid_request")
		w.want("no secret", w.post("/oauth/token", body("basic", "client_id", "basic")), 401, "invalid_client")
		w.want("code of another", w.post("/oauth/token", body("post"), basic("basic", secrets["basic"])), 400, "invalid_grant")
		wrong := w.post("/oauth/token", body("basic"), basic("basic", secrets["post"]))
		w.want("wrong secret", wrong, 401, "invalid_client")
		junk := w.post("/oauth/token", body("basic"), func(r *http.Request) { r.Header.Set("Authorization", "Basic %%%") })
		w.want("junk", junk, 401, "invalid_client")
		for _, a := range []answer{wrong, junk} {
			if a.header.Get("WWW-Authenticate") != `Basic realm="rephlo"` {
				t.Errorf("challenge %q", a.header.Get("WWW-Authenticate"))
			}
		}
	})
}

// O23: revoking is idempotent, ends what belongs together, and is for one's
// own tokens.
func TestRevocation(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		revoke := func(id, value string) answer {
			return w.post("/oauth/revoke", form("client_id", id, "token", value, "token_type_hint", "nonsense"))
		}
		a := w.exchange(w.code("openid offline_access llm.inference"))
		b := w.refresh(a.RefreshToken)
		first, second := w.claims(a), w.claims(b)
		for _, junk := range []string{"junk", "rph_rt_junk", a.IDToken} {
			w.want("junk", revoke("rephlo-desktop", junk), 200, "")
		}
		w.want("another's", revoke("rephlo-cli", b.RefreshToken), 200, "")
		w.want("another's", revoke("rephlo-cli", a.AccessToken), 200, "")
		if w.grants.Revoked(first) || w.grants.Revoked(second) {
			t.Fatal("somebody else's revocation had an effect")
		}
		w.want("access token", revoke("rephlo-desktop", a.AccessToken), 200, "")
		if !w.grants.Revoked(first) || w.grants.Revoked(second) {
			t.Error("revoking an access token ends that one and no other")
		}
		for range 2 {
			w.want("refresh token", revoke("rephlo-desktop", b.RefreshToken), 200, "")
		}
		if !w.grants.Revoked(second) {
			t.Error("the access token survived its authorization")
		}
		w.want("refresh", w.refresh(b.RefreshToken), 400, "invalid_grant")
		w.want("no token", w.post("/oauth/revoke", form("client_id", "rephlo-desktop")), 400, "invalid_request")
		w.want("no client", w.post("/oauth/revoke", form("token", "x")), 401, "invalid_client")
	})
}

func TestFailuresAreLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dbtest.Open(t, dbtest.SQLite(t)))
	var a answer
	for range 151 {
		a = w.post("/oauth/token", form("grant_type", "authorization_code", "client_id", "nobody"))
	}
	w.want("the 151st failure", a, 429, "slow_down")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	w.advance(61 * time.Second)
	w.want("a minute later", w.exchange(w.code("openid")), 200, "")
}

// A script may read the answer on its own client's origins only.
func TestCORS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dbtest.Open(t, dbtest.SQLite(t)))
	spa := client.Client{
		ID: "spa", Name: "SPA", Public: true, AuthMethod: client.AuthNone, RedirectURIs: []string{"https://spa.test/cb"},
		Scopes: []string{"openid"}, Grants: []string{client.GrantCode}, RefreshLife: client.LifeSession,
	}
	if _, err := w.clients.Create(t.Context(), spa); err != nil {
		t.Fatal(err)
	}
	from := func(origin string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Origin", origin) }
	}
	for _, tt := range []struct{ origin, client, want string }{
		{"http://localhost:5173", "rephlo-desktop", "http://localhost:5173"},
		{"https://spa.test", "spa", "https://spa.test"},
		{"https://spa.test", "rephlo-desktop", ""},
		{"http://localhost:5173", "spa", ""},
		{"https://evil.test", "spa", ""},
	} {
		a := w.post("/oauth/token", form("grant_type", "authorization_code", "client_id", tt.client, "code", "x", "code_verifier", "x"), from(tt.origin))
		if got := a.header.Get("Access-Control-Allow-Origin"); got != tt.want {
			t.Errorf("%s as %s: %q, want %q", tt.origin, tt.client, got, tt.want)
		}
	}
}

// Foreign clients: discovery, exchange with PKCE, ID token, userinfo, refresh.
func TestForeignClients(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		provider, err := oidc.NewProvider(t.Context(), w.url)
		if err != nil {
			t.Fatal(err)
		}
		cfg := oauth2.Config{ClientID: "rephlo-desktop", Endpoint: provider.Endpoint(), RedirectURL: redirect}
		tok, err := cfg.Exchange(t.Context(), w.code("openid email offline_access llm.inference"), oauth2.VerifierOption(verifier))
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := tok.Extra("id_token").(string)
		id, err := provider.Verifier(&oidc.Config{ClientID: "rephlo-desktop"}).Verify(t.Context(), raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := id.VerifyAccessToken(tok.AccessToken); err != nil || id.Nonce != "n0nce" || id.Subject != ada.ID {
			t.Errorf("ID token %+v, %v", id, err)
		}
		tok.Expiry = time.Now().Add(-time.Minute) // make it refresh
		info, err := provider.UserInfo(t.Context(), cfg.TokenSource(t.Context(), tok))
		if err != nil || info.Subject != ada.ID || info.Email != ada.Email || !info.EmailVerified {
			t.Errorf("userinfo %+v, %v", info, err)
		}
	})
}

func FuzzTokenRequest(f *testing.F) {
	w := newWorld(f, dbtest.Open(f, dbtest.SQLite(f)))
	f.Add("grant_type=authorization_code&client_id=rephlo-desktop&code=x", "Basic "+base64.StdEncoding.EncodeToString([]byte("a:b")))
	f.Add("grant_type=refresh_token&client_id=rephlo-desktop&refresh_token=rph_rt_x", "")
	f.Fuzz(func(t *testing.T, body, header string) {
		if strings.ContainsFunc(header, func(r rune) bool { return r < ' ' || r > '~' }) {
			return
		}
		w.advance(61 * time.Second) // past the limit of failures
		r, _ := http.NewRequestWithContext(t.Context(), "POST", w.url+"/oauth/token", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", header)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode < 400 || res.StatusCode >= 500 {
			t.Errorf("%q: %d", body, res.StatusCode)
		}
	})
}
