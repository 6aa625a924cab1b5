package pages_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/identity/pages"
	"github.com/rephlo/rephlo/internal/money"
)

// qrCode is the image of a black square.
const qrCode = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="

var (
	desktop = pages.Interaction{UID: "uid", Client: "Rephlo Desktop", FirstParty: true, RedirectURI: "http://127.0.0.1:53682/callback"}
	hostile = pages.Interaction{UID: `"><b>`, Client: `"><script>alert(1)</script>` + "\u202e" + strings.Repeat("long ", 60), RedirectURI: "https://evil.test/cb"}
	me      = pages.Person{Name: "Ada Lovelace", Email: "ada@example.com", Username: "ada", First: `"><script>`, Verified: true}
	setup   = pages.Setup{
		ID: "mfa_1", Secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", QR: qrCode, Action: "/account/security/totp/confirm", Cancel: "/account/security",
	}
	recovery = strings.Fields("0123-4567-89ab-cdef 1123-4567-89ab-cdef 2123-4567-89ab-cdef 3123-4567-89ab-cdef 4123-4567-89ab-cdef 5123-4567-89ab-cdef 6123-4567-89ab-cdef 7123-4567-89ab-cdef 8123-4567-89ab-cdef 9123-4567-89ab-cdef")
	mfaWrong = fault.New(fault.Unauthenticated, "code_invalid", "The code is wrong.")
	ada      = pages.Account{ID: "usr_1", Name: "Ada Lovelace", Email: "ada@example.com"}
)

