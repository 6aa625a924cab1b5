package conformance_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/identity/client"
)

// phone is an authenticator app.
type phone struct {
	w      *world
	secret string
}

// code is what the phone shows now.
func (p phone) code() string {
	p.w.t.Helper()
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(p.secret)
	if err != nil {
		p.w.t.Fatal(err)
	}
	mac := hmac.New(sha1.New, key)
	_ = binary.Write(mac, binary.BigEndian, p.w.now().Unix()/30)
	sum := mac.Sum(nil)
	n := binary.BigEndian.Uint32(sum[sum[19]&0xf:]) & 0x7fffffff
	return fmt.Sprintf("%06d", n%1_000_000)
}

// ask sends a JSON request to the Resource API with a token.
func (w *world) ask(method, path, token string, body, out any) int {
	w.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.api+path, strings.NewReader(string(text)))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	status, _ := w.do(r, out, bearer(token))
	return status
}

// enroll gives ada an authenticator through the API.
func (w *world) enroll(token string) (p phone, recovery []string) {
	w.t.Helper()
	var setup struct{ SetupID, Secret string }
	if status := w.ask("POST", "/auth/mfa/setup", token, struct{}{}, &setup); status != 200 {
		w.t.Fatalf("setup: %d", status)
	}
	p = phone{w, setup.Secret}
	var codes struct{ RecoveryCodes []string }
	if status := w.ask("POST", "/auth/mfa/verify-setup", token, map[string]string{"setupId": setup.SetupID, "code": p.code()}, &codes); status != 200 {
		w.t.Fatalf("verify-setup: %d", status)
	}
	return p, codes.RecoveryCodes
}

// login gives ada's name and password.
func (b *browser) login(p page) page {
	b.w.t.Helper()
	return b.submit(p, "name", b.w.ada.Email, "password", password)
}

func (p page) has(t testing.TB, status int, texts ...string) page {
	t.Helper()
	for _, text := range append(texts, "") {
		if p.status != status || !strings.Contains(p.body, text) {
			t.Fatalf("%s: %d, want %d and %q: %s", p.url, p.status, status, text, p.body)
		}
	}
	return p
}

