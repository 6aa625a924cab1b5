package credit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// A process dies with open holds; the next one under its name resolves each at
// its journalled progress before it admits anything.
func TestACrashIsResolvedAtTheNextStart(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		ctx := t.Context()
		w.grant("ada", "plan:1", money.Credit, w.clock.now().AddDate(0, 0, 1))
		w.grant("ada", "pay:1", 10000*money.Credit, time.Time{})
		const n = 1000
		for i := range n {
			h := w.reserve("ada", fmt.Sprintf("call_%04d", i), 2*money.Credit)
			if i%2 == 0 {
				h.Progress(1_500_000, []byte(`{"delivered":1}`))
			}
			if i == n-1 {
				if err := h.Durable(ctx); err != nil {
					t.Fatal(err)
				}
			}
		}
		// Progress joins a batch after the hold's; this one comes after all.
		w.settle(w.reserve("ada", "call_last", money.Credit), money.Credit)
		w.Crash()
		began := time.Now()
		w.start("node", quiet)
		t.Logf("recovery of %d holds: %s", n, time.Since(began))
		w.expect(10001*money.Credit-750*money.Credit-money.Credit, 0)
		if got := w.Stats().Orphans; got != n {
			t.Errorf("%d orphans, want %d", got, n)
		}
		sum := w.clean()
		if sum.OpenHolds != 0 {
			t.Errorf("%d open holds after recovery", sum.OpenHolds)
		}
		w.settle(w.reserve("ada", "call_next", money.Credit), money.Credit)
	})
}

// The money is resolved even when nobody can build the usage record; verify
// names the call then.
func TestABrokenJournalDoesNotStopTheStart(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		w.noRecords = true
		w.grant("ada", "pay:1", 10*money.Credit, time.Time{})
		h, err := w.Reserve(t.Context(), credit.Call{User: "ada", Ref: "call_1", Need: money.Credit, Journal: []byte("broken")})
		if err != nil || h.Durable(t.Context()) != nil {
			t.Fatal(err)
		}
		h.Progress(400_000, nil)
		w.settle(w.reserve("ada", "call_2", money.Credit), 0) // a later batch
		w.Crash()
		w.start("node", quiet)
		w.expect(9_600_000, 0)
		var texts []string
		if _, err := w.Verify(t.Context(), credit.VerifyOptions{}, func(f credit.Finding) { texts = append(texts, f.String()) }); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(texts, "\n"); len(texts) != 1 || !strings.Contains(got, "V6 call call_1: charged 0.4") {
			t.Errorf("findings: %s", got)
		}
	})
}

// A process that was only paused goes on writing: its fence stops it.
func TestAZombieWritesNothing(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { // for shared databases see below
		w := open(t, dbtest.Open(t, dbtest.SQLite(t)), quiet)
		ctx := t.Context()
		w.grant("ada", "pay:1", 10*money.Credit, time.Time{})
		h := w.reserve("ada", "call_1", 4*money.Credit)
		if err := h.Durable(ctx); err != nil {
			t.Fatal(err)
		}
		zombie := w.Service
		w.start("node", quiet) // the same name: takes over at once
		if _, err := h.Settle(ctx, outcome(h, money.Credit)); !errors.Is(err, credit.ErrUnavailable) {
			t.Errorf("settle of the zombie: %v, want ErrUnavailable", err)
		}
		if state, reason := zombie.Health(); state != "down" || !strings.Contains(reason, "taken over") {
			t.Errorf("health of the zombie: %s, %s", state, reason)
		}
		if _, err := zombie.Reserve(ctx, credit.Call{User: "ada", Ref: "call_2", Need: 1}); !errors.Is(err, credit.ErrUnavailable) {
			t.Errorf("reserve of the zombie: %v, want ErrUnavailable", err)
		}
		if zombie.Stats().Fenced == 0 {
			t.Error("nobody counted the fence")
		}
		zombie.Crash()
		w.expect(10*money.Credit, 0)
	})
}

func TestADamagedLaneIsNotTouched(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		w.grant("ada", "pay:1", 10*money.Credit, time.Time{})
		w.settle(w.reserve("ada", "call_1", money.Credit), money.Credit)
		w.stop()
		exec := func(q string) {
			t.Helper()
			if _, err := db.Q(t.Context()).ExecContext(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		exec(`UPDATE credit_lane SET seq = seq + 1 WHERE lane = 1`)
		if err := w.build("node", quiet).Start(t.Context()); !errors.Is(err, credit.ErrDamaged) {
			t.Errorf("start on a damaged lane: %v, want ErrDamaged", err)
		}
		exec(`UPDATE credit_lane SET seq = seq - 1 WHERE lane = 1`)
		w.start("node", quiet)
	})
}

