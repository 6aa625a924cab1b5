package sso_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/identity/sso"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// world is a Service with its clock and what its hook heard.
type world struct {
	*sso.Service
	accounts *account.Service
	now      time.Time
	ended    []string
}

func newWorld(t *testing.T, db *sqldb.DB, secure bool) *world {
	t.Helper()
	w := &world{now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return w.now }
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	w.accounts = account.New(account.Needs{DB: db, Bus: bus.New(db, log, clock), Log: log, Now: clock, Passwords: seal.NewPasswordsOf(64), Box: box})
	w.Service = sso.New(sso.Needs{
		DB: db, Log: log, Now: clock, Accounts: w.accounts, Secure: secure,
		Ended: func(_ context.Context, id string) error {
			w.ended = append(w.ended, id)
			return nil
		},
	})
	return w
}

func (w *world) user(t *testing.T, email string) account.User {
	t.Helper()
	u, err := w.accounts.CreateAdmin(t.Context(), email, "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// browser keeps cookies between requests.
type browser map[string]*http.Cookie

func (b browser) request(t *testing.T) *http.Request {
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
	r.Header.Set("User-Agent", strings.Repeat("u", 300))
	for _, c := range b {
		r.AddCookie(c)
	}
	return r
}

func (b browser) keep(rec *httptest.ResponseRecorder) {
	for _, c := range rec.Result().Cookies() {
		b[c.Name] = c
		if c.MaxAge < 0 {
			delete(b, c.Name)
		}
	}
}

func (b browser) signIn(t *testing.T, w *world, u account.User) sso.Session {
	t.Helper()
	rec := httptest.NewRecorder()
	ss, err := w.SignIn(rec, b.request(t), u, sso.Way{AMR: []string{sso.ByPassword}})
	if err != nil {
		t.Fatal(err)
	}
	b.keep(rec)
	return ss
}

func (b browser) current(t *testing.T, w *world) string {
	t.Helper()
	ss, _, err := w.Current(b.request(t))
	if err != nil {
		t.Fatal(err)
	}
	return ss.ID
}

func TestSessions(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, true)
		ada, bo := w.user(t, "ada@example.com"), w.user(t, "bo@example.com")
		b := browser{}
		if got := b.current(t, w); got != "" {
			t.Errorf("nobody signed in, got %q", got)
		}
		first := b.signIn(t, w, ada)
		if got := b.current(t, w); got != first.ID {
			t.Errorf("current %q, want %q", got, first.ID)
		}
		old := browser{"__Host-rephlo_s": b["__Host-rephlo_s"]}
		w.now = w.now.Add(time.Minute)
		again := b.signIn(t, w, ada)
		if again.ID != first.ID || !again.AuthTime.After(first.AuthTime) || len(w.ended) != 0 {
			t.Errorf("signing in again: %+v, ended %v; want the same session, renewed", again, w.ended)
		}
		if got := old.current(t, w); got != "" {
			t.Error("the secret from before the sign-in still works")
		}
		other := b.signIn(t, w, bo)
		if other.ID == first.ID || len(w.ended) != 1 || w.ended[0] != first.ID {
			t.Errorf("another user: %s, ended %v; want ada's session ended", other.ID, w.ended)
		}
		if known, err := w.Known(b.request(t)); err != nil || len(known) != 2 {
			t.Errorf("known users %v, %v; want both", known, err)
		}
		rec := httptest.NewRecorder()
		if err := w.SignOut(rec, b.request(t)); err != nil {
			t.Fatal(err)
		}
		copied := browser{"__Host-rephlo_s": b["__Host-rephlo_s"]}
		b.keep(rec)
		if got := b.current(t, w) + copied.current(t, w); got != "" || len(w.ended) != 2 {
			t.Errorf("after signing out: %q, ended %v", got, w.ended)
		}
		if known, err := (browser{}).known(t, w); err != nil || len(known) != 0 {
			t.Errorf("a new browser knows %v, %v", known, err)
		}
	})
}

func (b browser) known(t *testing.T, w *world) ([]string, error) { return w.Known(b.request(t)) }

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, true)
		ada := w.user(t, "ada@example.com")
		// The longer limits are those of somebody who is no administrator.
		if _, err := db.Q(t.Context()).ExecContext(t.Context(), `UPDATE account_user SET staff = FALSE`); err != nil {
			t.Fatal(err)
		}
		ada.Staff = false
		for name, tt := range map[string]struct {
			step  time.Duration
			steps int
			live  bool
		}{
			"idle":     {12 * time.Hour, 1, false},
			"used":     {11 * time.Hour, 60, true},
			"absolute": {11 * time.Hour, 66, false},
		} {
			b := browser{}
			b.signIn(t, w, ada)
			got := ""
			for range tt.steps {
				w.now = w.now.Add(tt.step)
				got = b.current(t, w)
			}
			if (got != "") != tt.live {
				t.Errorf("%s: session %q, want live %t", name, got, tt.live)
			}
		}
		b := browser{}
		b.signIn(t, w, ada)
		w.now = w.now.Add(time.Second)
		if _, err := w.accounts.CreateAdmin(t.Context(), "ada@example.com", "another good password"); err != nil {
			t.Fatal(err)
		}
		if got := b.current(t, w); got != "" {
			t.Error("a session outlived the change of the password")
		}
	})
}

func TestTheOldestSessionEnds(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, false)
		ada := w.user(t, "ada@example.com") // an administrator: three
		var all []browser
		for range 4 {
			b := browser{}
			b.signIn(t, w, ada)
			all = append(all, b)
			w.now = w.now.Add(time.Second)
		}
		if all[0].current(t, w) != "" || all[1].current(t, w) == "" || all[3].current(t, w) == "" {
			t.Error("want the first of four sessions ended, and no other")
		}
	})
}

func TestCookies(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		for _, secure := range []bool{true, false} {
			w := newWorld(t, db, secure)
			b := browser{}
			rec := httptest.NewRecorder()
			mark := w.Mark(rec, b.request(t))
			b.keep(rec)
			if string(w.Browser(b.request(t))) != string(mark) || len(mark) != 32 {
				t.Error("the browser is not recognised")
			}
			b.signIn(t, w, w.user(t, "ada@example.com"))
			if len(b) != 3 {
				t.Errorf("%d cookies, want 3", len(b))
			}
			for name, c := range b {
				if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" ||
					c.Secure != secure || strings.HasPrefix(name, "__Host-") != secure || len(c.Value) != 43 {
					t.Errorf("cookie %+v", c)
				}
			}
		}
	})
}

func TestSweep(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, true)
		b := browser{}
		b.signIn(t, w, w.user(t, "ada@example.com"))
		w.now = w.now.Add(32 * 24 * time.Hour)
		if err := w.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := db.Q(t.Context()).QueryRowContext(t.Context(), `SELECT COUNT(*) FROM sso_session`).Scan(&n); err != nil || n != 0 {
			t.Errorf("%d sessions are left, %v", n, err)
		}
		if known, err := w.Known(b.request(t)); err != nil || len(known) != 1 {
			t.Errorf("devices %v, %v; want it kept for a year", known, err)
		}
	})
}
