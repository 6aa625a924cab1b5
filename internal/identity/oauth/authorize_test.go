package oauth_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rephlo/rephlo/internal/identity/oauth"
)

var (
	server  = oauth.Server{Issuer: "https://id.test", Resource: "https://api.test"}
	desktop = oauth.Client{
		ID:           "desktop",
		RedirectURIs: []string{"http://127.0.0.1/cb", "https://app.test/cb", "https://app.test/cb?tenant=1", "ai.rephlo.desktop:/callback"},
		Scopes:       []string{"openid", "profile", "offline_access", "llm.inference"},
	}
	// The example of RFC 7636 appendix B.
	verifier      = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	codeChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// request returns the parameters of a good request with changes: pairs of
// names and values; an empty value removes a parameter.
func request(changes ...string) url.Values {
	v := url.Values{
		"client_id": {"desktop"}, "redirect_uri": {"https://app.test/cb"}, "response_type": {"code"}, "scope": {"openid llm.inference"},
		"code_challenge": {codeChallenge}, "code_challenge_method": {"S256"}, "state": {"s t&a=te"}, "nonce": {"n"},
	}
	for i := 0; i+1 < len(changes); i += 2 {
		v.Set(changes[i], changes[i+1])
		if changes[i+1] == "" {
			v.Del(changes[i])
		}
	}
	return v
}

func TestAuthorizeAcceptsAndStores(t *testing.T) {
	t.Parallel()
	r, err := oauth.ParseAuthorize(request("prompt", "login consent", "max_age", "0", "scope", "openid openid admin what llm.inference",
		"resource", "HTTPS://API.test:443/", "ui_locales", "de en", "claims_locales", "x", "display", "popup"), desktop, server)
	if err != nil {
		t.Fatal(err)
	}
	zero := int64(0)
	want := oauth.AuthorizationRequest{
		ClientID: "desktop", RedirectURI: "https://app.test/cb", State: "s t&a=te", Nonce: "n", Challenge: codeChallenge,
		Scopes: []string{"openid", "llm.inference"}, Resources: []string{"https://api.test"}, Prompt: "login consent",
		UILocales: []string{"de", "en"}, MaxAge: &zero, Popup: true,
	}
	if d := cmp.Diff(want, r, cmp.Transformer("empty", func(s []string) string { return strings.Join(s, " ") })); d != "" {
		t.Error(d)
	}
	stored, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back oauth.AuthorizationRequest
	if err := json.Unmarshal(stored, &back); err != nil || !back.Prompts("consent") || back.MaxAge == nil {
		t.Errorf("stored and read: %+v, %v", back, err)
	}
}

// O1, O2: what is wrong before the redirect URI is known never leaves our page.
func TestAuthorizePageErrors(t *testing.T) {
	t.Parallel()
	twice := func(name string) url.Values {
		v := request()
		v.Add(name, v.Get(name))
		return v
	}
	for name, v := range map[string]url.Values{
		"no client":       request("client_id", ""),
		"foreign client":  request("client_id", "other"),
		"client twice":    twice("client_id"),
		"no redirect":     request("redirect_uri", ""),
		"redirect twice":  twice("redirect_uri"),
		"trailing slash":  request("redirect_uri", "https://app.test/cb/"),
		"more query":      request("redirect_uri", "https://app.test/cb?x=1"),
		"fragment":        request("redirect_uri", "https://app.test/cb#f"),
		"dots":            request("redirect_uri", "https://app.test/x/../cb"),
		"encoded dots":    request("redirect_uri", "https://app.test/x/%2e%2e/cb"),
		"case of host":    request("redirect_uri", "https://APP.test/cb"),
		"user info":       request("redirect_uri", "https://app.test@evil.test/cb"),
		"other port":      request("redirect_uri", "https://app.test:8443/cb"),
		"other loopback":  request("redirect_uri", "http://localhost/cb"),
		"loopback path":   request("redirect_uri", "http://127.0.0.1:9/cb/x"),
		"loopback suffix": request("redirect_uri", "http://127.0.0.1.evil.test/cb"),
		"loopback user":   request("redirect_uri", "http://127.0.0.1:80@evil.test/cb"),
		"loopback query":  request("redirect_uri", "http://127.0.0.1:9/cb?x=1"),
		"loopback https":  request("redirect_uri", "https://127.0.0.1:9/cb"),
		"private scheme":  request("redirect_uri", "ai.rephlo.desktop:/callback/"),
	} {
		_, err := oauth.ParseAuthorize(v, desktop, server)
		if e, ok := errors.AsType[*oauth.Error](err); !ok || !e.Page {
			t.Errorf("%s: %v, want a page error", name, err)
		}
	}
}

func TestAuthorizeRedirectErrors(t *testing.T) {
	t.Parallel()
	twice := func(name string) url.Values {
		v := request()
		v.Add(name, "x")
		return v
	}
	resources := request()
	resources["resource"] = []string{"https://api.test", "https://other.test"}
	for _, tt := range []struct {
		name string
		v    url.Values
		want string
	}{
		{"implicit", request("response_type", "token"), "unsupported_response_type"},
		{"hybrid", request("response_type", "code id_token"), "unsupported_response_type"},
		{"id token", request("response_type", "id_token"), "unsupported_response_type"},
		{"no response type", request("response_type", ""), "invalid_request"},
		{"fragment", request("response_mode", "fragment"), "invalid_request"},
		{"web message", request("response_mode", "web_message"), "invalid_request"},
		{"no challenge", request("code_challenge", "", "code_challenge_method", ""), "invalid_request"},
		{"plain", request("code_challenge_method", "plain"), "invalid_request"},
		{"plain by default", request("code_challenge_method", ""), "invalid_request"},
		{"short challenge", request("code_challenge", codeChallenge[1:]), "invalid_request"},
		{"strange challenge", request("code_challenge", codeChallenge[1:]+"="), "invalid_request"},
		{"no scope", request("scope", ""), "invalid_scope"},
		{"foreign scopes", request("scope", "admin what"), "invalid_scope"},
		{"foreign resource", request("resource", "https://other.test"), "invalid_target"},
		{"wildcard", request("resource", "*"), "invalid_target"},
		{"fragment of resource", request("resource", "https://api.test#x"), "invalid_target"},
		{"path of resource", request("resource", "https://api.test/v1"), "invalid_target"},
		{"one foreign resource", resources, "invalid_target"},
		{"none and login", request("prompt", "none login"), "invalid_request"},
		{"unknown prompt", request("prompt", "maybe"), "invalid_request"},
		{"negative age", request("max_age", "-1"), "invalid_request"},
		{"age in words", request("max_age", "soon"), "invalid_request"},
		{"long state", request("state", strings.Repeat("s", 8<<10)), "invalid_request"},
		{"long nonce", request("nonce", strings.Repeat("n", 2<<10+1)), "invalid_request"},
		{"state twice", twice("state"), "invalid_request"},
		{"scope twice", twice("scope"), "invalid_request"},
		{"request object", request("request", "x.y.z"), "invalid_request"},
		{"request address", request("request_uri", "https://app.test/r"), "request_uri_not_supported"},
		{"registration", request("registration", "{}"), "registration_not_supported"},
	} {
		r, err := oauth.ParseAuthorize(tt.v, desktop, server)
		e, ok := errors.AsType[*oauth.Error](err)
		if !ok || e.Page || e.Code != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
			continue
		}
		u, err := url.Parse(oauth.RedirectError(r, server.Issuer, e))
		if err != nil || u.Host != "app.test" || u.Query().Get("error") != tt.want || u.Query().Get("iss") != server.Issuer {
			t.Errorf("%s: redirected to %s, %v", tt.name, u, err)
		}
	}
}

