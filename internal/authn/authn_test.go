package authn_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/apikey"
	"github.com/rephlo/rephlo/internal/authn"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/role"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	issuer   = "https://id.test"
	audience = "https://api.test"
)

// world is the real thing but for revocations and the clock.
type world struct {
	*authn.Service
	db       *sqldb.DB
	bus      *bus.Bus
	keys     *apikey.Service
	accounts *account.Service
	user     account.User
	signer   *ecdsa.PrivateKey
	revoked  atomic.Bool
	micros   atomic.Int64
}

func (w *world) now() time.Time              { return time.UnixMicro(w.micros.Load()).UTC() }
func (w *world) move(d time.Duration)        { w.micros.Add(d.Microseconds()) }
func (w *world) Revoked(c oauth.Claims) bool { return w.revoked.Load() }

func (w *world) Public(kid string) (crypto.PublicKey, string, bool) {
	return w.signer.Public(), oauth.AlgES256, kid == "k1"
}

func newWorld(tb testing.TB, db *sqldb.DB) *world {
	tb.Helper()
	w := &world{db: db}
	w.micros.Store(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).UnixMicro())
	var err error
	if w.signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		tb.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(tb.Output(), nil))
	w.bus = bus.New(db, log, w.now)
	w.keys = apikey.New(apikey.Needs{DB: db, Bus: w.bus, Log: log, Now: w.now})
	box, err := seal.NewBox(make([]byte, 32))
	if err != nil {
		tb.Fatal(err)
	}
	nothing := func(context.Context, account.User) error { return nil }
	roles := role.New(role.Needs{
		DB: db, Bus: w.bus, Now: w.now, Usable: func(context.Context, string) (bool, error) { return true, nil },
		Staff: func(context.Context, string, bool) error { return nil },
	})
	w.accounts = account.New(account.Needs{
		DB: db, Bus: w.bus, Log: log, Now: w.now, Box: box, Passwords: seal.NewPasswordsOf(64), Mail: mail.NewFolder(tb.TempDir(), log, w.now),
		Verified: nothing, Admin: func(ctx context.Context, u account.User) error { return roles.Found(ctx, u.ID) }, IDPURL: issuer,
	})
	if w.user, err = w.accounts.CreateAdmin(tb.Context(), "ada@example.com", "correct horse battery"); err != nil {
		tb.Fatal(err)
	}
	w.Service = authn.New(authn.Needs{
		Keys: w.keys, Accounts: w.accounts, Roles: roles, Tokens: oauth.NewVerifier(w, issuer, audience, w.now), Revocations: w, Now: w.now,
		Resource: audience, NonceKey: make([]byte, 32), Once: func(context.Context, string, string, time.Time) (bool, error) { return true, nil },
	})
	return w
}

// set changes a column of the user, as the account's owner would.
func (w *world) set(t *testing.T, column string, value any) {
	t.Helper()
	if _, err := w.db.Q(t.Context()).ExecContext(t.Context(), `UPDATE account_user SET `+column+` = $1 WHERE id = $2`, value, w.user.ID); err != nil {
		t.Fatal(err)
	}
	if err := w.bus.Publish(t.Context(), "account.user", w.user.ID); err != nil {
		t.Fatal(err)
	}
}

