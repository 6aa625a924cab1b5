package conformance_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/identity/oauth/oauthtest"
)

// publisher is a host with client metadata documents.
type publisher struct {
	*httptest.Server
	asked atomic.Int64
	down  atomic.Bool
	docs  map[string]any
}

func publish(t *testing.T) *publisher {
	t.Helper()
	p := &publisher{docs: map[string]any{}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		doc, ok := p.docs[r.URL.Path]
		if !ok || p.down.Load() {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(doc)
	}))
	t.Cleanup(p.Close)
	return p
}

// O41: a client that is named by the address of its metadata.
func TestSec_O41(t *testing.T) {
	run(t, func(w *world) {
		host := publish(t)
		id := host.URL + "/client.json"
		good := map[string]any{"client_id": id, "client_name": "Tool", "redirect_uris": []string{"http://127.0.0.1/cb"}}
		host.docs["/client.json"] = good
		c := &rp{w: w, id: id, uri: "http://127.0.0.1:4711/cb", scopes: "openid offline_access credits.read"}
		b := w.browser
		p := b.submit(b.open(c.url("resource", w.api)), "name", w.ada.Email, "password", password)
		for _, want := range []string{"Tool", "Described by " + strings.TrimPrefix(host.URL, "http://"), "Any program on this computer", "127.0.0.1 (this computer)", "Not verified"} {
			if !strings.Contains(p.body, want) {
				t.Errorf("the page lacks %q: %s", want, p.body)
			}
		}
		p = b.submit(p, "decision", "allow")
		got := c.exchange(p.location.Query().Get("code"))
		if got.Status != 200 || w.me(got.Access) != 200 || w.claims(got.Access)["client_id"] != id {
			t.Fatalf("tokens %+v", got)
		}
		if n := host.asked.Load(); n != 1 {
			t.Errorf("the document was fetched %d times, want once", n)
		}
		if next := c.refresh(got.Refresh); next.Status != 200 {
			t.Errorf("refresh %+v", next)
		}
		// While the host does not answer, what was good is good for a day.
		host.down.Store(true)
		w.advance(10 * time.Minute)
		if q := c.authorize(); q.Get("code") == "" {
			t.Errorf("with a stale copy: %v", q)
		}
		host.down.Store(false)

		with := func(path string, change map[string]any) string {
			d := maps.Clone(good)
			d["client_id"] = host.URL + path
			maps.Copy(d, change)
			host.docs[path] = d
			return host.URL + path
		}
		for what, bad := range map[string]string{
			"id of another":     with("/other", map[string]any{"client_id": id}),
			"a secret":          with("/secret", map[string]any{"client_secret": "x"}),
			"a secret method":   with("/method", map[string]any{"token_endpoint_auth_method": "client_secret_basic"}),
			"no name":           with("/name", map[string]any{"client_name": ""}),
			"no redirect":       with("/redirect", map[string]any{"redirect_uris": []string{}}),
			"a script redirect": with("/script", map[string]any{"redirect_uris": []string{"javascript:alert(1)"}}),
			"no object":         host.URL + "/array",
			"nothing there":     host.URL + "/nothing",
		} {
			host.docs["/array"] = []string{}
			x := &rp{w: w, id: bad, uri: c.uri, scopes: "openid"}
			p := w.newBrowser().open(x.url())
			if p.status != 400 || p.location != nil || !strings.Contains(p.body, strings.TrimPrefix(host.URL, "http://")) {
				t.Errorf("%s: %d %v %s; want a page that names the host", what, p.status, p.location, p.body)
			}
			w.want(what, x.token(form("grant_type", "authorization_code", "code", "x", "code_verifier", verifier)), 401, "invalid_client")
		}
		for _, odd := range []string{host.URL, host.URL + "/", host.URL + "/a/../client.json", host.URL + "/client.json#x", "https://u@rp.test/c", "https://rp.test:8443/c", "http://rp.test/c"} {
			x := &rp{w: w, id: odd, uri: c.uri, scopes: "openid"}
			w.refusedPage(odd, x.url())
		}
		admin := &rp{w: w, id: with("/admin", map[string]any{"scope": "openid admin"}), uri: c.uri, scopes: "openid admin"}
		if q := admin.authorize(); q.Get("code") == "" || strings.Contains(admin.exchange(q.Get("code")).Scope, "admin") {
			t.Errorf("answer %v", q)
		}
	})
}

// A client may sign with keys that it publishes, and change them.
func TestKeysThatAreFetched(t *testing.T) {
	run(t, func(w *world) {
		host := publish(t)
		key := oauthtest.NewKey(t, "ES256")
		id := host.URL + "/client.json"
		host.docs["/client.json"] = map[string]any{
			"client_id": id, "client_name": "Service", "redirect_uris": []string{callback}, "token_endpoint_auth_method": "private_key_jwt",
			"jwks": json.RawMessage(key.JWKS()),
		}
		c := &rp{w: w, id: id, uri: callback, scopes: "openid"}
		exchange := func(k *oauthtest.Key) tokens {
			v := url.Values{"client_assertion_type": {oauth.AssertionType}, "client_assertion": {k.Assertion(id, w.idp, w.now())}}
			v.Set("grant_type", "authorization_code")
			v.Set("code", c.code())
			v.Set("code_verifier", verifier)
			return c.token(v)
		}
		if got := exchange(key); got.Status != 200 {
			t.Errorf("%+v", got)
		}
		w.want("another key", exchange(oauthtest.NewKey(t, "ES256")), 401, "invalid_client")
	})
}

// A bound token of a client with a DPoP key opens the Resource API with a proof
// by that key, on the real services.
func TestBoundTokensAtTheResourceAPI(t *testing.T) {
	run(t, func(w *world) {
		key := oauthtest.NewKey(t, "ES256")
		c := w.web(func(c *client.Client) { c.RequireDPoP, c.NoNonce = true, true })
		proof := func(address, token string) func(*http.Request) {
			return func(r *http.Request) { r.Header.Set("DPoP", key.Proof(r.Method, address, token, w.now())) }
		}
		code := c.code("scope", "openid credits.read")
		got := c.token(form("grant_type", "authorization_code", "code", code, "code_verifier", verifier), proof(w.idp+"/oauth/token", ""))
		if got.Status != 200 || got.Type != "DPoP" {
			t.Fatalf("%+v", got)
		}
		at := w.api + "/v1/credits/me"
		good := proof(at, got.Access)
		dpop := func(r *http.Request) { r.Header.Set("Authorization", "DPoP "+got.Access) }
		if status, header := w.get(at, nil, dpop, good); status != 200 || header.Get("DPoP-Nonce") == "" {
			t.Errorf("with a proof: %d %v", status, header)
		}
		if status, header := w.get(at, nil, dpop); status != 401 || !strings.HasPrefix(header.Get("WWW-Authenticate"), "DPoP ") {
			t.Errorf("without: %d %v", status, header)
		}
		if status := w.me(got.Access); status != 401 {
			t.Errorf("as Bearer: %d", status)
		}
	})
}
