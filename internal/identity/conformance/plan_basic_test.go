package conformance_test

import (
	"net/url"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/identity/client"
)

// basic is a confidential client as the Basic plan has one: it sends no code
// challenge.
func (w *world) basic(change ...func(*client.Client)) *rp {
	w.t.Helper()
	c := w.web(append([]func(*client.Client){func(c *client.Client) { c.NoPKCE = true }}, change...)...)
	c.plain = true
	return c
}

func (w *world) userinfo(method, token string, inBody bool) (int, map[string]any) {
	w.t.Helper()
	var out map[string]any
	var status int
	switch {
	case inBody:
		status, _ = w.post(w.idp+"/oauth/userinfo", form("access_token", token), &out)
	case method == "POST":
		status, _ = w.post(w.idp+"/oauth/userinfo", nil, &out, bearer(token))
	default:
		status, _ = w.get(w.idp+"/oauth/userinfo", &out, bearer(token))
	}
	return status, out
}

// flow is the happy path with a check of the claims.
func flow(pairs ...string) func(w *world) {
	return func(w *world) {
		got := w.basic().signIn(pairs...)
		claims := w.claims(got.ID)
		if claims["iss"] != w.idp || claims["sub"] != w.ada.ID || claims["nonce"] != "n-1" {
			w.t.Errorf("ID token %v", claims)
		}
	}
}

// scopeModule asserts that the scope gives userinfo these claims.
func scopeModule(scope string, names ...string) func(w *world) {
	return func(w *world) {
		got := w.basic().signIn("scope", scope)
		status, info := w.userinfo("GET", got.Access, false)
		if status != 200 || info["sub"] != w.ada.ID {
			w.t.Fatalf("%d %v", status, info)
		}
		for _, name := range names {
			if info[name] == nil {
				w.t.Errorf("userinfo lacks %s: %v", name, info)
			}
		}
	}
}

// refused asserts that a request is answered with the error.
func refusedWith(code string, pairs ...string) func(w *world) {
	return func(w *world) {
		if q := w.basic().authorize(pairs...); q.Get("error") != code || q.Get("code") != "" || q.Get("state") != "st-1" {
			w.t.Errorf("answer %v, want %s", q, code)
		}
	}
}

func authTime(w *world, t tokens) float64 {
	at, _ := w.claims(t.ID)["auth_time"].(float64)
	return at
}

const fresh = 2 * time.Second

