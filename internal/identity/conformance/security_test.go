package conformance_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/grant"
)

// refusedPage asserts that a request ends on a page of ours.
func (w *world) refusedPage(what, address string) {
	w.t.Helper()
	p := w.newBrowser().open(address)
	if p.status != 400 || p.location != nil || !strings.HasPrefix(p.header.Get("Content-Type"), "text/html") {
		w.t.Errorf("%s: %d, location %v; want a page with 400 and no redirect", what, p.status, p.location)
	}
}

// O1, O2: an answer goes to a registered redirect URI or nowhere.
func TestSec_O1(t *testing.T) {
	run(t, func(w *world) {
		c := w.web(func(c *client.Client) { c.RedirectURIs = []string{"https://rp.test/cb"} })
		for _, uri := range []string{
			"https://rp.test/cb/", "https://rp.test/cb?x=1", "https://rp.test/cb#f", "https://rp.test/x/%2e%2e/cb", "https://RP.test/cb",
			"https://rp.test@evil.test/cb", "https://rp.test:443/cb", "http://rp.test/cb", "https://evil.test/", "", "//rp.test/cb", "javascript:alert(1)",
		} {
			w.refusedPage(uri, c.url("redirect_uri", uri))
		}
		n := w.web(func(c *client.Client) {
			c.Native, c.Public, c.AuthMethod, c.RedirectURIs = true, true, client.AuthNone, []string{"http://127.0.0.1/cb", "http://[::1]/cb", "http://localhost/cb"}
		})
		for _, uri := range []string{"http://127.0.0.1:9999/cb", "http://[::1]:9999/cb", "http://localhost:9999/cb"} {
			if p := w.newBrowser().open(n.url("redirect_uri", uri)); p.status != 200 {
				t.Errorf("%s: %d", uri, p.status)
			}
		}
		for _, uri := range []string{"http://127.0.0.2:9999/cb", "http://127.0.0.1:9999/cb2", "http://127.0.0.1:9999@evil.test/cb", "http://localhost.evil.test:9999/cb", "https://127.0.0.1:9999/cb"} {
			w.refusedPage(uri, n.url("redirect_uri", uri))
		}
	})
}

func TestSec_O2(t *testing.T) {
	run(t, func(w *world) {
		c := &rp{w: w, id: "nobody", uri: "https://evil.test/", scopes: "openid"}
		w.refusedPage("an unknown client", c.url())
		w.refusedPage("no client", c.url("client_id", ""))
	})
}

// O3: PKCE with S256, and no way to do without it.
func TestSec_O3(t *testing.T) {
	run(t, func(w *world) {
		c := w.web()
		for what, pairs := range map[string][]string{
			"no challenge":    {"code_challenge", "", "code_challenge_method", ""},
			"no method":       {"code_challenge_method", ""},
			"plain":           {"code_challenge_method", "plain"},
			"short challenge": {"code_challenge", strings.Repeat("a", 42)},
			"odd challenge":   {"code_challenge", strings.Repeat("=", 43)},
		} {
			if q := c.authorize(pairs...); q.Get("error") != "invalid_request" || q.Get("code") != "" {
				t.Errorf("%s: %v", what, q)
			}
		}
		for what, v := range map[string]string{
			"no verifier": "", "another": strings.Repeat("a", 43), "42 characters": verifier[:42], "129 characters": strings.Repeat("a", 129), "odd": strings.Repeat("!", 43),
		} {
			f := form("grant_type", "authorization_code", "code", c.code(), "redirect_uri", c.uri)
			if v != "" {
				f.Set("code_verifier", v)
			}
			w.want(what, c.token(f), 400, "invalid_grant")
		}
	})
}

