package console_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/console"
	"github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/secret"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

const good = "correct horse battery"

type world struct {
	*web.Mux
	accounts *account.Service
	keyErr   error
}

func newWorld(t *testing.T, db *sqldb.DB) *world {
	t.Helper()
	w := &world{}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	w.accounts = account.New(account.Needs{
		DB: db, Bus: bus.New(db, log, time.Now), Log: log, Now: time.Now, Passwords: seal.NewPasswordsOf(64), Box: box, Mail: mail.NewFolder(t.TempDir(), log, time.Now),
	})
	c, err := console.New(console.Needs{
		Accounts: w.accounts, Name: "Rephlo", Version: "1.0.0", APIURL: "http://api.test", IDPURL: "http://id.test", Model: "test-echo",
		CreateKey: func(context.Context, string) (secret.String, error) { return secret.New("rph_live_FIRST"), w.keyErr },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Mux = web.NewMux(web.Config{Log: log})
	c.Mount(w.Mux)
	return w
}

func (w *world) send(t *testing.T, method, path string, v url.Values, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(v.Encode()))
	if v != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	if strings.HasPrefix(rec.Header().Get("Content-Type"), "text/html") && rec.Header().Get("Location") == "" && strings.Count(rec.Body.String(), "<h1") != 1 {
		t.Errorf("%s %s: want one h1: %s", method, path, rec.Body)
	}
	return rec
}

func want(t *testing.T, rec *httptest.ResponseRecorder, status int, text string) {
	t.Helper()
	if rec.Code != status || !strings.Contains(rec.Body.String(), text) {
		t.Errorf("got %d %s, want %d and %q", rec.Code, rec.Body, status, text)
	}
}

func TestSetUp(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		token, err := w.accounts.SetupToken(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rec := w.send(t, "GET", "/", nil, "Accept", "text/html,*/*")
		if rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != "/setup" {
			t.Errorf("front door of an empty instance: %d %s", rec.Code, rec.Header().Get("Location"))
		}
		want(t, w.send(t, "GET", "/setup", nil), 200, "rephlo admin create")
		want(t, w.send(t, "GET", "/setup?token=wrong", nil), 401, "not valid any more")
		want(t, w.send(t, "GET", "/setup?token="+token, nil), 200, `value="`+token+`"`)

		form := url.Values{"token": {token}, "email": {`"><script>@x`}, "password": {"password1"}}
		want(t, w.send(t, "POST", "/setup", form), 422, `aria-describedby="email-wrong"`)
		form.Set("email", "ada@example.com")
		rec = w.send(t, "POST", "/setup", form)
		want(t, rec, 422, "common passwords")
		if strings.Contains(rec.Body.String(), "password1") || strings.Contains(rec.Body.String(), "<script") {
			t.Errorf("the password or markup comes back: %s", rec.Body)
		}
		form.Set("password", good)
		want(t, w.send(t, "POST", "/setup", form, "Sec-Fetch-Site", "cross-site"), 403, "another site")

		w.keyErr = errors.New("no room")
		want(t, w.send(t, "POST", "/setup", form), 500, "Something went wrong")
		w.keyErr = nil
		rec = w.send(t, "POST", "/setup", form)
		want(t, rec, 200, `<pre id="key">rph_live_FIRST</pre>`)
		want(t, rec, 200, "http://api.test/v1/chat/completions")
		if csp := rec.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "script-src 'nonce-") {
			t.Errorf("policy %q", csp)
		}
		if _, err := w.accounts.Authenticate(t.Context(), account.Attempt{Name: "ada@example.com", Password: good}); err != nil {
			t.Errorf("the administrator cannot sign in: %v", err)
		}

		// Nothing opens the page again.
		for _, path := range []string{"/setup", "/setup?token=" + token} {
			want(t, w.send(t, "GET", path, nil), 200, "Set-up is done")
		}
		want(t, w.send(t, "POST", "/setup", form), 200, "Set-up is done")
		rec = w.send(t, "GET", "/", nil, "Accept", "text/html")
		var home struct {
			Name, Version string
			Links         map[string]string
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &home); err != nil || home.Name != "Rephlo" || home.Version != "1.0.0" || home.Links["identity"] != "http://id.test" {
			t.Errorf("front door %s, %v", rec.Body, err)
		}
	})
}

// rephlo admin create without a password prints a link; it works on an
// instance that is set up, for its address only.
func TestLinkForAnAdministrator(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		if _, err := w.accounts.CreateAdmin(t.Context(), "ada@example.com", good); err != nil {
			t.Fatal(err)
		}
		token, err := w.accounts.AdminToken(t.Context(), "bo@example.com")
		if err != nil {
			t.Fatal(err)
		}
		want(t, w.send(t, "GET", "/setup?token="+token, nil), 200, `value="bo@example.com"`)
		want(t, w.send(t, "POST", "/setup", url.Values{"token": {token}, "email": {"eve@example.com"}, "password": {good}}), 200, "bo@example.com is the administrator")
		if _, err := w.accounts.ByEmail(t.Context(), "eve@example.com"); !errors.Is(err, account.ErrUnknown) {
			t.Errorf("the form chose another address: %v", err)
		}
	})
}
