package conformance_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/setting"
)

// Section 10.2: a browser can stand for the second factor where the installation
// lets it: the sign-in stays a single one, and it ends with the next change of the
// password. Where people change how they sign in, and for who insists on two
// factors, it stands for nothing.
func TestATrustedBrowserSkipsTheSecondFactor(t *testing.T) {
	run(t, func(w *world) {
		c, sure := w.web(), w.web(func(c *client.Client) { c.MinimumACR = "mfa" })
		app, _ := w.enroll(c.signIn("scope", "openid account.manage").Access)
		w.advance(30 * time.Second)
		b := w.newBrowser()
		p := b.login(b.open(c.url())).has(t, 200, "Enter your code")
		if strings.Contains(p.body, `name="trust"`) {
			t.Fatal("devices can be trusted where that is off")
		}
		w.letTrust()
		w.advance(6 * time.Second)
		p = b.open(p.url.String()).has(t, 200, `name="trust"`)
		p = b.finish(b.submit(p, "code", app.code(), "trust", "true"))
		if p.location == nil || b.cookie("rephlo_t") == "" {
			t.Fatalf("%d %v, trusted %q: %s", p.status, p.location, b.cookie("rephlo_t"), p.body)
		}

		// again, having signed out
		b.forget("rephlo_s")
		got := c.exchange(b.answer(c.url()).Get("code"))
		if claims := w.claims(got.ID); claims["acr"] != "single" || len(claims["amr"].([]any)) != 1 {
			t.Errorf("the sign-in of a trusted browser: %v", claims)
		}
		w.advance(time.Minute)
		if q := b.answer(c.url("prompt", "none")); q.Get("code") == "" {
			t.Errorf("silently: %v", q)
		}
		b.open(w.idp+"/account/security").has(t, 200, "Enter your code")
		p = b.open(sure.url()).has(t, 200, "Enter your code")
		if strings.Contains(p.body, `name="trust"`) {
			t.Error("trust is offered where it stands for nothing")
		}
		p = b.submit(p, "code", app.code())
		if p = b.finish(p); p.location == nil || p.location.Query().Get("code") == "" {
			t.Fatalf("with the code: %d %s", p.status, p.body)
		}
		other := w.newBrowser()
		other.login(other.open(c.url())).has(t, 200, "Enter your code")

		// the list, and its end
		page := b.open(w.idp+"/account/security").has(t, 200, "Ask for a code again", "asks for no code until", "was trusted in place of")
		id := regexp.MustCompile(`trusted/remove"><input type="hidden" name="id" value="([^"]+)"`).FindStringSubmatch(page.body)
		if id == nil {
			t.Fatal(page.body)
		}
		b.send(w.idp+"/account/security/trusted/remove", url.Values{"id": {id[1]}})
		b.forget("rephlo_s")
		b.login(b.open(c.url())).has(t, 200, "Enter your code")
	})
}

// A new password voids what stood for the second factor, also when the other
// sign-ins stay.
func TestANewPasswordEndsTrust(t *testing.T) {
	run(t, func(w *world) {
		c := w.web()
		app, _ := w.enroll(c.signIn("scope", "openid account.manage").Access)
		w.letTrust()
		w.advance(36 * time.Second)
		b := w.newBrowser()
		p := b.finish(b.submit(b.login(b.open(c.url())), "code", app.code(), "trust", "true"))
		token := c.exchange(p.location.Query().Get("code"))
		if token.Status != 200 {
			t.Fatal(token)
		}
		w.advance(30 * time.Second)
		fresh := c.exchange(b.answer(c.url("scope", "openid account.manage")).Get("code"))
		status := w.ask("POST", "/auth/change-password", fresh.Access, map[string]any{"currentPassword": password, "newPassword": "another " + password, "signOutEverywhere": false}, nil)
		if status >= 300 {
			t.Fatalf("change: %d", status)
		}
		b.forget("rephlo_s")
		p = b.open(c.url("prompt", "login"))
		b.submit(p, "name", w.ada.Email, "password", "another "+password).has(t, 200, "Enter your code")
	})
}

// "Keep me signed in" survives the second factor, and a night.
func TestStayingSignedInOutlivesTheNight(t *testing.T) {
	run(t, func(w *world) {
		c := w.web()
		for keep, want := range map[string]bool{"true": true, "": false} {
			b := w.newBrowser()
			p := b.finish(b.submit(b.open(c.url()).has(t, 200, `name="keep"`), "name", w.ada.Email, "password", password, "keep", keep))
			if p.location == nil {
				t.Fatal(p.body)
			}
			w.advance(13 * time.Hour)
			if q := b.answer(c.url("prompt", "none")); (q.Get("code") != "") != want {
				t.Errorf("keep %q: %v", keep, q)
			}
		}
	})
}

// letTrust has the installation let people trust browsers.
func (w *world) letTrust() {
	w.t.Helper()
	values := map[string]json.RawMessage{"trustedDevices": json.RawMessage("true")}
	if _, err := w.core.Settings.Put(w.t.Context(), "signin", 0, values, setting.Who{Actor: w.ada.ID, Reason: because}); err != nil {
		w.t.Fatal(err)
	}
}

// forget drops a cookie.
func (b *browser) forget(name string) {
	at, _ := url.Parse(b.w.idp)
	b.Jar.SetCookies(at, []*http.Cookie{{Name: name, Path: "/", MaxAge: -1}})
}
