package authorize_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// code asserts that p leads back to a client with a code and returns it.
func (p page) code(t *testing.T, idp *idp) string {
	t.Helper()
	if p.status != http.StatusSeeOther || p.location == nil {
		t.Fatalf("got %d on %s, want a redirect with a code: %s", p.status, p.path, p.body)
	}
	q := p.location.Query()
	if q.Get("code") == "" || q.Get("state") != "st-1" || q.Get("iss") != idp.issuer {
		t.Fatalf("answer %s; want code, state and iss", p.location)
	}
	return q.Get("code")
}

// refused asserts that p leads back to a client with an error.
func (p page) refused(t *testing.T, idp *idp, want string) {
	t.Helper()
	if p.location == nil {
		t.Fatalf("got %d on %s, want a redirect with %s: %s", p.status, p.path, want, p.body)
	}
	q := p.location.Query()
	if q.Get("error") != want || q.Get("state") != "st-1" || q.Get("iss") != idp.issuer {
		t.Fatalf("answer %s; want %s, state and iss", p.location, want)
	}
}

func (p page) shows(t *testing.T, status int, text string) {
	t.Helper()
	if p.status != status || !strings.Contains(p.body, text) {
		t.Fatalf("%s: %d, want %d and %q on the page: %s", p.path, p.status, status, text, p.body)
	}
}

func TestFromSignUpToCode(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		idp := newIDP(t, db)
		b := idp.browser(t)
		p := b.get(t, request("shop", shopCallback))
		p.shows(t, 200, "to continue to")
		uid := strings.TrimPrefix(p.path, "/interaction/")

		p = b.get(t, "/register?interaction="+uid)
		p = b.submit(t, p, "email", "ada@example.com", "password", good, "username", "ada", "firstName", "Ada", "acceptedTerms", "true")
		p.shows(t, 200, "Check your mail")

		token := idp.link(t, "ada@example.com")
		for range 2 { // a scanner of mail follows the link as well
			p = b.get(t, "/verify?token="+token)
			p.shows(t, 200, "Confirm your address")
		}
		p = b.submit(t, p)
		p.shows(t, 200, `href="/interaction/`+uid+`"`)
		b.submit(t, b.get(t, "/verify?token="+token)).shows(t, http.StatusGone, "has been used")

		p = b.get(t, "/interaction/"+uid)
		p = b.signIn(t, p, "ADA@example.com")
		p.shows(t, 200, "Allow Shop to use your account?")
		for _, want := range []string{"use AI models with your credits", "shop.test", "Lasts until you remove it", "ada@example.com", "Not verified"} {
			p.shows(t, 200, want)
		}
		code := b.submit(t, p, "decision", "allow").code(t, idp)
		redeemed := 0
		err := idp.grants.RedeemCode(t.Context(), grant.Redemption{
			Code: code, ClientID: "shop", RedirectURI: shopCallback, Verifier: verifier,
		}, func(_ context.Context, a grant.Authorization) error {
			redeemed++
			if len(a.Scopes) != 3 || a.SessionID == "" || a.AMR[0] != "pwd" || !a.AuthTime.Equal(idp.clock()) {
				t.Errorf("authorization %+v", a)
			}
			return nil
		})
		if err != nil || redeemed != 1 {
			t.Errorf("redeem: %v", err)
		}
		b.get(t, "/interaction/"+uid).shows(t, http.StatusGone, "Start again from the app")

		// The second time nothing is asked; a new scope is, and marked.
		b.get(t, request("shop", shopCallback)).code(t, idp)
		p = b.get(t, request("shop", shopCallback, "scope", "openid email"))
		p.shows(t, 200, "see your e-mail address <span class=\"tag\">new</span>")
		b.submit(t, p, "decision", "cancel").refused(t, idp, "access_denied")
	})
}

