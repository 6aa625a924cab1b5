package e2e_test

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/rephlo/rephlo/e2e"
)

// Every page fits a small phone and a wide screen, in light and in dark, and
// no button breaks its words over two lines.
func TestPagesFitTheScreen(t *testing.T) {
	e2e.Require(t)
	s := e2e.Start(t, e2e.Options{})
	ctx, complaints := browser(t)
	ada := s.NewPerson("ada@example.com")
	ada.Register()
	const button = chromedp.CSS(`main form button`)
	check := func(page string) {
		t.Helper()
		grounds := map[string]string{}
		for _, scheme := range []string{"light", "dark"} {
			media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
			if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media); err != nil {
				t.Fatal(err)
			}
			for _, width := range []int64{320, 1280} {
				do(ctx, t, complaints, chromedp.EmulateViewport(width, 800))
				if wide := ask[int](ctx, t, `document.documentElement.scrollWidth`); wide > int(width) {
					t.Errorf("%s is %d pixels wide on a screen of %d, %s", page, wide, width, scheme)
				}
				if high := ask[int](ctx, t, `Math.max(0, ...[...document.querySelectorAll("button, .button")].map(b => b.offsetHeight))`); high > 56 {
					t.Errorf("%s has a button of %d pixels height on a screen of %d", page, high, width)
				}
			}
			grounds[scheme] = ask[string](ctx, t, `getComputedStyle(document.body).backgroundColor`)
		}
		if grounds["light"] == grounds["dark"] {
			t.Errorf("%s is %s in light and in dark", page, grounds["light"])
		}
	}
	visit := func(page, address string) {
		t.Helper()
		do(ctx, t, complaints, chromedp.Navigate(address), chromedp.WaitVisible(chromedp.CSS(`main h1`)))
		check(page)
	}
	visit("the set-up", s.MustCLI("", "admin", "create", "root@example.com"))
	do(ctx, t, complaints, chromedp.SendKeys(chromedp.CSS(`input[type=password]`), ada.Password), chromedp.Click(button), chromedp.WaitVisible(chromedp.CSS(`pre`)))
	check("the page after the set-up")
	visit("the sign-up", s.IDP+"/register")
	visit("the proof of an address", s.IDP+"/verify?token=nonsense")
	visit("the sign-out", s.IDP+"/oauth/end-session")
	visit("an error", s.IDP+"/oauth/authorize?client_id=nobody")
	visit("the sign-in", s.NewApp().Request(nil).URL)
	signIn := func(password, then string) {
		t.Helper()
		do(ctx, t, complaints, chromedp.SendKeys(chromedp.CSS(`input[name=password]`), password), chromedp.Click(button), chromedp.WaitVisible(chromedp.CSS(then)))
	}
	do(ctx, t, complaints, chromedp.SendKeys(chromedp.CSS(`input[name=name]`), ada.Email))
	signIn("a wrong one", `[role=alert]`)
	check("a sign-in that failed")
	signIn(ada.Password, `button[value=allow]`)
	check("the consent")
}
