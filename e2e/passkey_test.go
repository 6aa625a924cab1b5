package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/rephlo/rephlo/e2e"
)

// laptop is a browser with the authenticators that are plugged into it.
type laptop struct {
	t          *testing.T
	ctx        context.Context
	complaints func() []string
	s          *e2e.Server
}

// plug gives the laptop an authenticator that verifies its user.
func (l laptop) plug() webauthn.AuthenticatorID {
	l.t.Helper()
	got, err := chromedp.Call(l.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true, HasUserVerification: true,
		IsUserVerified: true, AutomaticPresenceSimulation: true,
	}})
	if err != nil {
		l.t.Fatal(err)
	}
	return got.AuthenticatorID
}

func (l laptop) lose(id webauthn.AuthenticatorID) {
	l.t.Helper()
	if _, err := chromedp.Call(l.ctx, webauthn.RemoveVirtualAuthenticator, webauthn.RemoveVirtualAuthenticatorParams{AuthenticatorID: id}); err != nil {
		l.t.Fatal(err)
	}
}

// copyOf returns the one credential that an authenticator has.
func (l laptop) copyOf(id webauthn.AuthenticatorID) webauthn.Credential {
	l.t.Helper()
	got, err := chromedp.Call(l.ctx, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: id})
	if err != nil || len(got.Credentials) != 1 {
		l.t.Fatalf("credentials %v, %v", got, err)
	}
	return *got.Credentials[0]
}

// restore plugs in an authenticator that has a credential.
func (l laptop) restore(c webauthn.Credential) webauthn.AuthenticatorID {
	l.t.Helper()
	id := l.plug()
	// The library sends a field that this authenticator does not take.
	add := cdp.Command[map[string]any, cdp.Empty]{Method: webauthn.CommandAddCredential}
	if _, err := chromedp.Call(l.ctx, add, map[string]any{"authenticatorId": id, "credential": map[string]any{
		"credentialId": c.CredentialID, "isResidentCredential": true, "rpId": "localhost", "privateKey": c.PrivateKey,
		"userHandle": c.UserHandle, "signCount": c.SignCount,
	}}); err != nil {
		l.t.Fatal(err)
	}
	return id
}

