package conformance_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/oauth/oauthtest"
	"github.com/rephlo/rephlo/internal/identity/token"
)

// O13: a token opens the API that it was issued for.
func TestSec_O13(t *testing.T) {
	run(t, func(w *world) {
		c := w.web()
		if status := w.me(c.signIn("scope", "openid").Access); status != 401 {
			t.Errorf("a token for the issuer opens the API: %d", status)
		}
		code := c.code("scope", "openid credits.read")
		v := form("grant_type", "authorization_code", "code", code, "redirect_uri", c.uri, "code_verifier", verifier, "resource", "*")
		w.want("any resource", c.token(v), 400, "invalid_target")
	})
}

// O16: times have a minute's skew.
func TestSec_O16(t *testing.T) {
	run(t, func(w *world) {
		got := w.web().signIn("scope", "openid credits.read")
		w.advance(time.Hour + 30*time.Second)
		if status := w.me(got.Access); status != 200 {
			t.Errorf("30 seconds over: %d", status)
		}
		w.advance(31 * time.Second)
		if status := w.me(got.Access); status != 401 {
			t.Errorf("61 seconds over: %d", status)
		}
		next := w.web().signIn("scope", "openid credits.read")
		w.advance(-30 * time.Second)
		if status := w.me(next.Access); status != 200 {
			t.Errorf("issued in 30 seconds: %d", status)
		}
		w.advance(-31 * time.Second)
		if status := w.me(next.Access + "x"); status != 401 {
			t.Errorf("a broken one: %d", status)
		}
	})
}

// O19, O20: no page of the Identity Provider can be framed, loads anything from
// elsewhere, or tells others where the user was.
func TestSec_O19(t *testing.T) {
	run(t, func(w *world) {
		for _, path := range []string{"/register", "/device", "/logout", "/interaction/x", "/oauth/authorize"} {
			p := w.newBrowser().open(w.idp + path)
			csp := p.header.Get("Content-Security-Policy")
			if !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "default-src 'none'") || p.header.Get("X-Frame-Options") != "DENY" {
				t.Errorf("%s: policy %q", path, csp)
			}
		}
	})
}

func TestSec_O20(t *testing.T) {
	run(t, func(w *world) {
		got := w.web().signIn("scope", "openid credits.read")
		for _, address := range []string{w.api + "/v1/credits/me?access_token=" + got.Access, w.idp + "/oauth/userinfo?access_token=" + got.Access} {
			if status, _ := w.get(address, nil); status != 401 {
				t.Errorf("a token in the address: %d", status)
			}
		}
		for _, path := range []string{"/register", "/device", "/logout"} {
			p := w.newBrowser().open(w.idp + path)
			if p.header.Get("Referrer-Policy") != "no-referrer" || strings.Contains(p.body, `src="http`) || strings.Contains(p.body, `rel="stylesheet" href="http`) {
				t.Errorf("%s: %v", path, p.header)
			}
		}
	})
}

// O34, O35: pushed and signed requests.
func TestSec_O34(t *testing.T) {
	run(t, func(w *world) {
		f, other := w.fapi(), w.fapi()
		p := f.pushRequest()
		if p.Status != 201 || !strings.HasPrefix(p.URI, "urn:ietf:params:oauth:request_uri:") {
			t.Fatalf("%+v", p)
		}
		w.refusedPage("another client", other.visit(p.URI))
		if q := w.browser.answer(f.visit(p.URI)); q.Get("code") == "" {
			t.Errorf("answer %v", q)
		}
		w.refusedPage("a second time", f.visit(p.URI))
		late := f.pushRequest()
		w.advance(61 * time.Second)
		w.refusedPage("after 61 s", f.visit(late.URI))
		if q := f.authorize(); q.Get("error") != "invalid_request" {
			t.Errorf("a client that must push: %v", q)
		}
	})
}

func TestSec_O35(t *testing.T) {
	run(t, func(w *world) {
		key := oauthtest.NewKey(t, "ES256")
		c := w.web(func(c *client.Client) { c.JWKS, c.SignedRequests = key.JWKS(), true })
		ask := func(request string, more ...string) string {
			v := url.Values{"client_id": {c.id}, "request": {request}}
			for i := 0; i+1 < len(more); i += 2 {
				v.Set(more[i], more[i+1])
			}
			return w.idp + "/oauth/authorize?" + v.Encode()
		}
		w.refusedPage("not signed", c.url())
		w.refusedPage("alg none", ask(c.object(key, oauthtest.Header("alg", "none"))))
		w.refusedPage("an address", w.idp+"/oauth/authorize?"+form("client_id", c.id, "request_uri", "https://rp.test/r").Encode())
		q := w.browser.answer(ask(c.object(key), "scope", "openid admin", "state", "outside", "redirect_uri", "https://evil.test/"))
		if q.Get("code") == "" || q.Get("state") != "st-1" {
			t.Errorf("answer %v", q)
		}
		if got := c.exchange(q.Get("code")); got.Scope != "openid" {
			t.Errorf("parameters outside had an effect: %+v", got)
		}
	})
}