// screens are all pages, each empty or full and failing. The names begin with
// that of the template.
func screens(t *testing.T) map[string]func(w http.ResponseWriter) error {
	t.Helper()
	s, err := pages.New("Acme AI", "https://api.test", true)
	if err != nil {
		t.Fatal(err)
	}
	scopes := []string{"openid", "profile", "email", "offline_access", "llm.inference", "models.read", "user.info", "credits.read"}
	short := fault.From(account.ErrShort)
	keys := []pages.Passkey{
		{ID: "pky_1", Name: `"><script>`, AddedAt: time.Unix(0, 0), UsedAt: time.Unix(1e9, 0)},
		{ID: "pky_2", Name: "Old phone", Host: "old.example", Old: true, AddedAt: time.Unix(0, 0)},
		{ID: "pky_3", Name: "Key", Suspect: true, AddedAt: time.Unix(0, 0)},
	}
	withKeys, err := pages.New("Acme AI", "https://api.test", true)
	if err != nil {
		t.Fatal(err)
	}
	withKeys.Passkeys = true
	withKeys.Social = []pages.Social{{ID: "google", Name: "Google"}, {ID: "oidc", Name: `"><script>`}}
	return map[string]func(w http.ResponseWriter) error{
		"signin.passkey": func(w http.ResponseWriter) error { return withKeys.SignIn(w, desktop, "", nil) },
		"linkfirst": func(w http.ResponseWriter) error {
			return s.LinkFirst(w, desktop, `"><script>`, "ada@example.com", "/account/link?id=x", fault.New(fault.Conflict, "x", "x"))
		},
		"join": func(w http.ResponseWriter) error {
			return s.Join(w, pages.Join{ID: "x", Action: "/federation/join", Provider: "Google", Email: "ada@example.com", Name: `"><script>`, Interaction: "uid"}, nil)
		},
		"join.wrong": func(w http.ResponseWriter) error {
			return s.Join(w, pages.Join{ID: "x", Action: "/federation/join", Provider: "Google"}, fault.New(fault.Unprocessable, "validation_error", "Accept the terms."))
		},
		"security.events": func(w http.ResponseWriter) error {
			return s.Security(w, pages.Security{Person: me, Events: []pages.Event{
				{Kind: "sign_in", Address: "192.0.2.1", At: time.Unix(1e9, 0)}, {Kind: "api_key_created", Address: `"><script>`, At: time.Unix(0, 0)},
			}}, nil)
		},
		"link": func(w http.ResponseWriter) error {
			return s.Link(w, me, "Google", `"><script>`, "/account/link", "x")
		},
		"security.linked": func(w http.ResponseWriter) error {
			return withKeys.Security(w, pages.Security{Person: me, Form: "linked", Linked: []pages.Identity{
				{ID: "fid_1", Provider: "Google", Email: "ada@example.com", AddedAt: time.Unix(0, 0), UsedAt: time.Unix(1e9, 0)},
				{ID: "fid_2", Provider: `"><script>`, AddedAt: time.Unix(0, 0), UsedAt: time.Unix(0, 0)},
			}}, fault.New(fault.Conflict, "invalid_state", "This is the only way in which you can sign in."))
		},
		"challenge.passkey": func(w http.ResponseWriter) error {
			return s.Challenge(w, desktop, pages.Challenge{Account: ada, Passkey: true, Recovery: true}, nil)
		},
		"challenge.both": func(w http.ResponseWriter) error {
			return s.Challenge(w, desktop, pages.Challenge{Account: ada, App: true, Passkey: true, Recovery: true}, nil)
		},
		"privacy": func(w http.ResponseWriter) error { return s.Privacy(w, pages.Privacy{Person: me, Days: 14}, nil) },
		"privacy.ready": func(w http.ResponseWriter) error {
			return s.Privacy(w, pages.Privacy{Person: me, Asked: true, Link: "https://api.test/exports/exp_1?key=k", Size: 3 << 20, Days: 14, Done: "export"}, nil)
		},
		"privacy.waits": func(w http.ResponseWriter) error {
			return s.Privacy(w, pages.Privacy{Person: me, Asked: true, Days: 14}, nil)
		},
		"privacy.wrong": func(w http.ResponseWriter) error {
			return s.Privacy(w, pages.Privacy{Person: me, Asked: true, Failed: true, Days: 14, Form: "delete"}, fault.New(fault.Unprocessable, "x", "Tick the box.").At("sure"))
		},
		"left": func(w http.ResponseWriter) error { return s.Left(w, time.Unix(1e9, 0)) },
		"apps": func(w http.ResponseWriter) error { return s.Apps(w, me, nil, "") },
		"apps.full": func(w http.ResponseWriter) error {
			return s.Apps(w, me, []pages.App{
				{ID: "rephlo-cli", Name: "Rephlo CLI", FirstParty: true, Scopes: scopes, Limit: 25 * money.Credit, Since: time.Unix(0, 0), UsedAt: time.Unix(1e9, 0)},
				{ID: `"><script>`, Name: `"><script>` + strings.Repeat("long ", 60), Scopes: []string{`"><script>`}, Since: time.Unix(0, 0)},
			}, "removed")
		},
		"security.sessions": func(w http.ResponseWriter) error {
			return s.Security(w, pages.Security{Person: me, Trusted: []pages.Trusted{{ID: "dev_1", Device: `"><script>`, Address: "203.0.113.7", ExpiresAt: time.Unix(1e9, 0)}}, SignIns: []pages.SignedIn{
				{ID: "ses_1", Device: "Chrome on Linux", Address: "192.0.2.1", SeenAt: time.Unix(1e9, 0), Here: true},
				{ID: "ses_2", Device: `"><script>`, Address: "2001:db8::1", SeenAt: time.Unix(0, 0)},
			}}, nil)
		},
		"passkey":       func(w http.ResponseWriter) error { return s.NewPasskey(w, me, "", nil) },
		"passkey.wrong": func(w http.ResponseWriter) error { return s.NewPasskey(w, me, `"><script>`, mfaWrong) },
		"security.keys": func(w http.ResponseWriter) error {
			return s.Security(w, pages.Security{Person: me, CanPasskeys: true, Passkeys: keys, Codes: true, CodesLeft: 9}, nil)
		},
		"forgot":      func(w http.ResponseWriter) error { return s.Forgot(w, "", "uid", nil) },
		"forgot.wait": func(w http.ResponseWriter) error { return s.Forgot(w, `"><script>`, "", account.ErrTooMany) },
		"forgotsent":  func(w http.ResponseWriter) error { return s.ForgotSent(w, `"><script>`, "uid") },
		"reset":       func(w http.ResponseWriter) error { return s.Reset(w, `"><script>`, nil) },
		"reset.wrong": func(w http.ResponseWriter) error { return s.Reset(w, "token", short) },
		"resetdone":   func(w http.ResponseWriter) error { return s.ResetDone(w, "") },
		"prove.email": func(w http.ResponseWriter) error {
			return s.Prove(w, pages.ConfirmEmail, "/account/email/confirm", `"><script>`)
		},
		"prove.keep":    func(w http.ResponseWriter) error { return s.Prove(w, pages.KeepEmail, "/account/email/keep", "token") },
		"proved.email":  func(w http.ResponseWriter) error { return s.Proved(w, pages.ConfirmEmail) },
		"proved.keep":   func(w http.ResponseWriter) error { return s.Proved(w, pages.KeepEmail) },
		"account":       func(w http.ResponseWriter) error { return s.Profile(w, me, nil) },
		"account.wrong": func(w http.ResponseWriter) error { return s.Profile(w, me, account.ErrUsernameTaken) },
		"security":      func(w http.ResponseWriter) error { return s.Security(w, pages.Security{Person: me}, nil) },
		"security.full": func(w http.ResponseWriter) error {
			return s.Security(w, pages.Security{Person: me, App: true, CodesLeft: 2, Required: true, PasswordAt: time.Unix(0, 0), Done: "password"}, nil)
		},
		"security.wrong": func(w http.ResponseWriter) error {
			return s.Security(w, pages.Security{Person: me, App: true, CodesLeft: 10, Form: "password"}, fault.From(account.ErrCredentials.At("currentPassword")))
		},
		"signin": func(w http.ResponseWriter) error { return s.SignIn(w, desktop, "", nil) },
		"signin.wrong": func(w http.ResponseWriter) error {
			return s.SignIn(w, desktop, "ada@example.com", account.ErrCredentials.With("triesLeft", 4))
		},
		"signin.last": func(w http.ResponseWriter) error {
			return s.SignIn(w, desktop, "ada", account.ErrCredentials.With("triesLeft", 0))
		},
		"signin.wait":    func(w http.ResponseWriter) error { return s.SignIn(w, desktop, "ada", account.ErrTooMany) },
		"signin.hostile": func(w http.ResponseWriter) error { return s.SignIn(w, hostile, `"><script>`, nil) },
		"challenge": func(w http.ResponseWriter) error {
			return s.Challenge(w, desktop, pages.Challenge{Account: ada, App: true, Recovery: true, Trust: true}, nil)
		},
		"challenge.recovery": func(w http.ResponseWriter) error {
			return s.Challenge(w, hostile, pages.Challenge{Account: pages.Account{ID: "u", Name: `"><script>`}, App: true, Recovery: true, UseRecovery: true}, mfaWrong.With("triesLeft", 1))
		},
		"challenge.wait": func(w http.ResponseWriter) error {
			return s.Challenge(w, desktop, pages.Challenge{Account: ada, App: true}, account.ErrTooMany)
		},
		"enroll":     func(w http.ResponseWriter) error { return s.EnrollIntro(w, desktop, ada) },
		"totp":       func(w http.ResponseWriter) error { return s.Setup(w, setup, nil) },
		"totp.wrong": func(w http.ResponseWriter) error { return s.Setup(w, setup, mfaWrong.With("triesLeft", 4)) },
		"codes": func(w http.ResponseWriter) error {
			return s.Codes(w, recovery, 3, "/account/security/totp/saved", false)
		},
		"codes.wrong": func(w http.ResponseWriter) error {
			return s.Codes(w, recovery, 3, "/account/security/totp/saved", true)
		},
		"register": func(w http.ResponseWriter) error { return s.Register(w, pages.Register{Interaction: "uid"}, nil) },
		"register.wrong": func(w http.ResponseWriter) error {
			return s.Register(w, pages.Register{Email: "ada@example.com", Username: "ada", FirstName: `"><script>`, Terms: true}, short)
		},
		"sent":           func(w http.ResponseWriter) error { return s.Sent(w, "ada@example.com", "uid") },
		"sent.alone":     func(w http.ResponseWriter) error { return s.Sent(w, `"><script>`, "") },
		"verify":         func(w http.ResponseWriter) error { return s.Verify(w, "token") },
		"verified":       func(w http.ResponseWriter) error { return s.Verified(w, "uid") },
		"verified.alone": func(w http.ResponseWriter) error { return s.Verified(w, "") },
		"consent":        func(w http.ResponseWriter) error { return s.Consent(w, desktop, ada, scopes, nil) },
		"consent.added":  func(w http.ResponseWriter) error { return s.Consent(w, hostile, ada, scopes, []string{"email"}) },
		"consent.device": func(w http.ResponseWriter) error {
			tv := pages.Interaction{UID: "uid", Client: "TV", Device: &pages.Device{Address: "192.0.2.1", Agent: `"><script>`, AskedAt: time.Unix(0, 0)}}
			return s.Consent(w, tv, ada, scopes, nil)
		},
		"consent.document": func(w http.ResponseWriter) error {
			i := pages.Interaction{UID: "uid", Client: "Tool", Host: "tool.test", LoopbackOnly: true, RedirectURI: "http://127.0.0.1/cb"}
			return s.Consent(w, i, ada, scopes, nil)
		},
		"post": func(w http.ResponseWriter) error {
			return s.Post(w, desktop, []string{"code", `"><script>`, "state", "", "iss", "https://id.test"})
		},
		"device": func(w http.ResponseWriter) error { return s.Device(w, `"><script>`, nil) },
		"device.wrong": func(w http.ResponseWriter) error {
			return s.Device(w, "BCDF-GHJK", fault.New(fault.Invalid, "invalid_request", "This code is wrong."))
		},
		"devicedone":      func(w http.ResponseWriter) error { return s.DeviceDone(w, `"><script>`, true) },
		"devicedone.deny": func(w http.ResponseWriter) error { return s.DeviceDone(w, "TV", false) },
		"continue":        func(w http.ResponseWriter) error { return s.Continue(w, desktop, ada) },
		"return":          func(w http.ResponseWriter) error { return s.Return(w, desktop, "ai.rephlo.desktop:/callback?code=x") },
		"signout":         func(w http.ResponseWriter) error { return s.ConfirmSignOut(w, nil, "/oauth/end-session/confirm") },
		"signedout":       func(w http.ResponseWriter) error { return s.SignedOut(w, nil) },
		"error.redirect": func(w http.ResponseWriter) error {
			s.Refuse(w, fault.New(fault.Invalid, "invalid_request", "The redirect URI is not one that this app has registered."),
				pages.Client{Name: "Shop", Homepage: "https://shop.test/"}, "http://shop.test:8080/callback/",
				[]string{"https://shop.test/callback", "https://shop.test/silent"})
			return nil
		},
		"error.hostile": func(w http.ResponseWriter) error {
			s.Refuse(w, fault.ErrNotFound, pages.Client{Name: `"><script>`, Homepage: "javascript:alert(1)"}, `"><script>`, []string{`"><script>`})
			return nil
		},
		"error": func(w http.ResponseWriter) error {
			r := httptest.NewRequest("POST", "/interaction/uid/login", nil)
			r.SetPathValue("uid", "uid")
			s.WriteError(w, r, fault.From(errors.New("secret cause")))
			return nil
		},
	}
}

