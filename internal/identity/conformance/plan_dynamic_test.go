package conformance_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/identity/oauth/oauthtest"
)

// registration is the answer of the registration endpoint.
type registration struct {
	tokens
	meta map[string]any
}

func (r registration) text(name string) string { s, _ := r.meta[name].(string); return s }

// register sends a registration, from an address whose hour is over.
func (w *world) register(metadata map[string]any) registration {
	w.t.Helper()
	w.advance(7 * time.Minute) // ten an hour
	raw, err := json.Marshal(metadata)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(w.t.Context(), "POST", w.idp+"/oauth/register", strings.NewReader(string(raw)))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	var out registration
	out.Status, _ = w.do(r, &out.meta)
	out.Error, out.Description = out.text("error"), out.text("error_description")
	return out
}

// dynamic registers a client that signs with a key.
func (w *world) dynamic(key *oauthtest.Key, more map[string]any) (*rp, registration) {
	w.t.Helper()
	m := map[string]any{"redirect_uris": []string{callback}, "client_name": "Dynamic", "grant_types": []string{"authorization_code", "refresh_token"}}
	if key != nil {
		m["token_endpoint_auth_method"], m["jwks"] = "private_key_jwt", json.RawMessage(key.JWKS())
	}
	maps.Copy(m, more)
	r := w.register(m)
	if r.Status != 201 {
		w.t.Fatalf("registration: %d %v", r.Status, r.meta)
	}
	return &rp{w: w, id: r.text("client_id"), secret: r.text("client_secret"), uri: callback, scopes: "openid"}, r
}

// verified returns the claims of a JWT whose signature with alg is by a key that
// is published; a foreign library looks.
func (w *world) verified(token, alg string) map[string]any {
	w.t.Helper()
	var set jose.JSONWebKeySet
	w.get(w.idp+"/oauth/jwks", &set)
	var claims map[string]any
	sig, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err == nil {
		var raw []byte
		if raw, err = sig.Verify(set); err == nil {
			err = json.Unmarshal(raw, &claims)
		}
	}
	if err != nil {
		w.t.Fatalf("%s: %v", alg, err)
	}
	return claims
}

// signed is a token request of a client that signs.
func (c *rp) signed(key *oauthtest.Key, pairs ...string) tokens {
	c.w.t.Helper()
	return c.token(form(append([]string{
		"client_assertion_type", oauth.AssertionType, "client_assertion", key.Assertion(c.id, c.w.idp, c.w.now()),
	}, pairs...)...))
}

// asked returns the page on which ada, who is signed in, is asked about c.
func (w *world) asked(c *rp) page {
	w.t.Helper()
	p := w.browser.open(c.url("prompt", "consent"))
	if strings.Contains(p.body, `name="password"`) {
		p = w.browser.login(p)
	}
	return p.has(w.t, 200, `value="allow"`)
}

// linked asserts that the registration keeps an address and that people are
// asked with a link to it, and how to reach the client's makers.
func linked(name, value string) func(w *world) {
	return func(w *world) {
		c, r := w.dynamic(nil, map[string]any{name: value, "contacts": []string{"<b>ada@rp.test"}})
		if r.text(name) != value {
			w.t.Errorf("%s is %v", name, r.meta[name])
		}
		w.asked(c).has(w.t, 200, `<a href="`+value+`" rel="noreferrer">`, "<bdi>&lt;b&gt;ada@rp.test</bdi>")
		w.want("a script", w.register(map[string]any{"redirect_uris": []string{callback}, name: "javascript:alert(1)"}).tokens, 400, "invalid_client_metadata")
		c.signIn()
	}
}