func TestPrompts(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		idp := newIDP(t, db)
		idp.user(t, "ada@example.com")
		b := idp.browser(t)

		b.get(t, request("shop", shopCallback, "prompt", "none")).refused(t, idp, "login_required")
		b.signIn(t, b.get(t, request("web", webCallback)), "ada@example.com").code(t, idp) // ours, on the web: not asked
		b.get(t, request("web", webCallback, "prompt", "none")).code(t, idp)
		b.get(t, request("shop", shopCallback, "prompt", "none")).refused(t, idp, "consent_required")
		b.submit(t, b.get(t, request("shop", shopCallback)), "decision", "allow").code(t, idp)
		b.get(t, request("shop", shopCallback, "prompt", "none")).code(t, idp)
		b.get(t, request("shop", shopCallback, "prompt", "none", "login_hint", "bo@example.com")).refused(t, idp, "login_required")
		b.get(t, request("shop", shopCallback, "prompt", "consent")).shows(t, 200, "Allow Shop")
		b.get(t, request("shop", shopCallback, "prompt", "create")).shows(t, 200, "Create an account")
		b.get(t, request("shop", shopCallback, "prompt", "select_account")).shows(t, 200, "Continue as Ada L")

		p := b.get(t, request("web", webCallback, "prompt", "login", "login_hint", "ada@example.com"))
		p.shows(t, 200, `value="ada@example.com"`)
		b.signIn(t, p, "ada@example.com").code(t, idp)

		idp.pass(61 * time.Second)
		b.get(t, request("web", webCallback, "max_age", "60", "prompt", "none")).refused(t, idp, "login_required")
		b.get(t, request("web", webCallback, "max_age", "120", "prompt", "none")).code(t, idp)
		b.signIn(t, b.get(t, request("web", webCallback, "max_age", "0")), "ada@example.com").code(t, idp)
		b.get(t, request("web", webCallback, "scope", "admin")).refused(t, idp, "invalid_scope") // without a role
	})
}

// An id_token_hint names who must be signed in; it never signs anybody in.
func TestHints(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		idp := newIDP(t, db)
		ada, bob := idp.user(t, "ada@example.com"), idp.user(t, "bob@example.com")
		hint := func(userID, clientID string) string {
			token, err := idp.ring.Sign(oauth.TypeID, oauth.IDToken{
				Issuer: idp.issuer, Subject: userID, Audience: clientID, IssuedAt: idp.clock().Unix(), Expiry: idp.clock().Unix() + 60,
			})
			if err != nil {
				t.Fatal(err)
			}
			return token
		}
		b := idp.browser(t)
		p := b.get(t, request("web", webCallback, "id_token_hint", hint(ada.ID, "web")))
		b.signIn(t, p, "ada@example.com").code(t, idp)
		b.get(t, request("web", webCallback, "id_token_hint", hint(ada.ID, "web"), "prompt", "none")).code(t, idp)
		b.get(t, request("web", webCallback, "id_token_hint", hint(bob.ID, "web"), "prompt", "none")).refused(t, idp, "login_required")
		b.get(t, request("web", webCallback, "id_token_hint", hint(ada.ID, "shop"))).refused(t, idp, "invalid_request")
		p = b.get(t, request("web", webCallback, "id_token_hint", hint(bob.ID, "web")))
		b.signIn(t, p, "ada@example.com").refused(t, idp, "login_required") // not the one who was asked for
	})
}

// A program on the user's machine cannot be told from another one that listens
// there, so it is never answered without a click (RFC 8252 section 8.6).
func TestNativeClientsNeedAClick(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		idp := newIDP(t, db)
		idp.user(t, "ada@example.com")
		b := idp.browser(t)
		p := b.signIn(t, b.get(t, request("desk", deskCallback)), "ada@example.com")
		p.shows(t, 200, "127.0.0.1 (this computer)")
		if csp := p.header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' http://127.0.0.1:53682") {
			t.Errorf("policy %q would stop the answer", csp)
		}
		b.submit(t, p, "decision", "allow").code(t, idp)
		b.get(t, request("desk", deskCallback, "prompt", "none")).refused(t, idp, "interaction_required")
		p = b.get(t, request("desk", deskCallback))
		p.shows(t, 200, "Continue as Ada L")
		b.submit(t, p, "decision", "continue").code(t, idp)

		p = b.get(t, request("desk", "ai.rephlo.desk:/callback"))
		if csp := p.header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' ai.rephlo.desk:;") && !strings.HasSuffix(csp, "form-action 'self' ai.rephlo.desk:") {
			t.Errorf("policy %q", csp)
		}
		p = b.submit(t, p, "decision", "continue")
		p.shows(t, 200, `href="ai.rephlo.desk:/callback?code=`)
		p.shows(t, 200, `http-equiv="refresh" content="0; url=ai.rephlo.desk:/callback?code=`)
	})
}

