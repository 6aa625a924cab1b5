package conformance_test

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/identity/oauth/oauthtest"
)

type change = func(header, claims oauthtest.Claims)

// fapi is a client of the strict profile with its two keys.
type fapi struct {
	*rp
	key, dpop *oauthtest.Key
}

func (w *world) fapi(edit ...func(*client.Client)) *fapi {
	w.t.Helper()
	f := &fapi{key: oauthtest.NewKey(w.t, "ES256"), dpop: oauthtest.NewKey(w.t, "ES256")}
	f.rp = w.web(append([]func(*client.Client){func(c *client.Client) {
		c.AuthMethod, c.JWKS, c.Strict, c.RequirePAR, c.RequireDPoP, c.NoNonce = client.AuthKey, f.key.JWKS(), true, true, true, true
	}}, edit...)...)
	return f
}

// assertion adds a client assertion to v.
func (f *fapi) assertion(v url.Values, changes ...change) url.Values {
	v.Set("client_assertion_type", oauth.AssertionType)
	v.Set("client_assertion", f.key.Assertion(f.id, f.w.idp, f.w.now(), changes...))
	return v
}

func dpop(proof string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("DPoP", proof) }
}

// proof is one for a path of the issuer.
func (f *fapi) proof(path string, changes ...change) func(*http.Request) {
	return dpop(f.dpop.Proof("POST", f.w.idp+path, "", f.w.now(), changes...))
}

// pushed is the answer of the PAR endpoint.
type pushed struct {
	tokens
	URI string `json:"request_uri"`
}

func (f *fapi) push(v url.Values, edit ...func(*http.Request)) pushed {
	f.w.t.Helper()
	var out pushed
	out.Status, out.Header = f.w.post(f.w.idp+"/oauth/par", v, &out, edit...)
	return out
}

// pushRequest pushes the usual request; pairs change it.
func (f *fapi) pushRequest(pairs ...string) pushed {
	f.w.t.Helper()
	return f.push(f.assertion(f.request(pairs...)))
}

func (f *fapi) visit(uri string) string {
	return f.w.idp + "/oauth/authorize?" + url.Values{"client_id": {f.id}, "request_uri": {uri}}.Encode()
}

// allowed pushes a request and returns the answer in the browser.
func (f *fapi) allowed(pairs ...string) url.Values {
	f.w.t.Helper()
	p := f.pushRequest(pairs...)
	if p.Status != 201 {
		f.w.t.Fatalf("push: %d %s %s", p.Status, p.Error, p.Description)
	}
	return f.w.browser.answer(f.visit(p.URI))
}

func (f *fapi) redeem(code string, edit ...func(*http.Request)) tokens {
	f.w.t.Helper()
	v := form("grant_type", "authorization_code", "code", code, "redirect_uri", f.uri, "code_verifier", verifier)
	return f.token(f.assertion(v), append([]func(*http.Request){f.proof("/oauth/token")}, edit...)...)
}

// flow is the whole flow; pairs change the request.
func (f *fapi) flow(pairs ...string) tokens {
	f.w.t.Helper()
	got := f.redeem(f.allowed(pairs...).Get("code"))
	if got.Status != 200 || got.Type != "DPoP" {
		f.w.t.Fatalf("%d %s %s", got.Status, got.Error, got.Description)
	}
	return got
}

// api calls the Resource API with a token and a proof.
func (f *fapi) api(scheme, token string, changes ...change) int {
	f.w.t.Helper()
	at := f.w.api + "/v1/credits/me"
	status, _ := f.w.get(at, nil, dpop(f.dpop.Proof("GET", at, token, f.w.now(), changes...)),
		func(r *http.Request) { r.Header.Set("Authorization", scheme+" "+token) })
	return status
}

// happy is a flow with these parameters.
func happy(pairs ...string) func(w *world) {
	return func(w *world) { w.fapi().flow(pairs...) }
}

// pushRefused asserts the answer to a push.
func pushRefused(code string, pairs ...string) func(w *world) {
	return func(w *world) { w.want("push", w.fapi().pushRequest(pairs...).tokens, 400, code) }
}

