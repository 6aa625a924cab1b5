package conformance_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/identity/client"
)

type securityEvents struct {
	Data []struct {
		ID, Type, Detail, IP, Agent string
	}
	NextCursor *string
}

// mails returns what the server mailed to ada with this subject, the newest
// first.
func (w *world) mails(subject string) []string {
	w.t.Helper()
	return slices.DeleteFunc(w.mailed(w.ada.Email), func(m string) bool { return !strings.HasPrefix(m, subject+"\n") })
}

// kinds lists the types of a user's events, the newest first.
func (w *world) kinds(token string) (out []string) {
	w.t.Helper()
	var list securityEvents
	if status := w.ask("GET", "/v1/users/me/security-events?limit=100", token, nil, &list); status != 200 {
		w.t.Fatalf("security events: %d", status)
	}
	for _, e := range list.Data {
		out = append(out, e.Type)
	}
	return out
}

// People see sign-ins, failed tries and changes, and nobody else does.
func TestPeopleSeeWhatHappenedToTheirAccount(t *testing.T) {
	run(t, func(w *world) {
		c := w.web(func(c *client.Client) { c.Scopes = append(c.Scopes, "keys.manage") })
		mine := c.signIn("scope", "openid account.manage keys.manage")
		if got := w.kinds(mine.Access); !slices.Equal(got, []string{"sign_in"}) {
			t.Fatalf("after the first sign-in: %v", got)
		}
		b := w.newBrowser()
		b.submit(b.open(w.idp+"/account"), "name", w.ada.Email, "password", "wrong").has(t, 200, "Wrong e-mail or password")
		b.submit(b.open(w.idp+"/account"), "name", "nobody@example.com", "password", "wrong").has(t, 200, "Wrong e-mail or password")
		w.eventually("the failed try", func() bool { return slices.Equal(w.kinds(mine.Access), []string{"sign_in_failed", "sign_in"}) })
		w.browser.open(w.idp+"/account/security").has(t, 200, "What happened lately", "A wrong password", "127.0.0.1")
		w.enroll(mine.Access)
		if got := w.kinds(mine.Access); got[0] != "factor_added" {
			t.Errorf("after a new factor: %v", got)
		}
		var page securityEvents
		if status := w.ask("GET", "/v1/users/me/security-events?limit=2", mine.Access, nil, &page); status != 200 || len(page.Data) != 2 || page.NextCursor == nil {
			t.Fatalf("the first page: %d %+v", status, page)
		}
		if e := page.Data[1]; e.Type != "sign_in_failed" || e.IP != "127.0.0.1" || e.Agent != "Go-http-client/1.1" {
			t.Errorf("the failed try is shown as %+v", e)
		}
		cursor := *page.NextCursor
		if status := w.ask("GET", "/v1/users/me/security-events?limit=2&cursor="+cursor, mine.Access, nil, &page); status != 200 || len(page.Data) != 1 || page.NextCursor != nil {
			t.Errorf("the second page: %d %+v", status, page)
		}

		w.ada = w.person("eve@example.com")
		w.browser = w.newBrowser()
		eve := c.signIn("scope", "openid account.manage")
		if got := w.kinds(eve.Access); !slices.Equal(got, []string{"sign_in"}) {
			t.Errorf("somebody else sees %v", got)
		}
		if status := w.ask("GET", "/v1/users/me/security-events?cursor="+cursor, eve.Access, nil, nil); status != 400 {
			t.Errorf("a cursor of somebody else: %d", status)
		}
	})
}

// A sign-in on a new device is mailed; the first ever, and a known browser, are
// not. The link in the mail ends that sign-in, once, and sets a new password.
func TestANewDeviceIsToldToItsOwner(t *testing.T) {
	run(t, func(w *world) {
		const subject = "A new device signed in"
		c := w.web()
		mine := c.signIn("scope", "openid account.manage")
		w.browser.open(w.idp+"/account").has(t, 200, "Your account")
		if got := w.mails(subject); len(got) != 0 {
			t.Fatalf("the first sign-in was mailed: %s", got)
		}
		thief := w.newBrowser()
		thief.login(thief.open(w.idp+"/account")).has(t, 200, "Your account")
		got := w.mails(subject)
		if len(got) != 1 || !strings.Contains(got[0], "127.0.0.1") {
			t.Fatalf("mails: %s", got)
		}
		if got := w.kinds(mine.Access); got[0] != "sign_in_new_device" {
			t.Errorf("events: %v", got)
		}
		link := w.link(w.ada.Email)
		owner := w.newBrowser()
		p := owner.open(link).has(t, 200, "Was it not you?")
		thief.open(w.idp+"/account").has(t, 200, "Your account") // looking does nothing
		p = owner.submit(p).has(t, 200, "password")
		thief.open(w.idp+"/account").has(t, 200, `name="password"`)
		w.browser.open(w.idp+"/account").has(t, 200, "Your account")
		if got := w.kinds(mine.Access); got[0] != "sign_in_disowned" {
			t.Errorf("events: %v", got)
		}
		owner.submit(owner.open(link)).has(t, 410)
		owner.submit(p, "password", "another good passphrase").has(t, 200, "new password")
		if got := w.mails(subject); len(got) != 1 {
			t.Errorf("%d mails, want one", len(got))
		}
	})
}
