package limit_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/limit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/tier"
	"github.com/rephlo/rephlo/internal/web"
)

// node is one process.
type node struct {
	*limit.Service
	t    *testing.T
	mux  *web.Mux
	past atomic.Int64 // seconds that have passed
}

func newNode(t *testing.T, db *sqldb.DB, hears bool) *node {
	t.Helper()
	n := &node{t: t}
	log := slog.New(slog.DiscardHandler)
	now := func() time.Time { return time.Now().Add(time.Duration(n.past.Load()) * time.Second) }
	b := bus.New(db, log, now)
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	n.Service = limit.New(limit.Needs{DB: db, Bus: b, Log: log, Now: now, Audit: audit.New(audit.Needs{DB: db, Box: box, Log: log, Now: now})})
	if hears {
		if err := b.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Stop)
	}
	if err := n.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.Start(t.Context())
	t.Cleanup(n.Stop)
	n.mux = web.NewMux(web.Config{Now: now, Use: []web.Middleware{func(next web.Handler) web.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			a := access.Actor{UserID: "usr_admin", Scopes: []string{access.ScopeAdmin}, Roles: []string{r.Header.Get("Role")}}
			return next(w, r.WithContext(access.With(r.Context(), a, nil)))
		}
	}}})
	limit.AdminAPI{Limits: n.Service, Known: func(_ context.Context, userID string) error {
		if userID != "ada" {
			return fault.New(fault.NotFound, "not_found", "Nobody.")
		}
		return nil
	}}.Mount(n.mux)
	return n
}

const because = `"reason":"a reason that is long enough"`

func (n *node) ask(role, method, path, body string, status int) {
	n.t.Helper()
	r := httptest.NewRequestWithContext(n.t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Role", role)
	rec := httptest.NewRecorder()
	n.mux.ServeHTTP(rec, r)
	if rec.Code != status {
		n.t.Errorf("%s %s %s: %d %s, want %d", method, path, body, rec.Code, rec.Body, status)
	}
}

func (n *node) eventually(what string, ok func() bool) {
	n.t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			n.t.Fatalf("after five seconds: %s", what)
		}
	}
}

func TestOwnLimitsHoldOnAllServersWithinSeconds(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		here, there, deaf := newNode(t, db, true), newNode(t, db, true), newNode(t, db, false)
		pro := tier.Seeds().Tier("pro")
		if there.Own("ada", pro) != pro {
			t.Error("somebody without own limits has others than their tier")
		}
		here.ask("admin", "PUT", "/admin/users/ada/limits", `{"requestsPerMinute":500,"creditsPerDay":1.5,`+because+`}`, 200)
		got := here.Own("ada", pro)
		if got.RequestsPerMinute != 500 || got.CreditsPerDay != money.Credit*3/2 || got.TokensPerMinute != pro.TokensPerMinute || got.Rank != pro.Rank || pro.RequestsPerMinute == 500 {
			t.Errorf("own limits: %+v", got)
		}
		if here.Own("bob", pro) != pro {
			t.Error("somebody else has them too")
		}
		for _, n := range []*node{there, deaf} {
			n.eventually("another server does not know of limits", func() bool { return n.Own("ada", pro).RequestsPerMinute == 500 })
		}
		there.ask("admin", "DELETE", "/admin/users/ada/limits?reason=a+reason+that+is+long+enough", ``, 204)
		here.eventually("another server keeps limits that were taken back", func() bool { return here.Own("ada", pro) == pro })
		es, err := here.Audit.List(t.Context(), audit.Filter{Type: "user", ID: "ada"}, 10)
		if err != nil || len(es) != 2 || es[0].Action != "users.clear_limits" || string(es[0].Before["requestsPerMinute"]) != "500" || es[1].Action != "users.set_limits" {
			t.Errorf("the audit log: %+v, %v", es, err)
		}
	})
}

func TestOwnLimitsEndByThemselves(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		n := newNode(t, db, false)
		until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		n.ask("admin", "PUT", "/admin/users/ada/limits", `{"concurrentRequests":9,"expiresAt":"`+until+`",`+because+`}`, 200)
		if o, ok := n.Of("ada"); !ok || o.ConcurrentRequests != 9 {
			t.Errorf("at first: %+v, %t", o, ok)
		}
		n.past.Store(3600)
		if o, ok := n.Of("ada"); ok {
			t.Errorf("after an hour: %+v", o)
		}
		if err := n.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		n.ask("admin", "DELETE", "/admin/users/ada/limits?reason=a+reason+that+is+long+enough", ``, 404)
	})
}

func TestWhatIsNoLimitIsRefused(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		n := newNode(t, db, false)
		for _, fields := range []string{
			``, `"requestsPerMinute":0,`, `"tokensPerMinute":-1,`, `"creditsPerDay":0,`, `"requestsPerMinute":5,"expiresAt":"2020-01-01T00:00:00Z",`,
		} {
			n.ask("admin", "PUT", "/admin/users/ada/limits", `{`+fields+because+`}`, 422)
		}
		n.ask("admin", "PUT", "/admin/users/ada/limits", `{"requestsPerMinute":5}`, 422)
		n.ask("admin", "PUT", "/admin/users/eve/limits", `{"requestsPerMinute":5,`+because+`}`, 404)
		n.ask("ops", "PUT", "/admin/users/ada/limits", `{"requestsPerMinute":5,`+because+`}`, 403)
	})
}
