package credit_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest/faulty"
)

// mishap is how the k-th call of the database goes wrong.
type mishap struct {
	name   string
	script func(k int64) faulty.Script
	// dies says that the process dies after the first error; else the caller
	// tries again until it is done.
	dies, hangs bool
	lost        bool // the answer, which is the hardest
}

var mishaps = []mishap{
	{"fails", func(k int64) faulty.Script { return faulty.Nth(k, faulty.Fault{Kind: faulty.Fail}) }, false, false, false},
	{"loses its answer", func(k int64) faulty.Script { return faulty.Nth(k, faulty.Fault{Kind: faulty.Lose}) }, false, false, true},
	{"hangs", func(k int64) faulty.Script { return faulty.Nth(k, faulty.Fault{Hang: -1}) }, false, true, false},
	{"is the last", func(k int64) faulty.Script { return from(k, faulty.Fail) }, true, false, false},
	{"is the last and loses its answer", func(k int64) faulty.Script { return from(k, faulty.Lose) }, true, false, true},
}

// from lets the k-th call go wrong, and none that follows be made.
func from(k int64, how faulty.Kind) faulty.Script {
	return func(c faulty.Call) faulty.Fault {
		switch {
		case c.No == k:
			return faulty.Fault{Kind: how}
		case c.No > k:
			return faulty.Fault{Kind: faulty.Fail}
		}
		return faulty.Fault{}
	}
}

// subject is what one run of an operation is about.
type subject struct {
	user, ref string
	grant     credit.GrantID
	hold      *credit.Hold
	tries     int
}

// operation is one thing that the ledger does.
type operation struct {
	name   string
	before func(w *world, s *subject) // without mishaps
	// do does it, again after an error.
	do func(ctx context.Context, w *world, s *subject) error
	// What is available once it is done and the process has died and started
	// again, and what when it never was.
	done, undone money.Credits
	opens        bool // it leaves a hold open, or the process ended
	core         bool // always on PostgreSQL too
}

// Each call of the database goes wrong in each way, for each thing that the
// ledger does. Then the process dies and starts again: what was acknowledged is
// there once, what was not is there once or not at all, and the ledger verifies.
func TestTheKthCallGoesWrong(t *testing.T) {
	t.Parallel()
	for _, o := range operations {
		for _, m := range mishaps {
			all := share(1, 0) == 1
			if !all && (!m.lost || !o.core) {
				continue
			}
			t.Run(o.name+", a call "+m.name, func(t *testing.T) {
				t.Parallel()
				t.Run("sqlite", func(t *testing.T) { exhaust(t, dbtest.SQLite(t), o, m) })
				if m.lost && (all || !m.dies) { // it takes longer there
					t.Run("postgres", func(t *testing.T) { exhaust(t, dbtest.Postgres(t), o, m) })
				}
			})
		}
	}
}

func local(url string) bool { return strings.HasPrefix(url, "sqlite:") }

// exhaust lets one call after the other go wrong, until o is done before that.
func exhaust(t *testing.T, url string, o operation, m mishap) {
	f := faulty.New()
	if local(url) {
		f.Setup = []string{`PRAGMA synchronous=OFF`} // no process dies here
	}
	db, err := sqldb.OpenThrough(t.Context(), url, f.Through)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	p := quiet
	p.Poll = time.Hour
	w := open(t, db, p)
	for k := int64(1); ; k++ {
		s := &subject{user: fmt.Sprint("user", k), ref: fmt.Sprint("ref:", k)}
		if o.before != nil {
			o.before(w, s)
			w.Idle()
		}
		hits := f.Hits()
		f.Set(m.script(k))
		err := w.carryThrough(f, o, m, s, hits)
		reached := f.Hits() > hits
		f.Heal()
		if local(url) || m.dies || !reached || o.opens {
			w.Crash()
			w.start("node", p)
		}
		b, berr := w.Balance(t.Context(), s.user)
		ok := b.Available == o.done || err != nil && m.dies && b.Available == o.undone
		if berr != nil || !ok || b.Held != 0 {
			t.Errorf("call %d: %v, then %s available and %s held, %v; want %s", k, err, b.Available, b.Held, berr, o.done)
		}
		if w.clean(); t.Failed() || !reached {
			t.Logf("%d calls", k-1)
			return
		}
	}
}

// carryThrough does o until it is done, or once if m means death.
func (w *world) carryThrough(f *faulty.Faults, o operation, m mishap, s *subject, hits int64) (err error) {
	for n := range 6 {
		ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
		var watching sync.WaitGroup
		if n == 0 && (m.dies || m.hangs) { // who waits gives up soon after
			watching.Go(func() {
				for f.Hits() == hits && ctx.Err() == nil {
					time.Sleep(time.Millisecond / 4)
				}
				time.Sleep(2 * time.Millisecond)
				cancel()
				if m.hangs {
					time.Sleep(2 * time.Millisecond)
					f.Heal()
				}
			})
		}
		err = o.do(ctx, w, s)
		cancel()
		watching.Wait()
		if err == nil || m.dies {
			return err
		}
		f.Heal()
	}
	w.t.Errorf("not done after many tries: %v", err)
	return err
}