func dynamicPlan() []module {
	ours := func(redirect string) func(w *world) *rp {
		return func(w *world) *rp {
			c, _ := w.dynamic(nil, map[string]any{"redirect_uris": []string{redirect}})
			return c
		}
	}
	return []module{
		{name: "ServerTest", test: func(w *world) {
			c, r := w.dynamic(nil, nil)
			if !strings.HasPrefix(c.id, "dyn_") || r.meta["client_secret_expires_at"] != 0.0 || r.text("registration_access_token") == "" {
				w.t.Errorf("registration %v", r.meta)
			}
			c.signIn()
		}},
		{name: "IdTokenRS256", test: func(w *world) {
			for asked, alg := range map[string]string{"": "RS256", "RS256": "RS256", "ES256": "ES256", "EdDSA": "EdDSA"} {
				var more map[string]any
				if asked != "" {
					more = map[string]any{"id_token_signed_response_alg": asked}
				}
				c, r := w.dynamic(nil, more)
				got := c.signIn()
				claims := w.verified(got.ID, alg)
				if r.text("id_token_signed_response_alg") != alg || claims["at_hash"] != oauth.ATHash(alg, got.Access) {
					w.t.Errorf("%q: registered %v, claims %v", asked, r.meta, claims)
				}
				if header, _ := w.jwt(got.Access); header["alg"] != "ES256" {
					w.t.Errorf("the access token is signed with %v", header["alg"])
				}
			}
		}},
		{name: "IdTokenUnsigned", why: "asserts the refusal", test: func(w *world) {
			w.want("none", w.register(map[string]any{"redirect_uris": []string{callback}, "id_token_signed_response_alg": "none"}).tokens, 400, "invalid_client_metadata")
		}},
		{name: "UserInfoRS256", test: func(w *world) {
			for _, alg := range oauth.Algs() {
				c, _ := w.dynamic(nil, map[string]any{"userinfo_signed_response_alg": alg})
				got := c.signIn("scope", "openid email")
				var body string
				status, header := w.get(w.idp+"/oauth/userinfo", &body, bearer(got.Access))
				if status != 200 || header.Get("Content-Type") != "application/jwt" {
					w.t.Fatalf("%s: %d %s", alg, status, header.Get("Content-Type"))
				}
				claims := w.verified(body, alg)
				if claims["iss"] != w.idp || claims["aud"] != c.id || claims["sub"] != w.claims(got.ID)["sub"] || claims["email"] != w.ada.Email {
					w.t.Errorf("%s: claims %v", alg, claims)
				}
				if status := w.me(body); status != 401 {
					w.t.Errorf("%s: signed userinfo opens the API: %d", alg, status)
				}
				if q := c.authorize("id_token_hint", body, "prompt", "none"); q.Get("error") != "invalid_request" {
					w.t.Errorf("%s: signed userinfo as a hint: %v", alg, q)
				}
			}
			w.want("none", w.register(map[string]any{"redirect_uris": []string{callback}, "userinfo_signed_response_alg": "HS256"}).tokens, 400, "invalid_client_metadata")
		}},
		{name: "EnsureRedirectUriInAuthorizationRequest", test: func(w *world) {
			w.refusedPage("none", ours(callback)(w).url("redirect_uri", ""))
		}},
		{name: "RedirectUriQueryOK", test: func(w *world) {
			c := ours(callback + "?foo=bar")(w)
			c.uri = callback + "?foo=bar"
			if q := c.authorize(); q.Get("foo") != "bar" || q.Get("code") == "" {
				w.t.Errorf("answer %v", q)
			}
		}},
		{name: "RedirectUriQueryMismatch", test: func(w *world) {
			w.refusedPage("another query", ours(callback+"?foo=bar")(w).url("redirect_uri", callback+"?bar=foo"))
		}},
		{name: "RedirectUriQueryAdded", test: func(w *world) {
			w.refusedPage("a query", ours(callback)(w).url("redirect_uri", callback+"?foo=bar"))
		}},
		{name: "RedirectUriRegFrag", test: func(w *world) {
			w.want("a fragment", w.register(map[string]any{"redirect_uris": []string{callback + "#frag"}}).tokens, 400, "invalid_redirect_uri")
		}},
		{name: "RegistrationLogoUri", why: "shown once an administrator has vouched for the client", test: func(w *world) {
			const picture = `/logo" alt="">`
			c, r := w.dynamic(nil, map[string]any{"logo_uri": "https://rp.test/logo.png"})
			p := w.asked(c)
			if r.text("logo_uri") != "https://rp.test/logo.png" || strings.Contains(p.body, picture) {
				w.t.Errorf("registered %v; before it is verified the page is %s", r.meta, p.body)
			}
			if got := w.browser.open(p.url.String() + "/logo"); got.status != 404 {
				w.t.Errorf("its picture before: %d", got.status)
			}
			admin, err := w.core.ClientAdmin(w.t.Context())
			if err == nil {
				_, err = admin.Verify(w.t.Context(), c.id, true, because)
			}
			if p := w.asked(c); err != nil || !strings.Contains(p.body, picture) {
				w.t.Errorf("once it is verified the page is %s (%v)", p.body, err)
			}
		}},
		{name: "RegistrationPolicyUri", test: linked("policy_uri", "https://rp.test/policy")},
		{name: "RegistrationTosUri", test: linked("tos_uri", "https://rp.test/terms")},
		{name: "RegistrationJwksUri", test: func(w *world) {
			r := w.register(map[string]any{"redirect_uris": []string{callback}, "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://rp.test/keys"})
			if r.Status != 201 || r.text("jwks_uri") != "https://rp.test/keys" {
				w.t.Errorf("%d %v", r.Status, r.meta)
			}
		}},
		{name: "RegistrationSectorUri", why: "subjects are public, so there are no sectors"},
		{name: "RegistrationSectorBad", why: "subjects are public, so there are no sectors"},
		{name: "ServerRotateKeys", test: func(w *world) {
			var before, after struct{ Keys []map[string]any }
			w.get(w.idp+"/oauth/jwks", &before)
			c, _ := w.dynamic(nil, nil)
			got := c.signIn()
			header, _ := w.jwt(got.ID)
			for _, k := range before.Keys {
				if k["kid"] == header["kid"] {
					return
				}
			}
			w.get(w.idp+"/oauth/jwks", &after)
			w.t.Errorf("the key %v is not published", header["kid"])
		}, why: "the schedule itself is tested in identity/keys"},
		{name: "RefreshTokenRPKeyRotation", test: func(w *world) {
			key, next := oauthtest.NewKey(w.t, "ES256"), oauthtest.NewKey(w.t, "ES256")
			c, r := w.dynamic(key, nil)
			got := c.signed(key, "grant_type", "authorization_code", "code", c.code("scope", "openid offline_access"), "code_verifier", verifier)
			if got.Status != 200 {
				w.t.Fatalf("%+v", got)
			}
			m := map[string]any{
				"client_id": c.id, "redirect_uris": []string{callback}, "grant_types": []string{"authorization_code", "refresh_token"},
				"token_endpoint_auth_method": "private_key_jwt", "jwks": json.RawMessage(next.JWKS()),
			}
			raw, _ := json.Marshal(m)
			req, _ := http.NewRequestWithContext(w.t.Context(), "PUT", r.text("registration_client_uri"), strings.NewReader(string(raw)))
			req.Header.Set("Content-Type", "application/json")
			if status, _ := w.do(req, nil, bearer(r.text("registration_access_token"))); status != 200 {
				w.t.Fatalf("change of the keys: %d", status)
			}
			w.want("the old key", c.signed(key, "grant_type", "refresh_token", "refresh_token", got.Refresh), 401, "invalid_client")
			if again := c.signed(next, "grant_type", "refresh_token", "refresh_token", got.Refresh); again.Status != 200 {
				w.t.Errorf("the new key: %+v", again)
			}
		}},
		{name: "RequestUriUnsigned", why: "asserts the refusal", test: func(w *world) {
			w.refusedPage("an address", ours(callback)(w).url("request_uri", "https://rp.test/request"))
		}},
		{name: "RequestUriSignedRS256", why: "asserts the refusal", test: func(w *world) {
			w.refusedPage("an address", ours(callback)(w).url("request_uri", "https://rp.test/request.jwt"))
		}},
		{name: "EnsureRequestObjectWithRedirectUri", test: func(w *world) {
			key := oauthtest.NewKey(w.t, "ES256")
			c, _ := w.dynamic(key, nil)
			if q := w.browser.answer(w.idp + "/oauth/authorize?" + url.Values{"client_id": {c.id}, "request": {c.object(key)}}.Encode()); q.Get("code") == "" {
				w.t.Errorf("answer %v", q)
			}
			w.refusedPage("another URI in it", w.idp+"/oauth/authorize?"+url.Values{
				"client_id": {c.id}, "redirect_uri": {callback}, "request": {c.object(key, oauthtest.With("redirect_uri", "https://evil.test/"))},
			}.Encode())
		}},
		{name: "RefreshToken", test: func(w *world) {
			c, _ := w.dynamic(nil, nil)
			if got := c.refresh(c.signIn("scope", "openid offline_access").Refresh); got.Status != 200 {
				w.t.Errorf("%+v", got)
			}
		}},
		{name: "EnsureClientAssertionWithIssAudSucceeds", test: func(w *world) {
			key := oauthtest.NewKey(w.t, "PS256")
			c, _ := w.dynamic(key, nil)
			if got := c.signed(key, "grant_type", "authorization_code", "code", c.code(), "code_verifier", verifier); got.Status != 200 {
				w.t.Errorf("%+v", got)
			}
		}},
	}
}