// token signs an access token; change edits its header and claims first.
func (w *world) token(tb testing.TB, change func(header, claims map[string]any)) string {
	tb.Helper()
	now := w.now()
	header := map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": "k1"}
	claims := map[string]any{
		"iss": issuer, "aud": audience, "sub": w.user.ID, "client_id": "cli", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(),
		"jti": id.New("at", now), "scope": "llm.inference user.info admin", "auth_time": now.Unix(),
	}
	if change != nil {
		change(header, claims)
	}
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			tb.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	signed := part(header) + "." + part(claims)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, w.signer, digest[:])
	if err != nil {
		tb.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func (w *world) key(tb testing.TB, mode apikey.Mode) (apikey.Key, string) {
	tb.Helper()
	k, text, err := w.keys.Create(tb.Context(), apikey.NewKey{UserID: w.user.ID, Name: "k", Mode: mode})
	if err != nil {
		tb.Fatal(err)
	}
	return k, text.Reveal()
}

func request(header ...string) *http.Request {
	r := httptest.NewRequest("POST", "/v1/chat/completions", nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func (w *world) ask(header ...string) (access.Actor, error) {
	return w.Authenticate(request(header...))
}

// code returns the code of the fault that err is.
func code(err error) string {
	if err == nil {
		return ""
	}
	return fault.From(err).Code
}

func TestKeysAndTokensBecomeActors(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		k, text := w.key(t, apikey.ModeTest)
		want := access.Actor{UserID: w.user.ID, KeyID: k.ID, Test: true, Verified: true, Scopes: []string{"llm.inference", "models.read"}}
		for _, header := range [][]string{
			{"Authorization", "Bearer " + text},
			{"Authorization", "bearer  " + text},
			{"X-Api-Key", text},
			{"X-Goog-Api-Key", text},
			{"X-Api-Key", text, "Authorization", "Bearer " + text},
			{"Authorization", "Basic YTpi", "X-Api-Key", text},
		} {
			got, err := w.ask(header...)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%v: %v %s", header, err, diff)
			}
		}
		got, err := w.ask("Authorization", "Bearer "+w.token(t, nil))
		want = access.Actor{UserID: w.user.ID, ClientID: "cli", Verified: true, Scopes: []string{"llm.inference", "user.info", "admin"}, Roles: []string{"super_admin"}, AuthTime: w.now()}
		if !got.May(access.ManageSecurity) {
			t.Error("a super_admin may not do everything")
		}
		got.Rights = nil
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("token: %v %s", err, diff)
		}
	})
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dbtest.Open(t, dbtest.SQLite(t)))
	_, a := w.key(t, apikey.ModeLive)
	_, b := w.key(t, apikey.ModeLive)
	good := w.token(t, nil)
	set := func(where, name string, value any) string {
		return w.token(t, func(header, claims map[string]any) {
			map[string]map[string]any{"header": header, "claims": claims}[where][name] = value
		})
	}
	head, rest, _ := strings.Cut(good, ".")
	body, _, _ := strings.Cut(rest, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt","kid":"k1"}`))
	for _, tt := range []struct{ name, token, want string }{
		{"nothing", "", "unauthorized"},
		{"key of another service", "sk-proj-abcdefghijklmnop", "api_key_invalid"},
		{"mistyped key", a[:20] + "0" + a[21:41], "api_key_invalid"},
		{"no signature", none + "." + body + ".", "invalid_token"},
		{"other body", head + "." + body + "x." + good[len(head)+len(body)+2:], "invalid_token"},
		{"ID token", set("header", "typ", "JWT"), "invalid_token"},
		{"other algorithm", set("header", "alg", "HS256"), "invalid_token"},
		{"unknown key", set("header", "kid", "k2"), "invalid_token"},
		{"other issuer", set("claims", "iss", "https://evil.test"), "invalid_token"},
		{"other audience", set("claims", "aud", issuer), "invalid_token"},
		{"not yet valid", set("claims", "iat", w.now().Add(time.Hour).Unix()), "invalid_token"},
		{"user who is gone", set("claims", "sub", "usr_none"), "invalid_token"},
		{"expired", set("claims", "exp", w.now().Add(-2*time.Minute).Unix()), "token_expired"},
	} {
		_, err := w.ask("Authorization", "Bearer "+tt.token)
		if code(err) != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	for _, header := range [][]string{
		{"Authorization", "Bearer " + a, "X-Api-Key", b}, {"Authorization", "Bearer " + a, "Authorization", "Bearer " + b}, {"X-Api-Key", a, "X-Goog-Api-Key", b},
	} {
		if _, err := w.ask(header...); code(err) != "invalid_token" {
			t.Errorf("two credentials: %v", err)
		}
	}
	for _, query := range []string{"key=x", "a=b&access_token=x", "api%5Fkey=x", "key"} {
		r := request("Authorization", "Bearer "+a)
		r.URL.RawQuery = query
		if _, err := w.Authenticate(r); code(err) != "invalid_token" || !strings.Contains(err.Error(), "address") {
			t.Errorf("?%s: %v", query, err)
		}
	}
	if _, err := w.ask("Authorization", "Basic YTpi"); code(err) != "unauthorized" {
		t.Errorf("another scheme: %v", err)
	}
}

// What is remembered about a token must not hide a change.
func TestChangesCountAtOnce(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		k, text := w.key(t, apikey.ModeLive)
		token := w.token(t, nil)
		check := func(when, wantKey, wantToken string) {
			t.Helper()
			_, err := w.ask("X-Api-Key", text)
			if code(err) != wantKey {
				t.Errorf("%s: key %v, want %q", when, err, wantKey)
			}
			if _, err = w.ask("Authorization", "Bearer "+token); code(err) != wantToken {
				t.Errorf("%s: token %v, want %q", when, err, wantToken)
			}
		}
		check("at first", "", "")
		for state, want := range map[string][2]string{
			account.StateSuspended: {"account_suspended", "account_suspended"},
			account.StateBanned:    {"account_banned", "account_banned"},
			account.StateDeleted:   {"api_key_invalid", "invalid_token"},
		} {
			w.set(t, "state", state)
			check(state, want[0], want[1])
		}
		w.set(t, "state", account.StateActive)
		check("active again", "", "")

		w.set(t, "staff", false)
		a, err := w.ask("Authorization", "Bearer "+token)
		if err != nil || a.Has(access.ScopeAdmin) || !a.Has(access.ScopeUser) {
			t.Errorf("without the role: %v, %v", a.Scopes, err)
		}
		w.revoked.Store(true)
		check("token revoked", "", "invalid_token")
		w.revoked.Store(false)
		if err := w.keys.Revoke(t.Context(), w.user.ID, k.ID); err != nil {
			t.Fatal(err)
		}
		check("key revoked", "api_key_revoked", "")
		w.move(time.Hour + 2*time.Minute)
		check("an hour later", "api_key_revoked", "token_expired")
	})
}

