package token_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/identity/oauth/oauthtest"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// machine is a confidential client that signs with a key.
func (w *world) machine(id string, key *oauthtest.Key, change ...func(*client.Client)) {
	w.t.Helper()
	c := client.Client{
		ID: id, Name: id, AuthMethod: client.AuthKey, JWKS: key.JWKS(), Scopes: oauth.Scopes(), RedirectURIs: []string{"https://machine.test/cb"},
		Grants: []string{client.GrantCode, client.GrantRefresh, client.GrantCredentials}, RefreshLife: client.LifeStandalone, NoNonce: true,
	}
	for _, f := range change {
		f(&c)
	}
	if secret, err := w.clients.Create(w.t.Context(), c); err != nil || secret != "" {
		w.t.Fatalf("create %s: secret %q, %v", id, secret, err)
	}
}

func assertionForm(assertion string, more ...string) url.Values {
	return form(append([]string{"client_assertion_type", oauth.AssertionType, "client_assertion", assertion}, more...)...)
}

func proof(text string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("DPoP", text) }
}

// O39: a client assertion proves its client once.
func TestSec_O39(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		key, other := oauthtest.NewKey(t, "ES256"), oauthtest.NewKey(t, "ES256")
		w.machine("machine", key)
		w.machine("old", key, func(c *client.Client) { c.TokenAudience = true })
		get := func(assertion string, more ...string) answer {
			return w.post("/oauth/token", assertionForm(assertion, append([]string{"grant_type", "client_credentials"}, more...)...))
		}
		one := key.Assertion("machine", w.url, w.now())
		if a := get(one); a.status != 200 || a.TokenType != "Bearer" || a.RefreshToken != "" || a.IDToken != "" {
			t.Fatalf("answer %d %+v %s", a.status, a.Answer, a.Description)
		}
		w.want("a second time", get(one), 401, "invalid_client")
		w.advance(2 * time.Minute)
		w.want("later", get(one), 401, "invalid_client")
		w.want("of another key", get(other.Assertion("machine", w.url, w.now())), 401, "invalid_client")
		w.want("for the token endpoint", get(key.Assertion("machine", w.url+"/oauth/token", w.now())), 401, "invalid_client")
		if a := get(key.Assertion("old", w.url+"/oauth/token", w.now())); a.status != 200 {
			t.Errorf("an older client: %+v", a)
		}
		w.want("6 minutes ahead", get(key.Assertion("machine", w.url, w.now(), oauthtest.With("exp", w.now().Add(6*time.Minute).Unix()))), 401, "invalid_client")
		w.want("another client_id", get(key.Assertion("machine", w.url, w.now()), "client_id", "old"), 401, "invalid_client")
		w.want("with a secret", get(key.Assertion("machine", w.url, w.now()), "client_secret", "x"), 400, "invalid_request")
		w.want("of a client with another method", get(key.Assertion("rephlo-desktop", w.url, w.now())), 401, "invalid_client")
		bad := assertionForm(key.Assertion("machine", w.url, w.now()), "grant_type", "client_credentials")
		bad.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")
		w.want("another type", w.post("/oauth/token", bad), 401, "invalid_client")
		w.want("only its id", w.post("/oauth/token", form("grant_type", "client_credentials", "client_id", "machine")), 401, "invalid_client")

		// Of many that send the same one, on two servers, one is let in.
		twin := newWorld(t, db)
		twin.micro.Store(w.micro.Load())
		race := assertionForm(key.Assertion("machine", w.url, w.now()), "grant_type", "client_credentials")
		sum := func(status int) int {
			if status == 200 {
				return 1
			}
			return 0
		}
		var mu sync.Mutex
		var wg sync.WaitGroup
		won := 0
		for range 20 {
			wg.Go(func() {
				got := w.post("/oauth/token", race).status
				mu.Lock()
				defer mu.Unlock()
				won += sum(got)
			})
		}
		wg.Wait()
		if won != 1 {
			t.Errorf("%d of 20 got a token, want 1", won)
		}
		if first, err := twin.grants.Once(t.Context(), "assertion", "machine "+"x", w.now().Add(time.Minute)); err != nil || !first {
			t.Errorf("a new one on another server: %t, %v", first, err)
		}
		if first, err := w.grants.Once(t.Context(), "assertion", "machine "+"x", w.now().Add(time.Minute)); err != nil || first {
			t.Errorf("one that another server has seen: %t, %v", first, err)
		}
	})
}

