package system_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/system"
	"github.com/rephlo/rephlo/internal/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Operators see each process with its version, and what needs attention and
// nothing else.
func TestOperatorsSeeWhatNeedsAttention(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
		clock := func() time.Time { return now }
		one, other := system.New(db, clock, "one", "1.4.0"), system.New(db, clock, "other", "1.4.0")
		parts, queues, waiting := map[string]string{"database": "ok"}, []system.Queue{{Kind: "mail.send", Waiting: 3, Lag: 2}}, 0
		m := web.NewMux(web.Config{Now: clock, Use: []web.Middleware{func(next web.Handler) web.Handler {
			return func(w http.ResponseWriter, r *http.Request) error {
				a := access.Actor{UserID: "usr_root", Scopes: []string{access.ScopeAdmin}, Roles: []string{"ops"}, Factor: true}
				return next(w, r.WithContext(access.With(r.Context(), a, nil)))
			}
		}}})
		system.AdminAPI{
			System: one, Counters: "process", Parts: func(context.Context) map[string]string { return parts },
			Queues: func(context.Context) ([]system.Queue, error) { return queues, nil }, Waiting: func(context.Context) (int, error) { return waiting, nil },
		}.Mount(m)
		ask := func() (nodes, codes []string) {
			t.Helper()
			rec := httptest.NewRecorder()
			m.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/admin/system", http.NoBody))
			var b struct {
				Nodes     []system.NodeBody
				Attention []system.Attention
			}
			if err := json.Unmarshal(rec.Body.Bytes(), &b); err != nil || rec.Code != http.StatusOK {
				t.Fatalf("%d %s, %v", rec.Code, rec.Body, err)
			}
			for _, n := range b.Nodes {
				nodes = append(nodes, n.Name+" "+n.Version)
			}
			for _, a := range b.Attention {
				codes = append(codes, a.Code+" "+a.About)
			}
			return nodes, codes
		}
		beat := func(all ...*system.Service) {
			t.Helper()
			for _, s := range all {
				if err := s.Beat(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		expect := func(what string, nodes, codes []string) {
			t.Helper()
			if n, c := ask(); !slices.Equal(n, nodes) || !slices.Equal(c, codes) {
				t.Errorf("%s: %q need %q, want %q and %q", what, n, c, nodes, codes)
			}
		}
		beat(one, other)
		expect("all is well", []string{"one 1.4.0", "other 1.4.0"}, nil)
		now = now.Add(time.Minute)
		other = system.New(db, clock, "newer", "1.5.0")
		beat(one, other)
		parts = map[string]string{"database": "ok", "ledger": "degraded", "disk": "down"}
		queues = []system.Queue{{Kind: "mail.send", Waiting: 3, Dead: 2, Lag: 301}}
		waiting = 4
		expect("much is not", []string{"newer 1.5.0", "one 1.4.0", "other 1.4.0"}, []string{
			"part_degraded ledger", "part_down disk", "tasks_dead mail.send", "queue_late mail.send", "node_silent other", "versions_differ ", "approvals_waiting ",
		})
		if err := other.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		parts, queues, waiting, now = nil, nil, 0, now.Add(25*time.Hour)
		beat(one)
		expect("a day later", []string{"one 1.4.0"}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := one.Beat(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("without time: %v", err)
		}
	})
}
