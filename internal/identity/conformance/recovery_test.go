package conformance_test

import (
	"fmt"
	"io"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// mailed returns the texts of the mails that the server sent to an address,
// the newest first, each headed by its subject.
func (w *world) mailed(to string) []string {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.core.Config.Data, "mail", "*.eml"))
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, file := range slices.Backward(files) {
		f, err := os.Open(file)
		if err != nil {
			w.t.Fatal(err)
		}
		m, err := mail.ReadMessage(f)
		if err != nil {
			w.t.Fatal(err)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
		_ = f.Close()
		if err != nil {
			w.t.Fatal(err)
		}
		if m.Header.Get("To") == to {
			out = append(out, m.Header.Get("Subject")+"\n"+string(text))
		}
	}
	return out
}

// link returns the address in the newest mail to somebody.
func (w *world) link(to string) string {
	w.t.Helper()
	mails := w.mailed(to)
	if len(mails) == 0 {
		w.t.Fatalf("no mail to %s", to)
	}
	_, rest, ok := strings.Cut(mails[0], w.idp)
	if !ok {
		w.t.Fatalf("no link of ours in %q", mails[0])
	}
	path, _, _ := strings.Cut(rest, "\r\n")
	path, _, _ = strings.Cut(path, "\n")
	return w.idp + path
}

const better = "staple battery horse"

// A8, A15, A17: whoever forgot the password gets another by mail, is signed out
// everywhere, and still proves the second factor.
func TestResetSignsOutAndKeepsTheFactor(t *testing.T) {
	run(t, func(w *world) {
		c := w.web()
		got := c.signIn("scope", "openid offline_access account.manage credits.read")
		app, _ := w.enroll(got.Access)
		w.advance(time.Minute)
		w.finishWith(c, app)
		got = c.signIn("scope", "openid offline_access credits.read")
		if w.me(got.Access) != 200 {
			t.Fatal("the token does not work")
		}
		b := w.newBrowser()
		p := b.open(c.url())
		p = b.open(w.idp+"/forgot?interaction="+p.url.Path[strings.LastIndex(p.url.Path, "/")+1:]).has(t, 200, "Forgot your password?")
		b.submit(p, "email", "Stranger@example.com").has(t, 200, "We sent a mail to Stranger@example.com")
		b.submit(p, "email", w.ada.Email).has(t, 200, "We sent a mail to "+w.ada.Email)
		link := w.link(w.ada.Email)
		r := b.open(strings.Replace(link, w.idp, w.idp, 1)).has(t, 200, "Choose a new password")
		if !strings.Contains(w.mailed("Stranger@example.com")[0], "no account") {
			t.Error("the stranger was not told")
		}
		b.submit(r, "password", "password1").has(t, 422, "common passwords")
		b.submit(r, "password", better).has(t, 200, "Your password is set", `href="/interaction/`)
		if !strings.HasPrefix(w.mailed(w.ada.Email)[0], "Your password was changed") {
			t.Errorf("mails %q", w.mailed(w.ada.Email)[0])
		}
		b.open(link).has(t, 410, "has been used")
		if status := w.me(got.Access); status != 401 {
			t.Errorf("an access token after the reset: %d", status)
		}
		w.want("refresh token", c.refresh(got.Refresh), 400, "invalid_grant")
		if q := c.authorize("prompt", "none"); q.Get("error") != "login_required" {
			t.Errorf("the browser's own session: %v", q)
		}
		w.advance(time.Minute)
		p = b.submit(b.open(c.url()), "name", w.ada.Email, "password", better).has(t, 200, "Enter your code")
		if p = b.finish(b.submit(p, "code", app.code())); p.location == nil {
			t.Errorf("after the code: %s", p.body)
		}
	})
}

