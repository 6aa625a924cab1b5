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
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

const c1 = money.Credit

var today = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func keyCap(limit money.Credits) credit.Cap {
	return credit.Cap{Owner: "key_1", Limit: limit, Full: credit.ErrKeyCap}
}

func dayCap(limit money.Credits) credit.Cap {
	return credit.Cap{Owner: "usr_ada", Window: today, Limit: limit, Full: credit.ErrDayCap}
}

func capped(ref string, need money.Credits, caps ...credit.Cap) credit.Call {
	return credit.Call{User: "ada", Ref: ref, Need: need, Journal: []byte("{}"), Caps: caps}
}

func hold(t *testing.T, s *credit.Service, c credit.Call) *credit.Hold {
	t.Helper()
	h, err := s.Reserve(t.Context(), c)
	if err != nil {
		t.Fatalf("reserve %s: %v", c.Ref, err)
	}
	if err := h.Durable(t.Context()); err != nil {
		t.Fatalf("reserve %s: %v", c.Ref, err)
	}
	return h
}

// used fails the test unless the owner of a cap has used so much of it.
func (w *world) used(owner string, window time.Time, want money.Credits) {
	w.t.Helper()
	got, err := w.CapUsed(w.t.Context(), owner, window)
	if err != nil || got != want {
		w.t.Errorf("%s has used %s (%v), want %s", owner, got, err, want)
	}
}

// A call fits into its credits and all of its caps, or takes nothing of any.
func TestACallFitsIntoAllItsCapsOrTakesNothing(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		w.grant("ada", "pay:1", 100*c1, time.Time{})
		h := hold(t, w.Service, capped("call_1", 6*c1, keyCap(10*c1), dayCap(20*c1)))
		w.used("key_1", time.Time{}, 6*c1)
		_, err := w.Reserve(t.Context(), capped("call_2", 5*c1, dayCap(20*c1), keyCap(10*c1)))
		if !errors.Is(err, credit.ErrReserved) {
			t.Errorf("while the open call holds 6 of 10: %v, want ErrReserved", err)
		}
		w.expect(94*c1, 6*c1)
		if r := w.settle(h, 4*c1); r.Charged != 4*c1 {
			t.Errorf("charged %s", r.Charged)
		}
		_, err = w.Reserve(t.Context(), capped("call_3", 7*c1, dayCap(20*c1), keyCap(10*c1)))
		var short *credit.Shortage
		if !errors.Is(err, credit.ErrKeyCap) || !errors.As(err, &short) || short.Available != 6*c1 {
			t.Errorf("7 with 6 left of the key's 10: %v", err)
		}
		w.settle(hold(t, w.Service, capped("call_4", 6*c1, dayCap(20*c1), keyCap(10*c1))), 6*c1)
		if _, err = w.Reserve(t.Context(), capped("call_5", 1, keyCap(10*c1))); !errors.Is(err, credit.ErrKeyCap) || fault.From(err).Kind != fault.PaymentRequired {
			t.Errorf("with nothing left of the key: %v", err)
		}
		if _, err = w.Reserve(t.Context(), capped("call_6", 11*c1, dayCap(20*c1))); !errors.Is(err, credit.ErrDayCap) {
			t.Errorf("11 with 10 left of the day: %v", err)
		}
		if f, midnight := fault.From(err), today.AddDate(0, 0, 1); f.RetryAfter != midnight.Sub(w.clock.now()) || !f.NoRetry {
			t.Errorf("the day's limit says to come back after %s, not at midnight, %s from now; no automatic retry: %v", f.RetryAfter, midnight.Sub(w.clock.now()), f.NoRetry)
		}
		w.settle(hold(t, w.Service, capped("call_7", 11*c1, credit.Cap{Owner: "usr_ada", Window: today.AddDate(0, 0, 1), Limit: 20 * c1, Full: credit.ErrDayCap})), c1)
		w.used("key_1", time.Time{}, 10*c1)
		w.used("usr_ada", today, 10*c1)
		w.used("usr_ada", today.AddDate(0, 0, 1), c1)
		w.expect(89*c1, 0)
	})
}

// What is charged counts, not what was held; what was released counts nothing.
func TestCapsCountWhatIsCharged(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		w.grant("ada", "pay:1", 100*c1, time.Time{})
		for i := range 20 {
			h := hold(t, w.Service, capped(fmt.Sprint("call_", i), 5*c1, keyCap(10*c1)))
			if i%2 == 0 {
				w.settle(h, 0)
				continue
			}
			if i < 10 {
				w.settle(h, c1) // 1, 3, 5, 7, 9: five credits
			} else {
				w.settle(h, 0)
			}
		}
		w.used("key_1", time.Time{}, 5*c1)
		if _, err := w.Reserve(t.Context(), capped("call_x", 5*c1+1, keyCap(10*c1))); !errors.Is(err, credit.ErrKeyCap) {
			t.Errorf("5 left: %v", err)
		}
	})
}