// O44: a client's own token is of no user.
func TestSec_O44(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		key := oauthtest.NewKey(t, "EdDSA")
		w.machine("machine", key)
		get := func(more ...string) answer {
			return w.post("/oauth/token", assertionForm(key.Assertion("machine", w.url, w.now()), append([]string{"grant_type", "client_credentials"}, more...)...))
		}
		a := get("scope", "models.read", "resource", api)
		c := w.claims(a)
		if a.Scope != "models.read" || c.Subject != "machine" || c.ClientID != "machine" || !c.OfClient() || !c.AuthTime.IsZero() {
			t.Errorf("claims %+v", c)
		}
		w.want("openid", get("scope", "openid"), 400, "invalid_scope")
		w.want("offline_access", get("scope", "models.read offline_access"), 400, "invalid_scope")
		w.want("admin", get("scope", "admin"), 400, "invalid_scope")
		w.want("another API", get("resource", "https://other.test"), 400, "invalid_target")
		w.want("a public client", w.post("/oauth/token", form("grant_type", "client_credentials", "client_id", "rephlo-desktop")), 400, "unauthorized_client")
		w.want("userinfo", w.post("/oauth/userinfo", form("access_token", a.AccessToken)), 401, "invalid_token")
		for name, bad := range map[string]client.Client{
			"a user's id":     {ID: ada.ID, Name: "x", AuthMethod: client.AuthBasic, Grants: []string{client.GrantCredentials}, RefreshLife: client.LifeSession},
			"a public client": {ID: "x", Name: "x", Public: true, AuthMethod: client.AuthNone, Grants: []string{client.GrantCredentials}, RefreshLife: client.LifeSession},
		} {
			if _, err := w.clients.Create(t.Context(), bad); err == nil {
				t.Errorf("%s was accepted", name)
			}
		}
	})
}

// O32: tokens of a client that holds a key are good with that key only, and
// each proof is good once.
func TestSec_O32(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		key, other := oauthtest.NewKey(t, "ES256"), oauthtest.NewKey(t, "ES256")
		at := w.url + "/oauth/token"
		nonce := ""
		prove := func(k *oauthtest.Key, change ...func(h, c oauthtest.Claims)) func(*http.Request) {
			return proof(k.Proof("POST", at, "", w.now(), append(change, oauthtest.With("nonce", nonce))...))
		}
		code := w.code("openid offline_access llm.inference")
		a := w.post("/oauth/token", exchangeForm(code), proof(key.Proof("POST", at, "", w.now())))
		w.want("without a nonce", a, 400, "use_dpop_nonce")
		if nonce = a.header.Get("DPoP-Nonce"); nonce == "" {
			t.Fatal("no nonce is given")
		}
		once := prove(key)
		a = w.post("/oauth/token", exchangeForm(code), once)
		if a.status != 200 || a.TokenType != "DPoP" || a.RefreshToken == "" {
			t.Fatalf("answer %d %+v %s", a.status, a.Answer, a.Description)
		}
		if c := w.claims(a); c.JKT != key.Thumbprint() {
			t.Errorf("bound to %q, want %q", c.JKT, key.Thumbprint())
		}
		refresh := func(token string, edit ...func(*http.Request)) answer {
			return w.post("/oauth/token", form("grant_type", "refresh_token", "client_id", "rephlo-desktop", "refresh_token", token), edit...)
		}
		w.want("the same proof again", refresh(a.RefreshToken, once), 400, "invalid_dpop_proof")
		w.want("refresh without a proof", refresh(a.RefreshToken), 400, "invalid_grant")
		w.want("refresh with another key", refresh(a.RefreshToken, prove(other)), 400, "invalid_grant")
		w.want("a proof for another address", refresh(a.RefreshToken, prove(key, oauthtest.With("htu", w.url+"/oauth/par"))), 400, "invalid_dpop_proof")
		w.want("two proofs", refresh(a.RefreshToken, prove(key), func(r *http.Request) { r.Header.Add("DPoP", "x") }), 400, "invalid_dpop_proof")
		next := refresh(a.RefreshToken, prove(key))
		if next.status != 200 || next.TokenType != "DPoP" {
			t.Fatalf("refresh: %d %s", next.status, next.Description)
		}

		// At a resource of ours, with ath.
		info := func(scheme, token, proof string) answer {
			return w.post("/oauth/userinfo", nil, func(r *http.Request) {
				r.Header.Set("Authorization", scheme+" "+token)
				if proof != "" {
					r.Header.Set("DPoP", proof)
				}
			})
		}
		here := w.url + "/oauth/userinfo"
		w.want("bound, as Bearer", info("Bearer", next.AccessToken, ""), 401, "invalid_token")
		w.want("no proof", info("DPoP", next.AccessToken, ""), 401, "invalid_dpop_proof")
		w.want("another key", info("DPoP", next.AccessToken, other.Proof("POST", here, next.AccessToken, w.now())), 401, "invalid_dpop_proof")
		w.want("ath of another token", info("DPoP", next.AccessToken, key.Proof("POST", here, a.AccessToken, w.now())), 401, "invalid_dpop_proof")
		good := key.Proof("POST", here, next.AccessToken, w.now())
		if got := info("dpop", next.AccessToken, good); got.status != 200 {
			t.Errorf("userinfo: %d %s %s", got.status, got.Error, got.Description)
		}
		got := info("DPoP", next.AccessToken, good)
		w.want("that proof again", got, 401, "invalid_dpop_proof")
		if c := got.header.Get("WWW-Authenticate"); !strings.HasPrefix(c, `DPoP error="invalid_dpop_proof", algs="ES256`) {
			t.Errorf("challenge %q", c)
		}
		free := w.exchange(w.code("openid"))
		w.want("a bearer token as DPoP", info("DPoP", free.AccessToken, key.Proof("POST", here, free.AccessToken, w.now())), 401, "invalid_token")
	})
}

