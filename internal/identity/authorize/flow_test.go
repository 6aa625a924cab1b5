package authorize_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"mime/quotedprintable"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/identity/authorize"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/consent"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/keys"
	"github.com/rephlo/rephlo/internal/identity/login"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/identity/pages"
	"github.com/rephlo/rephlo/internal/identity/sso"
	mailer "github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/ui"
	"github.com/rephlo/rephlo/internal/web"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"))
}

const (
	good     = "correct horse battery"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)

// idp is an Identity Provider with a clock, as app builds it.
type idp struct {
	*httptest.Server
	issuer       string
	accounts     *account.Service
	clients      *client.Service
	interactions *authorize.Service
	grants       *grant.Service
	ring         *keys.Service
	mails        string

	mu  sync.Mutex
	now time.Time
}

func (p *idp) clock() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *idp) pass(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = p.now.Add(d)
}

// The clients of the tests: one in another country, one of ours on the user's
// machine, one of ours on the web, and one with a hostile name.
var testClients = []client.Client{
	{
		ID: "shop", Name: "Shop", Homepage: "https://shop.test/", AuthMethod: client.AuthBasic, RefreshLife: client.LifeSession,
		RedirectURIs: []string{"https://shop.test/callback"}, Scopes: []string{"openid", "profile", "email", "offline_access", "llm.inference"},
		Grants: []string{client.GrantCode},
	},
	{
		ID: "desk", Name: "Desk", FirstParty: true, Native: true, Public: true, AuthMethod: client.AuthNone, RefreshLife: client.LifeStandalone,
		RedirectURIs: []string{"http://127.0.0.1/callback", "ai.rephlo.desk:/callback"}, Scopes: oauth.Scopes(), Grants: []string{client.GrantCode},
	},
	{
		ID: "web", Name: "Console", FirstParty: true, SkipConsent: true, AuthMethod: client.AuthBasic, RefreshLife: client.LifeSession,
		RedirectURIs: []string{"https://console.test/callback"}, Scopes: oauth.Scopes(), Grants: []string{client.GrantCode},
	},
	{
		ID: "evil", Name: "\"><script>alert(1)</script>\u202e", AuthMethod: client.AuthBasic, RefreshLife: client.LifeSession,
		RedirectURIs: []string{"https://evil.test/callback"}, Scopes: []string{"openid"}, Grants: []string{client.GrantCode},
	},
}

func newIDP(t *testing.T, db *sqldb.DB) *idp {
	t.Helper()
	p := &idp{now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), mails: t.TempDir()}
	p.Server = httptest.NewUnstartedServer(nil)
	p.issuer = "http://" + p.Listener.Addr().String()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	b := bus.New(db, log, p.clock)
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	p.accounts = account.New(account.Needs{
		DB: db, Bus: b, Log: log, Now: p.clock, Passwords: seal.NewPasswordsOf(64), Box: box, Mail: mailer.NewFolder(p.mails, log, time.Now), IDPURL: p.issuer,
	})
	p.clients = client.New(client.Needs{DB: db, Bus: b, Log: log, Now: p.clock})
	for _, c := range testClients {
		if _, err := p.clients.Create(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	p.grants = grant.New(grant.Needs{DB: db, Bus: b, Box: box, Log: log, Now: p.clock})
	p.ring = keys.New(keys.Needs{DB: db, Bus: b, Box: box, Log: log, Now: p.clock})
	if err := p.ring.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	sessions := sso.New(sso.Needs{
		DB: db, Log: log, Now: p.clock, Accounts: p.accounts,
		Ended: func(ctx context.Context, id string) error { return p.grants.Revoke(ctx, grant.KindSession, id) },
	})
	screens, err := pages.New("Rephlo", "http://api.test", true)
	if err != nil {
		t.Fatal(err)
	}
	p.interactions = authorize.New(authorize.Needs{
		DB: db, Log: log, Now: p.clock, Accounts: p.accounts, Clients: p.clients, Grants: p.grants, Sessions: sessions,
		Tokens: oauth.NewVerifier(p.ring, p.issuer, "http://api.test", p.clock), Screens: screens,
		Server: oauth.Server{Issuer: p.issuer, Resource: "http://api.test"},
		Proofs: oauth.NewProofs(box.Subkey("nonce"), p.grants.Once, p.clock),
	})
	m := web.NewMux(web.Config{Log: log})
	for _, h := range []web.Mounter{
		ui.Assets{},
		authorize.API{Authorize: p.interactions},
		login.API{Accounts: p.accounts, Sessions: sessions, Authorize: p.interactions, Screens: screens},
		consent.API{DB: db, Authorize: p.interactions, Grants: p.grants, Screens: screens},
	} {
		h.Mount(m)
	}
	p.Config.Handler = m
	p.Start()
	t.Cleanup(p.Close)
	return p
}

// browser follows redirects within the Identity Provider and stops at others.
type browser struct {
	*http.Client
	idp *idp
}

func (p *idp) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{idp: p, Client: &http.Client{Jar: jar, Transport: transport, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), p.issuer+"/") {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
}

// page is an answer: a page, or where the browser was sent to.
type page struct {
	status   int
	path     string
	body     string
	header   http.Header
	location *url.URL
}

func (b *browser) do(t *testing.T, r *http.Request) page {
	t.Helper()
	res, err := b.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	p := page{status: res.StatusCode, path: res.Request.URL.RequestURI(), body: string(body), header: res.Header}
	if l := res.Header.Get("Location"); l != "" {
		if p.location, err = url.Parse(l); err != nil {
			t.Fatal(err)
		}
	}
	if p.location == nil && strings.HasPrefix(p.header.Get("Content-Type"), "text/html") {
		checkPage(t, p)
	}
	return p
}

func (b *browser) get(t *testing.T, path string) page {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", b.idp.issuer+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b.do(t, r)
}

func (b *browser) post(t *testing.T, path string, header map[string]string, pairs ...string) page {
	t.Helper()
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", b.idp.issuer+path, strings.NewReader(v.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for name, value := range header {
		r.Header.Set(name, value)
	}
	return b.do(t, r)
}

