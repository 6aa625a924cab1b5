package credit_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// Callers give up at any moment: before the hold, at either gate, or not at
// all. Afterwards no hold is open, in memory or in the database, and nothing is
// held.
func TestCancelledCallsLeaveNothing(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		calls := engineShare(db, 100_000, 2_000, 20_000, 1_000)
		w := open(t, db, quiet)
		w.grant("ada", "pay:1", 1_000_000*money.Credit, time.Time{})
		w.settle(w.reserve("ada", "call_first", money.Credit), 0)
		var next, charged atomic.Int64
		var callers sync.WaitGroup
		for range 64 {
			callers.Go(func() {
				for n := next.Add(1); n <= int64(calls); n = next.Add(1) {
					charged.Add(int64(w.giveUp(n)))
				}
			})
		}
		callers.Wait()
		until(t, "every hold has ended", func() bool { return w.Stats().Open == 0 && w.Stats().Queued == 0 })
		w.Idle()
		var open int
		if err := db.Q(t.Context()).QueryRowContext(t.Context(), `SELECT COUNT(*) FROM credit_hold`).Scan(&open); err != nil || open != 0 {
			t.Errorf("%d open rows, %v", open, err)
		}
		w.expect(1_000_000*money.Credit-money.Credits(charged.Load()), 0)
		t.Logf("%d calls, charged %s", calls, money.Credits(charged.Load()))
	})
}

// giveUp makes a call whose caller has left at the n-th of the moments there
// are, and returns what it is charged.
func (w *world) giveUp(n int64) money.Credits {
	gone, leave := context.WithCancel(w.t.Context())
	leave()
	at := func(moment int64) context.Context {
		if n%5 == moment {
			return gone
		}
		return w.t.Context()
	}
	h, err := w.Reserve(at(0), credit.Call{User: "ada", Ref: fmt.Sprint("call_", n), Need: money.Credit, Journal: []byte("{}")})
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			w.t.Error(err)
		}
		return 0
	}
	if err := h.Durable(at(1)); err != nil { // nothing was sent
		_, _ = h.Release(gone, outcome(h, 0))
		return 0
	}
	h.Progress(1000, nil)
	if n%5 == 2 {
		_, _ = h.Release(gone, outcome(h, 0))
		return 0
	}
	price := money.Credits(n % 7 * 10_000)
	if _, err := h.Settle(at(3), outcome(h, price)); err != nil && !errors.Is(err, credit.ErrNotDurable) {
		w.t.Error(err)
	}
	return price
}