// O4: a code works once, and its reuse takes back what it gave, at the Resource
// API too.
func TestSec_O4(t *testing.T) {
	run(t, func(w *world) {
		c := w.web()
		code := c.code("scope", "openid offline_access credits.read")
		first := c.exchange(code)
		if got := w.me(first.Access); got != 200 {
			t.Fatalf("the access token opens %d", got)
		}
		w.advance(time.Second)
		w.want("the second use", c.exchange(code), 400, "invalid_grant")
		if got := w.me(first.Access); got != 401 {
			t.Errorf("the first access token opens %d, want 401", got)
		}
		w.want("its refresh token", c.refresh(first.Refresh), 400, "invalid_grant")
		code = c.code()
		answers := make([]tokens, 50)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i] = c.exchange(code) })
		}
		wg.Wait()
		won := 0
		for _, a := range answers {
			if a.Status == 200 {
				won++
			}
		}
		if won != 1 {
			t.Errorf("%d of 50 exchanges succeeded, want 1", won)
		}
	})
}

// O5, O6: a code is short-lived and bound to client, redirect URI and sign-in.
func TestSec_O5(t *testing.T) {
	run(t, func(w *world) {
		c := w.web()
		code := c.code()
		w.advance(61 * time.Second)
		w.want("after 61 s", c.exchange(code), 400, "invalid_grant")
	})
}

func TestSec_O6(t *testing.T) {
	run(t, func(w *world) {
		c, other := w.web(), w.web()
		code := c.code()
		w.want("another client", other.exchange(code), 400, "invalid_grant")
		w.want("the code is burnt", c.exchange(code), 400, "invalid_grant")
		code = c.code()
		w.want("another URI", c.token(form("grant_type", "authorization_code", "code", code, "redirect_uri", "https://rp.test/x", "code_verifier", verifier)), 400, "invalid_grant")
		w.want("the code is burnt", c.exchange(code), 400, "invalid_grant")
		got := c.signIn()
		code = c.code()
		p := w.browser.open(w.idp + "/oauth/end-session?id_token_hint=" + got.ID)
		if !strings.Contains(p.body, "signed out") {
			t.Fatalf("%d %s", p.status, p.body)
		}
		w.want("after the sign-out", c.exchange(code), 400, "invalid_grant")
	})
}

// O7, O51: what is not offered is refused, and the metadata do not name it.
func TestSec_O7(t *testing.T) {
	run(t, func(w *world) {
		c := w.web()
		for _, kind := range []string{"token", "id_token", "code token", "code id_token", "id_token token", "none"} {
			if q := c.authorize("response_type", kind); q.Get("error") != "unsupported_response_type" {
				t.Errorf("response_type=%s: %v", kind, q)
			}
		}
		w.want("password", c.token(form("grant_type", "password", "username", w.ada.Email, "password", password)), 400, "unsupported_grant_type")
		raw, err := json.Marshal(w.meta)
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{`"password"`, `"implicit"`, `"token"`, `"fragment"`, `"plain"`, `"none","HS`, "check_session", "frontchannel", "backchannel_authentication"} {
			if strings.Contains(string(raw), bad) {
				t.Errorf("the metadata name %s", bad)
			}
		}
	})
}

func TestSec_O51(t *testing.T) {
	run(t, func(w *world) {
		for _, mode := range []string{"fragment", "web_message", "jwt"} {
			if q := w.web().authorize("response_mode", mode); q.Get("error") != "invalid_request" {
				t.Errorf("response_mode=%s: %v", mode, q)
			}
		}
	})
}

// O8: a refresh token takes the grant, and offline_access.
func TestSec_O8(t *testing.T) {
	run(t, func(w *world) {
		if got := w.web().signIn(); got.Refresh != "" {
			t.Error("a refresh token without offline_access")
		}
		once := w.web(func(c *client.Client) { c.Grants = []string{client.GrantCode} })
		got := once.signIn("scope", "openid offline_access")
		if got.Refresh != "" {
			t.Error("a refresh token without the grant")
		}
		w.want("refresh without the grant", once.refresh("x"), 400, "unauthorized_client")
	})
}

