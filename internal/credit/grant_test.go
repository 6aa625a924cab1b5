package credit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/approval"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

func TestAGrantHappensOnce(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		ctx := t.Context()
		g := credit.NewGrant{User: "ada", Source: credit.Bonus, Ref: "adm:1", Amount: money.Credit, Actor: "usr_admin"}
		first, err := w.Grant(ctx, g)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := w.Grant(ctx, g); err != nil || again != first {
			t.Errorf("the same grant again: %s, %v; want %s", again, err, first)
		}
		for _, change := range []func(*credit.NewGrant){
			func(g *credit.NewGrant) { g.Amount++ },
			func(g *credit.NewGrant) { g.User = "bob" },
			func(g *credit.NewGrant) { g.Source = credit.Pack },
		} {
			other := g
			change(&other)
			if _, err := w.Grant(ctx, other); !errors.Is(err, credit.ErrConflict) {
				t.Errorf("the same ref for %+v: %v, want ErrConflict", other, err)
			}
		}
		for _, bad := range []credit.NewGrant{
			{Source: credit.Pack, Ref: "x", Amount: 1},
			{User: "ada", Ref: "x", Amount: 1},
			{User: "ada", Source: "gift", Ref: "x", Amount: 1},
			{User: "ada", Source: credit.Pack, Amount: 1},
			{User: "ada", Source: credit.Pack, Ref: "x"},
			{User: "ada", Source: credit.Pack, Ref: "x", Amount: money.MaxTransfer + 1},
			{User: "ada", Source: credit.Pack, Ref: "x", Amount: 1, ExpiresAt: w.clock.now()},
		} {
			if _, err := w.Grant(ctx, bad); !errors.Is(err, credit.ErrInvalid) {
				t.Errorf("%+v: %v, want ErrInvalid", bad, err)
			}
		}
		// It joins the caller's transaction: what is rolled back was not given.
		rolledBack := errors.New("rolled back")
		err = db.InTx(ctx, func(ctx context.Context) error {
			g.Ref = "adm:2"
			_, err := w.Grant(ctx, g)
			return errors.Join(err, rolledBack)
		})
		if !errors.Is(err, rolledBack) {
			t.Fatal(err)
		}
		w.expect(money.Credit, 0)
		if _, err := db.Q(ctx).ExecContext(ctx, `UPDATE credit_lane SET issued = 3999999999999999999 WHERE lane = 0`); err != nil {
			t.Fatal(err)
		}
		g.Amount = money.Credit
		if _, err := w.Grant(ctx, g); !errors.Is(err, credit.ErrIssueLimit) {
			t.Errorf("a grant above what can be issued: %v, want ErrIssueLimit", err)
		}
		if _, err := db.Q(ctx).ExecContext(ctx, `UPDATE credit_lane SET issued = 1000000 WHERE lane = 0`); err != nil {
			t.Fatal(err)
		}
	})
}

// A command grants while the server runs; the server finds it when a call needs
// it. Many grants at once keep one chain.
func TestGrantsOfOtherProcessesAreSeen(t *testing.T) {
	t.Parallel()
	dbtest.RunURL(t, func(t *testing.T, url string) {
		w := open(t, dbtest.Open(t, url), quiet)
		other := dbtest.Open(t, url)
		command := credit.New(credit.Needs{DB: other, Now: w.clock.now, Node: "command", Records: w.records})
		w.grant("ada", "pay:1", money.Credit, time.Time{})
		w.settle(w.reserve("ada", "call_1", money.Credit), money.Credit)
		var wg sync.WaitGroup
		for i := range 20 {
			grants := command
			if i%2 == 0 {
				grants = w.Service
			}
			wg.Go(func() {
				_, err := grants.Grant(t.Context(), credit.NewGrant{User: "ada", Source: credit.Pack, Ref: fmt.Sprint("adm:", i/2), Amount: money.Credit})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		w.settle(w.reserve("ada", "call_2", 10*money.Credit), 10*money.Credit)
		w.expect(0, 0)
	})
}

func TestWhatExpiresIsTaken(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		ctx := t.Context()
		soon := w.clock.now().Add(time.Hour)
		w.grant("ada", "plan:1", 10*money.Credit, soon)
		w.grant("ada", "pay:1", 5*money.Credit, time.Time{})
		open := w.reserve("ada", "call_1", 4*money.Credit)
		if err := open.Durable(ctx); err != nil { // no batch is under way when the clock jumps
			t.Fatal(err)
		}
		if n, err := w.Expire(ctx, w.clock.now(), 100); n != 0 || err != nil {
			t.Errorf("expired %d, %v before the time", n, err)
		}
		w.clock.advance(time.Hour)
		// Nothing of it can be used, even before the job has run.
		if _, err := w.Reserve(ctx, credit.Call{User: "ada", Ref: "call_2", Need: 6 * money.Credit}); !errors.Is(err, credit.ErrInsufficient) {
			t.Errorf("reserve of expired credits: %v, want ErrInsufficient", err)
		}
		if n, err := w.Expire(ctx, w.clock.now(), 100); n != 1 || err != nil {
			t.Errorf("expired %d, %v; want 1", n, err)
		}
		// The open hold still pays; what it does not need expires with it.
		if r := w.settle(open, money.Credit); r.Charged != money.Credit || r.Remaining != 5*money.Credit {
			t.Errorf("receipt %+v", r)
		}
		w.expect(5*money.Credit, 0)
		if n, err := w.Expire(ctx, w.clock.now(), 100); n != 0 || err != nil {
			t.Errorf("expired %d again, %v", n, err)
		}
		var expired int64
		const q = `SELECT CAST(SUM(amount) AS BIGINT) FROM credit_transfer WHERE kind = 'expire'`
		if err := db.Q(ctx).QueryRowContext(ctx, q).Scan(&expired); err != nil || expired != 9_000_000 {
			t.Errorf("expired %d, %v; want 9000000", expired, err)
		}
	})
}

func TestFrozenGrantsAreNotUsed(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		ctx := t.Context()
		w.grant("ada", "plan:1", 10*money.Credit, time.Time{})
		w.grant("ada", "pay:1", 3*money.Credit, time.Time{})
		w.settle(w.reserve("ada", "call_1", money.Credit), 0)
		if _, err := db.Q(ctx).ExecContext(ctx, `UPDATE credit_grant SET frozen = 1 WHERE ref = 'plan:1'`); err != nil {
			t.Fatal(err)
		}
		if err := w.Recall(ctx, "ada"); err != nil {
			t.Fatal(err)
		}
		_, err := w.Reserve(ctx, credit.Call{User: "ada", Ref: "call_2", Need: 4 * money.Credit})
		if !errors.Is(err, credit.ErrInsufficient) {
			t.Errorf("reserve of frozen credits: %v, want ErrInsufficient", err)
		}
		b, err := w.Balance(ctx, "ada")
		if err != nil || b.Frozen != 10*money.Credit || b.Available != 3*money.Credit {
			t.Errorf("balance %+v, %v", b, err)
		}
		if room, err := w.Room(ctx, "ada", nil); err != nil || room != 3*money.Credit {
			t.Errorf("room %s, %v; want 3", room, err)
		}
	})
}