// O42: registration is limited, and gives no more than to a stranger.
func TestSec_O42(t *testing.T) {
	run(t, func(w *world) {
		w.want("a script", w.register(map[string]any{"redirect_uris": []string{"javascript:alert(1)"}}).tokens, 400, "invalid_redirect_uri")
		c, r := w.dynamic(nil, map[string]any{"scope": "openid admin"})
		for _, token := range []string{"", "rph_rg_" + strings.Repeat("A", 43), c.secret} {
			if status, _ := w.get(r.text("registration_client_uri"), nil, bearer(token)); status != 401 {
				t.Errorf("with another token: %d", status)
			}
		}
		w.web().signIn()
		if p := w.browser.open(c.url()); !strings.Contains(p.body, "Not verified") || strings.Contains(p.body, "administer") {
			t.Errorf("page %s", p.body)
		}
		limited := false
		for range 11 {
			raw := `{"redirect_uris":["https://rp.test/cb"]}`
			req, err := http.NewRequestWithContext(t.Context(), "POST", w.idp+"/oauth/register", strings.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			status, _ := w.do(req, nil)
			limited = limited || status == 429
		}
		if !limited {
			t.Error("eleven registrations in a moment were taken")
		}
	})
}

// O43: a token that is handed on opens less, ends no later, and says who acts.
func TestSec_O43(t *testing.T) {
	run(t, func(w *world) {
		c := w.web()
		s := w.web(func(c *client.Client) {
			c.Grants, c.ExchangeScopes, c.RedirectURIs = []string{client.GrantExchange}, []string{"credits.read", "models.read"}, nil
		})
		got := c.signIn("scope", "openid offline_access credits.read user.info")
		exchange := func(by *rp, value string, pairs ...string) tokens {
			t.Helper()
			v := form("grant_type", client.GrantExchange, "subject_token", value, "subject_token_type", token.TypeAccessToken)
			for i := 0; i+1 < len(pairs); i += 2 {
				v.Set(pairs[i], pairs[i+1])
			}
			return by.token(v)
		}
		w.advance(20 * time.Minute)
		out := exchange(s, got.Access, "resource", w.api)
		claims := w.claims(out.Access)
		act, _ := claims["act"].(map[string]any)
		if out.Status != 200 || out.Scope != "credits.read" || out.Issued != token.TypeAccessToken || out.Refresh != "" || out.ID != "" || out.ExpiresIn > 2400 ||
			claims["sub"] != w.ada.ID || claims["client_id"] != s.id || act["sub"] != s.id || claims["exp"] != w.claims(got.Access)["exp"] {
			t.Fatalf("%+v, claims %v", out, claims)
		}
		if status := w.me(out.Access); status != 200 {
			t.Errorf("the token opens %d", status)
		}
		w.want("a wider scope", exchange(s, got.Access, "scope", "credits.read user.info"), 400, "invalid_scope")
		w.want("what the user did not grant", exchange(s, got.Access, "scope", "models.read"), 400, "invalid_scope")
		w.want("another target", exchange(s, got.Access, "resource", "https://other.test"), 400, "invalid_target")
		w.want("another audience", exchange(s, got.Access, "audience", "https://other.test"), 400, "invalid_target")
		w.want("a refresh token", exchange(s, got.Refresh), 400, "invalid_request")
		w.want("an ID token", exchange(s, got.ID), 400, "invalid_request")
		w.want("as an ID token", exchange(s, got.ID, "subject_token_type", "urn:ietf:params:oauth:token-type:id_token"), 400, "invalid_request")
		w.want("for a refresh token", exchange(s, got.Access, "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"), 400, "invalid_request")
		w.want("a client without the grant", exchange(c, got.Access), 400, "unauthorized_client")
		// Each hand adds its name, up to four.
		chain := out
		for range 3 {
			if chain = exchange(s, chain.Access); chain.Status != 200 {
				t.Fatalf("%+v", chain)
			}
		}
		w.want("a fifth hand", exchange(s, chain.Access), 400, "invalid_request")
		// What ends the authorization ends what was handed on.
		if status, _ := w.post(w.idp+"/oauth/revoke", form("token", got.Refresh), nil, c.auth); status != 200 {
			t.Errorf("revocation: %d", status)
		}
		if status := w.me(out.Access); status != 401 {
			t.Errorf("after the revocation the token opens %d", status)
		}
		w.want("a revoked token", exchange(s, got.Access), 400, "invalid_request")
	})
}

// O48: junk costs nothing but an answer.
func TestSec_O48(t *testing.T) {
	run(t, func(w *world) {
		for _, junk := range []string{"x", "a.b", "a.b.c", "....", strings.Repeat("a", 9000) + ".b.c", "rph_at_junk", "eyJhbGciOiJub25lIn0.e30.", "rph_rt_x"} {
			if status := w.me(junk); status != 401 && status != 431 {
				t.Errorf("%.20s: %d", junk, status)
			}
		}
		if status := w.me(w.web().signIn("scope", "openid credits.read").Access); status != 200 {
			t.Errorf("a good token afterwards: %d", status)
		}
	})
}

// O50: a request touches its own session only.
func TestSec_O50(t *testing.T) {
	run(t, func(w *world) {
		c := w.web()
		first := c.signIn()
		other := w.in(t)
		other.browser = other.newBrowser()
		second := (&rp{w: other, id: c.id, secret: c.secret, uri: c.uri, scopes: c.scopes}).signIn()
		if w.claims(first.ID)["sid"] == w.claims(second.ID)["sid"] {
			t.Fatal("two browsers share a session")
		}
		w.leave("id_token_hint", first.ID)
		if w.signedIn() || !other.signedIn() {
			t.Error("the sign-out ended another session, or none")
		}
	})
}

// O37: opaque access tokens are as good as JWTs, and tell nothing.
func TestSec_O37(t *testing.T) {
	run(t, func(w *world) {
		c := w.web(func(c *client.Client) { c.Opaque = true })
		got := c.signIn("scope", "openid offline_access credits.read email")
		if !strings.HasPrefix(got.Access, "rph_at_") || strings.Contains(got.Access, ".") || len(got.Access) > 700 {
			t.Fatalf("token of %d bytes %.40s", len(got.Access), got.Access)
		}
		if status := w.me(got.Access); status != 200 {
			t.Errorf("the API answers %d", status)
		}
		if status, info := w.userinfo("GET", got.Access, false); status != 200 || info["email"] != w.ada.Email {
			t.Errorf("userinfo %d %v", status, info)
		}
		if again := c.signIn("scope", "openid credits.read email"); again.Access == got.Access {
			t.Error("two tokens are the same")
		}
		known := func(by *rp) map[string]any {
			var out map[string]any
			w.post(w.idp+"/oauth/introspect", form("token", got.Access), &out, by.auth)
			return out
		}
		if own := known(c); own["active"] != true || own["sub"] != w.ada.ID || own["aud"] != w.api {
			t.Errorf("introspection %v", own)
		}
		if other := known(w.web()); other["active"] != false {
			t.Errorf("another client learns %v", other)
		}
		for i := range got.Access {
			if i%37 != 0 {
				continue
			}
			broken := got.Access[:i] + string("AB"[b2i(got.Access[i] == 'A')]) + got.Access[i+1:]
			if status := w.me(broken); status != 401 {
				t.Fatalf("changed at %d it opens %d", i, status)
			}
			w.advance(5 * time.Second) // past the limit on failures
		}
		if status, _ := w.post(w.idp+"/oauth/revoke", form("token", got.Access), nil, c.auth); status != 200 {
			t.Errorf("revocation: %d", status)
		}
		if status := w.me(got.Access); status != 401 {
			t.Errorf("after the revocation it opens %d", status)
		}
		late := c.signIn("scope", "openid credits.read")
		w.advance(time.Hour + 61*time.Second)
		if status := w.me(late.Access); status != 401 {
			t.Errorf("an old one opens %d", status)
		}
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A challenge that was stripped on the way is noticed: a code without one takes
// no verifier, but the redirect URI.
func TestSec_O3_Downgrade(t *testing.T) {
	run(t, func(w *world) {
		c := w.basic()
		v := form("grant_type", "authorization_code", "code", c.code(), "redirect_uri", c.uri, "code_verifier", verifier)
		w.want("a verifier without a challenge", c.token(v), 400, "invalid_grant")
		w.want("no redirect URI", c.token(form("grant_type", "authorization_code", "code", c.code())), 400, "invalid_grant")
		if got := c.exchange(c.code()); got.Status != 200 {
			t.Errorf("%+v", got)
		}
	})
}