// assertionRefused asserts that a client assertion is refused at PAR.
func assertionRefused(changes ...change) func(w *world) {
	return func(w *world) {
		f := w.fapi()
		w.want("push", f.push(f.assertion(f.request(), changes...)).tokens, 401, "invalid_client")
	}
}

func fapiPlan() []module {
	with, header := oauthtest.With, oauthtest.Header
	ahead := func(d time.Duration, names ...string) func(w *world) change {
		return func(w *world) change {
			return func(_, c oauthtest.Claims) {
				for _, name := range names {
					c[name] = w.now().Add(d).Unix()
				}
			}
		}
	}
	signedPush := func(f *fapi, outside url.Values, changes ...change) pushed {
		v := f.assertion(outside)
		v.Set("request", f.object(f.key, changes...))
		return f.push(v)
	}
	return []module{
		{name: "DiscoveryEndpointVerification", test: func(w *world) {
			for name, want := range map[string]string{
				"pushed_authorization_request_endpoint": "/oauth/par", "token_endpoint": "/oauth/token",
			} {
				if w.meta[name] != w.idp+want {
					w.t.Errorf("%s is %v", name, w.meta[name])
				}
			}
			if list, _ := w.meta["dpop_signing_alg_values_supported"].([]any); len(list) != 3 {
				w.t.Errorf("algorithms %v", list)
			}
		}},
		{name: "HappyFlow", test: func(w *world) {
			f := w.fapi()
			got := f.flow("scope", "openid offline_access credits.read")
			if status := f.api("DPoP", got.Access); status != 200 {
				w.t.Errorf("the API answers %d", status)
			}
		}},
		{name: "UserRejectsAuthentication", test: func(w *world) {
			f := w.fapi()
			p := w.browser.open(f.visit(f.pushRequest().URI))
			if strings.Contains(p.body, `name="password"`) {
				p = w.browser.submit(p, "name", w.ada.Email, "password", password)
			}
			p = w.browser.submit(p, "decision", "cancel")
			if p.location == nil || p.location.Query().Get("error") != "access_denied" {
				w.t.Errorf("%d %v", p.status, p.location)
			}
		}},
		{name: "EnsureAuthorizationRequestWithoutStateSuccess", test: func(w *world) {
			if q := w.fapi().allowed("state", ""); q.Get("code") == "" || q.Has("state") {
				w.t.Errorf("answer %v", q)
			}
		}},
		{name: "EnsureAuthorizationRequestWithoutNonceSuccess", test: happy("nonce", "")},
		{name: "EnsureAuthorizationRequestWith64CharNonceSuccess", test: func(w *world) {
			nonce := strings.Repeat("n", 64)
			if got := w.claims(w.fapi().flow("nonce", nonce).ID)["nonce"]; got != nonce {
				w.t.Errorf("nonce %v", got)
			}
		}},
		{name: "EnsureAuthorizationRequestWithLongNonce", test: happy("nonce", strings.Repeat("n", 1000))},
		{name: "EnsureAuthorizationRequestWithLongState", test: func(w *world) {
			state := strings.Repeat("s", 1000)
			if q := w.fapi().allowed("state", state); q.Get("state") != state {
				w.t.Errorf("answer %v", q)
			}
		}},
		{name: "EnsureOtherScopeOrderSucceeds", test: happy("scope", "email openid")},
		{name: "TestClaimsParameterIdentityClaims", test: func(w *world) {
			got := w.fapi().flow("claims", `{"id_token":{"email":{"essential":true}}}`)
			if w.claims(got.ID)["email"] != w.ada.Email {
				w.t.Errorf("ID token %v", w.claims(got.ID))
			}
		}},
		{name: "TestEssentialAcrScaClaim", why: "a class that we do not know cannot be met: unmet_authentication_requirements", test: func(w *world) {
			f := w.fapi()
			if q := f.allowed("claims", `{"id_token":{"acr":{"essential":true,"values":["urn:openbanking:psd2:sca"]}}}`); q.Get("error") != "unmet_authentication_requirements" {
				w.t.Errorf("answer %v", q)
			}
			if got := f.flow("claims", `{"id_token":{"acr":{"essential":true,"values":["single"]}}}`); w.claims(got.ID)["acr"] != "single" {
				w.t.Errorf("ID token %v", w.claims(got.ID))
			}
		}},
		{name: "AccessTokenTypeHeaderCaseSensitivity", test: func(w *world) {
			f := w.fapi()
			got := f.flow("scope", "openid credits.read")
			for _, scheme := range []string{"DPoP", "dpop", "DPOP"} {
				if status := f.api(scheme, got.Access); status != 200 {
					w.t.Errorf("%s: %d", scheme, status)
				}
			}
		}},
		{name: "CheckDpopProofNbfExp", test: func(w *world) {
			f := w.fapi()
			v := func() url.Values { return f.assertion(f.request()) }
			w.want("over", f.push(v(), f.proof("/oauth/par", with("exp", w.now().Add(-time.Minute).Unix()))).tokens, 400, "invalid_dpop_proof")
			w.want("not yet", f.push(v(), f.proof("/oauth/par", with("nbf", w.now().Add(5*time.Minute).Unix()))).tokens, 400, "invalid_dpop_proof")
			if got := f.push(v(), f.proof("/oauth/par", with("exp", w.now().Add(time.Minute).Unix()), with("nbf", w.now().Unix()))); got.Status != 201 {
				w.t.Errorf("%+v", got)
			}
		}},
		{name: "DpopNegativeTests", test: func(w *world) {
			f := w.fapi()
			got := f.flow("scope", "openid credits.read")
			for what, c := range map[string]change{
				"typ": header("typ", "JWT"), "no jti": with("jti", nil), "htm": with("htm", "POST"), "htu": with("htu", w.api+"/"), "no ath": with("ath", nil),
				"another ath": with("ath", "x"), "old": with("iat", w.now().Add(-5*time.Minute).Unix()), "alg": header("alg", "none"), "no jwk": header("jwk", nil),
			} {
				if status := f.api("DPoP", got.Access, c); status != 401 {
					w.t.Errorf("%s: %d", what, status)
				}
			}
			if status := f.api("Bearer", got.Access); status != 401 {
				w.t.Errorf("as Bearer: %d", status)
			}
		}},
		{name: "EnsureDpopProofWithIat10SecondsBeforeSucceeds", test: iatModule(-10 * time.Second)},
		{name: "EnsureDpopProofWithIat10SecondsAfterSucceeds", test: iatModule(9 * time.Second), why: "9 seconds, as the two clocks of the test are read one after the other"},
		{name: "EnsureMismatchedDpopJktFails", test: func(w *world) {
			f := w.fapi()
			other := oauthtest.NewKey(w.t, "ES256")
			w.want("push", f.push(f.assertion(f.request("dpop_jkt", other.Thumbprint())), f.proof("/oauth/par")).tokens, 400, "invalid_dpop_proof")
		}},
		{name: "EnsureTokenEndpointFailsWithMismatchedDpopProofJkt", test: func(w *world) {
			f := w.fapi()
			p := f.push(f.assertion(f.request()), f.proof("/oauth/par"))
			code := w.browser.answer(f.visit(p.URI)).Get("code")
			f.dpop = oauthtest.NewKey(w.t, "ES256")
			w.want("token", f.redeem(code), 400, "invalid_grant")
		}},
		{name: "EnsureTokenEndpointFailsWithMismatchedDpopJkt", test: func(w *world) {
			f := w.fapi()
			code := f.allowed("dpop_jkt", oauthtest.NewKey(w.t, "ES256").Thumbprint()).Get("code")
			w.want("token", f.redeem(code), 400, "invalid_grant")
		}},
		{name: "EnsureDpopProofAtParEndpointBindingSuccess", test: func(w *world) {
			f := w.fapi()
			p := f.push(f.assertion(f.request()), f.proof("/oauth/par"))
			if got := f.redeem(w.browser.answer(f.visit(p.URI)).Get("code")); got.Status != 200 {
				w.t.Errorf("%+v", got)
			}
		}},
		{name: "EnsureDpopAuthCodeBindingSuccess", test: func(w *world) {
			f := w.fapi()
			f.flow("dpop_jkt", f.dpop.Thumbprint())
		}},
		{name: "EnsureHolderOfKeyRequired", test: func(w *world) {
			f := w.fapi()
			v := form("grant_type", "authorization_code", "code", f.allowed().Get("code"), "redirect_uri", f.uri, "code_verifier", verifier)
			w.want("token", f.token(f.assertion(v)), 400, "invalid_dpop_proof")
		}},
		{name: "EnsureDifferentNonceInsideAndOutsideRequestObject", test: func(w *world) {
			f := w.fapi()
			p := signedPush(f, f.request("nonce", "outside"))
			got := f.redeem(w.browser.answer(f.visit(p.URI)).Get("code"))
			if w.claims(got.ID)["nonce"] != "n-1" {
				w.t.Errorf("nonce %v", w.claims(got.ID)["nonce"])
			}
		}},
		{name: "EnsureDifferentStateInsideAndOutsideRequestObject", test: func(w *world) {
			f := w.fapi()
			p := signedPush(f, f.request("state", "outside"))
			if q := w.browser.answer(f.visit(p.URI)); q.Get("state") != "st-1" {
				w.t.Errorf("answer %v", q)
			}
		}},
		{name: "StateOnlyOutsideRequestObjectNotUsed", test: func(w *world) {
			f := w.fapi()
			p := signedPush(f, f.request(), with("state", nil))
			if q := w.browser.answer(f.visit(p.URI)); q.Has("state") || q.Get("code") == "" {
				w.t.Errorf("answer %v", q)
			}
		}},
		{name: "EnsureRequestObjectWithoutRedirectUriFails", test: func(w *world) {
			f := w.fapi()
			w.want("push", signedPush(f, f.request(), with("redirect_uri", nil)).tokens, 400, "invalid_request")
		}},
		{name: "EnsureRegisteredRedirectUri", test: pushRefused("invalid_request", "redirect_uri", "https://evil.test/")},
		{name: "TolerateUnregisteredRedirectUri", why: "asserts the refusal", test: pushRefused("invalid_request", "redirect_uri", callback+"/x")},
		{name: "EnsureRedirectUriInAuthorizationRequest", test: pushRefused("invalid_request", "redirect_uri", "")},
		{name: "EnsureUnsignedAuthorizationRequestWithoutUsingParFails", test: func(w *world) {
			if q := w.fapi().authorize(); q.Get("error") != "invalid_request" {
				w.t.Errorf("answer %v", q)
			}
		}},
		{name: "EnsureResponseTypeCodeIdTokenFails", test: pushRefused("unsupported_response_type", "response_type", "code id_token")},
		{name: "EnsureResponseTypeTokenFails", test: pushRefused("unsupported_response_type", "response_type", "token")},
		{name: "EnsureClientIdInTokenEndpoint", test: func(w *world) {
			f, other := w.fapi(), w.fapi()
			v := form("grant_type", "authorization_code", "code", f.allowed().Get("code"), "redirect_uri", f.uri, "code_verifier", verifier, "client_id", other.id)
			w.want("another client_id", f.token(f.assertion(v), f.proof("/oauth/token")), 401, "invalid_client")
		}},
		{name: "EnsureAuthorizationCodeIsBoundToClient", test: func(w *world) {
			w.want("another client", w.fapi().redeem(w.fapi().allowed().Get("code")), 400, "invalid_grant")
		}},
		{name: "AttemptReuseAuthorizationCodeAfterOneSecond", test: func(w *world) {
			f := w.fapi()
			code := f.allowed("scope", "openid credits.read").Get("code")
			got := f.redeem(code)
			w.advance(time.Second)
			w.want("again", f.redeem(code), 400, "invalid_grant")
			if status := f.api("DPoP", got.Access); status != 401 {
				w.t.Errorf("the access token opens %d", status)
			}
		}},
		{name: "AttemptToUseExpiredAuthCode", test: func(w *world) {
			f := w.fapi()
			code := f.allowed().Get("code")
			w.advance(61 * time.Second)
			w.want("after 61 s", f.redeem(code), 400, "invalid_grant")
		}},
		{name: "EnsureClientAssertionInTokenEndpoint", test: func(w *world) {
			f := w.fapi()
			v := form("grant_type", "authorization_code", "code", f.allowed().Get("code"), "redirect_uri", f.uri, "code_verifier", verifier, "client_id", f.id)
			w.want("no assertion", f.token(v, f.proof("/oauth/token")), 401, "invalid_client")
		}},
		{name: "EnsureSignedClientAssertionWithRS256Fails", test: func(w *world) {
			f := w.fapi(func(c *client.Client) {})
			f.key = oauthtest.NewKey(w.t, "RS256")
			g := w.fapi(func(c *client.Client) { c.JWKS = f.key.JWKS() })
			g.key = f.key
			w.want("RS256", g.pushRequest().tokens, 401, "invalid_client")
		}},
		{name: "EnsureClientAssertionWithExpIs5MinutesInPastFails", test: func(w *world) { assertionRefused(ahead(-5*time.Minute, "exp")(w))(w) }},
		{name: "EnsureClientAssertionWithWrongAudFails", test: assertionRefused(with("aud", "https://other.test"))},
		{name: "EnsureClientAssertionWithNoSubFails", test: assertionRefused(with("sub", nil))},
		{name: "RefreshToken", test: func(w *world) {
			f := w.fapi()
			got := f.flow("scope", "openid offline_access")
			for range 2 { // it is kept: the profile forbids rotation
				next := f.token(f.assertion(form("grant_type", "refresh_token", "refresh_token", got.Refresh)), f.proof("/oauth/token"))
				if next.Status != 200 || next.Type != "DPoP" || next.Refresh != "" {
					w.t.Errorf("%+v", next)
				}
			}
			w.want("another client", w.fapi().token(w.fapi().assertion(form("grant_type", "refresh_token", "refresh_token", got.Refresh)), f.proof("/oauth/token")), 400, "invalid_grant")
		}},
		{name: "PARAttemptReuseRequestUri", test: func(w *world) {
			f := w.fapi()
			p := f.pushRequest()
			w.browser.answer(f.visit(p.URI))
			if again := w.browser.open(f.visit(p.URI)); again.status != 400 || again.location != nil {
				w.t.Errorf("%d %v", again.status, again.location)
			}
		}},
		{name: "PARAttemptToUseExpiredRequestUri", test: func(w *world) {
			f := w.fapi()
			p := f.pushRequest()
			w.advance(61 * time.Second)
			w.refusedPage("after 61 s", f.visit(p.URI))
		}},
		{name: "PAREnsureServerAcceptsReusedRequestUriBeforeAuthenticationCompletion", test: func(w *world) {
			f := w.fapi()
			p := f.pushRequest("prompt", "login")
			first, second := w.browser.open(f.visit(p.URI)), w.browser.open(f.visit(p.URI))
			if first.status != 200 || second.status != 200 || first.url.String() != second.url.String() {
				w.t.Errorf("%d %s, then %d %s", first.status, first.url, second.status, second.url)
			}
		}},
		{name: "PAREnsureRequestUriIsBoundToClient", test: func(w *world) {
			f, other := w.fapi(), w.fapi()
			p := f.pushRequest()
			w.refusedPage("another client", other.visit(p.URI))
		}},
		{name: "PARRejectRequestUriInParAuthorizationFormParams", test: pushRefused("invalid_request", "request_uri", "urn:ietf:params:oauth:request_uri:x")},
		{name: "PARRejectInvalidHttpVerb", test: func(w *world) {
			f := w.fapi()
			status, _ := w.get(w.idp+"/oauth/par?"+f.assertion(f.request()).Encode(), new(string))
			if status != http.StatusMethodNotAllowed {
				w.t.Errorf("GET: %d", status)
			}
		}},
		{name: "PAREnsurePKCERequired", test: pushRefused("invalid_request", "code_challenge", "", "code_challenge_method", "")},
		{name: "PAREnsurePKCECodeVerifierRequired", test: func(w *world) {
			f := w.fapi()
			v := form("grant_type", "authorization_code", "code", f.allowed().Get("code"), "redirect_uri", f.uri)
			w.want("no verifier", f.token(f.assertion(v), f.proof("/oauth/token")), 400, "invalid_grant")
		}},
		{name: "PARIncorrectPKCECodeVerifierRejected", test: func(w *world) {
			f := w.fapi()
			v := form("grant_type", "authorization_code", "code", f.allowed().Get("code"), "redirect_uri", f.uri, "code_verifier", strings.Repeat("a", 43))
			w.want("another verifier", f.token(f.assertion(v), f.proof("/oauth/token")), 400, "invalid_grant")
		}},
		{name: "PAREnsurePlainPKCERejected", test: pushRefused("invalid_request", "code_challenge_method", "plain")},
		{name: "ParWithoutDuplicateParameters", test: func(w *world) {
			f := w.fapi()
			v := f.assertion(f.request())
			v.Add("scope", "openid")
			w.want("a doubled parameter", f.push(v).tokens, 400, "invalid_request")
		}},
		{name: "PAREnsureJWTClientAssertionWithIatNbf8SecondsInTheFutureIsAccepted", test: func(w *world) {
			f := w.fapi()
			if p := f.push(f.assertion(f.request(), ahead(8*time.Second, "iat", "nbf")(w))); p.Status != 201 {
				w.t.Errorf("%+v", p)
			}
		}},
		{name: "PAREnsureJWTClientAssertionWithIatNbfOver60SecondsInTheFutureFails", test: func(w *world) {
			assertionRefused(ahead(65*time.Second, "iat", "nbf")(w))(w)
		}},
		{name: "PAREndpointAsAudienceFails", test: func(w *world) { assertionRefused(with("aud", w.idp+"/oauth/par"))(w) }},
		{name: "PAREndpointAsArrayAudienceFails", test: func(w *world) { assertionRefused(with("aud", []string{w.idp + "/oauth/par"}))(w) }},
		{name: "PARTokenEndpointAsAudienceFails", test: func(w *world) { assertionRefused(with("aud", w.idp+"/oauth/token"))(w) }},
		{name: "EnsureServerHandlesNonMatchingIntentId", why: "there are no intents here; it belongs to open banking"},
		{name: "DpopNonce", why: "ours: a client without the exception is given a nonce and must use it", test: func(w *world) {
			f := w.fapi(func(c *client.Client) { c.NoNonce = false })
			got := f.redeem(f.allowed().Get("code"))
			w.want("no nonce", got, 400, "use_dpop_nonce")
			again := f.redeem(f.allowed().Get("code"), f.proof("/oauth/token", with("nonce", got.Header.Get("DPoP-Nonce"))))
			if again.Status != 200 {
				w.t.Errorf("with the nonce: %+v", again)
			}
		}},
		{name: "RequestObjectNegativeTests", why: "ours: RFC 9101 section 10", test: func(w *world) {
			f := w.fapi()
			jti := rand.Text()
			for what, c := range map[string]change{
				"another key": nil, "alg none": header("alg", "none"), "typ": header("typ", "at+jwt"), "iss": with("iss", "other"), "aud": with("aud", "https://other.test"),
				"no exp": with("exp", nil), "over": with("exp", w.now().Add(-2*time.Minute).Unix()), "far ahead": with("exp", w.now().Add(2*time.Hour).Unix()),
				"nbf ahead": with("nbf", w.now().Add(time.Minute).Unix()), "old nbf": with("nbf", w.now().Add(-61*time.Minute).Unix()),
				"another client_id": with("client_id", "other"), "nested": with("request", "x"), "nested uri": with("request_uri", "x"),
			} {
				v := f.assertion(f.request())
				if c == nil {
					v.Set("request", f.object(oauthtest.NewKey(w.t, "ES256")))
				} else {
					v.Set("request", f.object(f.key, c))
				}
				w.want(what, f.push(v).tokens, 400, "invalid_request_object")
			}
			if p := signedPush(f, f.request(), with("jti", jti)); p.Status != 201 {
				w.t.Errorf("with a jti: %+v", p)
			}
			w.want("that jti again", signedPush(f, f.request(), with("jti", jti)).tokens, 400, "invalid_request_object")
		}},
	}
}

func iatModule(d time.Duration) func(w *world) {
	return func(w *world) {
		f := w.fapi()
		got := f.flow("scope", "openid credits.read")
		if status := f.api("DPoP", got.Access, oauthtest.With("iat", w.now().Add(d).Unix())); status != 200 {
			w.t.Errorf("the API answers %d", status)
		}
	}
}