// O9: a refresh token that was replaced ends its family after the grace, and
// every family ends after 60 days.
func TestSec_O9(t *testing.T) {
	run(t, func(w *world) {
		c := w.web()
		one := c.signIn("scope", "openid offline_access credits.read")
		two := c.refresh(one.Refresh)
		if two.Status != 200 || two.Refresh == one.Refresh {
			t.Fatalf("refresh %+v", two)
		}
		w.advance(11 * time.Second)
		w.want("the old one after the grace", c.refresh(one.Refresh), 400, "invalid_grant")
		w.want("its successor", c.refresh(two.Refresh), 400, "invalid_grant")
		if got := w.me(two.Access); got != 401 {
			t.Errorf("the access token of the family opens %d", got)
		}
		got := c.signIn("scope", "openid offline_access")
		for range 59 {
			w.advance(24 * time.Hour)
			if got = c.refresh(got.Refresh); got.Status != 200 {
				t.Fatalf("a daily refresh: %+v", got)
			}
		}
		w.advance(24*time.Hour + time.Second)
		w.want("after 60 days", c.refresh(got.Refresh), 400, "invalid_grant")
	})
}

// O10: many that refresh at once get the same successor.
func TestSec_O10(t *testing.T) {
	run(t, func(w *world) {
		c := w.web()
		one := c.signIn("scope", "openid offline_access")
		answers := make([]tokens, 20)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i] = c.refresh(one.Refresh) })
		}
		wg.Wait()
		for _, a := range answers {
			if a.Status != 200 || a.Refresh != answers[0].Refresh {
				t.Fatalf("%d %s, successor the same: %t", a.Status, a.Description, a.Refresh == answers[0].Refresh)
			}
		}
		w.advance(11 * time.Second)
		w.want("at the end of the grace", c.refresh(one.Refresh), 400, "invalid_grant")
	})
}

// O11, O12, O38: a refresh token is its client's, and never gives more.
func TestSec_O11(t *testing.T) {
	run(t, func(w *world) {
		c, other := w.web(), w.web()
		got := c.signIn("scope", "openid offline_access")
		w.want("another client", other.refresh(got.Refresh), 400, "invalid_grant")
		if next := c.refresh(got.Refresh); next.Status != 200 {
			t.Errorf("its own client afterwards: %+v", next)
		}
	})
}

func TestSec_O12(t *testing.T) {
	run(t, func(w *world) {
		c := w.web()
		got := c.signIn("scope", "openid offline_access credits.read")
		w.want("admin", c.refresh(got.Refresh, "scope", "openid admin"), 400, "invalid_scope")
		w.want("what was not granted", c.refresh(got.Refresh, "scope", "email"), 400, "invalid_scope")
		less := c.refresh(got.Refresh, "scope", "openid")
		if less.Status != 200 || less.Scope != "openid" {
			t.Fatalf("less: %+v", less)
		}
		if all := c.refresh(less.Refresh); all.Scope != "openid offline_access credits.read" {
			t.Errorf("a narrow refresh narrowed the grant to %q", all.Scope)
		}
	})
}

func TestSec_O38(t *testing.T) {
	run(t, func(w *world) {
		c := w.web()
		for _, r := range []string{"https://other.test", "*", w.api + "/#x", "not an address"} {
			if q := c.authorize("resource", r); q.Get("error") != "invalid_target" {
				t.Errorf("resource %s: %v", r, q)
			}
		}
		got := c.signIn("scope", "openid offline_access credits.read", "resource", strings.ToUpper(w.api[:7])+w.api[7:]+"/")
		if aud := w.claims(got.Access)["aud"]; aud != w.api {
			t.Errorf("audience %v", aud)
		}
		w.want("another at the refresh", c.refresh(got.Refresh, "resource", "https://other.test"), 400, "invalid_target")
		plain := c.signIn("scope", "openid offline_access")
		if aud := w.claims(plain.Access)["aud"]; aud != w.idp {
			t.Errorf("audience without a resource %v", aud)
		}
		w.want("wider at the refresh", c.refresh(plain.Refresh, "resource", w.api), 400, "invalid_target")
	})
}