// O17, O26: the state comes back untouched, next to the registered query and
// the issuer.
func TestRedirectKeepsQueryAndState(t *testing.T) {
	t.Parallel()
	state := strings.Repeat("ä&= ", 400) // 2,000 bytes
	for _, redirect := range desktop.RedirectURIs {
		r, err := oauth.ParseAuthorize(request("redirect_uri", redirect, "state", state), desktop, server)
		if err != nil {
			t.Fatal(err)
		}
		got := oauth.RedirectCode(r, server.Issuer, "c0de")
		u, err := url.Parse(got)
		if err != nil || !strings.HasPrefix(got, redirect) {
			t.Fatalf("%s: %v", got, err)
		}
		q := u.Query()
		if q.Get("state") != state || q.Get("code") != "c0de" || q.Get("iss") != server.Issuer || strings.Contains(redirect, "tenant") != (q.Get("tenant") == "1") {
			t.Errorf("answer %s", got)
		}
	}
}

func TestLoopbackPortMayVary(t *testing.T) {
	t.Parallel()
	registered := []string{"http://127.0.0.1/cb", "http://[::1]:80/cb?a=b", "http://localhost/"}
	for _, tt := range []struct {
		uri  string
		want bool
	}{
		{"http://127.0.0.1:9999/cb", true},
		{"http://127.0.0.1/cb", true},
		{"http://[::1]:65535/cb?a=b", true},
		{"http://[::1]/cb?a=b", true},
		{"http://localhost:1/", true},
		{"http://localhost:1", false},
		{"http://localhost:/", false},
		{"http://localhost:123456/", false},
		{"http://localhost:12x/", false},
		{"http://LOCALHOST:1/", false},
		{"http://[::1]:1/cb", false},
		{"http://127.0.0.1:1/cb#x", false},
		{"http://127.0.0.1:1\\@evil.test/cb", false},
		{"http://127.1:9/cb", false},
	} {
		if got := oauth.MatchRedirect(registered, tt.uri); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.uri, got, tt.want)
		}
	}
}