func TestEveryPage(t *testing.T) {
	t.Parallel()
	s, err := pages.New("Acme AI", "https://api.test", false)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for name, show := range screens(t) {
		template, _, _ := strings.Cut(name, ".")
		seen[template] = true
		rec := httptest.NewRecorder()
		rec.Header().Set("X-Request-Id", "req_test")
		if err := show(rec); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		body := rec.Body.String()
		if dir := os.Getenv("REPHLO_PAGES"); dir != "" { // to look at them
			if err := os.WriteFile(filepath.Join(dir, name+".html"), []byte(body), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []string{`<html lang="en">`, "<title>", `<main id="main"`, "req_test", "Acme AI"} {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %q", name, want)
			}
		}
		if strings.Count(body, "<h1") != 1 {
			t.Errorf("%s: want one h1", name)
		}
		if !strings.Contains(body, `<form`) && !strings.Contains(body, `class="button`) && name != "verified.alone" {
			t.Errorf("%s offers no action", name)
		}
		body = strings.Replace(body, `<script type="module" nonce="`, "", 1)
		for _, bad := range []string{"<script", "\u202e", "ZgotmplZ", "secret cause", "javascript:", "%!", "style=", strings.Repeat("long ", 25)} {
			if strings.Contains(body, bad) {
				t.Errorf("%s has %q: %s", name, bad, body)
			}
		}
		if csp := rec.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "script-src") != strings.Contains(body, "data-send") && !strings.Contains(body, "data-passkey") {
			t.Errorf("%s: policy %q", name, csp)
		}
	}
	for _, name := range s.Names() {
		if !seen[name] {
			t.Errorf("the template %s is not shown by this test", name)
		}
	}
}