// O13, O14, O15, O16, O20, O36: what the Resource API takes for an access
// token.
func TestSec_O14(t *testing.T) {
	run(t, func(w *world) {
		c := w.web()
		got := c.signIn("scope", "openid credits.read")
		if w.me(got.Access) != 200 {
			t.Fatal("a good token is refused")
		}
		if w.me(got.ID) != 401 {
			t.Error("an ID token opens the API")
		}
		if w.me(c.signIn("scope", "openid").Access) != 401 {
			t.Error("a token for the issuer opens the API") // O13
		}
		if q := c.authorize("id_token_hint", got.Access); q.Get("error") != "invalid_request" {
			t.Errorf("an access token as hint: %v", q)
		}
		status, _ := w.get(w.api+"/v1/credits/me?access_token="+got.Access, nil) // O20
		if status != 401 {
			t.Errorf("a token in the address: %d", status)
		}
		w.advance(time.Hour + 50*time.Second)
		if w.me(got.Access) != 200 {
			t.Error("50 seconds over is within the skew") // O16
		}
		w.advance(20 * time.Second)
		if w.me(got.Access) != 401 {
			t.Error("70 seconds over")
		}
	})
}

func TestSec_O15(t *testing.T) {
	run(t, func(w *world) {
		got := w.web().signIn("scope", "openid credits.read")
		parts := strings.Split(got.Access, ".")
		header, _ := w.jwt(got.Access)
		var set struct{ Keys []json.RawMessage }
		w.get(w.idp+"/oauth/jwks", &set)
		enc := base64.RawURLEncoding.EncodeToString
		with := func(name string, value any) string {
			h := map[string]any{}
			maps.Copy(h, header)
			h[name] = value
			raw, err := json.Marshal(h)
			if err != nil {
				t.Fatal(err)
			}
			return enc(raw) + "." + parts[1]
		}
		mac := hmac.New(sha256.New, set.Keys[0])
		signed := with("alg", "HS256")
		mac.Write([]byte(signed))
		for what, token := range map[string]string{
			"none":           with("alg", "none") + ".",
			"HS256":          signed + "." + enc(mac.Sum(nil)),
			"jku":            with("jku", "https://evil.test/keys") + "." + parts[2],
			"jwk":            with("jwk", set.Keys[0]) + "." + parts[2],
			"a path as kid":  with("kid", "../../etc/passwd") + "." + parts[2],
			"an unknown kid": with("kid", "other") + "." + parts[2],
			"typ":            with("typ", "JWT") + "." + parts[2],
			"other claims":   parts[0] + "." + enc([]byte(`{"sub":"usr_1"}`)) + "." + parts[2],
		} {
			if status := w.me(token); status != 401 {
				t.Errorf("%s: %d", what, status)
			}
		}
	})
}

func TestSec_O36(t *testing.T) {
	run(t, func(w *world) {
		got := w.web().signIn("scope", "openid credits.read")
		header, claims := w.jwt(got.Access)
		if header["typ"] != "at+jwt" || header["alg"] != "ES256" || header["kid"] == "" {
			t.Errorf("header %v", header)
		}
		for _, name := range []string{"iss", "aud", "sub", "client_id", "exp", "iat", "jti", "scope", "auth_time", "acr", "amr"} {
			if claims[name] == nil {
				t.Errorf("the claim %s is missing", name)
			}
		}
	})
}

// O17, O26: every answer names the issuer and carries the state untouched.
func TestSec_O17(t *testing.T) {
	run(t, func(w *world) {
		c := w.web()
		for _, q := range []url.Values{c.authorize(), c.authorize("scope", "everything"), c.authorize("prompt", "none"), c.authorize("response_type", "token")} {
			if q.Get("iss") != w.idp || q.Get("state") != "st-1" {
				t.Errorf("answer %v", q)
			}
		}
		if w.meta["authorization_response_iss_parameter_supported"] != true {
			t.Error("the metadata do not say so")
		}
	})
}

