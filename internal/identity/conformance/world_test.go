package conformance_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"html"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/app"
	"github.com/rephlo/rephlo/internal/config"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

const (
	password = "correct horse battery"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	callback = "https://rp.test/callback"
)

// world is an installation and ada, who is signed in in her browser.
type world struct {
	t        testing.TB
	api, idp string
	core     *app.Core
	clients  *client.Service
	accounts *account.Service
	ada      account.User
	browser  *browser
	ahead    *atomic.Int64 // how far the test's clock is ahead, in microseconds
	meta     map[string]any
	letters  letters // what accounts sends, not the server
}

// letters keeps the last message.
type letters struct{ last mail.Message }

func (l *letters) Send(_ context.Context, m mail.Message) error {
	l.last = m
	return nil
}

// person signs somebody up and proves their address.
func (w *world) person(email string) account.User {
	w.t.Helper()
	err := w.accounts.Register(w.t.Context(), account.Registration{Email: email, Password: password, FirstName: "Ada", Terms: true})
	if err == nil {
		_, token, _ := strings.Cut(w.letters.last.Text, "token=")
		token, _, _ = strings.Cut(token, "\n")
		_, err = w.accounts.Verify(w.t.Context(), token)
	}
	u, err2 := w.accounts.ByEmail(w.t.Context(), email)
	if err := errors.Join(err, err2); err != nil {
		w.t.Fatal(err)
	}
	return u
}

func (w *world) now() time.Time {
	return time.Now().Add(time.Duration(w.ahead.Load()) * time.Microsecond).UTC()
}
func (w *world) advance(d time.Duration) { w.ahead.Add(d.Microseconds()) }

// run runs test on both databases, each with an installation of its own.
func run(t *testing.T, test func(w *world)) {
	t.Helper()
	t.Parallel()
	dbtest.RunURL(t, func(t *testing.T, database string) { test(newWorld(t, database)) })
}

func newWorld(t *testing.T, database string) *world { return newWorldWith(t, database, nil) }

// newWorldWith is newWorld with more flags.
func newWorldWith(t *testing.T, database string, flags map[string]string) *world {
	t.Helper()
	w := serve(t, database, flags, &atomic.Int64{})
	w.accounts = account.New(account.Needs{
		DB: w.core.DB, Bus: w.core.Bus, Log: w.core.Log, Now: w.now, Passwords: w.core.Passwords, Box: w.core.Box, IDPURL: w.idp,
		Mail: &w.letters,
	})
	w.ada = w.person("ada@example.com")
	w.browser = w.newBrowser()
	w.get(w.idp+"/.well-known/openid-configuration", &w.meta)
	return w
}