// A code that was asked for with a key is for that key (RFC 9449 section 10),
// and a client that must bind its tokens cannot do without.
func TestCodesThatAreBoundToAKey(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		key, other := oauthtest.NewKey(t, "ES256"), oauthtest.NewKey(t, "EdDSA")
		w.machine("machine", key, func(c *client.Client) { c.RequireDPoP = true })
		at := w.url + "/oauth/token"
		exchange := func(jkt string, edit ...func(*http.Request)) answer {
			code := w.code("openid offline_access", func(c *grant.Code) { c.ClientID, c.RedirectURI, c.JKT = "machine", "https://machine.test/cb", jkt })
			v := assertionForm(key.Assertion("machine", w.url, w.now()), "grant_type", "authorization_code", "code", code, "code_verifier", verifier)
			return w.post("/oauth/token", v, edit...)
		}
		w.want("no proof", exchange(""), 400, "invalid_dpop_proof")
		w.want("another key", exchange(key.Thumbprint(), proof(other.Proof("POST", at, "", w.now()))), 400, "invalid_grant")
		a := exchange(key.Thumbprint(), proof(key.Proof("POST", at, "", w.now())))
		if a.status != 200 || a.TokenType != "DPoP" {
			t.Fatalf("%d %s", a.status, a.Description)
		}
		// A confidential client proves itself anew, so its key may change.
		v := assertionForm(key.Assertion("machine", w.url, w.now()), "grant_type", "refresh_token", "refresh_token", a.RefreshToken)
		if next := w.post("/oauth/token", v, proof(other.Proof("POST", at, "", w.now()))); next.status != 200 || next.TokenType != "DPoP" {
			t.Errorf("refresh with a new key: %d %s", next.status, next.Description)
		}
	})
}

// I6: of many requests with one proof one is answered.
func TestRacingProofsHaveOneWinner(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		key := oauthtest.NewKey(t, "ES256")
		w.machine("machine", key, func(c *client.Client) { c.RequireDPoP = true })
		one := proof(key.Proof("POST", w.url+"/oauth/token", "", w.now()))
		answers := make([]answer, 30)
		var wg sync.WaitGroup
		for i := range answers {
			v := assertionForm(key.Assertion("machine", w.url, w.now()), "grant_type", "client_credentials")
			wg.Go(func() { answers[i] = w.post("/oauth/token", v, one) })
		}
		wg.Wait()
		won := 0
		for _, a := range answers {
			if a.status == 200 {
				won++
			} else {
				w.want("a loser", a, 400, "invalid_dpop_proof")
			}
		}
		if won != 1 {
			t.Errorf("%d requests succeeded, want 1", won)
		}
	})
}

// Introspection tells a resource which key a token is bound to.
func TestIntrospectionTellsTheKey(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		key := oauthtest.NewKey(t, "ES256")
		w.machine("machine", key)
		v := assertionForm(key.Assertion("machine", w.url, w.now()), "grant_type", "client_credentials")
		a := w.post("/oauth/token", v, proof(key.Proof("POST", w.url+"/oauth/token", "", w.now())))
		got := w.introspectAs(key.Assertion("machine", w.url, w.now()), a.AccessToken)
		if !strings.Contains(got, `"active":true`) || !strings.Contains(got, `"cnf":{"jkt":"`+key.Thumbprint()+`"}`) || !strings.Contains(got, `"token_type":"DPoP"`) {
			t.Errorf("answer %s", got)
		}
	})
}