func TestSec_O26(t *testing.T) {
	run(t, func(w *world) {
		c := w.web()
		long := strings.Repeat("ä\"<&%", 80) + strings.Repeat("a", 2048-480)
		if q := c.authorize("state", long); q.Get("state") != long {
			t.Error("the state was changed")
		}
		if q := c.authorize("state", strings.Repeat("a", 2049)); q.Get("error") != "invalid_request" || q.Get("state") != "" {
			t.Errorf("a longer one: %v", q.Get("error"))
		}
		if nonce := w.claims(c.signIn("nonce", long).ID)["nonce"]; nonce != long {
			t.Error("the nonce was changed")
		}
	})
}

// O18, O19, O33: the pages.
func TestSec_O18(t *testing.T) {
	run(t, func(w *world) {
		b := w.newBrowser()
		b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		c := w.web()
		p := b.open(b.open(c.url()).location.String())
		if csp := p.header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || p.header.Get("X-Frame-Options") != "DENY" || p.header.Get("Referrer-Policy") != "no-referrer" { // O19, O20
			t.Errorf("headers %v", p.header)
		}
		if p = b.submit(p, "name", w.ada.Email, "password", password); p.status != http.StatusSeeOther {
			t.Errorf("the sign-in answers %d, want 303", p.status)
		}
	})
}

func TestSec_O33(t *testing.T) {
	run(t, func(w *world) {
		const hostile = `"><script>alert(1)</script>`
		c := w.web(func(c *client.Client) { c.Name = hostile })
		b := w.newBrowser()
		for what, address := range map[string]string{
			"client name and hint": c.url("login_hint", hostile, "state", hostile),
			"redirect URI":         c.url("redirect_uri", hostile),
			"client id":            c.url("client_id", hostile),
			"user code":            w.idp + "/device?user_code=" + url.QueryEscape(hostile),
			"interaction":          w.idp + "/interaction/" + url.PathEscape(hostile),
		} {
			if p := b.open(address); strings.Contains(p.body, "<script>alert") {
				t.Errorf("%s is not escaped: %s", what, p.body)
			}
		}
	})
}

// O21, O22, O40: client authentication and introspection.
func TestSec_O21(t *testing.T) {
	run(t, func(w *world) {
		c := w.web()
		wrong := &rp{w: w, id: c.id, secret: "rph_cs_" + strings.Repeat("A", 43)}
		for _, path := range []string{"/oauth/token", "/oauth/par", "/oauth/introspect", "/oauth/revoke"} {
			var got tokens
			v := form("token", "x", "grant_type", "refresh_token")
			got.Status, got.Header = w.post(w.idp+path, v, &got, wrong.auth)
			w.want(path, got, 401, "invalid_client")
			if got.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: no challenge", path)
			}
			v.Set("client_id", c.id)
			v.Set("client_secret", c.secret)
			got = tokens{}
			got.Status, _ = w.post(w.idp+path, v, &got, c.auth)
			w.want(path+" Basic and POST at once", got, 400, "invalid_request")
			v.Del("client_secret")
			got = tokens{}
			got.Status, _ = w.post(w.idp+path, v, &got)
			w.want(path+" without", got, 401, "invalid_client")
		}
	})
}

func TestSec_O22(t *testing.T) {
	run(t, func(w *world) {
		c, other := w.web(), w.web()
		got := c.signIn("scope", "openid offline_access credits.read")
		for _, token := range []string{got.Access, got.Refresh, "junk", got.ID, ""} {
			var body string
			status, _ := w.post(w.idp+"/oauth/introspect", form("token", token), &body, other.auth)
			if token != "" && (status != 200 || body != `{"active":false}`+"\n" && body != `{"active":false}`) {
				t.Errorf("another client learns %d %s", status, body)
			}
		}
		var own map[string]any
		w.post(w.idp+"/oauth/introspect", form("token", got.Access), &own, c.auth)
		if own["active"] != true || own["sub"] != w.ada.ID {
			t.Errorf("the client itself learns %v", own)
		}
	})
}