func basicPlan() []module {
	return []module{
		{name: "DiscoveryEndpointVerification", test: func(w *world) {
			for _, name := range []string{
				"issuer", "authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "scopes_supported", "response_types_supported",
				"subject_types_supported", "id_token_signing_alg_values_supported", "claims_supported",
			} {
				if w.meta[name] == nil {
					w.t.Errorf("the metadata lack %s", name)
				}
			}
			if w.meta["issuer"] != w.idp || w.meta["claims_parameter_supported"] != true || w.meta["request_uri_parameter_supported"] != false {
				w.t.Errorf("metadata %v", w.meta)
			}
			var other map[string]any
			w.get(w.idp+"/.well-known/oauth-authorization-server", &other)
			if len(other) != len(w.meta) {
				w.t.Error("the two documents differ")
			}
		}},
		{name: "ServerTest", test: flow()},
		{name: "ResponseTypeMissing", test: refusedWith("invalid_request", "response_type", "")},
		{name: "IdTokenSignature", why: "with ES256; RS256 is not offered", test: func(w *world) {
			header, _ := w.jwt(w.basic().signIn().ID)
			if header["alg"] != "ES256" || header["kid"] == nil {
				w.t.Errorf("header %v", header)
			}
		}},
		{name: "IdTokenUnsigned", why: "asserts the refusal", test: func(w *world) {
			w.want("registration", w.register(map[string]any{"redirect_uris": []string{callback}, "id_token_signed_response_alg": "none"}).tokens, 400, "invalid_client_metadata")
		}},
		{name: "UserInfoGet", test: userinfoModule("GET", false)},
		{name: "UserInfoPostHeader", test: userinfoModule("POST", false)},
		{name: "UserInfoPostBody", test: userinfoModule("POST", true)},
		{name: "EnsureRequestWithoutNonceSucceedsForCodeFlow", test: func(w *world) {
			if nonce := w.claims(w.basic().signIn("nonce", "").ID)["nonce"]; nonce != nil {
				w.t.Errorf("nonce %v", nonce)
			}
		}},
		{name: "ScopeProfile", test: scopeModule("openid profile", "preferred_username")},
		{name: "ScopeEmail", test: scopeModule("openid email", "email", "email_verified")},
		{name: "ScopeAddress", why: "users give no address yet, so there is no claim", test: scopeModule("openid address")},
		{name: "ScopePhone", why: "users give no number yet, so there is no claim", test: scopeModule("openid phone")},
		{name: "ScopeAll", test: scopeModule("openid profile email address phone", "email", "preferred_username")},
		{name: "AlternateHappyFlow", test: flow("scope", "openid email", "display", "page", "ui_locales", "de en")},
		{name: "DisplayPage", test: flow("display", "page")},
		{name: "DisplayPopup", test: flow("display", "popup")},
		{name: "PromptLogin", test: func(w *world) {
			c := w.basic()
			first := c.signIn()
			w.advance(fresh)
			if again := c.signIn("prompt", "login"); authTime(w, again) <= authTime(w, first) {
				w.t.Error("nobody signed in again")
			}
		}},
		{name: "PromptNoneNotLoggedIn", test: func(w *world) {
			p := w.newBrowser().open(w.basic().url("prompt", "none"))
			if p.location == nil || p.location.Query().Get("error") != "login_required" {
				w.t.Errorf("%d %v", p.status, p.location)
			}
		}},
		{name: "PromptNoneLoggedIn", test: func(w *world) {
			c := w.basic()
			first := c.signIn()
			if again := c.signIn("prompt", "none"); authTime(w, again) != authTime(w, first) {
				w.t.Error("the sign-in is another one")
			}
		}},
		{name: "MaxAge1", test: func(w *world) {
			c := w.basic()
			first := c.signIn()
			w.advance(fresh)
			if again := c.signIn("max_age", "1"); authTime(w, again) <= authTime(w, first) {
				w.t.Error("nobody signed in again")
			}
		}},
		{name: "MaxAge10000", test: func(w *world) {
			c := w.basic()
			first := c.signIn()
			w.advance(fresh)
			if again := c.signIn("max_age", "10000"); authTime(w, again) != authTime(w, first) {
				w.t.Error("the user had to sign in again")
			}
		}},
		{name: "EnsureRequestWithUnknownParameterSucceeds", test: flow("extra", "foobar")},
		{name: "IdTokenHint", test: func(w *world) {
			c := w.basic()
			first := c.signIn()
			if again := c.signIn("prompt", "none", "id_token_hint", first.ID); w.claims(again.ID)["sub"] != w.ada.ID {
				w.t.Error("another user")
			}
		}},
		{name: "LoginHint", test: func(w *world) { flow("login_hint", w.ada.Email)(w) }},
		{name: "UiLocales", test: flow("ui_locales", "se")},
		{name: "ClaimsLocales", test: flow("claims_locales", "se")},
		{name: "EnsureRequestWithAcrValuesSucceeds", test: flow("acr_values", "1 2")},
		{name: "AuthCodeReuse", test: reuseModule(0)},
		{name: "AuthCodeReuseAfter30Seconds", test: reuseModule(31 * time.Second)},
		{name: "EnsureRegisteredRedirectUri", test: func(w *world) {
			w.refusedPage("another", w.basic().url("redirect_uri", "https://rp.test/other"))
		}},
		{name: "EnsurePostRequestSucceeds", test: func(w *world) {
			c := w.basic()
			p := w.browser.finish(w.browser.send(w.idp+"/oauth/authorize", c.request()))
			if p.location == nil || p.location.Query().Get("code") == "" {
				w.t.Errorf("%d %s", p.status, p.body)
			}
		}},
		{name: "ServerTestClientSecretPost", test: func(w *world) {
			c := w.basic(func(c *client.Client) { c.AuthMethod = client.AuthPost })
			v := form("grant_type", "authorization_code", "code", c.code(), "redirect_uri", c.uri, "client_id", c.id, "client_secret", c.secret)
			c.secret = ""
			if got := c.token(v); got.Status != 200 {
				w.t.Errorf("%+v", got)
			}
		}},
		{name: "UnsignedRequestObject", why: "asserts the refusal", test: func(w *world) {
			w.refusedPage("alg none", w.basic().url("request", "eyJhbGciOiJub25lIn0.e30."))
		}},
		{name: "RequestUriUnsigned", why: "asserts the refusal", test: func(w *world) {
			w.refusedPage("an address", w.basic().url("request_uri", "https://rp.test/request"))
		}},
		{name: "ClaimsEssential", test: func(w *world) {
			got := w.basic().signIn("claims", `{"userinfo":{"email":{"essential":true}},"id_token":{"email_verified":null,"unknown":null}}`)
			_, info := w.userinfo("GET", got.Access, false)
			if claims := w.claims(got.ID); info["email"] == nil || claims["email_verified"] != true || claims["email"] != nil {
				w.t.Errorf("userinfo %v, ID token %v", info, claims)
			}
		}},
		{name: "EnsureRequestObjectWithRedirectUri", why: "asserts the refusal of an unsigned one", test: func(w *world) {
			w.refusedPage("alg none", w.basic().url("request", "eyJhbGciOiJub25lIn0.eyJyZWRpcmVjdF91cmkiOiJodHRwczovL3JwLnRlc3QvY2FsbGJhY2sifQ.", "redirect_uri", ""))
		}},
		{name: "RefreshToken", test: refreshModule},
		{name: "EnsureRequestWithValidPkceSucceeds", test: func(w *world) {
			c := w.basic()
			c.plain = false
			if got := c.signIn(); got.Status != 200 {
				w.t.Errorf("%+v", got)
			}
		}},
	}
}

