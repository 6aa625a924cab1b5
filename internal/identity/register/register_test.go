package register_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/identity/register"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/secret"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const issuer = "https://id.test"

type world struct {
	t       *testing.T
	clients *client.Service
	grants  *grant.Service
	mux     *web.Mux
	mu      sync.Mutex
	at      time.Time // guarded by mu
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = w.at.Add(d)
}

func newWorld(t *testing.T, db *sqldb.DB, mode register.Mode) *world {
	t.Helper()
	w := &world{t: t, at: time.Unix(1_800_000_000, 0).UTC()}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	messages := bus.New(db, log, w.now)
	w.clients = client.New(client.Needs{DB: db, Bus: messages, Log: log, Now: w.now})
	w.grants = grant.New(grant.Needs{DB: db, Bus: messages, Box: box, Log: log, Now: w.now})
	if err := w.clients.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.grants.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.grants.Stop)
	w.mux = web.NewMux(web.Config{Log: log, Now: w.now})
	register.New(register.Needs{
		Issuer: issuer, Mode: mode, Initial: secret.New("the-initial-access-token-of-the-operator"), Clients: w.clients, Grants: w.grants,
		Now: w.now, Address: func(r *http.Request) string { return r.RemoteAddr },
	}).Mount(w.mux)
	return w
}

type answer struct {
	status      int
	header      http.Header
	text        string
	ID          string   `json:"client_id"`
	Secret      string   `json:"client_secret"`
	Expires     *int64   `json:"client_secret_expires_at"`
	IssuedAt    int64    `json:"client_id_issued_at"`
	Token       string   `json:"registration_access_token"`
	URI         string   `json:"registration_client_uri"`
	Name        string   `json:"client_name"`
	Method      string   `json:"token_endpoint_auth_method"`
	Grants      []string `json:"grant_types"`
	Type        string   `json:"application_type"`
	Scope       string   `json:"scope"`
	Alg         string   `json:"id_token_signed_response_alg"`
	Contacts    []string `json:"contacts"`
	Error       string   `json:"error"`
	Description string   `json:"error_description"`
}

func (w *world) send(method, path, token, body string, more ...func(*http.Request)) answer {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, m := range more {
		m(r)
	}
	rec := httptest.NewRecorder()
	w.mux.ServeHTTP(rec, r)
	a := answer{status: rec.Code, header: rec.Header(), text: rec.Body.String()}
	if rec.Body.Len() > 0 {
		if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil {
			w.t.Fatalf("%s: %v", rec.Body, err)
		}
	}
	return a
}

func (w *world) register(body string) answer { return w.send("POST", "/oauth/register", "", body) }

// What an MCP client sends.
const native = `{"client_name":"Inspector","redirect_uris":["http://localhost:6274/oauth/callback"],"token_endpoint_auth_method":"none",
	"grant_types":["authorization_code","refresh_token"],"response_types":["code"],"client_uri":"https://inspector.test","software_id":"x","unknown":{"a":1}}`

func TestAProgramRegistersItself(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, register.Open)
		a := w.register(native)
		if a.status != 201 || !strings.HasPrefix(a.ID, "dyn_") || a.Secret != "" || a.Expires != nil || a.IssuedAt != w.now().Unix() ||
			!oauth.IsSecret(oauth.PrefixRegistration, a.Token) || a.URI != issuer+"/oauth/register/"+a.ID || a.Type != "native" || a.Alg != "RS256" ||
			a.header.Get("Access-Control-Allow-Origin") != "" || a.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %s %v", a.status, a.text, a.header)
		}
		if strings.Contains(a.text, "null") {
			t.Errorf("what is not set is in the answer: %s", a.text)
		}
		if strings.Contains(a.Scope, "admin") || !strings.Contains(a.Scope, "offline_access") {
			t.Errorf("scope %q", a.Scope)
		}
		c, err := w.clients.ByID(t.Context(), a.ID)
		if err != nil || !c.Dynamic || c.FirstParty || c.SkipConsent || !c.Public || !c.Native || !c.NeedsClick("http://localhost:1/oauth/callback") {
			t.Errorf("%+v, %v", c, err)
		}
		if cors := w.send("POST", "/oauth/register", "", native, func(r *http.Request) { r.Header.Set("Origin", "https://anywhere.test") }); cors.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("a page of another origin cannot register: %v", cors.header)
		}
	})
}

