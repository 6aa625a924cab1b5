package credit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/spool"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// spooling keeps little for endings, so that tests start fast.
var spooling = credit.Policy{Beat: time.Hour, Sweep: time.Hour, Spool: 1 << 20}

// openSpooling is open with a spool.
func openSpooling(t *testing.T, db *sqldb.DB, p credit.Policy) *world {
	t.Helper()
	w := &world{t: t, db: db, records: newRecords(t, db), clock: newClock(), spool: filepath.Join(t.TempDir(), "spool")}
	w.start("node", p)
	t.Cleanup(func() {
		w.stop()
		w.clean()
		if records := w.spooled(); len(records) != 0 {
			t.Errorf("%d endings are left in the spool", len(records))
		}
	})
	return w
}

// spooled returns what is in the file; no ledger may have it open.
func (w *world) spooled() [][]byte {
	w.t.Helper()
	f, records, err := spool.Open(w.spool, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		w.t.Error(err)
	}
	return records
}

// holds makes n durable holds of a credit each.
func (w *world) holds(n int, prefix string) []*credit.Hold {
	w.t.Helper()
	out := make([]*credit.Hold, n)
	for i := range out {
		out[i] = w.reserve("ada", fmt.Sprint(prefix, i), money.Credit)
	}
	for _, h := range out {
		if err := h.Durable(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
	return out
}

// settleAll settles each hold for half a credit at once and returns the errors.
func (w *world) settleAll(ctx context.Context, holds []*credit.Hold) []error {
	errs := make([]error, len(holds))
	var wg sync.WaitGroup
	for i, h := range holds {
		wg.Go(func() {
			r, err := h.Settle(ctx, outcome(h, money.Credit/2))
			if err == nil && r.Charged != money.Credit/2 {
				err = fmt.Errorf("receipt %+v", r)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	return errs
}

// The disk is full: settlements are acknowledged from the spool, nothing new is
// begun, and no crash loses any of it.
func TestAFullDiskLosesNoSettlement(t *testing.T) {
	t.Parallel()
	disk := newSmallDisk(t, "8m")
	w := openSpooling(t, dbtest.Open(t, disk.sqlite()), spooling)
	ctx := t.Context()
	w.grant("ada", "pay:1", 1000*money.Credit, time.Time{})
	first, second := w.holds(200, "call_a"), w.holds(200, "call_b")
	disk.fill()
	for _, err := range w.settleAll(ctx, first) {
		if err != nil {
			t.Fatalf("settle on a full disk: %v", err)
		}
	}
	if _, err := w.Reserve(ctx, credit.Call{User: "ada", Ref: "call_x", Need: 1}); !errors.Is(err, credit.ErrStorageFull) {
		t.Errorf("reserve on a full disk: %v, want ErrStorageFull", err)
	}
	if state, reason := w.Health(); state != "down" || !strings.Contains(reason, "full") {
		t.Errorf("health: %s, %s", state, reason)
	}
	if b, err := w.Balance(ctx, "ada"); err != nil || b.Available != 600*money.Credit {
		t.Errorf("reading the balance: %s, %v", b.Available, err)
	}
	w.Crash()
	if n := len(w.spooled()); n != 200 {
		t.Errorf("%d endings in the spool after the crash, want 200", n)
	}
	disk.free()
	w.start("node", spooling)
	if st := w.Stats(); st.Replayed != 200 || st.Orphans != 400 {
		t.Errorf("%d replayed and %d resolved, want 200 and 400", st.Replayed, st.Orphans)
	}
	w.expect(900*money.Credit, 0)
	for _, h := range second { // their process has died
		if _, err := h.Settle(ctx, outcome(h, money.Credit)); !errors.Is(err, credit.ErrUnavailable) {
			t.Fatalf("settle after the crash: %v", err)
		}
	}
}

// Space comes back: everything goes on without a restart, and the spool empties.
func TestSpaceThatComesBackHealsEverything(t *testing.T) {
	t.Parallel()
	disk := newSmallDisk(t, "8m")
	w := openSpooling(t, dbtest.Open(t, disk.sqlite()), spooling)
	w.useRealTime()
	ctx := t.Context()
	w.grant("ada", "pay:1", 1000*money.Credit, time.Time{})
	holds := w.holds(100, "call_")
	disk.fill()
	for _, err := range w.settleAll(ctx, holds) {
		if err != nil {
			t.Fatalf("settle on a full disk: %v", err)
		}
	}
	disk.free()
	serving := until(t, "a hold is taken again", func() bool {
		h, err := w.Reserve(ctx, credit.Call{User: "ada", Ref: fmt.Sprint("call_again", time.Now().UnixNano()), Need: 1})
		if err == nil {
			w.settle(h, 0)
		}
		return err == nil
	})
	empty := until(t, "the spool is empty", func() bool { state, _ := w.Health(); return state == "ok" })
	t.Logf("serving after %s, spool empty after %s more", serving, empty)
	if serving > 2*time.Second {
		t.Errorf("serving %s after space was back, want at most 2 s", serving)
	}
	w.expect(950*money.Credit, 0)
}

// The database fails for longer: endings go to the spool. On SQLite that
// settles a call, on PostgreSQL it only keeps the exact price.
func TestTheSpoolKeepsPricesThroughACrash(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := openSpooling(t, db, spooling)
		w.grant("ada", "pay:1", 100*money.Credit, time.Time{})
		holds := w.holds(20, "call_")
		w.records.fails.Store(&errDown)
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		for _, err := range w.settleAll(short, holds[:10]) {
			if !errors.Is(err, credit.ErrNotDurable) {
				t.Fatalf("settle in the first seconds: %v, want ErrNotDurable", err)
			}
		}
		w.clock.advance(4 * time.Second)
		until(t, "the spool has the first endings", func() bool { return w.Stats().Spooled == 10 })
		long, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		for _, err := range w.settleAll(long, holds) {
			if db.Engine() == sqldb.SQLite && err != nil || db.Engine() == sqldb.Postgres && !errors.Is(err, credit.ErrNotDurable) {
				t.Fatalf("settle after 4 s: %v", err)
			}
		}
		until(t, "the spool has all endings", func() bool { return w.Stats().Spooled == 20 })
		w.Crash()
		w.records.fails.Store(nil)
		w.start("node", spooling)
		w.expect(90*money.Credit, 0)
		if st := w.Stats(); st.Replayed != 20 {
			t.Errorf("%d replayed, want 20", st.Replayed)
		}
	})
}

// A database that hangs instead of failing is the same.
func TestTheSpoolHelpsWhenTheDatabaseHangs(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := openSpooling(t, db, spooling)
		w.grant("ada", "pay:1", 100*money.Credit, time.Time{})
		holds := w.holds(10, "call_")
		unlock := w.block()
		short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		w.settleAll(short, holds)
		w.clock.advance(4 * time.Second)
		until(t, "the spool has the endings", func() bool { return w.Stats().Spooled == 10 })
		if db.Engine() == sqldb.SQLite {
			for _, err := range w.settleAll(t.Context(), holds) {
				if err != nil {
					t.Fatalf("settle after 4 s: %v", err)
				}
			}
		}
		unlock()
		for _, err := range w.settleAll(t.Context(), holds) {
			if err != nil {
				t.Fatalf("settle after the outage: %v", err)
			}
		}
		until(t, "the spool is empty", func() bool { state, _ := w.Health(); return state == "ok" })
		w.expect(95*money.Credit, 0)
	})
}

// What does not fit waits in memory and is written when the database is back.
func TestAFullSpoolLeavesEndingsInMemory(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		p := spooling
		p.Spool = 12 << 10
		w := openSpooling(t, db, p)
		w.grant("ada", "pay:1", 1000*money.Credit, time.Time{})
		holds := w.holds(100, "call_")
		w.records.fails.Store(&errDown)
		w.clock.advance(time.Second)
		for i, h := range holds {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
			_, _ = h.Settle(ctx, outcome(h, money.Credit/2))
			cancel()
			if i == 0 {
				w.clock.advance(4 * time.Second)
			}
		}
		var before int64
		until(t, "the spool takes no more", func() bool {
			n := w.Stats().Spooled
			same := n == before && n > 0
			before = n
			return same
		})
		if before >= 100 {
			t.Fatalf("all %d endings fit", before)
		}
		w.records.fails.Store(nil)
		for _, err := range w.settleAll(t.Context(), holds) {
			if err != nil {
				t.Fatal(err)
			}
		}
		w.expect(950*money.Credit, 0)
	})
}