func TestSec_O40(t *testing.T) {
	run(t, func(w *world) {
		c := w.web()
		var stored string
		const q = `SELECT secrets FROM client_client WHERE id = $1`
		if err := w.core.DB.Q(t.Context()).QueryRowContext(t.Context(), q, c.id).Scan(&stored); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(stored, c.secret) {
			t.Error("the secret is stored")
		}
		thief := &rp{w: w, id: c.id, secret: strings.Trim(stored, `[]"`)}
		w.want("the stored value", thief.token(form("grant_type", "refresh_token")), 401, "invalid_client")
	})
}

// O23: a revocation can be repeated and takes all of the authorization.
func TestSec_O23(t *testing.T) {
	run(t, func(w *world) {
		c, other := w.web(), w.web()
		got := c.signIn("scope", "openid offline_access credits.read")
		revoke := func(by *rp, token string) {
			t.Helper()
			if status, _ := w.post(w.idp+"/oauth/revoke", form("token", token, "token_type_hint", "odd"), nil, by.auth); status != 200 {
				t.Errorf("revocation: %d", status)
			}
		}
		revoke(other, got.Refresh)
		revoke(other, got.Access)
		if w.me(got.Access) != 200 {
			t.Fatal("another client revoked it")
		}
		for range 2 {
			revoke(c, got.Refresh)
		}
		if status := w.me(got.Access); status != 401 {
			t.Errorf("its access token opens %d", status)
		}
		w.want("the refresh token", c.refresh(got.Refresh), 400, "invalid_grant")
	})
}

// O24, O25: prompt=none never shows a page; max_age asks again.
func TestSec_O24(t *testing.T) {
	run(t, func(w *world) {
		c := w.web()
		p := w.newBrowser().open(c.url("prompt", "none"))
		if p.location == nil || p.location.Query().Get("error") != "login_required" {
			t.Errorf("%d %v", p.status, p.location)
		}
	})
}

func TestSec_O25(t *testing.T) {
	run(t, func(w *world) {
		c := w.web()
		first := w.claims(c.signIn().ID)["auth_time"].(float64)
		w.advance(2 * time.Second)
		if p := w.browser.open(c.url("max_age", "1")); !strings.Contains(p.body, `name="password"`) {
			t.Errorf("max_age=1 after 2 seconds shows %s", p.body)
		}
		if again := w.claims(c.signIn("max_age", "1").ID)["auth_time"].(float64); again < first+1 {
			t.Errorf("auth_time %v after %v", again, first)
		}
	})
}

// O27: nobody can be signed out from another site.
func TestSec_O27(t *testing.T) {
	run(t, func(w *world) {
		c := w.web(func(c *client.Client) { c.PostLogoutRedirectURIs = []string{"https://rp.test/bye"} })
		got := c.signIn()
		for _, path := range []string{"/oauth/end-session", "/logout", "/session/end", "/oauth/end-session?id_token_hint=" + got.Access} {
			p := w.browser.open(w.idp + path + "&post_logout_redirect_uri=https://rp.test/bye")
			if p.location != nil || c.code("prompt", "none") == "" {
				t.Errorf("%s: %d %v", path, p.status, p.location)
			}
		}
		p := w.browser.open(w.idp + "/oauth/end-session?id_token_hint=" + got.ID + "&post_logout_redirect_uri=https://evil.test/")
		if p.location != nil {
			t.Errorf("an unregistered address: %v", p.location)
		}
	})
}

// O28: consent covers what was shown, and can be taken back.
func TestSec_O28(t *testing.T) {
	run(t, func(w *world) {
		c := w.web()
		got := c.signIn("scope", "openid credits.read")
		if p := w.browser.open(c.url("scope", "openid credits.read")); p.location == nil {
			t.Error("the same scopes are asked for again")
		}
		if p := w.browser.open(c.url("scope", "openid email credits.read")); p.location != nil || !strings.Contains(p.body, "RP") {
			t.Errorf("a new scope was not asked for: %v", p.location)
		}
		other := grant.New(grant.Needs{DB: w.core.DB, Bus: w.core.Bus, Box: w.core.Box, Log: w.core.Log, Now: w.now})
		if err := other.RemoveConsent(t.Context(), w.ada.ID, c.id); err != nil {
			t.Fatal(err)
		}
		if status := w.me(got.Access); status != 401 {
			t.Errorf("a token of an app that was removed opens %d", status)
		}
		if q := c.authorize("scope", "openid", "prompt", "none"); q.Get("error") != "consent_required" {
			t.Errorf("the app that was removed gets %v", q)
		}
	})
}