// A lowered limit stops new holds and leaves open ones alone; a raised one lets
// more through at once.
func TestALimitCanBeMoved(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		w.grant("ada", "pay:1", 100*c1, time.Time{})
		h := hold(t, w.Service, capped("call_1", 8*c1, keyCap(10*c1)))
		if _, err := w.Reserve(t.Context(), capped("call_2", c1, keyCap(5*c1))); err == nil {
			t.Error("a hold passed the lowered limit")
		}
		if r := w.settle(h, 8*c1); r.Charged != 8*c1 {
			t.Errorf("the open call was charged %s", r.Charged)
		}
		if _, err := w.Reserve(t.Context(), capped("call_3", c1, keyCap(8*c1))); !errors.Is(err, credit.ErrKeyCap) {
			t.Errorf("at the lowered limit: %v", err)
		}
		w.settle(hold(t, w.Service, capped("call_4", 20*c1, keyCap(30*c1))), 20*c1)
		w.used("key_1", time.Time{}, 28*c1)
	})
}

// Caps survive a crash: what open calls of the dead process held comes back but
// for what was delivered, and what was spent stays spent.
func TestCapsSurviveACrash(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		w.grant("ada", "pay:1", 100*c1, time.Time{})
		w.settle(hold(t, w.Service, capped("call_1", 5*c1, keyCap(20*c1), dayCap(50*c1))), 3*c1)
		h := hold(t, w.Service, capped("call_2", 6*c1, keyCap(20*c1), dayCap(50*c1)))
		h.Progress(2*c1, nil)
		hold(t, w.Service, capped("call_3", 6*c1, keyCap(20*c1)))
		w.settle(hold(t, w.Service, capped("call_4", 1, keyCap(20*c1))), 0) // the progress is written
		w.Crash()
		w.start("node", quiet)
		w.used("key_1", time.Time{}, 5*c1)
		w.used("usr_ada", today, 5*c1)
		w.expect(95*c1, 0)
		w.clean()
		if _, err := w.Reserve(t.Context(), capped("call_5", 15*c1+1, keyCap(20*c1))); !errors.Is(err, credit.ErrKeyCap) {
			t.Errorf("after the restart 15 are left: %v", err)
		}
		w.settle(hold(t, w.Service, capped("call_6", 15*c1, keyCap(20*c1))), 15*c1)
	})
}

// Several processes share a cap: as many calls are served as it pays for.
func TestSeveralProcessesSpendExactlyACap(t *testing.T) {
	t.Parallel()
	for _, deaf := range []bool{false, true} {
		t.Run(fmt.Sprintf("deaf %v", deaf), func(t *testing.T) {
			t.Parallel()
			dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
				c := join(t, db, 3, shared)
				if deaf {
					for _, s := range c.nodes {
						s.Deafen()
					}
				}
				c.grant("ada", "pay:1", 10_000*c1, time.Time{})
				const calls, pays = 120, 50
				var served, refused atomic.Int64
				var wg sync.WaitGroup
				for i := range calls {
					wg.Go(func() {
						ok, err := spend(t.Context(), c.nodes[i%3], capped(fmt.Sprint("call_", i), 2*c1, keyCap(pays*2*c1+c1), dayCap(9_000*c1)))
						switch {
						case err != nil:
							t.Error(err)
						case ok:
							served.Add(1)
						default:
							refused.Add(1)
						}
					})
				}
				wg.Wait()
				if served.Load() != pays || refused.Load() != calls-pays {
					t.Errorf("%d served and %d refused, want %d and %d", served.Load(), refused.Load(), pays, calls-pays)
				}
				c.used("key_1", time.Time{}, pays*2*c1)
				c.used("usr_ada", today, pays*2*c1)
			})
		})
	}
}

// spend makes a call and charges all of it; false is that the cap is full.
func spend(ctx context.Context, s *credit.Service, call credit.Call) (bool, error) {
	for {
		h, err := s.Reserve(ctx, call)
		switch {
		case errors.Is(err, credit.ErrKeyCap):
			return false, nil
		case errors.Is(err, credit.ErrReserved), errors.Is(err, credit.ErrOverloaded):
			continue // as a client does that is told to try again
		case err != nil:
			return false, err
		}
		if err := h.Durable(ctx); err != nil {
			return false, err
		}
		_, err = h.Settle(ctx, outcome(h, call.Need))
		return true, err
	}
}

