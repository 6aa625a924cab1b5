package conformance_test

import (
	"errors"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/identity/oauth/oauthtest"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// social runs test with an installation where people can sign in with a GitHub
// and an OpenID Provider.
func social(t *testing.T, test func(w *world, e *elsewhere)) {
	t.Helper()
	t.Parallel()
	dbtest.RunURL(t, func(t *testing.T, database string) {
		e := newElsewhere(t)
		w := newWorldWith(t, database, map[string]string{
			"oidc-issuer": e.url, "oidc-client-id": theirID, "oidc-client-secret": theirSecret, "oidc-name": "Works", "oidc-trust-email": "true",
			"github-url": e.url, "github-client-id": theirID, "github-client-secret": theirSecret,
		})
		e.now = w.now
		e.person = oauthtest.Claims{"sub": "there-1", "email": "grace@example.com", "email_verified": true, "given_name": "Grace", "family_name": "Hopper"}
		test(w, e)
	})
}

var startLink = regexp.MustCompile(`href="(/federation/[a-z]+/start\?interaction=[^"]+)"`)

// begin opens a page that asks for a sign-in and presses the button of a
// provider.
func (b *browser) begin(address, provider string) page {
	b.w.t.Helper()
	p := b.open(address)
	for _, m := range startLink.FindAllStringSubmatch(p.body, -1) {
		if strings.HasPrefix(m[1], "/federation/"+provider+"/") {
			return b.open(b.w.idp + html.UnescapeString(m[1]))
		}
	}
	b.w.t.Fatalf("no button of %s on %s (%d): %s", provider, p.url, p.status, p.body)
	return page{}
}

// A18: a stranger gets an account of their own, and it signs them in again.
func TestAnAccountElsewhereSignsIn(t *testing.T) {
	social(t, func(w *world, e *elsewhere) {
		for _, provider := range []string{"oidc", "github"} {
			e.mails = []map[string]any{{"email": "old@example.com", "verified": true}, {"email": "lin@example.com", "primary": true, "verified": true}}
			email := map[string]string{"oidc": "grace@example.com", "github": "lin@example.com"}[provider]
			c := w.web()
			b := w.newBrowser()
			p := e.away(b, b.begin(c.url(), provider)).has(t, 200, "Create your account", email)
			p = b.submit(p).has(t, 422, "accept the terms")
			p = b.finish(b.submit(p, "acceptedTerms", "true"))
			if p.location == nil || p.location.Query().Get("code") == "" {
				t.Fatalf("%s: after joining: %d %s", provider, p.status, p.body)
			}
			tokens := c.exchange(p.location.Query().Get("code"))
			claims := w.claims(tokens.ID)
			u, err := w.accounts.ByEmail(t.Context(), email)
			if err != nil || claims["sub"] != u.ID || !u.Verified || claims["amr"].([]any)[0] != "fed" || claims["acr"] != "single" {
				t.Errorf("%s: %+v %v, claims %v", provider, u, err, claims)
			}
			again := w.newBrowser()
			if p := again.finish(e.away(again, again.begin(c.url(), provider))); p.location == nil || p.location.Query().Get("code") == "" {
				t.Errorf("%s, the second time: %d %s", provider, p.status, p.body)
			}
			if ok, err := w.accounts.HasPassword(t.Context(), u.ID); ok || err != nil {
				t.Errorf("%s: has a password: %v %v", provider, ok, err)
			}
		}
	})
}

// A18: an address alone links nothing: its owner signs in first, then presses a
// button. Afterwards the link signs in, until it is removed.
func TestAnAddressAloneLinksNothing(t *testing.T) {
	social(t, func(w *world, e *elsewhere) {
		e.person["email"] = w.ada.Email
		c := w.web()
		b := w.newBrowser()
		p := e.away(b, b.begin(c.url(), "oidc")).has(t, 409, "You have an account already", w.ada.Email)
		if w.isIn(b) {
			t.Fatal("the address alone has signed somebody in")
		}
		next := html.UnescapeString(regexp.MustCompile(`href="(/account/link\?id=[^"]+)"`).FindStringSubmatch(p.body)[1])
		if p := w.newBrowser().open(w.idp + next); strings.Contains(p.body, "Link it") {
			t.Error("another browser sees the decision without a sign-in")
		}
		p = b.login(b.open(w.idp+next).has(t, 200, `name="password"`)).has(t, 200, "Link Works?", "Ada")
		p = b.finish(b.submit(p, "decision", "link"))
		if p.location == nil || p.location.Query().Get("code") == "" {
			t.Fatalf("after the link the app is not answered: %d %s", p.status, p.body)
		}
		other := w.newBrowser()
		p = other.finish(e.away(other, other.begin(c.url(), "oidc")))
		if p.location == nil {
			t.Fatalf("the link does not sign in: %d %s", p.status, p.body)
		}
		if sub := w.claims(c.exchange(p.location.Query().Get("code")).ID)["sub"]; sub != w.ada.ID {
			t.Errorf("signed in is %v", sub)
		}
		p = b.open(w.idp+"/account/security").has(t, 200, "Works", "Unlink")
		id := regexp.MustCompile(`name="id" value="(fid_[^"]+)"`).FindStringSubmatch(p.body)[1]
		b.send(w.idp+"/account/security/linked/remove", form("id", id)).has(t, 200, "The account is unlinked")
		b.send(w.idp+"/account/security/linked/remove", form("id", id)).has(t, 404)
		third := w.newBrowser()
		e.away(third, third.begin(c.url(), "oidc")).has(t, 409)
	})
}

// An account that never proved its address loses it to whom a provider vouches
// for: somebody may have signed up with the address of another.
func TestAVouchedAddressTakesTheUnprovenAccountsPlace(t *testing.T) {
	social(t, func(w *world, e *elsewhere) {
		squat := w.unproven("grace@example.com")
		b := w.newBrowser()
		p := b.submit(e.away(b, b.begin(w.idp+"/account", "oidc")).has(t, 200, "Create your account"), "acceptedTerms", "true")
		p.has(t, 200, "Your account")
		u, err := w.accounts.ByEmail(t.Context(), "grace@example.com")
		if err != nil || u.ID == squat.ID || !u.Verified {
			t.Errorf("the address belongs to %+v, %v", u, err)
		}
		old := w.newBrowser()
		old.submit(old.open(w.idp+"/account"), "name", "grace@example.com", "password", password).has(t, 200, "Wrong e-mail or password")
		// Without the voucher nobody loses anything.
		squat = w.unproven("lin@example.com")
		e.mails = []map[string]any{{"email": "lin@example.com", "primary": true, "verified": false}}
		other := w.newBrowser()
		e.away(other, other.begin(w.idp+"/account", "github")).has(t, 409)
		if u, err := w.accounts.ByEmail(t.Context(), "lin@example.com"); err != nil || u.ID != squat.ID {
			t.Errorf("the unproven account has lost its address: %+v %v", u, err)
		}
	})
}

// What comes back counts once, in one browser, from the provider that was asked.
func TestAnAnswerFromElsewhereIsBound(t *testing.T) {
	social(t, func(w *world, e *elsewhere) {
		b := w.newBrowser()
		back := e.back(b, b.begin(w.idp+"/account", "oidc"))
		for what, address := range map[string]string{
			"a foreign state":   strings.Replace(back, "state=", "state=A", 1),
			"another provider":  strings.Replace(back, "/oidc/", "/github/", 1),
			"no state":          w.idp + "/federation/oidc/callback?code=x",
			"a doubled state":   back + "&state=x",
			"unknown providers": strings.Replace(back, "/oidc/", "/nobody/", 1),
		} {
			thief := w.newBrowser()
			if p := thief.open(address); p.status != 400 {
				t.Errorf("%s: %d", what, p.status)
			}
		}
		if p := w.newBrowser().open(back); p.status != 400 {
			t.Errorf("another browser: %d", p.status)
		}
		b.open(back).has(t, 200, "Create your account")
		b.open(back).has(t, 400)
		late := e.back(b, b.begin(w.idp+"/account", "oidc"))
		w.advance(11 * time.Minute)
		b.open(late).has(t, 400)
		if p := w.newBrowser().open(w.idp + "/federation/oidc/start?interaction=aaaaaaaaaaaaaaaaaaaaaaaaaa"); p.status != 400 && p.status != 404 {
			t.Errorf("without an interaction: %d", p.status)
		}
	})
}

// A wrong token of the provider signs nobody in, and the page offers the others.
func TestAWrongAnswerFromElsewhereIsRefused(t *testing.T) {
	social(t, func(w *world, e *elsewhere) {
		for what, change := range map[string]func(){
			"another nonce":    func() { e.change = func(c oauthtest.Claims) { c["nonce"] = "other" } },
			"another audience": func() { e.change = func(c oauthtest.Claims) { c["aud"] = "other" } },
			"several":          func() { e.change = func(c oauthtest.Claims) { c["aud"] = []string{theirID, "other"} } },
			"another issuer":   func() { e.change = func(c oauthtest.Claims) { c["iss"] = "https://evil.test" } },
			"too old":          func() { e.change = func(c oauthtest.Claims) { c["exp"] = w.now().Add(-time.Hour).Unix() } },
			"no subject":       func() { e.change = func(c oauthtest.Claims) { c["sub"] = "" } },
			"another key":      func() { e.key2 = oauthtest.NewKey(t, "RS256") },
			"mixed up":         func() { e.iss = "https://evil.test" },
			"an error":         func() { e.deny = "server_error" },
		} {
			e.set(change)
			b := w.newBrowser()
			p := e.away(b, b.begin(w.idp+"/account", "oidc"))
			if p.status != 502 || !strings.Contains(p.body, `href="/interaction/`) || strings.Contains(p.body, "nonce") && !strings.Contains(what, "nonce") && strings.Contains(p.body, "ID token") {
				t.Errorf("%s: %d %s", what, p.status, p.body)
			}
			if w.isIn(b) {
				t.Errorf("%s: signed in", what)
			}
			e.set(func() { e.change, e.key2, e.iss, e.deny = nil, nil, e.url, "" })
		}
		e.set(func() { e.deny = "access_denied" })
		b := w.newBrowser()
		e.away(b, b.begin(w.idp+"/account", "oidc")).has(t, 200, `name="password"`)
	})
}

// Fault row 50: a provider that is down says so; the others work, and it does
// when it is back.
func TestAProviderThatIsDown(t *testing.T) {
	social(t, func(w *world, e *elsewhere) {
		e.set(func() { e.down = true })
		b := w.newBrowser()
		b.begin(w.idp+"/account", "oidc").has(t, 502, "Works does not answer", `href="/interaction/`)
		b.login(b.open(w.idp+"/account")).has(t, 200, "Your account")
		e.set(func() { e.down = false })
		other := w.newBrowser()
		e.away(other, other.begin(w.idp+"/account", "oidc")).has(t, 200, "Create your account")
	})
}

// The second factor of an account is asked for after the first one elsewhere
// too, and a link asks for a recent sign-in.
func TestALinkFromTheAccountAreaAndTheSecondFactor(t *testing.T) {
	social(t, func(w *world, e *elsewhere) {
		b := w.newBrowser()
		b.login(b.open(w.idp+"/account/security")).has(t, 200, "Link Works")
		if p := b.send(w.idp+"/account/link", form("id", "x", "decision", "link")); p.status != 400 {
			t.Errorf("a made-up decision: %d", p.status)
		}
		p := e.away(b, b.open(w.idp+"/account/security/linked/oidc")).has(t, 200, "Link Works?", "grace@example.com")
		b.submit(p, "decision", "link").has(t, 200, "The account is linked")
		// The same account there cannot be linked to somebody else here.
		w.ada = w.person("eve@example.com")
		eve := w.newBrowser()
		eve.login(eve.open(w.idp + "/account/security"))
		p = e.away(eve, eve.open(w.idp+"/account/security/linked/oidc"))
		eve.submit(p, "decision", "link").has(t, 409, "linked to somebody else")
		w.advance(6 * time.Minute)
		if p := b.open(w.idp + "/account/security/linked/oidc"); !strings.Contains(p.body, `name="password"`) {
			t.Errorf("an old sign-in starts a link: %d %v", p.status, p.location)
		}
	})
}

// The last way to sign in stays.
func TestTheLastWayToSignInStays(t *testing.T) {
	social(t, func(w *world, e *elsewhere) {
		b := w.newBrowser()
		p := b.submit(e.away(b, b.begin(w.idp+"/account/security", "oidc")), "acceptedTerms", "true").has(t, 200, "Unlink")
		id := regexp.MustCompile(`name="id" value="(fid_[^"]+)"`).FindStringSubmatch(p.body)[1]
		b.send(w.idp+"/account/security/linked/remove", form("id", id)).has(t, 409, "the only way")
	})
}

// isIn reports whether anybody is signed in in b.
func (w *world) isIn(b *browser) bool {
	p := b.open(w.idp + "/account")
	return p.status == http.StatusOK && strings.Contains(p.body, "Your account")
}

// unproven signs somebody up who does not open the mail.
func (w *world) unproven(email string) account.User {
	w.t.Helper()
	err := w.accounts.Register(w.t.Context(), account.Registration{Email: email, Password: password, Terms: true})
	u, err2 := w.accounts.ByEmail(w.t.Context(), email)
	if err := errors.Join(err, err2); err != nil {
		w.t.Fatal(err)
	}
	return u
}