func TestAConfidentialClientGetsASecretOnce(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, register.Open)
		a := w.register(`{"redirect_uris":["https://shop.test/cb"],"contacts":["ops@shop.test"],"scope":"openid email admin root"}`)
		if a.status != 201 || a.Method != "client_secret_basic" || a.Type != "web" || a.Expires == nil || *a.Expires != 0 || a.Scope != "openid email" ||
			a.Name != "shop.test" || !slices.Equal(a.Grants, []string{"authorization_code"}) || !slices.Equal(a.Contacts, []string{"ops@shop.test"}) {
			t.Fatalf("%d %s", a.status, a.text)
		}
		if _, err := w.clients.Authenticate(t.Context(), client.Credentials{ID: a.ID, Secret: a.Secret, Method: client.AuthBasic}); err != nil {
			t.Error(err)
		}
		read := w.send("GET", "/oauth/register/"+a.ID, a.Token, "")
		if read.status != 200 || read.ID != a.ID || read.Secret != "" || read.Token != "" || !slices.Equal(read.Contacts, a.Contacts) || read.IssuedAt != a.IssuedAt {
			t.Errorf("%d %s", read.status, read.text)
		}
	})
}

func TestRegistrationsThatAreRefused(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, register.Open)
		with := func(member string) string {
			return `{"redirect_uris":["https://a.test/cb"],"token_endpoint_auth_method":"none",` + member + `}`
		}
		for _, tt := range []struct{ name, body, code string }{
			{"no JSON", "redirect_uris=x", "invalid_client_metadata"},
			{"a list", "[]", "invalid_client_metadata"},
			{"null", "null", "invalid_client_metadata"},
			{"wrong type", with(`"client_name":7`), "invalid_client_metadata"},
			{"deep", with(`"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100)), "invalid_client_metadata"},
			{"no redirect URI", `{}`, "invalid_redirect_uri"},
			{"many redirect URIs", `{"redirect_uris":[` + strings.Repeat(`"https://a.test/cb",`, 20) + `"https://b.test/cb"]}`, "invalid_redirect_uri"},
			{"plain http", `{"redirect_uris":["http://a.test/cb"]}`, "invalid_redirect_uri"},
			{"script", `{"redirect_uris":["javascript:alert(1)"]}`, "invalid_redirect_uri"},
			{"data", `{"redirect_uris":["data:text/html,x"]}`, "invalid_redirect_uri"},
			{"fragment", `{"redirect_uris":["https://a.test/cb#x"]}`, "invalid_redirect_uri"},
			{"user", `{"redirect_uris":["https://a@b.test/cb"]}`, "invalid_redirect_uri"},
			{"wildcard", `{"redirect_uris":["https://*.b.test/cb"]}`, "invalid_redirect_uri"},
			{"dots", `{"redirect_uris":["https://b.test/x/%2e%2e/cb"]}`, "invalid_redirect_uri"},
			{"loopback of a web client", with(`"application_type":"web","post_logout_redirect_uris":["http://localhost/"]`), "invalid_client_metadata"},
			{"method", `{"redirect_uris":["https://a.test/cb"],"token_endpoint_auth_method":"tls_client_auth"}`, "invalid_client_metadata"},
			{"implicit", with(`"grant_types":["implicit"]`), "invalid_client_metadata"},
			{"refresh alone", with(`"grant_types":["refresh_token"]`), "invalid_client_metadata"},
			{"token response", with(`"response_types":["code","token"]`), "invalid_client_metadata"},
			{"pairwise", with(`"subject_type":"pairwise"`), "invalid_client_metadata"},
			{"no signature", with(`"id_token_signed_response_alg":"none"`), "invalid_client_metadata"},
			{"signed userinfo", with(`"userinfo_signed_response_alg":"HS256"`), "invalid_client_metadata"},
			{"age", with(`"default_max_age":-1`), "invalid_client_metadata"},
			{"kind", with(`"application_type":"toaster"`), "invalid_client_metadata"},
			{"long name", with(`"client_name":"` + strings.Repeat("n", 121) + `"`), "invalid_client_metadata"},
			{"reversed name", with(`"client_name":"a\u202eb"`), "invalid_client_metadata"},
			{"only admin", with(`"scope":"admin"`), "invalid_client_metadata"},
			{"script as terms", with(`"tos_uri":"javascript:1"`), "invalid_client_metadata"},
			{"http homepage", with(`"client_uri":"http://a.test"`), "invalid_client_metadata"},
			{"long contacts", with(`"contacts":["` + strings.Repeat("c", 2100) + `"]`), "invalid_client_metadata"},
		} {
			if a := w.register(tt.body); a.status != 400 || a.Error != tt.code || a.Description == "" {
				t.Errorf("%s: %d %s, want %s", tt.name, a.status, a.text, tt.code)
			}
		}
		if a := w.send("POST", "/oauth/register", "", native, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }); a.status != 400 || a.Error != "invalid_request" {
			t.Errorf("plain text: %d %s", a.status, a.text)
		}
	})
}

// RFC 7592: only the registration token reads and changes, each change makes a
// new one, and deleting ends the client's tokens.
func TestARegistrationIsManagedWithItsToken(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, register.Open)
		a, other := w.register(native), w.register(native)
		path := "/oauth/register/" + a.ID
		for name, token := range map[string]string{"none": "", "another's": other.Token, "nonsense": "x", "a secret": oauth.NewSecret(oauth.PrefixSecret)} {
			for _, method := range []string{"GET", "PUT", "DELETE"} {
				r := w.send(method, path, token, native)
				if r.status != 401 || r.Error != "invalid_token" || r.header.Get("WWW-Authenticate") != `Bearer error="invalid_token"` {
					t.Errorf("%s with %s: %d %s", method, name, r.status, r.text)
				}
			}
		}
		for _, id := range []string{"rephlo-cli", "dyn_nobody"} {
			if r := w.send("GET", "/oauth/register/"+id, a.Token, ""); r.status != 401 {
				t.Errorf("%s: %d", id, r.status)
			}
		}
		changed := strings.Replace(native, `{`, `{"client_id":"`+a.ID+`",`, 1)
		if r := w.send("PUT", path, a.Token, native); r.status != 400 || r.Error != "invalid_request" {
			t.Errorf("without client_id: %d %s", r.status, r.text)
		}
		r := w.send("PUT", path, a.Token, strings.Replace(changed, "Inspector", "Inspector 2", 1))
		if r.status != 200 || r.Name != "Inspector 2" || r.Token == "" || r.Token == a.Token || r.ID != a.ID {
			t.Fatalf("%d %s", r.status, r.text)
		}
		if old := w.send("GET", path, a.Token, ""); old.status != 401 {
			t.Error("the old registration token still works")
		}
		if c, _ := w.clients.ByID(t.Context(), a.ID); c.Name != "Inspector 2" || !c.Dynamic {
			t.Errorf("%+v", c)
		}
		at := w.now()
		w.pass(time.Second)
		if d := w.send("DELETE", path, r.Token, ""); d.status != 204 {
			t.Fatalf("%d %s", d.status, d.text)
		}
		if !w.grants.Revoked(oauth.Claims{ClientID: a.ID, JTI: "at_0", IssuedAt: at}) {
			t.Error("the client's tokens are alive")
		}
		if _, err := w.clients.ByID(t.Context(), a.ID); err == nil {
			t.Error("the client is alive")
		}
		if again := w.send("DELETE", path, r.Token, ""); again.status != 401 {
			t.Errorf("%d", again.status)
		}
	})
}

// A secret survives a change of the registration; a client that becomes
// confidential gets one.
func TestASecretSurvivesAChange(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, register.Open)
		a := w.register(`{"redirect_uris":["https://shop.test/cb"]}`)
		body := func(rest string) string {
			return `{"client_id":"` + a.ID + `","redirect_uris":["https://shop.test/cb2"]` + rest + `}`
		}
		r := w.send("PUT", "/oauth/register/"+a.ID, a.Token, body(""))
		if r.status != 200 || r.Secret != "" {
			t.Fatalf("%d %s", r.status, r.text)
		}
		cr := client.Credentials{ID: a.ID, Secret: a.Secret, Method: client.AuthBasic}
		if _, err := w.clients.Authenticate(t.Context(), cr); err != nil {
			t.Error(err)
		}
		r = w.send("PUT", "/oauth/register/"+a.ID, r.Token, body(`,"token_endpoint_auth_method":"none"`))
		if _, err := w.clients.Authenticate(t.Context(), cr); err == nil || r.status != 200 {
			t.Errorf("%d; the secret of a public client works", r.status)
		}
		r = w.send("PUT", "/oauth/register/"+a.ID, r.Token, body(""))
		if r.status != 200 || r.Secret == "" || r.Secret == a.Secret {
			t.Errorf("%d %s", r.status, r.text)
		}
	})
}

// Two changes with one token: one of them holds.
func TestARegistrationTokenIsUsedOnce(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, register.Open)
		a := w.register(native)
		var wg sync.WaitGroup
		statuses := make([]int, 8)
		for i := range statuses {
			wg.Go(func() {
				r := httptest.NewRequestWithContext(t.Context(), "PUT", "/oauth/register/"+a.ID, strings.NewReader(strings.Replace(native, `{`, `{"client_id":"`+a.ID+`",`, 1)))
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Authorization", "Bearer "+a.Token)
				rec := httptest.NewRecorder()
				w.mux.ServeHTTP(rec, r)
				statuses[i] = rec.Code
			})
		}
		wg.Wait()
		slices.Sort(statuses)
		if !slices.Equal(statuses, []int{200, 401, 401, 401, 401, 401, 401, 401}) {
			t.Errorf("statuses %v", statuses)
		}
	})
}

func TestWhoMayRegister(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		if routes := newWorld(t, db, register.Off).mux.Routes(); len(routes) != 0 {
			t.Errorf("off: %v", routes)
		}
		w := newWorld(t, db, register.Token)
		for token, want := range map[string]int{"": 401, "another-token-of-the-right-length-000000": 401, "the-initial-access-token-of-the-operator": 201} {
			if a := w.send("POST", "/oauth/register", token, native); a.status != want {
				t.Errorf("token %q: %d %s", token, a.status, a.text)
			}
		}
		w = newWorld(t, db, register.Open)
		for range 10 {
			if a := w.register(native); a.status != 201 {
				t.Fatalf("%d %s", a.status, a.text)
			}
		}
		if a := w.register(native); a.status != 429 || a.Error != "slow_down" || a.header.Get("Retry-After") != "3600" {
			t.Errorf("the eleventh in an hour: %d %s", a.status, a.text)
		}
		w.pass(time.Hour)
		if a := w.register(native); a.status != 201 {
			t.Errorf("an hour later: %d %s", a.status, a.text)
		}
	})
}

func TestUnusedClientsAreRemoved(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, register.Open)
		unused, used := w.register(native), w.register(native)
		w.pass(89 * 24 * time.Hour)
		c, _ := w.clients.ByID(t.Context(), used.ID)
		w.clients.Used(t.Context(), c)
		fresh := w.register(native)
		w.pass(2 * 24 * time.Hour)
		if err := w.clients.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		for id, want := range map[string]bool{unused.ID: false, used.ID: true, fresh.ID: true, "rephlo-cli": true} {
			if _, err := w.clients.ByID(t.Context(), id); (err == nil) != want {
				t.Errorf("%s: %v, want it kept: %v", id, err, want)
			}
		}
		w.pass(89 * 24 * time.Hour)
		if err := w.clients.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := w.clients.ByID(t.Context(), used.ID); err == nil {
			t.Error("a client that nobody used for 90 days is kept")
		}
	})
}

// FuzzParse looks for a document that is accepted although one of its parts
// breaks a rule that the rest relies on.
func FuzzParse(f *testing.F) {
	f.Add([]byte(native))
	f.Add([]byte(`{"redirect_uris":["https://shop.test/cb"],"scope":"openid admin"}`))
	f.Add([]byte(`{"redirect_uris":["ai.rephlo.desktop:/callback"],"application_type":"native","client_name":"\u202e"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := register.Parse(data)
		if err != nil {
			return
		}
		if slices.Contains(c.Scopes, "admin") || len(c.Scopes) == 0 || c.FirstParty || c.SkipConsent || c.Name == "" || len(c.RedirectURIs) == 0 ||
			c.Public != (c.AuthMethod == client.AuthNone) || !slices.Contains(c.Grants, client.GrantCode) {
			t.Fatalf("%s gives %+v", data, c)
		}
		for _, uri := range slices.Concat(c.RedirectURIs, c.PostLogoutRedirectURIs) {
			if !oauth.CheckRedirect(uri, c.Native) {
				t.Fatalf("redirect URI %q", uri)
			}
		}
		if bytes.ContainsAny([]byte(c.Name), "\x00\r\n") {
			t.Fatalf("name %q", c.Name)
		}
	})
}