func TestInteractionsBelongToTheirBrowser(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		idp := newIDP(t, db)
		idp.user(t, "ada@example.com")
		mine, other := idp.browser(t), idp.browser(t)
		p := mine.get(t, request("shop", shopCallback))
		other.get(t, request("shop", shopCallback)) // has a cookie of its own
		for _, step := range []string{"", "/abort", "/data"} {
			if got := other.get(t, p.path+step); got.status != 400 || strings.Contains(got.body, "Shop") {
				t.Errorf("GET %s from another browser: %d %s", step, got.status, got.body)
			}
		}
		other.post(t, p.path+"/login", nil, "name", "ada@example.com", "password", good).shows(t, 400, "does not belong to this browser")
		other.post(t, p.path+"/consent", nil, "decision", "allow").shows(t, 400, "does not belong")
		other.get(t, "/interaction/unknown").shows(t, 400, "does not belong")

		cross := map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.test"}
		for _, path := range []string{p.path + "/login", p.path + "/consent", "/register", "/verify", "/verify/resend"} {
			if got := mine.post(t, path, cross, "name", "ada@example.com", "password", good); got.status != 403 {
				t.Errorf("POST %s from another site: %d, want 403", path, got.status)
			}
		}
		got := mine.get(t, p.path+"/data")
		var data struct {
			UID, Prompt string
			Client      struct{ ClientID, ClientName string }
			Params      struct{ Scope, RedirectURI string }
			Session     *struct{ AccountID string }
		}
		if err := json.Unmarshal([]byte(got.body), &data); err != nil || data.Prompt != "login" || data.Client.ClientID != "shop" || data.Session != nil {
			t.Errorf("data %s, %v", got.body, err)
		}
		idp.pass(time.Hour)
		mine.get(t, p.path).shows(t, http.StatusGone, "took too long")
	})
}

// Requests may come by POST from the client's site, without our cookies.
func TestRequestByPost(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		idp := newIDP(t, db)
		b := idp.browser(t)
		v, err := url.ParseQuery(strings.TrimPrefix(request("shop", shopCallback), "/oauth/authorize?"))
		if err != nil {
			t.Fatal(err)
		}
		var pairs []string
		for name := range v {
			pairs = append(pairs, name, v.Get(name))
		}
		p := b.post(t, "/oauth/authorize", map[string]string{"Sec-Fetch-Site": "cross-site"}, pairs...)
		p.shows(t, 200, "to continue to")
		idp.browser(t).get(t, p.path).shows(t, 400, "does not belong")
		b.get(t, p.path).shows(t, 200, "to continue to")
		b.get(t, p.path+"/abort").refused(t, idp, "access_denied")
	})
}

func TestWrongPasswords(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		idp := newIDP(t, db)
		idp.user(t, "ada@example.com")
		known := idp.browser(t)
		known.signIn(t, known.get(t, request("web", webCallback)), "ada@example.com").code(t, idp)
		b := idp.browser(t)
		p := b.get(t, request("shop", shopCallback))
		var bodies []string
		for _, name := range []string{"ada@example.com", "bob@example.com"} {
			got := b.submit(t, p, "name", name, "password", "wrong")
			got.shows(t, 200, "Wrong e-mail or password. 9 tries left before a pause.")
			body := strings.ReplaceAll(got.body, name, "NAME")
			bodies = append(bodies, strings.ReplaceAll(body, got.header.Get("X-Request-Id"), "ID"))
		}
		if bodies[0] != bodies[1] {
			t.Errorf("an unknown name gives another page:\n%s\n%s", bodies[0], bodies[1])
		}
		for i := range 9 {
			want := fmt.Sprintf("%d tries left", 8-i)
			if i > 6 {
				want = "Wrong e-mail or password."
			}
			b.submit(t, p, "name", "ada@example.com", "password", "wrong").shows(t, 200, want)
		}
		got := b.signIn(t, p, "ada@example.com")
		got.shows(t, http.StatusTooManyRequests, "Too many attempts")
		if got.header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After %q, want 1", got.header.Get("Retry-After"))
		}
		// The owner is not kept out of a browser used before.
		known.signIn(t, known.get(t, request("web", webCallback, "prompt", "login")), "ada@example.com").code(t, idp)
	})
}

// A form shown to one user is not taken from another.
func TestConsentIsTheShownUsers(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		idp := newIDP(t, db)
		ada, bob := idp.user(t, "ada@example.com"), idp.user(t, "bob@example.com")
		b := idp.browser(t)
		p := b.signIn(t, b.get(t, request("shop", shopCallback)), "ada@example.com")
		p.shows(t, 200, "ada@example.com")
		change := b.get(t, p.path+"?switch=1")
		change.shows(t, 200, "Sign in")
		b.signIn(t, change, "bob@example.com").shows(t, 200, "bob@example.com")
		b.submit(t, p, "decision", "allow").shows(t, 200, "bob@example.com") // shown again, to Bob
		for _, u := range []string{ada.ID, bob.ID} {
			if _, ok, err := idp.grants.Consent(t.Context(), u, "shop"); err != nil || ok {
				t.Errorf("consent of %s: %t, %v; want none", u, ok, err)
			}
		}
	})
}