func (b *browser) cookie(name string) string {
	at, _ := url.Parse(b.w.idp)
	for _, c := range b.Jar.Cookies(at) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// A6 to A9: the second factor is asked for, once per code, and half a sign-in
// is none.
func TestSignInAsksForTheSecondFactor(t *testing.T) {
	run(t, func(w *world) {
		c := w.web()
		app, recovery := w.enroll(c.signIn("scope", "openid account.manage").Access)
		w.advance(30 * time.Second) // the code of the set-up is used up

		b := w.newBrowser()
		p := b.login(b.open(c.url())).has(t, 200, "Enter your code", w.ada.Email)
		if b.cookie("rephlo_s") != "" {
			t.Error("a session after the first factor alone")
		}
		if q := b.answer(c.url("prompt", "none")); q.Get("error") != "login_required" {
			t.Errorf("half a sign-in in another interaction: %v", q)
		}
		p = b.submit(p, "code", "000000").has(t, 200, "4 tries left")
		code := app.code()
		p = b.finish(b.submit(p, "code", code[:3]+" "+code[3:]))
		if p.location == nil {
			t.Fatalf("after the code: %s", p.body)
		}
		claims := w.claims(c.exchange(p.location.Query().Get("code")).ID)
		if claims["acr"] != "mfa" || fmt.Sprint(claims["amr"]) != "[pwd otp mfa]" {
			t.Errorf("acr %v, amr %v", claims["acr"], claims["amr"])
		}

		b = w.newBrowser()
		p = b.submit(b.login(b.open(c.url())), "code", code).has(t, 200, "used already") // by somebody who looked over a shoulder
		p = b.open(p.url.String()[:strings.LastIndex(p.url.String(), "/")]+"?use=recovery").has(t, 200, "Recovery code")
		if p = b.finish(b.submit(p, "code", strings.ToUpper(recovery[0]))); p.location == nil {
			t.Fatalf("a recovery code: %s", p.body)
		}
		b = w.newBrowser()
		p = b.submit(b.login(b.open(c.url())), "code", recovery[0]).has(t, 200, "used already")
		for range 4 {
			p = b.submit(p, "code", "000000")
		}
		w.advance(time.Second)
		p = b.submit(p, "code", "000000")
		w.advance(500 * time.Millisecond)
		b.submit(p, "code", app.code()).has(t, 429, "Too many wrong codes", `name="password"`) // it begins anew
	})
}

// A11 and O25: whoever is signed in with one factor gives the second when they
// have one, and nobody else is asked.
func TestStepUp(t *testing.T) {
	run(t, func(w *world) {
		c := w.web()
		const essential = `{"id_token":{"acr":{"essential":true,"values":["mfa"]}}}`
		first := w.claims(c.signIn("scope", "openid account.manage").ID)
		if first["acr"] != "single" || fmt.Sprint(first["amr"]) != "[pwd]" {
			t.Errorf("by password alone: %v %v", first["acr"], first["amr"])
		}
		if q := c.authorize("claims", essential); q.Get("error") != "unmet_authentication_requirements" {
			t.Errorf("without a factor to give: %v", q)
		}
		// Set up within the browser's own sign-in, which therefore goes on.
		bound := w.web(func(c *client.Client) { c.RefreshLife = "session" })
		app, _ := w.enroll(bound.signIn("scope", "openid account.manage").Access)
		w.advance(time.Minute)
		if q := c.authorize("prompt", "none"); q.Get("error") != "login_required" {
			t.Errorf("prompt=none before the step: %v", q)
		}
		before := w.browser.cookie("rephlo_s")
		p := w.browser.open(c.url()).has(t, 200, "Enter your code")
		p = w.browser.finish(w.browser.submit(p, "code", app.code()))
		if p.location == nil {
			t.Fatalf("after the step: %s", p.body)
		}
		if after := w.browser.cookie("rephlo_s"); after == before || before == "" {
			t.Error("the session kept its secret")
		}
		raised := w.claims(c.exchange(p.location.Query().Get("code")).ID)
		if raised["acr"] != "mfa" || raised["auth_time"] != w.claims(bound.signIn("scope", "openid").ID)["auth_time"] {
			t.Errorf("after the step: %v", raised)
		}
		if q := c.authorize("claims", essential, "prompt", "none"); q.Get("code") == "" {
			t.Errorf("essential acr: %v", q)
		}
		if q := c.authorize("claims", `{"id_token":{"acr":{"essential":true,"values":["gold"]}}}`, "prompt", "none"); q.Get("error") != "login_required" {
			t.Errorf("a class that nobody has: %v", q)
		}
	})
}

var (
	shownKey   = regexp.MustCompile(`<pre>([A-Z2-7 ]+)</pre>`)
	shownCode  = regexp.MustCompile(`<li><code>([^<]+)</code>`)
	askedCode  = regexp.MustCompile(`Code number (\d+)`)
	adminScope = "openid admin account.manage"
)

// An administrator cannot go on without a second factor, and sets it up on the
// way.
func TestAdministratorsEnroll(t *testing.T) {
	run(t, func(w *world) {
		root, err := w.accounts.CreateAdmin(t.Context(), "root@example.com", password)
		if err != nil {
			t.Fatal(err)
		}
		w.ada = root
		c := w.web(func(c *client.Client) { c.Scopes = strings.Fields(adminScope) })
		b := w.newBrowser()
		p := b.login(b.open(c.url("scope", adminScope))).has(t, 200, "Protect your account")
		if q := b.answer(c.url("prompt", "none")); q.Get("error") != "interaction_required" {
			t.Errorf("prompt=none: %v", q)
		}
		p = b.submit(p).has(t, 200, "Scan this code", "data:image/png;base64,")
		key := shownKey.FindStringSubmatch(p.body)[1]
		app := phone{w, strings.ReplaceAll(key, " ", "")}
		p = b.submit(p, "code", "000000").has(t, 200, key, "4 tries left") // the same key again
		p = b.submit(p, "code", app.code()).has(t, 200, "Keep your recovery codes")
		var codes []string
		for _, m := range shownCode.FindAllStringSubmatch(p.body, -1) {
			codes = append(codes, html.UnescapeString(m[1]))
		}
		if len(codes) != 10 || len(slices.Compact(slices.Sorted(slices.Values(codes)))) != 10 {
			t.Fatalf("recovery codes %d", len(codes))
		}
		p = b.submit(p, "code", "nonsense").has(t, 200, "This is not code number", codes[3])
		var n int
		_, _ = fmt.Sscan(askedCode.FindStringSubmatch(p.body)[1], &n)
		p = b.finish(b.submit(p, "code", codes[n-1]))
		if p.location == nil {
			t.Fatalf("after the set-up: %s", p.body)
		}
		got := c.exchange(p.location.Query().Get("code"))
		if claims := w.claims(got.Access); claims["acr"] != "mfa" {
			t.Errorf("acr %v", claims["acr"])
		}
		w.advance(time.Minute)
		b = w.newBrowser()
		b.login(b.open(c.url())).has(t, 200, "Enter your code")
	})
}