// finishWith signs ada's browser in with her phone.
func (w *world) finishWith(c *rp, app phone) {
	w.t.Helper()
	p := w.browser.open(c.url())
	if strings.Contains(p.body, `name="password"`) {
		p = w.browser.login(p)
	}
	p.has(w.t, 200, "Enter your code")
	if p = w.browser.finish(w.browser.submit(p, "code", app.code())); p.location == nil {
		w.t.Fatalf("after the code: %s", p.body)
	}
}

// A15, A16: the account area asks for a recent sign-in before a change, ends
// other sign-ins with it, and keeps its own.
func TestAccountArea(t *testing.T) {
	run(t, func(w *world) {
		b, other := w.newBrowser(), w.newBrowser()
		p := b.login(b.open(w.idp+"/account")).has(t, 200, "Your account", w.ada.Email)
		other.login(other.open(w.idp+"/account")).has(t, 200, "Your account")
		b.submit(p, "firstName", "Augusta", "lastName", "", "username", "x").has(t, 422, "3 to 30", "Augusta")
		b.submit(p, "firstName", "Augusta", "lastName", "King", "username", "augusta").has(t, 200, "Your profile is saved", "Augusta King")

		change := func(pairs ...string) page {
			return b.send(w.idp+"/account/security/password", form(pairs...))
		}
		w.advance(6 * time.Minute)
		p = change("currentPassword", password, "password", better, "signOut", "true").has(t, 200, `name="password"`, "Sign in")
		b.login(p).has(t, 200, "How you sign in") // nothing was changed
		change("currentPassword", "wrong", "password", better).has(t, 200, "current password is wrong")
		change("currentPassword", password, "password", better, "signOut", "true").has(t, 200, "Your password is changed")
		b.open(w.idp+"/account").has(t, 200, "Augusta King")
		other.open(w.idp+"/account").has(t, 200, `name="password"`)

		// The factor, from set-up to removal.
		at := w.idp + "/account/security"
		p = b.send(at+"/totp", form()).has(t, 200, "Scan this code")
		app := phone{w, strings.ReplaceAll(shownKey.FindStringSubmatch(p.body)[1], " ", "")}
		p = b.submit(p, "code", app.code()).has(t, 200, "Keep your recovery codes")
		code := shownCode.FindAllStringSubmatch(p.body, -1)
		var n int
		_, _ = fmt.Sscan(askedCode.FindStringSubmatch(p.body)[1], &n)
		b.submit(p, "code", code[n-1][1]).has(t, 200, "Your second factor is set up", "10 of 10 left")
		b.send(at+"/codes", form()).has(t, 200, "Keep your recovery codes")
		b.send(at+"/totp/remove", form()).has(t, 200, "Your second factor is removed", "Only your password")

		// The address.
		old := w.ada.Email
		b.send(at+"/email", form("newEmail", "not one")).has(t, 422, "not an e-mail address")
		b.send(at+"/email", form("newEmail", "ada@new.example")).has(t, 200, "Check your mail")
		undo := w.link(old)
		p = w.newBrowser().open(w.link("ada@new.example")).has(t, 200, "Use this address?")
		b.open(at).has(t, 200, old) // looking at the link changes nothing
		b.submit(p).has(t, 200, "Your address has changed")
		b.open(at).has(t, 200, "ada@new.example")
		b.submit(b.open(undo)).has(t, 410)
	})
}

// O9: whoever uses a refresh token for the second time, its owner is told.
func TestReplayIsToldToTheOwner(t *testing.T) {
	run(t, func(w *world) {
		c := w.web()
		first := c.signIn("scope", "openid offline_access")
		second := c.refresh(first.Refresh)
		w.advance(11 * time.Second)
		w.want("replay", c.refresh(first.Refresh), 400, "invalid_grant")
		w.want("its successor", c.refresh(second.Refresh), 400, "invalid_grant")
		mails := w.mailed(w.ada.Email)
		if len(mails) != 1 || !strings.HasPrefix(mails[0], "An app was signed out") || !strings.Contains(mails[0], `"RP"`) {
			t.Errorf("mails %q", mails)
		}
	})
}