// Reloading in two tabs at once gives one code.
func TestOneAnswerPerInteraction(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		idp := newIDP(t, db)
		idp.user(t, "ada@example.com")
		b := idp.browser(t)
		b.signIn(t, b.get(t, request("web", webCallback)), "ada@example.com").code(t, idp)
		follow := b.CheckRedirect
		b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		p := b.get(t, request("web", webCallback))
		b.CheckRedirect = follow
		var mu sync.Mutex
		var wg sync.WaitGroup
		codes := 0
		for range 8 {
			wg.Go(func() {
				got := b.get(t, p.location.Path)
				mu.Lock()
				defer mu.Unlock()
				if got.location != nil && got.location.Query().Get("code") != "" {
					codes++
				} else if got.status != http.StatusGone {
					t.Errorf("got %d %s", got.status, got.body)
				}
			})
		}
		wg.Wait()
		if codes != 1 {
			t.Errorf("%d codes, want one", codes)
		}
	})
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		idp := newIDP(t, db)
		b := idp.browser(t)
		const hostile = `"><script>alert(1)</script>`
		for name, path := range map[string]string{
			"unknown client":   request("nobody", shopCallback),
			"hostile client":   request(hostile, shopCallback),
			"no client":        "/oauth/authorize?redirect_uri=https://shop.test/callback",
			"other redirect":   request("shop", "https://evil.test/callback"),
			"hostile redirect": request("shop", shopCallback+hostile),
			"longer redirect":  request("shop", shopCallback+"/x"),
		} {
			p := b.get(t, path)
			if p.status != 400 || p.location != nil || strings.Contains(p.body, "<script") {
				t.Errorf("%s: %d %v %s; want a page and no redirect", name, p.status, p.location, p.body)
			}
		}
		p := b.get(t, request("shop", shopCallback+"/"))
		p.shows(t, 400, `https://shop.test/callback<mark>/</mark>`)
		p.shows(t, 400, "A slash at the end is missing or too much.")
		p.shows(t, 400, `href="https://shop.test/"`)

		for _, tt := range []struct{ name, value, want string }{
			{"response_type", "token", "unsupported_response_type"},
			{"code_challenge", "", "invalid_request"},
			{"code_challenge_method", "plain", "invalid_request"},
			{"scope", "nothing", "invalid_scope"},
			{"resource", "https://elsewhere.test", "invalid_target"},
			{"prompt", "none login", "invalid_request"},
			{"id_token_hint", "a.b.c", "invalid_request"},
			{"max_age", "-1", "invalid_request"},
		} {
			b.get(t, request("shop", shopCallback, tt.name, tt.value)).refused(t, idp, tt.want)
		}

		p = b.get(t, request("evil", "https://evil.test/callback", "scope", "openid", "login_hint", hostile))
		if strings.Contains(p.body, "<script") || strings.Contains(p.body, "\u202e") || !strings.Contains(p.body, "&lt;script&gt;") {
			t.Errorf("a hostile name or hint is not escaped: %s", p.body)
		}
		p = b.submit(t, b.get(t, "/register"), "email", hostile, "password", good, "username", hostile, "acceptedTerms", "true")
		p.shows(t, 422, "it is not an e-mail address")
		if strings.Contains(p.body, "<script") || !strings.Contains(p.body, `aria-invalid="true" aria-describedby="email-wrong"`) {
			t.Errorf("page %s", p.body)
		}
	})
}

// What is gone must not look like a mistake of the user's.
func TestDatabaseDown(t *testing.T) {
	t.Parallel()
	url := dbtest.SQLite(t)
	db, err := sqldb.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	idp := newIDP(t, db)
	idp.user(t, "ada@example.com")
	b := idp.browser(t)
	p := b.get(t, request("shop", shopCallback))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	got := b.signIn(t, p, "ada@example.com")
	if got.status < 500 || strings.Contains(got.body, "Wrong e-mail") {
		t.Errorf("got %d %s, want a failure of ours", got.status, got.body)
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		idp := newIDP(t, db)
		p := idp.browser(t).get(t, request("shop", shopCallback))
		p.shows(t, 200, "to continue to")
		idp.pass(26 * time.Hour)
		if err := idp.interactions.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := db.Q(t.Context()).QueryRowContext(t.Context(), `SELECT COUNT(*) FROM authorize_interaction`).Scan(&n); err != nil || n != 0 {
			t.Errorf("%d interactions are left, %v", n, err)
		}
	})
}