// object is a signed request with the parameters of request.
func (c *rp) object(key *oauthtest.Key, change ...func(h, claims oauthtest.Claims)) string {
	claims := oauthtest.Claims{"iss": c.id, "aud": c.w.idp, "exp": c.w.now().Add(time.Minute).Unix(), "nbf": c.w.now().Unix()}
	for name := range c.request() {
		claims[name] = c.request().Get(name)
	}
	header := oauthtest.Claims{"typ": "oauth-authz-req+jwt"}
	for _, f := range change {
		f(header, claims)
	}
	return key.Sign(header, claims)
}

const bye = "https://rp.test/bye"

func leaver(w *world) *rp {
	return w.web(func(c *client.Client) { c.PostLogoutRedirectURIs = []string{bye, bye + "?x=1"} })
}

// leave opens the sign-out endpoint in ada's browser.
func (w *world) leave(pairs ...string) page {
	w.t.Helper()
	return w.browser.open(w.idp + "/oauth/end-session?" + form(pairs...).Encode())
}

// signedIn reports whether ada is, in her browser.
func (w *world) signedIn() bool {
	return w.web().authorize("prompt", "none").Get("error") != "login_required"
}

// asks asserts that the user is asked and nothing has happened.
func asks(pairs func(c *rp, t tokens) []string) func(w *world) {
	return func(w *world) {
		c := leaver(w)
		got := c.signIn()
		p := w.leave(pairs(c, got)...)
		if p.location != nil || p.status != 200 || !strings.Contains(p.body, "/oauth/end-session/confirm") || !w.signedIn() {
			w.t.Errorf("%d %v %s; want a question", p.status, p.location, p.body)
		}
	}
}