// The database has an ending of the spool already: it is not charged again.
// Where a start resolved the hold for less, the difference is noted once.
func TestReplayHappensOnce(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := openSpooling(t, db, spooling)
		ctx := t.Context()
		w.grant("ada", "pay:1", 100*money.Credit, time.Time{})
		holds := w.holds(3, "call_")
		w.settle(holds[0], 3*money.Credit) // more than was held
		holds[1].Progress(200_000, nil)
		w.settle(w.reserve("ada", "call_last", money.Credit), 0) // a batch after the progress
		w.Crash()
		kept := w.spool
		w.spool = filepath.Join(t.TempDir(), "spool")
		w.start("node", spooling) // resolves call_1 at its progress and releases call_2
		w.stop()
		w.spool = kept
		for range 2 {
			w.putSpooled(
				map[string]any{"ref": "call_0", "user": "ada", "price": 3_000_000, "ending": "finished"},
				map[string]any{"ref": "call_1", "user": "ada", "price": 500_000, "ending": "finished"},
				map[string]any{"ref": "call_2", "user": "ada", "price": 0, "ending": "failed"},
				map[string]any{"ref": "call_unknown", "user": "ada", "price": 1, "ending": "finished"},
			)
			w.start("node", spooling)
			w.expect(98_800_000, 0)
			var lines, sum int64
			const q = `SELECT COUNT(*), CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM credit_uncollected WHERE cause = 'late'`
			if err := db.Q(ctx).QueryRowContext(ctx, q).Scan(&lines, &sum); err != nil || lines != 1 || sum != 300_000 {
				t.Errorf("late: %d lines of %d in all, %v; want one of 300000", lines, sum, err)
			}
			w.stop()
		}
		w.start("node", spooling)
	})
}