func TestADeadDatabaseRefusesNobodyForGood(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t, dbtest.SQLite(t))
	w := newWorld(t, db)
	_, text := w.key(t, apikey.ModeLive)
	token := w.token(t, nil)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, credential := range []string{text, token} {
		if _, err := w.ask("Authorization", "Bearer "+credential); code(err) != "service_unavailable" {
			t.Errorf("%.8s…: %v, want service_unavailable", credential, err)
		}
	}
}

func TestGuessingIsSlowedDownPerAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dbtest.Open(t, dbtest.SQLite(t)))
	_, known := w.key(t, apikey.ModeLive)
	_, fresh := w.key(t, apikey.ModeLive)
	if _, err := w.ask("X-Api-Key", known); err != nil {
		t.Fatal(err)
	}
	from := func(addr, credential string) error {
		r := request("X-Api-Key", credential)
		r.RemoteAddr = addr
		_, err := w.Authenticate(r)
		return err
	}
	for i := range 61 {
		want := "api_key_invalid"
		if i == 60 {
			want = "too_many_attempts"
		}
		if err := from("[2001:db8::"+strconv.Itoa(i+1)+"]:1", "guess-"+strconv.Itoa(i)); code(err) != want {
			t.Fatalf("guess %d: %v, want %s", i, err, want)
		}
	}
	for _, tt := range []struct{ name, addr, credential, want string }{
		{"a key that is known to be good", "[2001:db8::9]:1", known, ""},
		{"a key that was not seen yet", "[2001:db8::9]:1", fresh, "too_many_attempts"},
		{"a token that was not seen yet", "[2001:db8::9]:1", w.token(t, nil), "too_many_attempts"},
		{"another address", "192.0.2.1:1", fresh, ""},
	} {
		if err := from(tt.addr, tt.credential); code(err) != tt.want {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if f := fault.From(from("[2001:db8::1]:1", "x")); f.RetryAfter <= 0 || f.RetryAfter > time.Minute {
		t.Errorf("try again after %s", f.RetryAfter)
	}
	w.move(time.Minute)
	if err := from("[2001:db8::9]:1", fresh); err != nil {
		t.Errorf("a minute later: %v", err)
	}
}

func TestMiddlewareServesPublicAndProtectedRoutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dbtest.Open(t, dbtest.SQLite(t)))
	_, text := w.key(t, apikey.ModeLive)
	m := web.NewMux(web.Config{Use: []web.Middleware{w.Middleware()}, Challenge: access.Challenge(audience + "/.well-known/oauth-protected-resource")})
	authn.API{Resource: audience, Issuer: issuer}.Mount(m)
	ok := func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(204); return nil }
	m.Handle("GET /public", ok)
	m.Handle("GET /models", ok, access.Needs(access.ScopeModels))
	m.Handle("GET /keys", ok, access.Needs(access.ScopeKeys))
	for _, tt := range []struct {
		path, credential string
		status           int
		challenge        string
	}{
		{"/public", "", 204, ""},
		{"/public", "nonsense", 204, ""},
		{"/models", text, 204, ""},
		{"/models", "", 401, "oauth-protected-resource\""},
		{"/models", "nonsense", 401, `error="invalid_token"`},
		{"/keys", text, 403, `error="insufficient_scope", scope="keys.manage"`},
		{"/.well-known/oauth-protected-resource", "nonsense", 200, ""},
		{"/.well-known/oauth-protected-resource/other", "", 404, ""},
	} {
		r := httptest.NewRequest("GET", tt.path, nil)
		if tt.credential != "" {
			r.Header.Set("Authorization", "Bearer "+tt.credential)
		}
		rec := httptest.NewRecorder()
		m.ServeHTTP(rec, r)
		if got := rec.Header().Get("WWW-Authenticate"); rec.Code != tt.status || !strings.HasSuffix(got, tt.challenge) || (got == "") != (tt.challenge == "") {
			t.Errorf("%s with %q: %d %q, want %d %q", tt.path, tt.credential, rec.Code, got, tt.status, tt.challenge)
		}
	}
	rec := httptest.NewRecorder()
	m.ServeHTTP(rec, httptest.NewRequest("GET", "/.well-known/oauth-protected-resource", nil))
	const want = `{"resource":"https://api.test","resource_name":"Rephlo","authorization_servers":["https://id.test"],` +
		`"scopes_supported":["llm.inference","models.read","user.info","account.manage","credits.read","keys.manage","billing.manage","webhooks.manage"],"bearer_methods_supported":["header"],"dpop_signing_alg_values_supported":["ES256","EdDSA","PS256"]}`
	if rec.Body.String() != want || rec.Header().Get("Content-Type") != "application/json" || rec.Header().Get("Cache-Control") != "public, max-age=60" {
		t.Errorf("metadata %s, %v", rec.Body, rec.Header())
	}
	r := httptest.NewRequest("GET", "/.well-known/oauth-protected-resource", nil)
	r.Header.Set("If-None-Match", rec.Header().Get("ETag"))
	again := httptest.NewRecorder()
	if m.ServeHTTP(again, r); again.Code != 304 {
		t.Errorf("the same again: %d", again.Code)
	}
}

func FuzzAuthenticate(f *testing.F) {
	w := newWorld(f, dbtest.Open(f, dbtest.SQLite(f)))
	f.Add("Bearer "+w.token(f, nil)+"x", "", "a=b")
	f.Add("Bearer rph_live_", "x", "key=%zz")
	f.Add("a.b.c", "\x00", "%")
	f.Fuzz(func(t *testing.T, authorization, key, query string) {
		r := request("Authorization", authorization, "X-Api-Key", key)
		r.URL.RawQuery = query
		if a, err := w.Authenticate(r); err == nil || a.UserID != "" || errors.Is(err, fault.ErrInternal) {
			t.Errorf("%q %q %q: %+v, %v", authorization, key, query, a, err)
		}
		w.move(time.Minute)
	})
}

func benchmark(b *testing.B, credential func(w *world) string) {
	w := newWorld(b, dbtest.Open(b, dbtest.SQLite(b)))
	r := request("Authorization", "Bearer "+credential(w))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Authenticate(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAPIKey(b *testing.B) {
	benchmark(b, func(w *world) string { _, text := w.key(b, apikey.ModeLive); return text })
}

func BenchmarkToken(b *testing.B) {
	benchmark(b, func(w *world) string { return w.token(b, nil) })
}