func logoutPlan() []module {
	return []module{
		{name: "DiscoveryEndpointVerification", test: func(w *world) {
			if w.meta["end_session_endpoint"] != w.idp+"/oauth/end-session" {
				w.t.Errorf("metadata %v", w.meta)
			}
		}},
		{name: "RpInitiatedLogout", test: func(w *world) {
			c := leaver(w)
			got := c.signIn()
			p := w.leave("id_token_hint", got.ID, "post_logout_redirect_uri", bye, "state", "s")
			if p.location == nil || p.location.String() != bye+"?state=s" || w.signedIn() {
				w.t.Errorf("%d %v", p.status, p.location)
			}
		}},
		{name: "RpInitiatedLogoutBadLogoutRedirectUri", test: func(w *world) {
			got := leaver(w).signIn()
			if p := w.leave("id_token_hint", got.ID, "post_logout_redirect_uri", "https://evil.test/"); p.location != nil {
				w.t.Errorf("sent to %v", p.location)
			}
		}},
		{name: "RpInitiatedLogoutModifiedIdTokenHint", test: asks(func(_ *rp, t tokens) []string {
			parts := strings.Split(t.ID, ".")
			return []string{"id_token_hint", parts[0] + "." + parts[1][:len(parts[1])-4] + "AAAA." + parts[2], "post_logout_redirect_uri", bye}
		})},
		{name: "RpInitiatedLogoutBadIdTokenHint", test: asks(func(*rp, tokens) []string {
			return []string{"id_token_hint", "bad", "post_logout_redirect_uri", bye}
		})},
		{name: "RpInitiatedLogoutNoIdTokenHint", test: asks(func(*rp, tokens) []string { return []string{"post_logout_redirect_uri", bye, "state", "s"} })},
		{name: "RpInitiatedLogoutNoParams", test: asks(func(*rp, tokens) []string { return nil })},
		{name: "RpInitiatedLogoutNoPostLogoutRedirectUri", test: func(w *world) {
			got := leaver(w).signIn()
			if p := w.leave("id_token_hint", got.ID, "state", "s"); p.location != nil || p.status != 200 || w.signedIn() {
				w.t.Errorf("%d %v", p.status, p.location)
			}
		}},
		{name: "RpInitiatedLogoutNoState", test: func(w *world) {
			got := leaver(w).signIn()
			if p := w.leave("id_token_hint", got.ID, "post_logout_redirect_uri", bye); p.location == nil || p.location.String() != bye {
				w.t.Errorf("%d %v", p.status, p.location)
			}
		}},
		{name: "RpInitiatedLogoutOnlyState", test: asks(func(*rp, tokens) []string { return []string{"state", "s"} })},
		{name: "RpInitiatedLogoutQueryAddedToLogoutRedirectUri", test: func(w *world) {
			got := leaver(w).signIn()
			if p := w.leave("id_token_hint", got.ID, "post_logout_redirect_uri", bye+"?foo=bar"); p.location != nil {
				w.t.Errorf("sent to %v", p.location)
			}
		}},
	}
}