func TestMyCredits(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		m := web.NewMux(web.Config{Use: []web.Middleware{func(next web.Handler) web.Handler {
			return func(rw http.ResponseWriter, r *http.Request) error {
				a := access.Actor{UserID: r.Header.Get("User"), Scopes: []string{r.Header.Get("Scope")}}
				return next(rw, r.WithContext(access.With(r.Context(), a, nil)))
			}
		}}})
		credit.API{Credits: w.Service, Approvals: approval.New(approval.Needs{DB: db, Now: w.clock.now})}.Mount(m)
		get := func(user, scope string) (int, map[string]any) {
			t.Helper()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/credits/me", nil)
			r.Header.Set("User", user)
			r.Header.Set("Scope", scope)
			rec := httptest.NewRecorder()
			m.ServeHTTP(rec, r)
			var body map[string]any
			if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil {
				t.Fatal(err, rec.Body)
			}
			delete(body, "$schema")
			return rec.Code, body
		}
		if status, body := get("ada", "user.info"); status != http.StatusForbidden {
			t.Errorf("without the scope: %d %v", status, body)
		}
		status, got := get("nobody", "credits.read")
		want := map[string]any{
			"userId": "nobody", "totalCredits": 0.0, "usedCredits": 0.0, "remainingCredits": 0.0, "heldCredits": 0.0,
			"billingPeriodStart": nil, "billingPeriodEnd": nil, "usagePercentage": 0.0, "buckets": []any{},
		}
		if status != http.StatusOK || !cmp.Equal(got, want) {
			t.Errorf("an unknown user: %d\n%s", status, cmp.Diff(want, got))
		}
		w.grant("ada", "plan:1", 100*money.Credit, w.clock.now().AddDate(0, 1, 0))
		if _, err := w.Grant(t.Context(), credit.NewGrant{User: "ada", Source: credit.Pack, Ref: "pay:1", Amount: 20 * money.Credit}); err != nil {
			t.Fatal(err)
		}
		w.settle(w.reserve("ada", "call_1", 60*money.Credit), 30_250_000)
		h := w.reserve("ada", "call_2", 10*money.Credit)
		if err := h.Durable(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, got = get("ada", "credits.read")
		w.settle(h, 0)
		want = map[string]any{
			"userId": "ada", "totalCredits": 120.0, "usedCredits": 30.25, "remainingCredits": 79.75, "heldCredits": 10.0,
			"billingPeriodStart": "2026-03-01T12:00:00Z", "billingPeriodEnd": "2026-04-01T12:00:00Z", "usagePercentage": 25.0,
			"buckets": []any{
				map[string]any{"source": "plan", "remaining": 69.75, "expiresAt": "2026-04-01T12:00:00Z"},
				map[string]any{"source": "pack", "remaining": 20.0, "expiresAt": nil},
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// Two grants of one millisecond may draw the same number: the second takes the
// next one, and the one that was there already is not given again.
func TestAGrantWhoseNumberIsTakenGetsAnother(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		first, err := w.Grant(t.Context(), credit.NewGrant{User: "ada", Source: credit.Pack, Ref: "pay:1", Amount: money.Credit})
		if err != nil {
			t.Fatal(err)
		}
		err = db.InTx(t.Context(), func(ctx context.Context) error {
			g := credit.NewGrant{User: "eve", Source: credit.Pack, Ref: "pay:2", Amount: money.Credit}
			if id, added, err := w.AddGrantAs(ctx, first, g); err != nil || !added || id != first+1 {
				t.Errorf("the number %d is taken, and another grant got %d, %v, %v", first, id, added, err)
			}
			g.Ref = "pay:1"
			if _, added, err := w.AddGrantAs(ctx, first, g); err != nil || added {
				t.Errorf("a reference that is there was given again: %v, %v", added, err)
			}
			return errUndo
		})
		if !errors.Is(err, errUndo) {
			t.Fatal(err)
		}
	})
}

var errUndo = errors.New("undo")
