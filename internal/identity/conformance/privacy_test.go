package conformance_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

var exportLink = regexp.MustCompile(`href="(http[^"]*/exports/[^"]+)"`)

// Section 10.5: people take a copy of their data and delete their account on pages
// too, shortly after they have signed in; until everything is erased, signing in
// undoes it.
func TestPeopleTakeTheirDataAndLeave(t *testing.T) {
	run(t, func(w *world) {
		if err := w.roles().Found(t.Context(), w.person("root@example.com").ID); err != nil { // somebody has to stay
			t.Fatal(err)
		}
		privacy := w.idp + "/account/privacy"
		b := w.newBrowser()
		b.login(b.open(privacy)).has(t, 200, "Collect my data", "You can undo it for 14 days")
		w.advance(6 * time.Minute)
		for _, button := range []string{"/export", "/delete"} {
			if p := b.send(privacy+button, url.Values{"sure": {"true"}}); !strings.Contains(p.body, `name="password"`) {
				t.Fatalf("%s six minutes after the sign-in: %d %s", button, p.status, p.body)
			}
		}
		b.login(b.send(privacy+"/export", url.Values{})).has(t, 200, "Collect my data")
		p := b.send(privacy+"/export", url.Values{}).has(t, 200, "is being collected")
		w.eventually("the copy", func() bool {
			p = b.open(privacy)
			return strings.Contains(p.body, "Your copy is ready")
		})
		link := exportLink.FindStringSubmatch(p.body)
		if link == nil {
			t.Fatal(p.body)
		}
		var file string
		status, header := w.get(strings.Replace(link[1], "?", "/file?", 1), &file)
		if status != 200 || header.Get("Content-Type") != "application/zip" || !strings.HasPrefix(file, "PK") {
			t.Errorf("the file: %d %s, %d bytes", status, header.Get("Content-Type"), len(file))
		}
		eve := w.newBrowser()
		if p := eve.open(privacy); strings.Contains(p.body, link[1]) || !strings.Contains(p.body, `name="password"`) {
			t.Errorf("a stranger sees the page: %s", p.body)
		}

		c := w.web()
		token := c.exchange(b.answer(c.url("scope", "openid credits.read")).Get("code")).Access
		b.send(privacy+"/delete", url.Values{}).has(t, 422, "Tick the box first")
		if w.me(token) != 200 {
			t.Error("an account is deleted by who did not say that they are sure")
		}
		b.send(privacy+"/delete", url.Values{"sure": {"true"}}).has(t, 200, "Your account is closed", "Undo: sign in again")
		if status := w.me(token); status == 200 {
			t.Error("a token of a deleted account works")
		}
		w.advance(24 * time.Hour)
		b.login(b.open(w.idp+"/account")).has(t, 200, "Your account", "Your data")
		if u, err := w.accounts.ByID(t.Context(), w.ada.ID); err != nil || u.State != "active" {
			t.Errorf("who came back is %s, %v", u.State, err)
		}
	})
}