var (
	formAction  = regexp.MustCompile(`<form method="post" action="([^"]+)"`)
	hiddenInput = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)
	inputID     = regexp.MustCompile(`<input (?:type="checkbox" )?id="([^"]+)"`)
)

// submit sends the first form of p, with its hidden values and pairs.
func (b *browser) submit(t *testing.T, p page, pairs ...string) page {
	t.Helper()
	m := formAction.FindStringSubmatch(p.body)
	if m == nil {
		t.Fatalf("no form on %s (%d): %s", p.path, p.status, p.body)
	}
	for _, h := range hiddenInput.FindAllStringSubmatch(p.body, -1) {
		pairs = append(pairs, h[1], h[2])
	}
	return b.post(t, strings.ReplaceAll(m[1], "&amp;", "&"), nil, pairs...)
}

// checkPage asserts what every page has.
func checkPage(t *testing.T, p page) {
	t.Helper()
	if n := strings.Count(p.body, "<h1"); n != 1 {
		t.Errorf("%s has %d h1, want one", p.path, n)
	}
	for _, want := range []string{`<html lang="en">`, `<main id="main"`, `<title>`, `name="viewport"`} {
		if !strings.Contains(p.body, want) {
			t.Errorf("%s lacks %s", p.path, want)
		}
	}
	for _, id := range inputID.FindAllStringSubmatch(p.body, -1) {
		if !strings.Contains(p.body, `<label for="`+id[1]+`"`) {
			t.Errorf("%s: the input %s has no label", p.path, id[1])
		}
	}
	csp := p.header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("%s: the policy %q lacks %s", p.path, csp, want)
		}
	}
	if strings.Contains(csp, "script-src") != strings.Contains(p.body, "<script") || strings.Contains(csp, "unsafe") {
		t.Errorf("%s: policy %q", p.path, csp)
	}
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff",
	} {
		if got := p.header.Get(name); got != want {
			t.Errorf("%s: %s is %q, want %q", p.path, name, got, want)
		}
	}
	if len(p.body) > 60<<10 {
		t.Errorf("%s has %d bytes", p.path, len(p.body))
	}
	if id := p.header.Get("X-Request-Id"); !strings.Contains(p.body, id) {
		t.Errorf("%s does not show its request id", p.path)
	}
}

// request returns the path of an authorization request; pairs change it, and a
// pair with an empty value takes a parameter away.
func request(clientID, redirect string, pairs ...string) string {
	sum := sha256.Sum256([]byte(verifier))
	v := url.Values{
		"client_id": {clientID}, "redirect_uri": {redirect}, "response_type": {"code"}, "scope": {"openid profile llm.inference"},
		"state": {"st-1"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return "/oauth/authorize?" + v.Encode()
}

const (
	shopCallback = "https://shop.test/callback"
	deskCallback = "http://127.0.0.1:53682/callback"
	webCallback  = "https://console.test/callback"
)

// user makes a verified user without a role.
func (p *idp) user(t *testing.T, email string) account.User {
	t.Helper()
	if err := p.accounts.Register(t.Context(), account.Registration{Email: email, Password: good, FirstName: "Ada", LastName: "L", Terms: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.accounts.Verify(t.Context(), p.link(t, email)); err != nil {
		t.Fatal(err)
	}
	u, err := p.accounts.ByEmail(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

var mailedLink = regexp.MustCompile(`/verify\?token=([A-Za-z0-9_-]{43})`)

// link returns the token of the last mail to an address.
func (p *idp) link(t *testing.T, email string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(p.mails, "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	token := ""
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		m, err := mail.ReadMessage(f)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		if found := mailedLink.FindSubmatch(text); found != nil && m.Header.Get("To") == email {
			token = string(found[1])
		}
	}
	if token == "" {
		t.Fatalf("no link was mailed to %s", email)
	}
	return token
}

// signIn fills the form that p shows.
func (b *browser) signIn(t *testing.T, p page, name string) page {
	t.Helper()
	return b.submit(t, p, "name", name, "password", good)
}
