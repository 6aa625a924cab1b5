package conformance_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/identity/oauth/oauthtest"
)

const (
	theirID     = "rephlo-there"
	theirSecret = "the-secret+they/gave=us"
)

// elsewhere is a service that people have accounts at: an OpenID Provider and a
// GitHub at once. It checks what we send as strictly as a real one.
type elsewhere struct {
	t   testing.TB
	key *oauthtest.Key
	url string
	// now is when its tokens are issued.
	now func() time.Time

	mu sync.Mutex
	// person is who is signed in there: claims of the ID token.
	person oauthtest.Claims // guarded by mu
	// mails are what GitHub lists.
	mails []map[string]any // guarded by mu
	// deny is the error that it answers with.
	deny string // guarded by mu
	// change edits claims before they are signed, sign the whole token.
	change func(oauthtest.Claims) // guarded by mu
	key2   *oauthtest.Key         // guarded by mu; signs instead of key
	codes  map[string]url.Values  // guarded by mu
	down   bool                   // guarded by mu
	iss    string                 // guarded by mu; in its answers
}

func newElsewhere(t testing.TB) *elsewhere {
	e := &elsewhere{t: t, key: oauthtest.NewKey(t, "RS256"), codes: map[string]url.Values{}}
	m := http.NewServeMux()
	m.HandleFunc("GET /.well-known/openid-configuration", e.metadata)
	m.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(e.key.JWKS()) })
	m.HandleFunc("GET /authorize", e.authorize)
	m.HandleFunc("GET /login/oauth/authorize", e.authorize)
	m.HandleFunc("POST /token", e.token)
	m.HandleFunc("POST /login/oauth/access_token", e.token)
	m.HandleFunc("GET /api/v3/user", func(w http.ResponseWriter, r *http.Request) {
		e.api(w, r, map[string]any{"id": 4711, "login": "ada", "name": "Ada Lovelace", "email": "public@example.com"})
	})
	m.HandleFunc("GET /api/v3/user/emails", func(w http.ResponseWriter, r *http.Request) { e.api(w, r, e.mails) })
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.down {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		m.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	e.url, e.iss = s.URL, s.URL
	return e
}

// set changes it between requests.
func (e *elsewhere) set(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f()
}

func (e *elsewhere) metadata(w http.ResponseWriter, _ *http.Request) {
	_ = json.NewEncoder(w).Encode(map[string]any{
		"issuer": e.url, "authorization_endpoint": e.url + "/authorize", "token_endpoint": e.url + "/token", "jwks_uri": e.url + "/keys",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"}, "authorization_response_iss_parameter_supported": true,
	})
}

func (e *elsewhere) authorize(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	for _, name := range []string{"client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge", "code_challenge_method"} {
		if len(v[name]) != 1 {
			http.Error(w, name, http.StatusBadRequest)
			return
		}
	}
	oidc := r.URL.Path == "/authorize"
	if v.Get("client_id") != theirID || v.Get("code_challenge_method") != "S256" || oidc && (v.Get("nonce") == "" || !strings.Contains(v.Get("scope"), "openid")) {
		http.Error(w, "the request is wrong", http.StatusBadRequest)
		return
	}
	back := url.Values{"state": {v.Get("state")}}
	if oidc {
		back.Set("iss", e.iss)
	}
	if e.deny != "" {
		back.Set("error", e.deny)
	} else {
		code := oauthtest.NewKey(e.t, "EdDSA").Thumbprint()
		e.codes[code] = v
		back.Set("code", code)
	}
	http.Redirect(w, r, v.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

func (e *elsewhere) token(w http.ResponseWriter, r *http.Request) {
	id, secret, ok := r.BasicAuth()
	if !ok {
		id, secret = r.PostFormValue("client_id"), url.QueryEscape(r.PostFormValue("client_secret"))
	}
	asked, ok := e.codes[r.PostFormValue("code")]
	delete(e.codes, r.PostFormValue("code")) // once
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	w.Header().Set("Content-Type", "application/json")
	if !ok || id != theirID || secret != url.QueryEscape(theirSecret) || r.PostFormValue("redirect_uri") != asked.Get("redirect_uri") ||
		base64.RawURLEncoding.EncodeToString(sum[:]) != asked.Get("code_challenge") {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	out := map[string]any{"access_token": "at-there", "token_type": "bearer"}
	if r.URL.Path == "/token" {
		c := oauthtest.Claims{"iss": e.url, "aud": theirID, "nonce": asked.Get("nonce"), "iat": e.now().Unix(), "exp": e.now().Add(time.Minute).Unix()}
		maps.Copy(c, e.person)
		if e.change != nil {
			e.change(c)
		}
		key := e.key
		if e.key2 != nil {
			key = e.key2
		}
		out["id_token"] = key.Sign(oauthtest.Claims{"alg": "RS256", "kid": e.key.Kid, "typ": "JWT"}, c)
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (e *elsewhere) api(w http.ResponseWriter, r *http.Request, v any) {
	if r.Header.Get("Authorization") != "Bearer at-there" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	_ = json.NewEncoder(w).Encode(v)
}

// away sends a browser that was sent elsewhere there, and back.
func (e *elsewhere) away(b *browser, p page) page {
	b.w.t.Helper()
	return b.open(e.back(b, p))
}

// back returns the address that a browser is sent back to.
func (e *elsewhere) back(b *browser, p page) string {
	b.w.t.Helper()
	if p.location == nil || !strings.HasPrefix(p.location.String(), e.url) {
		b.w.t.Fatalf("%s: %d, the browser is not sent to the provider: %s", p.url, p.status, p.body)
	}
	still := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	there := (&browser{w: b.w, Client: &still}).open(p.location.String())
	if there.location == nil {
		b.w.t.Fatalf("the provider refuses: %d %s", there.status, there.body)
	}
	return there.location.String()
}
