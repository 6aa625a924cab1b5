package credit_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest/powercut"
)

// roundsOf returns how often a random test runs: n times, or what a make target
// asks for.
func roundsOf(t *testing.T, n int) int {
	text := os.Getenv("REPHLO_ROUNDS")
	if text == "" {
		return n
	}
	rounds, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return rounds
}

// promises are what a ledger has told its callers.
type promises struct {
	mu      sync.Mutex
	settled map[string]money.Credits // guarded by mu: charged by call, once Settle returned
	held    map[string]bool          // guarded by mu: calls whose Durable returned
	granted map[string]money.Credits // guarded by mu: by reference, once the transaction committed
	made    atomic.Int64             // how many there are
}

func newPromises() *promises {
	return &promises{settled: map[string]money.Credits{}, held: map[string]bool{}, granted: map[string]money.Credits{}}
}

func (p *promises) note(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	p.made.Add(1)
}

// so returns what was promised so far.
func (p *promises) so() *promises {
	p.mu.Lock()
	defer p.mu.Unlock()
	return &promises{settled: maps.Clone(p.settled), held: maps.Clone(p.held), granted: maps.Clone(p.granted)}
}

// Power fails under load, again and again. Whatever the disk has of what was
// not flushed, the next start finds every settlement, hold and grant that was
// acknowledged, resolves the holds, and the ledger verifies. Some cuts come
// right after that start.
func TestPowerFailureLosesNothing(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	const each = 10 // rounds of one ledger
	// CI asks for 100 without the race detector, which takes most of the time.
	rounds, torn, made := roundsOf(t, 10), 0, int64(0)
	for n := 0; n < rounds && !t.Failed(); n += each {
		t.Run(fmt.Sprint("from ", n), func(t *testing.T) {
			more, some := failOften(t, random, min(each, rounds-n))
			torn, made = torn+more, made+some
		})
	}
	t.Logf("%d rounds, seed %d: %d promises; something was not flushed in %d rounds", rounds, seed, made, torn)
	if torn < rounds/2 {
		t.Error("hardly any cut came in the middle of a commit")
	}
}

// failOften does so with one ledger. It returns how often something was not
// flushed, and how many promises were made.
func failOften(t *testing.T, random *rand.Rand, rounds int) (torn int, promised int64) {
	url := dbtest.SQLite(t)
	disk := watch(t, filepath.Dir(strings.TrimPrefix(url, "sqlite:")))
	w := open(t, dbtest.Open(t, url), quiet)
	ctx, stop := context.WithCancel(t.Context())
	p := newPromises()
	var load sync.WaitGroup
	pause := new(sync.RWMutex) // while a round is checked
	for i := range 12 {
		load.Go(func() { w.burden(ctx, p, pause, i) })
	}
	for n := range rounds {
		to := t.TempDir()
		var made *promises
		pending, err := disk.CutAfter(1+random.IntN(400), to, random, func() { made = p.so() })
		if err != nil {
			t.Fatal(err)
		}
		if pending > 0 {
			torn++
		}
		pause.Lock()
		again := watch(t, to)
		w.afterCut(t, to, made, func() {
			if n%4 == 0 {
				second := t.TempDir()
				if _, err := again.Cut(second, random); err != nil {
					t.Fatal(err)
				}
				w.afterCut(t, second, made, func() {})
			}
		})
		again.Forget()
		pause.Unlock()
		if t.Failed() {
			t.Logf("in round %d", n)
			break
		}
	}
	stop()
	load.Wait()
	return torn, p.made.Load()
}

func watch(t *testing.T, dir string) *powercut.Disk {
	t.Helper()
	d, err := powercut.Watch(dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// burden makes calls one after the other, and now and then grants.
func (w *world) burden(ctx context.Context, p *promises, pause *sync.RWMutex, i int) {
	user := fmt.Sprint("user", i%5)
	for n := 0; ctx.Err() == nil; n++ {
		pause.RLock()
		if n%20 == 0 {
			ref := fmt.Sprintf("pay:%d-%d", i, n)
			if _, err := w.Grant(w.t.Context(), credit.NewGrant{User: user, Source: credit.Pack, Ref: ref, Amount: 100 * money.Credit}); err != nil {
				w.t.Error(err)
			} else {
				p.note(func() { p.granted[ref] = 100 * money.Credit })
			}
		}
		if n%8 == i { // else the log is copied into the file once in a thousand pages
			if _, err := w.db.Q(ctx).ExecContext(w.t.Context(), [...]string{`PRAGMA wal_checkpoint(PASSIVE)`, `PRAGMA wal_checkpoint(RESTART)`}[n%2]); err != nil {
				w.t.Error(err)
			}
		}
		w.oneCall(p, user, fmt.Sprintf("call_%d_%d", i, n), n)
		pause.RUnlock()
	}
}

func (w *world) oneCall(p *promises, user, ref string, n int) {
	ctx := w.t.Context()
	h, err := w.Reserve(ctx, credit.Call{User: user, Ref: ref, Need: 2 * money.Credit, Journal: []byte("{}")})
	if err != nil {
		w.t.Error(err)
		return
	}
	if n%3 != 0 { // else both are written at once
		if err := h.Durable(ctx); err != nil {
			w.t.Error(err)
		} else {
			p.note(func() { p.held[ref] = true })
		}
		h.Progress(money.Credit, []byte(`{"delivered":1}`))
	}
	price := money.Credits(n%4) * 700_001 // at times nothing, at times more than was held
	r, err := h.Settle(ctx, outcome(h, price))
	if err != nil {
		w.t.Error(err)
		return
	}
	p.note(func() { p.settled[ref] = r.Charged })
}

// afterCut starts a ledger on what a cut left in dir, compares it with what was
// promised before, and calls then while it serves.
func (w *world) afterCut(t *testing.T, dir string, made *promises, then func()) {
	t.Helper()
	db, err := sqldb.Open(t.Context(), "sqlite:"+filepath.Join(dir, "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	next := &world{t: t, db: db, records: &records{db: db}, clock: w.clock}
	next.start("node", quiet)
	next.keeps(made)
	then()
	next.stop()
	if sum := next.clean(); sum.OpenHolds != 0 {
		t.Errorf("%d open holds", sum.OpenHolds)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// keeps fails the test for each promise that the database has broken.
func (w *world) keeps(made *promises) {
	w.t.Helper()
	const q = `SELECT ref, CAST(SUM(CASE WHEN kind IN ('charge', 'grant') THEN amount ELSE 0 END) AS BIGINT),
		CAST(SUM(CASE WHEN kind = 'hold' THEN amount ELSE 0 END) AS BIGINT) FROM credit_transfer GROUP BY ref`
	rows, err := w.db.Q(w.t.Context()).QueryContext(w.t.Context(), q)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	moved, held := map[string]money.Credits{}, map[string]bool{}
	for rows.Next() {
		var ref string
		var amount, hold money.Credits
		if err := rows.Scan(&ref, (*int64)(&amount), (*int64)(&hold)); err != nil {
			w.t.Fatal(err)
		}
		moved[ref], held[ref] = amount, hold > 0
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	for ref, want := range made.settled {
		if got := moved[ref]; got != want || !held[ref] {
			w.t.Errorf("%s was settled for %s, and is charged %s (held: %t)", ref, want, got, held[ref])
		}
	}
	for ref := range made.held {
		if !held[ref] {
			w.t.Errorf("the hold of %s is lost", ref)
		}
	}
	for ref, want := range made.granted {
		if moved[ref] != want {
			w.t.Errorf("grant %s of %s is %s", ref, want, moved[ref])
		}
	}
}