// putSpooled writes endings into the file of a ledger that does not run.
func (w *world) putSpooled(endings ...any) {
	w.t.Helper()
	f, _, err := spool.Open(w.spool, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	var records [][]byte
	for _, e := range endings {
		b, err := json.Marshal(e)
		if err != nil {
			w.t.Fatal(err)
		}
		records = append(records, b)
	}
	if _, err := f.Append(records); err != nil {
		w.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// A spool that is damaged stops the start before anything is changed; moved
// away it does not.
func TestADamagedSpoolStopsTheStart(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := openSpooling(t, db, spooling)
		w.grant("ada", "pay:1", 100*money.Credit, time.Time{})
		w.holds(1, "call_")
		w.Crash()
		head := func() (out string) {
			t.Helper()
			const q = `SELECT node, epoch FROM credit_lane WHERE lane = 1`
			var node string
			var epoch int64
			if err := db.Q(t.Context()).QueryRowContext(t.Context(), q).Scan(&node, &epoch); err != nil {
				t.Fatal(err)
			}
			return fmt.Sprint(node, epoch)
		}
		before := head()
		w.putSpooled("not an ending")
		for _, damage := range []func(){
			func() {},
			func() {
				f, err := os.OpenFile(w.spool, os.O_WRONLY, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				for _, at := range []int64{1, 4097} { // both headers
					if _, err := f.WriteAt([]byte("?"), at); err != nil {
						t.Fatal(err)
					}
				}
			},
		} {
			damage()
			err := w.build("node", spooling).Start(t.Context())
			if !errors.Is(err, credit.ErrDamaged) || !strings.Contains(err.Error(), "move it away") || !strings.Contains(err.Error(), w.spool) {
				t.Errorf("start with a damaged spool: %v", err)
			}
		}
		if after := head(); after != before {
			t.Errorf("the lane changed from %s to %s", before, after)
		}
		if err := os.Remove(w.spool); err != nil {
			t.Fatal(err)
		}
		w.start("node", spooling)
		w.expect(100*money.Credit, 0)
	})
}

// Where gate B stands open a settlement is acknowledged before it is written.
func TestAsyncDoesNotWaitForTheSettlement(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := &world{t: t, db: db, records: newRecords(t, db), clock: newClock(), async: true}
		w.start("node", quiet)
		t.Cleanup(func() { w.stop(); w.clean() })
		w.grant("ada", "pay:1", 100*money.Credit, time.Time{})
		holds := w.holds(2, "call_")
		unlock := w.block()
		r := w.settle(holds[0], money.Credit/2)
		if r.Charged != money.Credit/2 || r.Remaining != 98*money.Credit+money.Credit/2 || len(r.Parts) != 1 || r.Parts[0].Charged != money.Credit/2 {
			t.Errorf("receipt %+v", r)
		}
		if again := w.settle(holds[0], money.Credit/2); again.Charged != r.Charged {
			t.Errorf("the second receipt is %+v", again)
		}
		if _, err := holds[0].Settle(t.Context(), outcome(holds[0], money.Credit)); !errors.Is(err, credit.ErrConflict) {
			t.Errorf("at another price: %v, want ErrConflict", err)
		}
		unlock()
		w.settle(holds[1], 0)
		w.Idle()
		w.expect(99*money.Credit+money.Credit/2, 0)
	})
}