func userinfoModule(method string, inBody bool) func(w *world) {
	return func(w *world) {
		got := w.basic().signIn("scope", "openid email")
		status, info := w.userinfo(method, got.Access, inBody)
		if status != 200 || info["sub"] != w.claims(got.ID)["sub"] || info["email"] != w.ada.Email {
			w.t.Errorf("%d %v", status, info)
		}
	}
}

func reuseModule(pause time.Duration) func(w *world) {
	return func(w *world) {
		c := w.basic()
		code := c.code()
		first := c.exchange(code)
		w.advance(pause + time.Second)
		w.want("the second use", c.exchange(code), 400, "invalid_grant")
		if status, _ := w.userinfo("GET", first.Access, false); status != 401 {
			w.t.Errorf("the first access token opens %d", status)
		}
	}
}

func refreshModule(w *world) {
	c, other := w.basic(), w.basic()
	got := c.signIn("scope", "openid offline_access")
	w.want("another client", other.refresh(got.Refresh), 400, "invalid_grant")
	next := c.refresh(got.Refresh)
	if next.Status != 200 || next.Access == got.Access || w.claims(next.ID)["sub"] != w.ada.ID || authTime(w, next) != authTime(w, got) {
		w.t.Errorf("%+v", next)
	}
}

// formPostPlan is the parts of the Basic plan that the response mode can touch.
func formPostPlan() []module {
	form := func(w *world, pairs ...string) url.Values {
		w.t.Helper()
		c := w.basic()
		p := w.browser.finish(w.browser.open(c.url(append([]string{"response_mode", "form_post"}, pairs...)...)))
		if p.location != nil || p.status != 200 || !strings.Contains(p.body, `<form method="post" action="`+callback+`"`) || !strings.Contains(p.body, "<script") {
			w.t.Fatalf("%d %v %s", p.status, p.location, p.body)
		}
		if csp := p.header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https:") || !strings.Contains(csp, "script-src 'nonce-") {
			w.t.Errorf("policy %s", csp)
		}
		v := url.Values{}
		for _, h := range hiddenInput.FindAllStringSubmatch(p.body, -1) {
			v.Set(h[1], strings.ReplaceAll(h[2], "&#43;", "+"))
		}
		if v.Get("code") != "" {
			if got := c.exchange(v.Get("code")); got.Status != 200 {
				w.t.Errorf("exchange %+v", got)
			}
		}
		return v
	}
	good := func(pairs ...string) func(w *world) {
		return func(w *world) {
			if v := form(w, pairs...); v.Get("code") == "" || v.Get("state") != "st-1" || v.Get("iss") != w.idp {
				w.t.Errorf("form %v", v)
			}
		}
	}
	bad := func(code string, pairs ...string) func(w *world) {
		return func(w *world) {
			if v := form(w, pairs...); v.Get("error") != code || v.Get("state") != "st-1" || v.Get("iss") != w.idp {
				w.t.Errorf("form %v", v)
			}
		}
	}
	return []module{
		{name: "ServerTest", test: good()},
		{name: "ResponseTypeMissing", test: bad("invalid_request", "response_type", "")},
		{name: "ScopeEmail", test: good("scope", "openid email")},
		{name: "DisplayPopup", test: good("display", "popup")},
		{name: "PromptLogin", test: good("prompt", "login")},
		{name: "PromptNoneLoggedIn", why: "without a consent: consent_required", test: bad("consent_required", "prompt", "none")},
		{name: "MaxAge10000", test: good("max_age", "10000")},
		{name: "EnsureRequestWithUnknownParameterSucceeds", test: good("extra", "x")},
		{name: "EnsureRegisteredRedirectUri", test: func(w *world) {
			w.refusedPage("another", w.basic().url("response_mode", "form_post", "redirect_uri", "https://rp.test/other"))
		}},
		{name: "InvalidScope", why: "ours: an error answer", test: bad("invalid_scope", "scope", "everything")},
	}
}
