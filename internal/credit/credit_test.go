package credit_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/obs"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

func TestMain(m *testing.M) {
	// Few long runs of the model: a run's start and end cost more than its steps.
	if err := flag.Set("rapid.steps", "200"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// record is a usage record of the tests.
type record struct {
	call    string
	charged money.Credits
}

func (r record) CallID() string { return r.call }

// records keeps usage records in a table of its own, as package usage does.
type records struct {
	db    *sqldb.DB
	fails atomic.Pointer[error] // what WriteRecords answers
	// prices are of the records that have one; set before others read.
	prices map[string]money.Credits
}

func newRecords(t testing.TB, db *sqldb.DB) *records {
	t.Helper()
	const q = `CREATE TABLE IF NOT EXISTS test_record (call_id TEXT PRIMARY KEY, charged BIGINT NOT NULL)`
	if _, err := db.Q(t.Context()).ExecContext(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	return &records{db: db}
}

func (r *records) WriteRecords(ctx context.Context, rs []credit.Record) error {
	if err := r.fails.Load(); err != nil {
		return *err
	}
	var text strings.Builder
	text.WriteString(`INSERT INTO test_record (call_id, charged) VALUES `)
	var args []any
	for i, x := range rs {
		rec := x.(record)
		if i > 0 {
			text.WriteString(", ")
		}
		fmt.Fprintf(&text, "($%d, $%d)", 2*i+1, 2*i+2)
		args = append(args, rec.call, int64(rec.charged))
	}
	_, err := r.db.Q(ctx).ExecContext(ctx, text.String(), args...)
	return err
}

func (r record) Journal() ([]byte, error) {
	return json.Marshal(map[string]int64{r.call: int64(r.charged)})
}

func (r *records) Restore(journal []byte) (credit.Record, error) {
	var m map[string]int64
	err := json.Unmarshal(journal, &m)
	for call, charged := range m {
		return record{call, money.Credits(charged)}, err
	}
	return nil, errors.Join(err, errors.New("an empty journal"))
}

func (r *records) Recovered(_ context.Context, o credit.Orphan) (credit.Record, error) {
	if string(o.Journal) == "broken" {
		return nil, errors.New("the journal is broken")
	}
	return record{o.Ref, o.Charged}, nil
}

func (r *records) Charges(ctx context.Context, w credit.Which, each func(credit.Recorded) error) error {
	rows, err := r.db.Q(ctx).QueryContext(ctx, `SELECT call_id, charged FROM test_record WHERE charged > 0 AND call_id >= $1`, w.From)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var rec credit.Recorded
		if err := rows.Scan(&rec.Call, &rec.Charged); err != nil {
			return err
		}
		rec.Price, rec.Priced = r.prices[rec.Call]
		if len(w.Calls) > 0 && !slices.Contains(w.Calls, rec.Call) {
			continue
		}
		if err := each(rec); err != nil {
			return err
		}
	}
	return rows.Err()
}

// testBox seals keys under a master key of zeros.
var testBox = func() *seal.Box {
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		panic(err)
	}
	return box
}()

// clock is a time that tests move.
type clock struct {
	micros atomic.Int64
	real   atomic.Bool
}

func newClock() *clock {
	c := &clock{}
	c.micros.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMicro())
	return c
}

func (c *clock) now() time.Time {
	if c.real.Load() {
		return time.Now()
	}
	return time.UnixMicro(c.micros.Load()).UTC()
}

func (c *clock) advance(d time.Duration) { c.micros.Add(d.Microseconds()) }

// world is a ledger on a database, as a process sees it.
type world struct {
	*credit.Service
	t       testing.TB
	db      *sqldb.DB
	records *records
	clock   *clock
	spool   string // its file; empty: none
	async   bool
	metrics *obs.Metrics

	noRecords bool // calls were settled without usage records, so V6 finds them
}

// quiet keeps the background work of a service out of a test's way.
var quiet = credit.Policy{Beat: time.Hour, Sweep: time.Hour, TakeOver: time.Hour}

// open starts a service and checks at the end that no hold was dropped and that
// the ledger verifies.
func open(t testing.TB, db *sqldb.DB, p credit.Policy) *world {
	t.Helper()
	w := &world{t: t, db: db, records: newRecords(t, db), clock: newClock()}
	w.start("node", p)
	t.Cleanup(func() {
		w.stop()
		w.clean()
	})
	return w
}

func (w *world) start(node string, p credit.Policy) {
	w.t.Helper()
	w.Service = w.build(node, p)
	if err := w.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) log() *slog.Logger { return slog.New(slog.DiscardHandler) }

func (w *world) build(node string, p credit.Policy) *credit.Service {
	return credit.New(credit.Needs{
		DB: w.db, Log: w.log(), Now: w.clock.now, Node: node, Records: w.records, Policy: p, Box: testBox,
		Spool: w.spool, Async: w.async, Metrics: w.metrics,
	})
}