func (l laptop) do(steps ...chromedp.Action[chromedp.Void]) {
	l.t.Helper()
	if err := chromedp.Do(l.ctx, steps...); err != nil {
		page, _ := chromedp.Run(l.ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
		l.t.Fatalf("%v; the browser said %v; the page is %s", err, l.complaints(), page)
	}
}

func (l laptop) text() string {
	l.t.Helper()
	return ask[string](l.ctx, l.t, `document.querySelector("main").innerText`)
}

// forget removes all cookies: it is another browser then.
func (l laptop) forget() {
	l.t.Helper()
	if _, err := chromedp.Call(l.ctx, network.ClearBrowserCookies, cdp.Empty{}); err != nil {
		l.t.Fatal(err)
	}
}

const (
	newPasskey = `form[data-passkey=create]`
	usePasskey = `form[data-passkey=get] button`
	allow      = `button[value=allow], button[value=continue]`
)

func (l laptop) password(p *e2e.Person) {
	l.t.Helper()
	l.do(chromedp.SendKeys(chromedp.CSS(`input[name=name]`), p.Email), chromedp.SendKeys(chromedp.CSS(`input[name=password]`), p.Password),
		chromedp.Click(chromedp.CSS(`form[action$="/login"] button`)),
		chromedp.WaitNotPresent(chromedp.CSS(`input[name=password]`))) // the next page may have the same buttons
}

var typedBack = regexp.MustCompile(`Code number (\d+)`)

// A passkey signs in by itself and as a second factor; a second one does when
// the first is lost, and a recovery code when both are; one that was copied or
// removed does not.
func TestPasskeysInChromium(t *testing.T) {
	e2e.Require(t)
	s := e2e.Start(t, e2e.Options{Named: true})
	ctx, complaints := browser(t)
	l := laptop{t, ctx, complaints, s}
	if _, err := chromedp.Call(ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	callback := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><title>app</title><link rel="icon" href="data:,"><h1 id="code">%s</h1>`, r.URL.Query().Get("code"))
	}))
	defer callback.Close()
	app := s.NewApp()
	app.Redirect = callback.URL + "/callback"
	ada := s.NewPerson("ada@example.com")
	ada.Register()

	first := l.plug()
	l.do(chromedp.Navigate(s.IDP + "/account/security/passkeys/new"))
	l.password(ada)
	l.do(chromedp.WaitVisible(chromedp.CSS(newPasskey)),
		chromedp.SendKeys(chromedp.CSS(`input[name=name]`), "Laptop"), chromedp.Click(chromedp.CSS(newPasskey+` button`)),
		chromedp.WaitVisible(chromedp.CSS(`ol.codes`)))
	codes := ask[[]string](ctx, t, `[...document.querySelectorAll("ol.codes code")].map(c => c.innerText)`)
	var n int
	_, _ = fmt.Sscan(typedBack.FindStringSubmatch(l.text())[1], &n)
	l.do(chromedp.SendKeys(chromedp.CSS(`input[name=code]`), codes[n-1]), chromedp.Click(chromedp.CSS(`main form button`)), chromedp.WaitVisible(chromedp.CSS(`[role=status]`)))
	if got := l.text(); !strings.Contains(got, "Laptop") || !strings.Contains(got, "10 of 10 left") {
		t.Fatalf("the security page says %s", got)
	}

	// signIn goes to the app; the browser offers the passkey by itself, and this
	// authenticator takes every offer.
	signIn := func(then string) {
		t.Helper()
		l.forget()
		l.do(chromedp.Navigate(app.Request(nil).URL), chromedp.WaitVisible(chromedp.CSS(then)))
	}
	l.forget()
	request := app.Request(nil)
	l.do(chromedp.Navigate(request.URL),
		chromedp.WaitVisible(chromedp.CSS(allow)), chromedp.Click(chromedp.CSS(allow)), chromedp.WaitVisible(chromedp.CSS(`#code`)))
	code, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(`#code`)))
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := app.Exchange(strings.TrimSpace(code), request)
	if err != nil {
		t.Fatal(err)
	}
	if _, claims := e2e.Claims(t, tokens.ID); claims["acr"] != "phr" || fmt.Sprint(claims["amr"]) != "[hwk user mfa]" {
		t.Errorf("acr %v, amr %v", claims["acr"], claims["amr"])
	}

	// As a second factor, after the password; until then it is not plugged in.
	kept := l.copyOf(first)
	l.forget()
	l.lose(first)
	l.do(chromedp.Navigate(s.IDP + "/account/security/passkeys/new"))
	l.password(ada)
	l.do(chromedp.WaitVisible(chromedp.CSS(usePasskey)))
	first = l.restore(kept)
	if got := l.text(); !strings.Contains(got, "Use your passkey") {
		t.Errorf("the challenge says %s", got)
	}
	l.do(chromedp.Click(chromedp.CSS(usePasskey)), chromedp.WaitVisible(chromedp.CSS(newPasskey)))

	// A second key, and the first device is lost.
	l.lose(first)
	second := l.plug()
	l.do(chromedp.SendKeys(chromedp.CSS(`input[name=name]`), "Key"), chromedp.Click(chromedp.CSS(newPasskey+` button`)), chromedp.WaitVisible(chromedp.CSS(`[role=status]`)))
	signIn(`#code`)

	// A copy whose counter goes back is refused, and from then on the original too.
	original := l.copyOf(second)
	stale := original
	stale.SignCount = 0
	for _, credential := range []webauthn.Credential{stale, original} {
		l.lose(second)
		second = l.restore(credential)
		signIn(`.problem`)
	}
	if got := l.text(); !strings.Contains(got, "was not accepted") {
		t.Errorf("after a copy: %s", got)
	}

	// All devices are lost: a recovery code, then the old keys are removed.
	l.lose(second)
	l.forget()
	l.do(chromedp.Navigate(s.IDP + "/account/security"))
	l.password(ada)
	l.do(chromedp.WaitVisible(chromedp.CSS(`.below a[href$="use=recovery"]`)), chromedp.Click(chromedp.CSS(`.below a[href$="use=recovery"]`)),
		chromedp.WaitVisible(chromedp.CSS(`input[name=code]`)), chromedp.SendKeys(chromedp.CSS(`input[name=code]`), codes[0]),
		chromedp.Click(chromedp.CSS(`main form button`)), chromedp.WaitVisible(chromedp.CSS(`form[action$="/remove"] button`)))
	if got := l.text(); !strings.Contains(got, "blocked") || !strings.Contains(got, "9 of 10 left") {
		t.Errorf("the security page says %s", got)
	}
	for range 2 {
		l.do(chromedp.Click(chromedp.CSS(`form[action*="/passkeys/"][action$="/remove"] button`)), chromedp.WaitVisible(chromedp.CSS(`[role=status]`)))
	}
	if got := l.text(); strings.Contains(got, "Laptop") {
		t.Errorf("after the removal: %s", got)
	}
	for _, c := range complaints() {
		if !strings.Contains(c, "Failed to load resource") { // answers of 4xx, which the test is about
			t.Errorf("the browser complains: %s", c)
		}
	}
}