func TestCheckRedirect(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		uri         string
		native, web bool
	}{
		{"https://app.test/cb", true, true},
		{"https://app.test/cb?x=1", true, true},
		{"http://127.0.0.1/cb", true, false},
		{"http://[::1]:8080/cb", true, false},
		{"ai.rephlo.desktop:/callback", true, false},
		{"http://app.test/cb", false, false},
		{"http://localhost.evil.test/cb", false, false},
		{"rephlo:/callback", false, false},
		{"javascript:alert(1)", false, false},
		{"data:text/html,x", false, false},
		{"file:///etc/passwd", false, false},
		{"https://u:p@app.test/cb", false, false},
		{"https://app.test/cb#f", false, false},
		{"https://*.app.test/cb", false, false},
		{"https://app.test/a/../cb", false, false},
		{"https://app.test/a/%2E%2e/cb", false, false},
		{"https:///cb", false, false},
		{"//app.test/cb", false, false},
		{"", false, false},
	} {
		if n, w := oauth.CheckRedirect(tt.uri, true), oauth.CheckRedirect(tt.uri, false); n != tt.native || w != tt.web {
			t.Errorf("%q: native %t web %t, want %t %t", tt.uri, n, w, tt.native, tt.web)
		}
	}
}

// O3: 43 to 128 unreserved characters, and the right ones.
func TestVerifier(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		verifier string
		want     bool
	}{
		{verifier, true},
		{verifier + "x", false},
		{verifier[1:], false},
		{"", false},
		{codeChallenge, false},
	} {
		if got := oauth.VerifierMatches(codeChallenge, tt.verifier); got != tt.want {
			t.Errorf("%q: %t", tt.verifier, got)
		}
	}
	for _, n := range []int{42, 129} { // their true hashes, but forbidden lengths
		v := strings.Repeat("a", n)
		if oauth.VerifierMatches(hashChallenge(v), v) {
			t.Errorf("a verifier of %d characters matches", n)
		}
	}
	if v := strings.Repeat("a", 43) + "+"; oauth.VerifierMatches(hashChallenge(v), v) {
		t.Error("a verifier with a reserved character matches")
	}
	for _, n := range []int{43, 128} {
		if v := strings.Repeat("~", n); !oauth.VerifierMatches(hashChallenge(v), v) {
			t.Errorf("a verifier of %d characters does not match", n)
		}
	}
}

// A token has one audience and never more scopes than were granted.
func TestAudienceAndScopes(t *testing.T) {
	t.Parallel()
	granted, resources, err := oauth.Resolve([]string{"openid", "profile"}, nil, desktop, server)
	if err != nil || len(resources) != 0 {
		t.Fatalf("resources %v, %v; want none", resources, err)
	}
	if aud, err := oauth.Audience("", resources, server); err != nil || aud != server.Issuer {
		t.Errorf("audience %q, %v; want the issuer", aud, err)
	}
	if _, err := oauth.Audience(server.Resource, resources, server); !errors.Is(err, oauth.ErrInvalidTarget) {
		t.Errorf("a resource that was not authorized: %v", err)
	}
	given := desktop
	for scope, want := range map[string]string{"openid": "https://notes.test", "openid llm.inference": server.Resource} {
		given.Default, given.Others = "https://NOTES.test/", []oauth.Resource{{ID: "https://notes.test", Scopes: []string{"notes"}, Default: []string{"notes"}}}
		_, resources, err := oauth.Resolve(strings.Fields(scope), nil, given, server)
		if err != nil || len(resources) != 1 || resources[0] != want {
			t.Errorf("%s of a client with a default resource: %v, %v; want %s", scope, resources, err, want)
		}
	}
	granted = append(granted, "llm.inference")
	if got := oauth.TokenScopes(granted, server.Issuer, server); len(got) != 2 {
		t.Errorf("scopes at the issuer: %v", got)
	}
	if _, err := oauth.Narrow("openid admin", granted); !errors.Is(err, oauth.ErrInvalidScope) {
		t.Errorf("growing: %v", err)
	}
	if got, err := oauth.Narrow("profile profile", granted); err != nil || len(got) != 1 {
		t.Errorf("narrowed to %v, %v", got, err)
	}
}

func TestParseBasic(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		header, id, secret string
		ok                 bool
	}{
		{"Basic YSUzQWI6YytkJTI1", "a:b", "c d%", true},
		{"basic YTo=", "a", "", true},
		{"Basic OmE=", "", "", false},
		{"Basic YQ==", "", "", false},
		{"Basic %%%", "", "", false},
		{"Basic YTolWA==", "", "", false},
		{"Bearer YTpi", "", "", false},
		{"", "", "", false},
	} {
		id, secret, ok := oauth.ParseBasic(tt.header)
		if ok != tt.ok || ok && (id != tt.id || secret != tt.secret) {
			t.Errorf("%q: %q %q %t", tt.header, id, secret, ok)
		}
	}
}