func (w *world) useRealTime() { w.clock.real.Store(true) }

// stop ends the service; a hold that nobody ended fails the test.
func (w *world) stop() {
	w.t.Helper()
	if n := w.Stats().Open; n != 0 {
		w.t.Errorf("%d holds were dropped", n)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := w.Stop(ctx); err != nil {
		w.t.Errorf("Stop: %v", err)
	}
}

// clean fails the test for each finding of Verify.
func (w *world) clean() credit.Summary {
	w.t.Helper()
	sum, err := w.Verify(context.Background(), credit.VerifyOptions{}, func(f credit.Finding) {
		if f.Check != "V6" || !w.noRecords {
			w.t.Errorf("verify: %s", f)
		}
	})
	if err != nil {
		w.t.Errorf("verify: %v", err)
	}
	return sum
}

func (w *world) grant(user, ref string, amount money.Credits, expires time.Time) credit.GrantID {
	w.t.Helper()
	id, err := w.Grant(w.t.Context(), credit.NewGrant{User: user, Source: credit.Plan, Ref: ref, Amount: amount, ExpiresAt: expires})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) reserve(user, ref string, need money.Credits) *credit.Hold {
	w.t.Helper()
	h, err := w.Reserve(w.t.Context(), credit.Call{User: user, Ref: ref, Need: need, Journal: []byte(`{"call":"` + ref + `"}`)})
	if err != nil {
		w.t.Fatalf("reserve %s: %v", ref, err)
	}
	return h
}

func (w *world) settle(h *credit.Hold, price money.Credits) credit.Receipt {
	w.t.Helper()
	r, err := h.Settle(w.t.Context(), outcome(h, price))
	if err != nil {
		w.t.Fatalf("settle %s: %v", h.Ref(), err)
	}
	return r
}

func outcome(h *credit.Hold, price money.Credits) credit.Outcome {
	return credit.Outcome{Price: price, Ending: credit.Finished, Record: record{h.Ref(), min(price, h.Amount())}}
}

// expect compares the user's balance.
func (w *world) expect(available, held money.Credits) {
	w.t.Helper()
	b, err := w.Balance(w.t.Context(), "ada")
	if err != nil || b.Available != available || b.Held != held {
		w.t.Errorf("balance: %s available, %s held, %v; want %s and %s", b.Available, b.Held, err, available, held)
	}
}

// One user's calls from grant to empty, step by step.
func TestACallIsPaidExactly(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		ctx := t.Context()
		if _, err := w.Reserve(ctx, credit.Call{User: "ada", Ref: "call_0", Need: 1}); !errors.Is(err, credit.ErrInsufficient) {
			t.Errorf("reserve without credits: %v, want ErrInsufficient", err)
		}
		w.grant("ada", "plan:1", 100*money.Credit, time.Time{})

		h := w.reserve("ada", "call_1", 30*money.Credit)
		if err := h.Durable(ctx); err != nil {
			t.Fatal(err)
		}
		w.expect(70*money.Credit, 30*money.Credit)
		got := w.settle(h, 12_340_000)
		if got.Charged != 12_340_000 || got.Held != 30*money.Credit || got.Remaining != 87_660_000 || got.Uncollected != 0 {
			t.Errorf("receipt %+v", got)
		}
		w.expect(87_660_000, 0)

		h = w.reserve("ada", "call_2", 10*money.Credit)
		if r, err := h.Release(ctx, outcome(h, 0)); err != nil || r.Charged != 0 || r.Remaining != 87_660_000 {
			t.Errorf("release: %+v, %v", r, err)
		}

		h = w.reserve("ada", "call_3", 10*money.Credit)
		r := w.settle(h, 12*money.Credit)
		if r.Charged != 10*money.Credit || r.Uncollected != 2*money.Credit {
			t.Errorf("a call that cost more than was held: %+v", r)
		}

		h = w.reserve("ada", "call_4", 77*money.Credit)
		_, err := w.Reserve(ctx, credit.Call{User: "ada", Ref: "call_5", Need: money.Credit})
		short, ok := errors.AsType[*credit.Shortage](err)
		if !errors.Is(err, credit.ErrReserved) || !ok || short.Available != 660_000 || short.Held != 77*money.Credit || short.Need != money.Credit {
			t.Errorf("reserve while open calls hold the credits: %v, want ErrReserved", err)
		}
		w.settle(h, 77*money.Credit)
		_, err = w.Reserve(ctx, credit.Call{User: "ada", Ref: "call_5", Need: money.Credit})
		if !errors.Is(err, credit.ErrInsufficient) {
			t.Errorf("reserve on an empty balance: %v, want ErrInsufficient", err)
		}
		w.expect(660_000, 0)
	})
}

