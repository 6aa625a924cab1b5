package token_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/discovery"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/introspect"
	"github.com/rephlo/rephlo/internal/identity/keys"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/identity/token"
	"github.com/rephlo/rephlo/internal/identity/userinfo"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/web"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

const (
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	api      = "https://api.test"
	redirect = "http://127.0.0.1:4711/callback"
)

// people are the users there are.
type people struct {
	mu    sync.Mutex
	err   error
	users map[string]oauth.Profile
}

func (p *people) Profile(_ context.Context, id string) (oauth.Profile, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.users[id], p.err
}

func (p *people) set(u oauth.Profile, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users[u.ID], p.err = u, err
}

// world is an Identity Provider without its pages.
type world struct {
	t       testing.TB
	micro   atomic.Int64
	server  oauth.Server
	url     string
	users   *people
	clients *client.Service
	grants  *grant.Service
	keys    *keys.Service
	tokens  *token.Service
	// resource checks tokens as the Resource API does.
	resource *oauth.Verifier
}

var ada = oauth.Profile{ID: "usr_ada", Active: true, Email: "ada@example.test", EmailVerified: true, Username: "ada", FirstName: "Ada"}

func (w *world) now() time.Time          { return time.UnixMicro(w.micro.Load()).UTC() }
func (w *world) advance(d time.Duration) { w.micro.Add(d.Microseconds()) }

func newWorld(t testing.TB, db *sqldb.DB) *world {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	w := &world{t: t, users: &people{users: map[string]oauth.Profile{ada.ID: ada}}, url: "http://" + srv.Listener.Addr().String()}
	w.micro.Store(time.Now().UnixMicro()) // foreign clients have no other clock
	w.server = oauth.Server{Issuer: w.url, Resource: api}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	messages := bus.New(db, log, w.now)
	w.grants = grant.New(grant.Needs{DB: db, Bus: messages, Box: box, Log: log, Now: w.now})
	w.clients = client.New(client.Needs{DB: db, Bus: messages, Log: log, Now: w.now, Dev: true, Issuer: w.url, Once: w.grants.Once})
	sealer, err := oauth.NewSealer(box.Subkey("seal"))
	if err != nil {
		t.Fatal(err)
	}
	proofs := oauth.NewProofs(box.Subkey("nonce"), w.grants.Once, w.now)
	w.keys = keys.New(keys.Needs{DB: db, Bus: messages, Box: box, Log: log, Now: w.now})
	for _, start := range []func(context.Context) error{w.clients.Seed, w.grants.Start, w.keys.Start} {
		if err := start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(w.grants.Stop)
	w.resource = oauth.NewVerifier(w.keys, w.server.Issuer, api, w.now)
	m := web.NewMux(web.Config{Log: log, Now: w.now})
	w.tokens = token.New(token.Needs{
		Log: log, Now: w.now, Clients: w.clients, Grants: w.grants, Keys: w.keys, Users: w.users, Server: w.server, FailuresPerMinute: 150, Proofs: proofs, Sealer: sealer,
	})
	for _, a := range []web.Mounter{
		token.API{Tokens: w.tokens},
		userinfo.API{Tokens: oauth.NewVerifier(w.keys, w.server.Issuer, "", w.now), Grants: w.grants, Users: w.users, Clients: w.clients, Keys: w.keys, Origins: w.clients.Origins, Issuer: w.url, Proofs: proofs},
		discovery.API{Issuer: w.server.Issuer, Keys: w.keys},
		introspect.API{
			Issuer: w.server.Issuer, Resource: api, Clients: w.clients, Grants: w.grants, Tokens: oauth.NewVerifier(w.keys, w.server.Issuer, "", w.now),
			Users: w.users, Keys: w.keys, Now: w.now,
		},
	} {
		a.Mount(m)
	}
	srv.Config.Handler = m
	srv.Start()
	t.Cleanup(srv.Close)
	return w
}

// code is what a user allowed, as the sign-in pages record it.
func (w *world) code(scopes string, change ...func(*grant.Code)) string {
	w.t.Helper()
	sum := sha256.Sum256([]byte(verifier))
	c := grant.Code{
		ClientID: "rephlo-desktop", UserID: ada.ID, SessionID: "ses_1", RedirectURI: redirect, Nonce: "n0nce",
		Challenge: base64.RawURLEncoding.EncodeToString(sum[:]), Scopes: strings.Fields(scopes), AuthTime: w.now(), ACR: "single", AMR: []string{"pwd"},
	}
	if strings.Contains(scopes, "llm.inference") {
		c.Resources = []string{api}
	}
	for _, f := range change {
		f(&c)
	}
	code, err := w.grants.IssueCode(w.t.Context(), c)
	if err != nil {
		w.t.Fatal(err)
	}
	return code
}

// answer is what the server said.
type answer struct {
	status int
	header http.Header
	token.Answer
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// claims are those of the access token, as the Resource API reads them.
func (w *world) claims(a answer) oauth.Claims {
	w.t.Helper()
	c, err := w.resource.Verify(a.AccessToken)
	if err != nil {
		w.t.Fatalf("access token: %v", err)
	}
	return c
}

func (w *world) post(path string, form url.Values, edit ...func(*http.Request)) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), "POST", w.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, f := range edit {
		f(r)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, header: res.Header}
	if res.ContentLength != 0 {
		if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
			w.t.Fatalf("status %d: %v", res.StatusCode, err)
		}
	}
	return a
}

// form makes a form of pairs.
func form(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v
}

func exchangeForm(code string, more ...string) url.Values {
	return form(append([]string{
		"grant_type", "authorization_code", "client_id", "rephlo-desktop", "code", code, "redirect_uri", redirect, "code_verifier", verifier,
	}, more...)...)
}

func (w *world) exchange(code string) answer { return w.post("/oauth/token", exchangeForm(code)) }

func (w *world) refresh(refresh string, more ...string) answer {
	return w.post("/oauth/token", form(append([]string{"grant_type", "refresh_token", "client_id", "rephlo-desktop", "refresh_token", refresh}, more...)...))
}

func (w *world) want(what string, a answer, status int, code string) {
	w.t.Helper()
	if a.status != status || a.Error != code {
		w.t.Errorf("%s: %d %s (%s), want %d %s", what, a.status, a.Error, a.Description, status, code)
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		w.t.Errorf("%s: Cache-Control %q", what, got)
	}
}

var errDown = fault.ErrUnavailable