// A lease goes home in the same batch in which a call ends that was queued
// after that: what the call spent is counted once.
func TestAnEndingBehindAReturnIsCountedOnce(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		one := quiet
		one.Lanes = 1
		w := open(t, db, one)
		w.grant("ada", "pay:1", 100*c1, time.Time{})
		w.grant("bob", "pay:2", 100*c1, time.Time{})
		w.settle(w.reserve("bob", "call_0", c1), 0) // bob's lease is cut
		h := hold(t, w.Service, capped("call_1", 4*c1, keyCap(10*c1)))
		unlock := w.block()
		first := w.reserve("bob", "call_2", c1) // what the writer is stuck with
		queued := func(n int) {
			t.Helper()
			for range 2000 {
				if w.Stats().Queued == n {
					return
				}
				time.Sleep(time.Millisecond) // between two looks
			}
			t.Fatalf("%d operations are queued, want %d", w.Stats().Queued, n)
		}
		queued(0)
		done := make(chan error, 2)
		go func() { done <- w.Recall(t.Context(), "ada") }()
		queued(1)
		go func() { _, err := h.Settle(t.Context(), outcome(h, 4*c1)); done <- err }()
		queued(2)
		unlock()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		w.settle(first, 0)
		w.used("key_1", time.Time{}, 4*c1)
		w.settle(hold(t, w.Service, capped("call_3", 6*c1, keyCap(10*c1))), 6*c1)
		w.used("key_1", time.Time{}, 10*c1)
		if err := w.Recall(t.Context(), "ada"); err != nil {
			t.Error(err)
		}
		w.used("key_1", time.Time{}, 10*c1)
	})
}

// Old windows are forgotten once nothing is leased of them.
func TestOldWindowsAreForgotten(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		w.grant("ada", "pay:1", 100*c1, time.Time{})
		w.settle(hold(t, w.Service, capped("call_1", 2*c1, keyCap(10*c1), dayCap(10*c1))), c1)
		if err := w.Recall(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Expire(t.Context(), today.AddDate(0, 3, 0), 10); err != nil {
			t.Fatal(err)
		}
		w.used("usr_ada", today, 0)
		w.used("key_1", time.Time{}, c1) // in total: for ever
	})
}

func TestCapsAreChecked(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t, dbtest.SQLite(t))
	w := open(t, db, quiet)
	w.grant("ada", "pay:1", 100*c1, time.Time{})
	five := []credit.Cap{keyCap(c1), keyCap(c1), keyCap(c1), keyCap(c1), keyCap(c1)}
	for name, caps := range map[string][]credit.Cap{
		"five": five, "without an owner": {{Limit: c1, Full: credit.ErrKeyCap}}, "without a fault": {{Owner: "key_1", Limit: c1}},
		"below zero": {{Owner: "key_1", Limit: -1, Full: credit.ErrKeyCap}},
	} {
		if _, err := w.Reserve(t.Context(), capped("call_1", c1, caps...)); !errors.Is(err, credit.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Verify finds a cap whose leases are wrong.
func TestVerifyFindsWrongCaps(t *testing.T) {
	t.Parallel()
	for _, change := range []string{
		`UPDATE credit_cap SET leased = leased + 1`,
		`UPDATE credit_cap_lease SET held = held - 1`,
		`UPDATE credit_hold SET caps = ''`,
		`UPDATE credit_hold SET caps = 'x'`,
		`DELETE FROM credit_cap_lease`,
	} {
		t.Run(change, func(t *testing.T) {
			t.Parallel()
			dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
				w := &world{t: t, db: db, records: newRecords(t, db), clock: newClock()}
				w.start("node", quiet)
				w.grant("ada", "pay:1", 100*c1, time.Time{})
				hold(t, w.Service, capped("call_1", 2*c1, keyCap(10*c1)))
				w.Crash()
				if _, err := db.Q(t.Context()).ExecContext(t.Context(), change); err != nil {
					t.Fatal(err)
				}
				found := 0
				if _, err := w.Verify(t.Context(), credit.VerifyOptions{}, func(credit.Finding) { found++ }); err != nil || found == 0 {
					t.Errorf("%d findings, %v", found, err)
				}
			})
		})
	}
}

func FuzzDecodeCaps(f *testing.F) {
	f.Add(`[["key_1",0],["usr_1",1772323200000000]]`)
	f.Add(`[[1,2]]`)
	f.Fuzz(func(t *testing.T, text string) {
		n, err := credit.DecodeCaps(text)
		if err != nil && !errors.Is(err, credit.ErrUnreadable) || n > 4 {
			t.Errorf("%d caps, %v", n, err)
		}
	})
}

// A cap is leased in portions as credits are, and refilled beside the calls: a
// busy key does not wait for the database every few calls.
func TestABusyCapIsSeldomCut(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := join(t, db, 1, shared)
		c.grant("ada", "pay:1", 1000*c1, time.Time{})
		limits := []credit.Cap{keyCap(800 * c1), dayCap(900 * c1)}
		c.settle(hold(t, c.Service, capped("call_first", c1, limits...)), c1)
		c.Idle()
		const calls = 400
		before := c.Stats().Operations
		for i := range calls {
			c.settle(hold(t, c.Service, capped(fmt.Sprintf("call_%d", i), c1, limits...)), c1)
		}
		if n := c.Stats().Operations - before - 2*calls; n > 12 {
			t.Errorf("%d operations besides %d calls", n, calls)
		}
		c.used("key_1", time.Time{}, (calls+1)*c1)
		c.expect(1000*c1-(calls+1)*c1, 0)
	})
}