func TestSettlingTwice(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		w.grant("ada", "plan:1", 10*money.Credit, time.Time{})
		h := w.reserve("ada", "call_1", 5*money.Credit)
		first := w.settle(h, 2*money.Credit)
		if again := w.settle(h, 2*money.Credit); again.Charged != first.Charged || again.Remaining != first.Remaining {
			t.Errorf("second receipt %+v, want %+v", again, first)
		}
		if _, err := h.Settle(t.Context(), outcome(h, 3*money.Credit)); !errors.Is(err, credit.ErrConflict) {
			t.Errorf("settle at another price: %v, want ErrConflict", err)
		}
		if _, err := h.Release(t.Context(), outcome(h, 0)); !errors.Is(err, credit.ErrConflict) {
			t.Errorf("release after settle: %v, want ErrConflict", err)
		}
		w.expect(8*money.Credit, 0)

		again := w.reserve("ada", "call_1", money.Credit)
		if err := again.Durable(t.Context()); !errors.Is(err, credit.ErrConflict) {
			t.Errorf("a call id used twice: %v, want ErrConflict", err)
		}
		if _, err := again.Settle(t.Context(), outcome(again, money.Credit)); !errors.Is(err, credit.ErrConflict) {
			t.Errorf("settle of a refused hold: %v, want ErrConflict", err)
		}
		// Both at once: the settlement fails with its hold, and nothing leaks.
		again = w.reserve("ada", "call_1", money.Credit)
		if _, err := again.Settle(t.Context(), outcome(again, money.Credit)); !errors.Is(err, credit.ErrConflict) {
			t.Errorf("settle of a refused hold in its batch: %v, want ErrConflict", err)
		}
		if r := w.settle(w.reserve("ada", "call_2", 8*money.Credit), 0); r.Remaining != 8*money.Credit {
			t.Errorf("%s remain, want 8", r.Remaining)
		}
	})
}

func TestGrantsAreUsedInBurnOrder(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		ctx := t.Context()
		begin := w.clock.now()
		day := func(n int) time.Time { return begin.AddDate(0, 0, n) }
		give := func(source credit.Source, ref string, expires time.Time) credit.GrantID {
			id, err := w.Grant(ctx, credit.NewGrant{User: "ada", Source: source, Ref: ref, Amount: money.Credit, ExpiresAt: expires})
			if err != nil {
				t.Fatal(err)
			}
			w.clock.advance(time.Second)
			return id
		}
		pack := give(credit.Pack, "pay:1", time.Time{})
		bonus := give(credit.Bonus, "b:1", day(30))
		plan := give(credit.Plan, "plan:1", day(30))
		h := w.reserve("ada", "call_1", 500_000) // leases all three
		early := give(credit.Coupon, "cpn:1", day(10))
		late := w.reserve("ada", "call_2", 3*money.Credit+200_000)
		r := w.settle(late, 2*money.Credit)
		want := []credit.Part{
			{Grant: early, Held: money.Credit, Charged: money.Credit},
			{Grant: plan, Held: 500_000, Charged: 500_000},
			{Grant: bonus, Held: money.Credit, Charged: 500_000},
			{Grant: pack, Held: 700_000, Charged: 0},
		}
		if fmt.Sprint(r.Parts) != fmt.Sprint(want) {
			t.Errorf("parts %v, want %v", r.Parts, want)
		}
		if r := w.settle(h, 0); len(r.Parts) != 1 || r.Parts[0].Grant != plan {
			t.Errorf("first hold %+v, want the plan grant", r)
		}
		b, err := w.Balance(ctx, "ada")
		if err != nil || len(b.Buckets) != 3 || b.Buckets[0].Grant != plan || b.Buckets[2].Source != credit.Pack || !b.Buckets[2].ExpiresAt.IsZero() {
			t.Errorf("balance %+v, %v", b, err)
		}
	})
}

// A thousand calls race for credits that pay for a hundred of them.
func TestExactlyAsManyCallsAsThereAreCreditsFor(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		w.grant("ada", "plan:1", 60*money.Credit, time.Time{})
		w.grant("ada", "plan:2", 40*money.Credit, w.clock.now().AddDate(0, 1, 0))
		var won, refused atomic.Int64
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				h, err := w.Reserve(t.Context(), credit.Call{User: "ada", Ref: fmt.Sprint("call_", i), Need: money.Credit})
				if err != nil {
					if !errors.Is(err, credit.ErrInsufficient) && !errors.Is(err, credit.ErrReserved) {
						t.Error(err)
					}
					refused.Add(1)
					return
				}
				if err := h.Durable(t.Context()); err != nil {
					t.Error(err)
				}
				if _, err := h.Settle(t.Context(), outcome(h, money.Credit)); err != nil {
					t.Error(err)
				}
				won.Add(1)
			})
		}
		wg.Wait()
		if won.Load() != 100 || refused.Load() != 900 {
			t.Errorf("%d calls won and %d were refused, want 100 and 900", won.Load(), refused.Load())
		}
		w.expect(0, 0)
	})
}