// serve starts a server on a database that may have others, with more flags.
func serve(t *testing.T, database string, more map[string]string, ahead *atomic.Int64) *world {
	t.Helper()
	flags := map[string]string{
		"data": dbtest.Folder(t), "api-addr": "127.0.0.1:0", "idp-addr": "127.0.0.1:0", "drain-timeout": "1s", "dev": "true",
	}
	if strings.HasPrefix(database, "postgres") {
		flags["database-url"] = database
	}
	maps.Copy(flags, more)
	cfg, err := config.Load(config.Input{Environ: []string{}, Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	core, err := app.NewCore(t.Context(), cfg, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		t.Fatal(err)
	}
	core.Passwords = seal.NewPasswordsOf(64) // signing in is not what is tested
	w := &world{t: t, core: core, ahead: ahead}
	core.Now = w.now
	s, err := app.NewServer(t.Context(), core)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.api, w.idp = core.Config.APIURL, core.Config.IDPURL
	w.clients = client.New(client.Needs{DB: core.DB, Bus: core.Bus, Log: core.Log, Now: w.now, Issuer: w.idp})
	return w
}

// rp is a client as its makers write it.
type rp struct {
	w      *world
	id     string
	secret string
	uri    string
	scopes string
	plain  bool // sends no code challenge
}

// web registers a confidential client; change edits it first.
func (w *world) web(change ...func(*client.Client)) *rp {
	w.t.Helper()
	c := client.Client{
		ID: "rp-" + strings.ToLower(rand.Text()[:8]), Name: "RP", AuthMethod: client.AuthBasic, RedirectURIs: []string{callback},
		Scopes: oauth.UserScopes(), Grants: []string{client.GrantCode, client.GrantRefresh}, RefreshLife: client.LifeStandalone,
	}
	for _, f := range change {
		f(&c)
	}
	secret, err := w.clients.Create(w.t.Context(), c)
	if err != nil {
		w.t.Fatalf("client: %v", err)
	}
	return &rp{w: w, id: c.ID, secret: secret, uri: callback, scopes: "openid"}
}

// request returns the parameters of an authorization request; pairs change
// them, and an empty value takes one away.
func (c *rp) request(pairs ...string) url.Values {
	sum := sha256.Sum256([]byte(verifier))
	v := url.Values{
		"client_id": {c.id}, "redirect_uri": {c.uri}, "response_type": {"code"}, "scope": {c.scopes}, "state": {"st-1"}, "nonce": {"n-1"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	if c.plain {
		v.Del("code_challenge")
		v.Del("code_challenge_method")
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			v.Del(pairs[i])
		} else {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v
}

func (c *rp) url(pairs ...string) string {
	return c.w.idp + "/oauth/authorize?" + c.request(pairs...).Encode()
}

// authorize sends ada's browser through the request and returns the parameters
// of the answer.
func (c *rp) authorize(pairs ...string) url.Values {
	c.w.t.Helper()
	return c.w.browser.answer(c.url(pairs...))
}

// code is authorize when it must succeed.
func (c *rp) code(pairs ...string) string {
	c.w.t.Helper()
	q := c.authorize(pairs...)
	if q.Get("code") == "" {
		c.w.t.Fatalf("the answer is %v; want a code", q)
	}
	return q.Get("code")
}

// tokens are what the token endpoint answered.
type tokens struct {
	Status      int
	Header      http.Header
	Access      string `json:"access_token"`
	ID          string `json:"id_token"`
	Refresh     string `json:"refresh_token"`
	Type        string `json:"token_type"`
	Scope       string `json:"scope"`
	ExpiresIn   int64  `json:"expires_in"`
	Issued      string `json:"issued_token_type"`
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

func (w *world) post(address string, v url.Values, out any, edit ...func(*http.Request)) (int, http.Header) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), "POST", address, strings.NewReader(v.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return w.do(r, out, edit...)
}

func (w *world) get(address string, out any, edit ...func(*http.Request)) (int, http.Header) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), "GET", address, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.do(r, out, edit...)
}

func (w *world) do(r *http.Request, out any, edit ...func(*http.Request)) (int, http.Header) {
	w.t.Helper()
	for _, f := range edit {
		f(r)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if text, ok := out.(*string); ok {
		*text = string(body)
	} else if out != nil && len(body) > 0 {
		if err := json.Unmarshal(body, out); err != nil {
			w.t.Fatalf("%s %s: %d %s: %v", r.Method, r.URL, res.StatusCode, body, err)
		}
	}
	return res.StatusCode, res.Header
}

func (c *rp) auth(r *http.Request) {
	if c.secret != "" {
		r.SetBasicAuth(url.QueryEscape(c.id), url.QueryEscape(c.secret))
	}
}

// token sends a token request; pairs change it as in request.
func (c *rp) token(v url.Values, edit ...func(*http.Request)) tokens {
	c.w.t.Helper()
	var out tokens
	if c.secret == "" && v.Get("client_assertion") == "" && !v.Has("client_id") {
		v.Set("client_id", c.id)
	}
	out.Status, out.Header = c.w.post(c.w.idp+"/oauth/token", v, &out, append([]func(*http.Request){c.auth}, edit...)...)
	return out
}

func form(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v
}

func (c *rp) exchange(code string) tokens {
	c.w.t.Helper()
	v := form("grant_type", "authorization_code", "code", code, "redirect_uri", c.uri)
	if !c.plain {
		v.Set("code_verifier", verifier)
	}
	return c.token(v)
}

func (c *rp) refresh(token string, pairs ...string) tokens {
	c.w.t.Helper()
	return c.token(form(append([]string{"grant_type", "refresh_token", "refresh_token", token}, pairs...)...))
}

// signIn is the whole flow; pairs change the request.
func (c *rp) signIn(pairs ...string) tokens {
	c.w.t.Helper()
	out := c.exchange(c.code(pairs...))
	if out.Status != 200 {
		c.w.t.Fatalf("exchange: %d %s %s", out.Status, out.Error, out.Description)
	}
	return out
}

func (w *world) want(what string, got tokens, status int, code string) {
	w.t.Helper()
	if got.Status != status || got.Error != code {
		w.t.Errorf("%s: %d %s (%s), want %d %s", what, got.Status, got.Error, got.Description, status, code)
	}
}

// claims reads a JWT without verifying it.
func (w *world) claims(token string) map[string]any {
	w.t.Helper()
	_, claims := w.jwt(token)
	return claims
}

func (w *world) jwt(token string) (header, claims map[string]any) {
	w.t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		w.t.Fatalf("%q is no JWT", token)
	}
	for i, out := range []*map[string]any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(raw, out)
		}
		if err != nil {
			w.t.Fatalf("%q: %v", token, err)
		}
	}
	return header, claims
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

// me asks the Resource API with a token and returns the status.
func (w *world) me(token string) int {
	w.t.Helper()
	status, _ := w.get(w.api+"/v1/credits/me", nil, bearer(token))
	return status
}

// browser is ada's; it follows redirects within the Identity Provider.
type browser struct {
	w *world
	*http.Client
}

// page is what a browser shows, or where it was sent to.
type page struct {
	status   int
	url      *url.URL
	body     string
	header   http.Header
	location *url.URL
}

func (w *world) newBrowser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &browser{w: w, Client: &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), w.idp+"/") {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
}

func (b *browser) do(r *http.Request) page {
	b.w.t.Helper()
	res, err := b.Do(r)
	if err != nil {
		b.w.t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		b.w.t.Fatal(err)
	}
	p := page{status: res.StatusCode, url: res.Request.URL, body: string(body), header: res.Header}
	if l, err := res.Location(); err == nil {
		p.location = l
	}
	return p
}

func (b *browser) open(address string) page {
	b.w.t.Helper()
	r, err := http.NewRequestWithContext(b.w.t.Context(), "GET", address, nil)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return b.do(r)
}

func (b *browser) send(address string, v url.Values) page {
	b.w.t.Helper()
	r, err := http.NewRequestWithContext(b.w.t.Context(), "POST", address, strings.NewReader(v.Encode()))
	if err != nil {
		b.w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.do(r)
}

var (
	formAction  = regexp.MustCompile(`<form method="post" action="([^"]+)"`)
	hiddenInput = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)
)

// submit sends the first form of p with its hidden values and pairs.
func (b *browser) submit(p page, pairs ...string) page {
	b.w.t.Helper()
	m := formAction.FindStringSubmatch(p.body)
	if m == nil {
		b.w.t.Fatalf("no form on %s (%d): %s", p.url, p.status, p.body)
	}
	v := form(pairs...)
	for _, h := range hiddenInput.FindAllStringSubmatch(p.body, -1) {
		v.Set(h[1], html.UnescapeString(h[2]))
	}
	to, err := p.url.Parse(html.UnescapeString(m[1]))
	if err != nil {
		b.w.t.Fatal(err)
	}
	return b.send(to.String(), v)
}

// finish does what the pages ask for until the browser is sent to the client,
// or a page asks for nothing that is known.
func (b *browser) finish(p page) page {
	b.w.t.Helper()
	for range 6 {
		switch {
		case p.location != nil:
			return p
		case strings.Contains(p.body, `name="password"`):
			p = b.submit(p, "name", b.w.ada.Email, "password", password)
		case strings.Contains(p.body, `value="allow"`):
			p = b.submit(p, "decision", "allow")
		case strings.Contains(p.body, `value="continue"`):
			p = b.submit(p, "decision", "continue")
		default:
			return p
		}
	}
	return p
}

// answer follows an authorization request to its end and returns the
// parameters that the client gets.
func (b *browser) answer(address string) url.Values {
	b.w.t.Helper()
	p := b.finish(b.open(address))
	if p.location == nil {
		b.w.t.Fatalf("%s: %d, the browser is not sent to the client: %s", p.url, p.status, p.body)
	}
	if p.location.Fragment != "" {
		b.w.t.Errorf("the answer %s has a fragment", p.location)
	}
	return p.location.Query()
}