// A hold that its caller forgot is settled at its progress; a settlement that
// comes after that notes what is missing and charges nothing.
// A server that answers a commit before it is on disk cannot keep a ledger.
func TestADatabaseThatForgetsIsRefused(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t, dbtest.Postgres(t)+"&synchronous_commit=off")
	w := &world{t: t, db: db, records: newRecords(t, db), clock: newClock()}
	if err := w.build("node", quiet).Start(t.Context()); !errors.Is(err, sqldb.ErrNotDurable) {
		t.Errorf("start: %v, want ErrNotDurable", err)
	}
}

func TestForgottenHoldsAreResolved(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		ctx := t.Context()
		w.grant("ada", "pay:1", 10*money.Credit, time.Time{})
		h, kept := w.reserve("ada", "call_1", 4*money.Credit), w.reserve("ada", "call_2", money.Credit)
		h.Progress(money.Credit, nil)
		h.Progress(500_000, nil) // lower: ignored, but a renewal
		w.clock.advance(4 * time.Minute)
		kept.Progress(0, nil)
		w.Sweep()
		w.clock.advance(2 * time.Minute)
		w.Sweep()
		r, err := h.Settle(ctx, outcome(h, 3*money.Credit))
		if err != nil || r.Charged != money.Credit || r.Uncollected != 2*money.Credit {
			t.Errorf("a late settlement: %+v, %v", r, err)
		}
		if again, err := h.Settle(ctx, outcome(h, 3*money.Credit)); err != nil || again.Uncollected != r.Uncollected {
			t.Errorf("and again: %+v, %v", again, err)
		}
		if _, err := h.Settle(ctx, outcome(h, 2*money.Credit)); !errors.Is(err, credit.ErrConflict) {
			t.Errorf("at another price: %v, want ErrConflict", err)
		}
		w.settle(kept, money.Credit)
		if st := w.Stats(); st.Forgotten != 1 {
			t.Errorf("%d forgotten, want 1", st.Forgotten)
		}
		w.expect(8*money.Credit, 0)
		var cause string
		var amount int64
		const q = `SELECT cause, amount FROM credit_uncollected WHERE ref = 'call_1'`
		if err := db.Q(ctx).QueryRowContext(ctx, q).Scan(&cause, &amount); err != nil || cause != "late" || amount != 2_000_000 {
			t.Errorf("uncollected: %s %d, %v", cause, amount, err)
		}
	})
}

// What idles goes home, and the next call finds it again.
func TestIdleLeasesGoHome(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		w.grant("ada", "pay:1", 10*money.Credit, time.Time{})
		w.settle(w.reserve("ada", "call_1", money.Credit), money.Credit)
		w.clock.advance(11 * time.Minute)
		w.Sweep()
		if err := w.Recall(t.Context(), "ada"); err != nil { // waits for the return
			t.Fatal(err)
		}
		var leased, debited int64
		const q = `SELECT leased, debited FROM credit_grant`
		if err := db.Q(t.Context()).QueryRowContext(t.Context(), q).Scan(&leased, &debited); err != nil || leased != 0 || debited != 1_000_000 {
			t.Errorf("leased %d, debited %d, %v; want 0 and 1000000", leased, debited, err)
		}
		w.Sweep()
		if n := w.Purses(); n != 0 {
			t.Errorf("%d users still in memory", n)
		}
		if r := w.settle(w.reserve("ada", "call_2", money.Credit), money.Credit); r.Remaining != 8*money.Credit {
			t.Errorf("%s remain, want 8", r.Remaining)
		}
	})
}

// errDown is what a database that cannot be reached gives.
var errDown = fmt.Errorf("connection lost: %w", context.DeadlineExceeded)