// O29: a program on the user's machine is never let in unasked.
func TestSec_O29(t *testing.T) {
	run(t, func(w *world) {
		c := w.web(func(c *client.Client) {
			c.FirstParty, c.Native, c.Public, c.AuthMethod, c.RedirectURIs = true, true, true, client.AuthNone, []string{"http://127.0.0.1/cb"}
		})
		c.uri = "http://127.0.0.1:9999/cb"
		w.web().signIn()
		if q := c.authorize("prompt", "none"); q.Get("error") != "consent_required" {
			t.Errorf("without a consent: %v", q)
		}
		c.code()
		if q := c.authorize("prompt", "none"); q.Get("error") != "interaction_required" {
			t.Errorf("with one: %v", q)
		}
	})
}

// O46: the Resource API says where its tokens come from, and what is missing.
func TestSec_O46(t *testing.T) {
	run(t, func(w *world) {
		status, header := w.get(w.api+"/v1/credits/me", nil)
		metadata := w.api + "/.well-known/oauth-protected-resource"
		if c := header.Get("WWW-Authenticate"); status != 401 || !strings.HasPrefix(c, `Bearer resource_metadata="`+metadata+`"`) || strings.Contains(c, "error=") {
			t.Errorf("%d %s", status, c)
		}
		var m map[string]any
		w.get(metadata, &m)
		if servers, _ := m["authorization_servers"].([]any); m["resource"] != w.api || len(servers) != 1 || servers[0] != w.idp {
			t.Errorf("metadata %v", m)
		}
		if status, _ := w.get(metadata+"/other", nil); status != 404 {
			t.Errorf("metadata of another resource: %d", status)
		}
		_, header = w.get(w.api+"/v1/credits/me", nil, bearer("a.b.c"))
		if c := header.Get("WWW-Authenticate"); !strings.Contains(c, `error="invalid_token"`) {
			t.Errorf("a bad token: %s", c)
		}
		got := w.web().signIn("scope", "openid models.read")
		status, header = w.get(w.api+"/v1/credits/me", nil, bearer(got.Access))
		if c := header.Get("WWW-Authenticate"); status != 403 || !strings.Contains(c, `error="insufficient_scope", scope="credits.read"`) {
			t.Errorf("%d %s", status, c)
		}
	})
}

// O49: private schemes are reverse domain names, and exact.
func TestSec_O49(t *testing.T) {
	run(t, func(w *world) {
		for _, uri := range []string{"data:text/html,x", "file:///etc/passwd", "javascript:alert(1)", "vbscript:x", "blob:x", "myapp:/cb", "http://rp.test/cb"} {
			var got tokens
			raw, err := json.Marshal(map[string]any{"redirect_uris": []string{uri}, "token_endpoint_auth_method": "none", "application_type": "native"})
			if err != nil {
				t.Fatal(err)
			}
			r, err := http.NewRequestWithContext(t.Context(), "POST", w.idp+"/oauth/register", strings.NewReader(string(raw)))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			got.Status, _ = w.do(r, &got)
			w.want(uri, got, 400, "invalid_redirect_uri")
		}
		c := w.web(func(c *client.Client) {
			c.Native, c.Public, c.AuthMethod, c.RedirectURIs = true, true, client.AuthNone, []string{"ai.rephlo.desktop:/callback"}
		})
		if p := w.newBrowser().open(c.url("redirect_uri", "ai.rephlo.desktop:/callback")); p.status != 200 {
			t.Errorf("the registered one: %d", p.status)
		}
		w.refusedPage("another path", c.url("redirect_uri", "ai.rephlo.desktop:/callback/x"))
	})
}
