package e2e_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/rephlo/rephlo/e2e"
)

// axe finds what makes a page hard to use for people with a disability: it is
// the checker that browsers' own tools are made of.
const axe = "npm/node_modules/axe-core/axe.min.js"

// Nothing that axe finds at all is wrong on any page of the Identity Provider,
// in light or in dark, on a phone: not even what it calls best practice.
func TestAxeFindsNothingOnAnyPage(t *testing.T) {
	e2e.Require(t)
	checker, err := os.ReadFile(filepath.FromSlash(axe))
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%v; run npm ci in e2e/npm", err)
		}
		t.Skipf("%s is not installed: run npm ci in e2e/npm", axe)
	}
	s := e2e.Start(t, e2e.Options{})
	ctx, complaints := browser(t)
	do(ctx, t, complaints, chromedp.EmulateViewport(320, 800))
	ada := s.NewPerson("ada@example.com")
	ada.Register()
	check := func(page string) {
		t.Helper()
		for _, scheme := range []string{"light", "dark"} {
			media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}, // no colour on its way to another
			}}
			if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media); err != nil {
				t.Fatal(err)
			}
			for _, finding := range findings(ctx, t, string(checker)) {
				t.Errorf("%s, %s: %s", page, scheme, finding)
			}
		}
	}
	visit := func(page, address string) {
		t.Helper()
		do(ctx, t, complaints, chromedp.Navigate(address), chromedp.WaitVisible(chromedp.CSS(`main h1`)))
		check(page)
	}
	visit("the sign-up", s.IDP+"/register")
	visit("the proof of an address", s.IDP+"/verify?token=nonsense")
	visit("a forgotten password", s.IDP+"/forgot")
	visit("a device", s.IDP+"/device")
	visit("the sign-out", s.IDP+"/oauth/end-session")
	visit("an error", s.IDP+"/oauth/authorize?client_id=nobody")
	visit("the sign-in", s.NewApp().Request(nil).URL)
	const button = chromedp.CSS(`main form button`)
	signIn := func(password, then string) {
		t.Helper()
		do(ctx, t, complaints, chromedp.SendKeys(chromedp.CSS(`input[name=password]`), password), chromedp.Click(button), chromedp.WaitVisible(chromedp.CSS(then)))
	}
	do(ctx, t, complaints, chromedp.SendKeys(chromedp.CSS(`input[name=name]`), ada.Email))
	signIn("a wrong one", `[role=alert]`)
	check("a sign-in that failed")
	signIn(ada.Password, `button[value=allow]`)
	check("the consent")
	for _, page := range []string{"", "/security", "/apps", "/privacy", "/security/passkeys/new"} {
		visit("account"+page, s.IDP+"/account"+page)
	}
	do(ctx, t, complaints,
		chromedp.Navigate(s.IDP+"/account/privacy"), chromedp.Click(chromedp.CSS(`details summary`)),
		chromedp.WaitVisible(chromedp.CSS(`#sure`)))
	check("a deletion")
	do(ctx, t, complaints,
		chromedp.Navigate(s.IDP+"/account/security"), chromedp.Click(chromedp.CSS(`form[action="/account/security/totp"] button`)),
		chromedp.WaitVisible(chromedp.CSS(`input[name=code]`)))
	check("the set-up of a second factor")
}

// findings are what axe finds on the page that is open.
func findings(ctx context.Context, t *testing.T, checker string) []string {
	t.Helper()
	ask[bool](ctx, t, checker+"; true")
	ask[bool](ctx, t, `window.found = null; axe.run(document, {resultTypes: ["violations"]}).then(
		r => window.found = r.violations.flatMap(v => v.nodes.map(n => v.id + ": " + n.failureSummary.replace(/\s+/g, " ") + " " + n.html)),
		e => window.found = ["axe failed: " + e]); true`)
	for limit := time.After(20 * time.Second); !ask[bool](ctx, t, `window.found !== null`); {
		select {
		case <-limit:
			t.Fatal("axe does not come to an end")
		case <-time.After(20 * time.Millisecond):
		}
	}
	all := ask[string](ctx, t, `window.found.join("\n")`)
	return strings.FieldsFunc(all, func(r rune) bool { return r == '\n' })
}