// receiver takes logout tokens.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	tokens []string // guarded by mu
	hang   chan struct{}
	fail   int // guarded by mu: how many are answered with 500
}

func receive(t testing.TB) *receiver {
	r := &receiver{hang: make(chan struct{})}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		v, _ := url.ParseQuery(string(body))
		if req.URL.Path == "/hang" {
			<-r.hang
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.fail > 0 {
			r.fail--
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		r.tokens = append(r.tokens, v.Get("logout_token"))
	}))
	t.Cleanup(r.Close)
	t.Cleanup(func() { close(r.hang) })
	return r
}

// one waits for a logout token.
func (r *receiver) one(w *world) string {
	w.t.Helper()
	for range 1000 {
		r.mu.Lock()
		n := len(r.tokens)
		r.mu.Unlock()
		if n > 0 {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.tokens[0]
		}
		select {
		case <-w.t.Context().Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
	w.t.Fatal("no logout token came")
	return ""
}

func backchannelPlan() []module {
	return []module{
		{name: "DiscoveryEndpointVerification", test: func(w *world) {
			if w.meta["backchannel_logout_supported"] != true || w.meta["backchannel_logout_session_supported"] != true {
				w.t.Errorf("metadata %v", w.meta)
			}
		}},
		{name: "BackChannelRpInitiatedLogout", test: backchannel},
	}
}

// O45 and the module: clients are told of a sign-out, whoever else does not
// answer.
func backchannel(w *world) {
	good, stuck := receive(w.t), receive(w.t)
	c := w.web(func(c *client.Client) {
		c.BackchannelLogoutURI = strings.Replace(good.URL, "127.0.0.1", "localhost", 1) + "/logout"
	})
	slow := w.web(func(c *client.Client) { c.BackchannelLogoutURI = stuck.URL + "/hang" })
	slow.signIn()
	got := c.signIn()
	c.signIn("prompt", "none") // is told once all the same
	began := time.Now()
	if p := w.leave("id_token_hint", got.ID); p.status != 200 {
		w.t.Fatalf("%d %s", p.status, p.body)
	}
	if took := time.Since(began); took > 8*time.Second {
		w.t.Errorf("the sign-out took %s: it waits for its receivers", took)
	}
	header, claims := w.jwt(good.one(w))
	events, _ := claims["events"].(map[string]any)
	if header["typ"] != "logout+jwt" || header["alg"] != "ES256" || claims["iss"] != w.idp || claims["aud"] != c.id || claims["sub"] != w.ada.ID ||
		claims["sid"] != w.claims(got.ID)["sid"] || claims["jti"] == nil || claims["exp"] == nil || claims["nonce"] != nil ||
		events["http://schemas.openid.net/event/backchannel-logout"] == nil {
		w.t.Errorf("logout token %v %v", header, claims)
	}
	if status := w.me(good.one(w)); status != 401 {
		w.t.Errorf("a logout token opens %d", status)
	}
}

func TestSec_O45(t *testing.T) { run(t, backchannel) }