// A scope without words could not be understood by who allows it.
func TestEveryScopeHasAText(t *testing.T) {
	t.Parallel()
	s, err := pages.New("Acme AI", "https://api.test", false)
	if err != nil {
		t.Fatal(err)
	}
	for _, scope := range oauth.Scopes() {
		rec := httptest.NewRecorder()
		if err := s.Consent(rec, desktop, ada, []string{scope}, nil); err != nil || strings.Contains(rec.Body.String(), "<span>"+scope+"<") {
			t.Errorf("scope %s: %v, no text", scope, err)
		}
	}
}

func TestFormActionFollowsTheClient(t *testing.T) {
	t.Parallel()
	s, err := pages.New("Acme AI", "https://api.test", false)
	if err != nil {
		t.Fatal(err)
	}
	for uri, want := range map[string]string{
		"https://shop.test/cb":            "form-action 'self' https:",
		"http://127.0.0.1:5000/cb":        "form-action 'self' http://127.0.0.1:5000",
		"http://[::1]:5000/cb":            "form-action 'self' http:",
		"ai.rephlo.desktop:/cb":           "form-action 'self' ai.rephlo.desktop:",
		"http://localhost/oauth/callback": "form-action 'self' http://localhost",
	} {
		rec := httptest.NewRecorder()
		if err := s.SignIn(rec, pages.Interaction{UID: "u", RedirectURI: uri}, "", nil); err != nil {
			t.Fatal(err)
		}
		if got := strings.Split(rec.Header().Get("Content-Security-Policy"), "; "); !slices.Contains(got, want) {
			t.Errorf("%s: %q, want %q", uri, got, want)
		}
	}
}

func TestPiecesMarkEachDifference(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ got, want, marked string }{
		{"http://shop.test:8080/callback/", "https://shop.test/callback", "http[…]://shop.test[:8080]/callback[/]"},
		{"https://shop.test/callback", "https://shop.test/callback", "https://shop.test/callback"},
		{"https://shop.test/", "https://shop.test/callback", "https://shop.test/[…]"},
		{"", "x", "[…]"},
	} {
		var b strings.Builder
		for _, p := range pages.Pieces(tt.got, tt.want) {
			if p.Differs {
				b.WriteString("[" + p.Text + "]")
			} else {
				b.WriteString(p.Text)
			}
		}
		if b.String() != tt.marked {
			t.Errorf("%s against %s: %s, want %s", tt.got, tt.want, b.String(), tt.marked)
		}
	}
}