// The database fails for a while: nothing is lost, nothing new is taken after
// three seconds, and all goes on by itself.
func TestAnOutageLosesNothing(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		ctx := t.Context()
		w.grant("ada", "pay:1", 100*money.Credit, time.Time{})
		h, spare := w.reserve("ada", "call_1", money.Credit), w.reserve("ada", "call_2", money.Credit)
		if err := spare.Durable(ctx); err != nil {
			t.Fatal(err)
		}
		w.records.fails.Store(&errDown)
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		if _, err := h.Settle(short, outcome(h, money.Credit)); !errors.Is(err, credit.ErrNotDurable) {
			t.Errorf("settle while the database is down: %v, want ErrNotDurable", err)
		}
		if _, err := w.Reserve(ctx, credit.Call{User: "ada", Ref: "call_3", Need: 1}); err != nil {
			t.Errorf("reserve in the first seconds: %v", err)
		}
		w.clock.advance(4 * time.Second)
		if _, err := w.Reserve(ctx, credit.Call{User: "ada", Ref: "call_4", Need: 1}); !errors.Is(err, credit.ErrUnavailable) {
			t.Errorf("reserve after 4 s: %v, want ErrUnavailable", err)
		}
		if state, _ := w.Health(); state != "down" {
			t.Errorf("health after 4 s: %s", state)
		}
		w.records.fails.Store(nil)
		if r := w.settle(h, money.Credit); r.Charged != money.Credit {
			t.Errorf("receipt %+v", r)
		}
		w.settle(spare, 0)
		w.settle(w.reserve("ada", "call_5", 1), 0)
		if state, reason := w.Health(); state != "ok" {
			t.Errorf("health after the outage: %s, %s", state, reason)
		}
		w.Crash() // call_3 was never ended
		w.start("node", quiet)
		w.expect(99*money.Credit, 0)
	})
}

// Of many operations in one batch the one that cannot be written fails alone.
func TestOneBadOperationFailsAlone(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		ctx := t.Context()
		w.grant("ada", "pay:1", 1000*money.Credit, time.Time{})
		w.settle(w.reserve("ada", "call_33", money.Credit), 0)
		var wg sync.WaitGroup
		var mu sync.Mutex
		refused := map[string]error{}
		unlock := w.block() // so that all queue for one batch
		for i := range 100 {
			h, err := w.Reserve(ctx, credit.Call{User: "ada", Ref: fmt.Sprint("call_", i), Need: money.Credit})
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				if _, err := h.Settle(ctx, outcome(h, money.Credit)); err != nil {
					mu.Lock()
					defer mu.Unlock()
					refused[h.Ref()] = err
				}
			})
		}
		unlock()
		wg.Wait()
		if len(refused) != 1 || !errors.Is(refused["call_33"], credit.ErrConflict) {
			t.Errorf("refused: %v, want call_33 with ErrConflict", refused)
		}
		w.expect(901*money.Credit, 0)
	})
}

// A settlement whose record cannot be written leaves its hold open, and is not
// charged; the hold is resolved later.
func TestARefusedSettlementIsResolvedLater(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		ctx := t.Context()
		w.grant("ada", "pay:1", 10*money.Credit, time.Time{})
		h := w.reserve("ada", "call_1", 4*money.Credit)
		if err := h.Durable(ctx); err != nil {
			t.Fatal(err)
		}
		bad := errors.New("a bug in the usage records")
		w.records.fails.Store(&bad)
		if _, err := h.Settle(ctx, outcome(h, money.Credit)); !errors.Is(err, credit.ErrRefused) {
			t.Errorf("settle: %v, want ErrRefused", err)
		}
		w.records.fails.Store(nil)
		w.expect(6*money.Credit, 4*money.Credit)
		if r := w.settle(h, money.Credit); r.Charged != money.Credit || r.Remaining != 9*money.Credit {
			t.Errorf("the second try: %+v", r)
		}
	})
}

// A hold takes the place of its settlement with it, so what is full refuses
// holds and no settlement.
func TestAFullQueueRefusesHoldsOnly(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		p := quiet
		p.Queue, p.Batch, p.Lanes = 20, 4, 1
		w := open(t, db, p)
		ctx := t.Context()
		w.grant("ada", "pay:1", 1000*money.Credit, time.Time{})
		w.settle(w.reserve("ada", "call_0", money.Credit), 0)
		unlock := w.block()
		var holds []*credit.Hold
		for i := 1; ; i++ {
			h, err := w.Reserve(ctx, credit.Call{User: "ada", Ref: fmt.Sprint("call_", i), Need: money.Credit})
			if err != nil {
				if !errors.Is(err, credit.ErrOverloaded) {
					t.Errorf("reserve on a full queue: %v, want ErrOverloaded", err)
				}
				break
			}
			holds = append(holds, h)
		}
		if len(holds) != 10 {
			t.Errorf("%d holds fit, want 10", len(holds))
		}
		var wg sync.WaitGroup
		for _, h := range holds {
			wg.Go(func() {
				if _, err := h.Settle(ctx, outcome(h, money.Credit)); err != nil {
					t.Error(err)
				}
			})
		}
		unlock()
		wg.Wait()
		w.expect(990*money.Credit, 0)
		for i := range 10 { // every place is free again
			holds[i] = w.reserve("ada", fmt.Sprint("again_", i), money.Credit)
		}
		for _, h := range holds {
			w.settle(h, 0)
		}
	})
}
