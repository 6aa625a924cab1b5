package approval_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/approval"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/web"
)

// gift is what is asked for in the tests. Its effect is a row that nothing
// keeps from being written twice.
type gift struct {
	To   string `json:"to"`
	Much int    `json:"much"`
}

// desk is a process that approves gifts.
type desk struct {
	*approval.Service
	t     testing.TB
	db    *sqldb.DB
	audit *audit.Log
	mux   *web.Mux
	gifts approval.Operation[gift]
	at    atomic.Int64                                // seconds after noon
	roles map[string]string                           // who has which role
	check func() error                                // before it is asked for
	then  func(ctx context.Context, asked gift) error // after the row is written
}

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

const why = "a reason that is long enough"

func (d *desk) now() time.Time { return noon.Add(time.Duration(d.at.Load()) * time.Second) }

func newDesk(t testing.TB, db *sqldb.DB) *desk {
	t.Helper()
	d := &desk{t: t, db: db, roles: map[string]string{"ada": "super_admin", "bob": "admin", "eve": "ops", "sam": "support", "una": "auditor"}}
	d.check = func() error { return nil }
	d.then = func(context.Context, gift) error { return nil }
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	d.audit = audit.New(audit.Needs{DB: db, Box: box, Log: slog.New(slog.DiscardHandler), Now: d.now})
	d.Service = approval.New(approval.Needs{DB: db, Box: box, Audit: d.audit, Now: d.now, Holding: d.holding})
	if _, err := db.Q(t.Context()).ExecContext(t.Context(), `CREATE TABLE IF NOT EXISTS gift (who TEXT NOT NULL, much BIGINT NOT NULL)`); err != nil {
		t.Fatal(err)
	}
	d.gifts = approval.Define(d.Service, approval.Definition[gift]{
		Name: "gifts.give", Permission: access.GrantCredits,
		Check: func(context.Context, approval.Request, gift) error { return d.check() },
		Run: func(ctx context.Context, _ approval.Request, g gift) (any, error) {
			if _, err := db.Q(ctx).ExecContext(ctx, `INSERT INTO gift (who, much) VALUES ($1, $2)`, g.To, g.Much); err != nil {
				return nil, err
			}
			return map[string]any{"given": g.Much}, d.then(ctx, g)
		},
	})
	d.mux = web.NewMux(web.Config{Now: d.now, Use: []web.Middleware{func(next web.Handler) web.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			return next(w, r.WithContext(d.as(r.Context(), r.Header.Get("User"))))
		}
	}}})
	approval.AdminAPI{Approvals: d.Service, Cursors: list.NewCursors([]byte("k"))}.Mount(d.mux)
	return d
}

func (d *desk) holding(_ context.Context, ps ...access.Permission) ([]string, error) {
	var out []string
	for user, role := range d.roles {
		rights := access.NewRights([]string{role}, nil, nil)
		if !slices.ContainsFunc(ps, func(p access.Permission) bool { return !rights.Has(p) }) {
			out = append(out, user)
		}
	}
	return out, nil
}

// as is a context in which somebody acts, who signed in at noon.
func (d *desk) as(ctx context.Context, user string) context.Context {
	a := access.Actor{UserID: user, Scopes: []string{access.ScopeAdmin}, AuthTime: noon}
	if role := d.roles[user]; role != "" {
		a.Roles = []string{role}
	}
	return access.With(ctx, a, nil)
}

func (d *desk) ask(by, once string) approval.Request {
	d.t.Helper()
	r, err := d.gifts.Ask(d.as(d.t.Context(), by), approval.Wish[gift]{
		Type: "user", For: "ida", Person: "ida", Reason: why, Once: once, Input: gift{"ida", 7},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return r
}

// given counts the effects.
func (d *desk) given() (n int) {
	d.t.Helper()
	if err := d.db.Q(d.t.Context()).QueryRowContext(d.t.Context(), `SELECT COUNT(*) FROM gift`).Scan(&n); err != nil {
		d.t.Fatal(err)
	}
	return n
}

type answer struct {
	status int
	code   string
	body   map[string]any
	text   string
}

func (d *desk) do(user, method, path, body string) answer {
	d.t.Helper()
	r := httptest.NewRequestWithContext(d.t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User", user)
	rec := httptest.NewRecorder()
	d.mux.ServeHTTP(rec, r)
	a := answer{status: rec.Code, text: rec.Body.String()}
	if err := json.Unmarshal(rec.Body.Bytes(), &a.body); err != nil {
		d.t.Fatalf("%s: %v", rec.Body, err)
	}
	if e, ok := a.body["error"].(map[string]any); ok {
		a.code, _ = e["code"].(string)
	}
	return a
}
