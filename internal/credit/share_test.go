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

// cluster is several processes on one database.
type cluster struct {
	*world
	nodes []*credit.Service
}

// shared waits for the answer of others as long as a busy machine may take.
var shared = credit.Policy{
	Shared: true, Answer: 10 * time.Second, Deaf: 10 * time.Second,
	Beat: 20 * time.Millisecond, Poll: 10 * time.Millisecond, Sweep: time.Hour, TakeOver: time.Hour,
}

// impatient is shared with the usual waits: somebody will be silent.
func impatient() credit.Policy {
	p := shared
	p.Answer, p.Deaf = 0, 0
	return p
}

func join(t *testing.T, db *sqldb.DB, n int, p credit.Policy) *cluster {
	t.Helper()
	c := &cluster{world: &world{t: t, db: db, records: newRecords(t, db), clock: newClock()}}
	c.useRealTime()
	for i := range n {
		c.add(fmt.Sprintf("node%d", i), p)
	}
	c.Service = c.nodes[0]
	t.Cleanup(func() {
		for _, s := range c.nodes {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			if err := s.Stop(ctx); err != nil {
				t.Errorf("Stop: %v", err)
			}
			cancel()
		}
		c.clean()
	})
	return c
}

func (c *cluster) add(name string, p credit.Policy) *credit.Service {
	c.t.Helper()
	s := c.build(name, p)
	if err := s.Start(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	c.nodes = append(c.nodes, s)
	return s
}

func call(ref string, need money.Credits) credit.Call {
	return credit.Call{User: "ada", Ref: ref, Need: need, Journal: []byte("{}")}
}

// One process or several spend one user's last credits: as many calls are served
// as the balance pays for, no more and no fewer, round after round.
func TestSeveralProcessesSpendExactlyWhatThereIs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		nodes, calls, rounds int
		deaf                 bool
	}{{1, 64, 20, false}, {1, 1024, 3, false}, {3, 64, 5, false}, {3, 64, 2, true}, {3, 1024, 1, false}, {3, 1024, 1, true}} {
		t.Run(fmt.Sprintf("%d processes, %d calls, deaf %v", tt.nodes, tt.calls, tt.deaf), func(t *testing.T) {
			t.Parallel()
			dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
				c := join(t, db, tt.nodes, shared)
				if tt.deaf {
					for _, s := range c.nodes {
						s.Deafen()
					}
				}
				for round := range share(20, tt.rounds) {
					spendTheLast(t, c, fmt.Sprint("user", round), tt.calls)
				}
			})
		})
	}
}

func spendTheLast(t *testing.T, c *cluster, user string, calls int) {
	t.Helper()
	const price = 3 * money.Credit
	pays := calls / 3
	c.grant(user, "pay:"+user, money.Credits(pays)*price+money.Credit, time.Time{})
	var (
		wg                        sync.WaitGroup
		served, refused, reserved atomic.Int64
	)
	for i := range calls {
		wg.Go(func() {
			s := c.nodes[i%len(c.nodes)]
			for {
				h, err := s.Reserve(t.Context(), credit.Call{User: user, Ref: fmt.Sprintf("call_%s_%d", user, i), Need: price, Journal: []byte("{}")})
				switch {
				case errors.Is(err, credit.ErrInsufficient):
					refused.Add(1)
					return
				case errors.Is(err, credit.ErrReserved), errors.Is(err, credit.ErrOverloaded):
					reserved.Add(1)
					continue // as a client does that is told to try again
				case err != nil:
					t.Error(err)
					return
				}
				if err := h.Durable(t.Context()); err != nil {
					t.Error(err)
				}
				if _, err := h.Settle(t.Context(), outcome(h, price)); err != nil {
					t.Error(err)
				}
				served.Add(1)
				return
			}
		})
	}
	wg.Wait()
	if served.Load() != int64(pays) || refused.Load() != int64(calls-pays) {
		t.Errorf("%d calls served and %d refused, want %d and %d", served.Load(), refused.Load(), pays, calls-pays)
	}
	b, err := c.Balance(t.Context(), user)
	if err != nil || b.Available != money.Credit || b.Held != 0 {
		t.Errorf("balance: %s available, %s held, %v; want %s", b.Available, b.Held, err, money.Credit)
	}
}

// Who needs what another process has leased gets it, in time and whole.
func TestLeasesComeHomeWhenAnotherProcessAsks(t *testing.T) {
	t.Parallel()
	for _, deaf := range []bool{false, true} {
		t.Run(fmt.Sprintf("deaf %v", deaf), func(t *testing.T) {
			t.Parallel()
			dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
				c := join(t, db, 2, shared)
				if deaf {
					c.nodes[0].Deafen()
					c.nodes[1].Deafen()
				}
				c.grant("ada", "pay:1", 100*money.Credit, time.Time{})
				h := c.reserve("ada", "call_1", money.Credit) // leases half
				other, err := c.nodes[1].Reserve(t.Context(), call("call_2", 99*money.Credit))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.nodes[1].Reserve(t.Context(), call("call_3", money.Credit)); !errors.Is(err, credit.ErrReserved) {
					t.Errorf("while everything is held: %v, want ErrReserved", err)
				}
				if _, err := c.nodes[1].Reserve(t.Context(), call("call_3", 101*money.Credit)); !errors.Is(err, credit.ErrInsufficient) {
					t.Errorf("more than there is: %v, want ErrInsufficient", err)
				}
				c.settle(h, money.Credit)
				c.settle(other, 0)
				c.expect(99*money.Credit, 0)
			})
		})
	}
}

// A process that holds a lease and is silent makes a refusal temporary.
func TestASilentHolderIsNoShortage(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := join(t, db, 2, impatient())
		c.grant("ada", "pay:1", 100*money.Credit, time.Time{})
		h := c.reserve("ada", "call_1", money.Credit)
		c.settle(h, 0)
		c.nodes[0].Crash()
		if _, err := c.nodes[1].Reserve(t.Context(), call("call_2", 99*money.Credit)); !errors.Is(err, credit.ErrReserved) {
			t.Errorf("while a dead process has leased them: %v, want ErrReserved", err)
		}
		if err := c.nodes[1].Recall(t.Context(), "ada"); !errors.Is(err, credit.ErrBusy) {
			t.Errorf("recall from a dead process: %v, want ErrBusy", err)
		}
		c.nodes[0] = c.build("node0", shared) // the same name takes its lanes at once
		if err := c.nodes[0].Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		h, err := c.nodes[1].Reserve(t.Context(), call("call_2", 99*money.Credit))
		if err != nil {
			t.Fatal(err)
		}
		c.settle(h, 99*money.Credit)
	})
}

func TestRecallEmptiesEveryLease(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := join(t, db, 3, shared)
		c.grant("ada", "pay:1", 90*money.Credit, time.Time{})
		var holds []*credit.Hold
		for i, s := range c.nodes {
			h, err := s.Reserve(t.Context(), call(fmt.Sprintf("call_%d", i), money.Credit))
			if err != nil {
				t.Fatal(err)
			}
			if err := h.Durable(t.Context()); err != nil {
				t.Fatal(err)
			}
			holds = append(holds, h)
		}
		if err := c.nodes[2].Recall(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
		var leased int64
		const q = `SELECT CAST(SUM(leased) AS BIGINT) FROM credit_grant`
		if err := db.Q(t.Context()).QueryRowContext(t.Context(), q).Scan(&leased); err != nil || leased != int64(3*money.Credit) {
			t.Errorf("%d leased, %v; want what the open holds have", leased, err)
		}
		for _, h := range holds {
			c.settle(h, money.Credit)
		}
		c.expect(87*money.Credit, 0)
	})
}

// What a call of another process was charged is still on its lease, but nobody
// holds it. (The model found that the whole could not be taken.)
func TestTheWholeIsTakenOnceNoCallIsOpen(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := join(t, db, 2, shared)
		c.grant("ada", "pay:1", 10*money.Credit, time.Time{})
		h, err := c.nodes[1].Reserve(t.Context(), call("call_1", 10*money.Credit))
		if err != nil {
			t.Fatal(err)
		}
		whole := credit.Taking{User: "ada", Ref: "adm:1", Amount: 8 * money.Credit, Whole: true}
		if err := h.Durable(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.nodes[0].Deduct(t.Context(), whole); !errors.Is(err, credit.ErrBusy) {
			t.Errorf("while a call is open: %v, want ErrBusy", err)
		}
		c.settle(h, 3*money.Credit)
		want := credit.Taken{Taken: 7 * money.Credit, Uncollected: money.Credit}
		if got, err := c.nodes[0].Deduct(t.Context(), whole); err != nil || got != want {
			t.Errorf("after the call: %+v, %v; want %+v", got, err, want)
		}
		c.expect(0, 0)
	})
}

// A grant made by one process is used at once by another that has just refused.
func TestAnotherProcessSeesNewCreditsAtOnce(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := join(t, db, 2, shared)
		for i := range 20 {
			ref := fmt.Sprintf("%d", i)
			if _, err := c.nodes[1].Reserve(t.Context(), call("no_"+ref, money.Credit)); !errors.Is(err, credit.ErrInsufficient) {
				t.Fatalf("before the grant: %v, want ErrInsufficient", err)
			}
			c.grant("ada", "pay:"+ref, money.Credit, time.Time{})
			h, err := c.nodes[1].Reserve(t.Context(), call("call_"+ref, money.Credit))
			if err != nil {
				t.Fatal(err)
			}
			c.settle(h, money.Credit)
		}
		c.expect(0, 0)
	})
}

// With plenty for everybody nobody asks anybody.
func TestPlentyNeedsNoRecall(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := join(t, db, 3, shared)
		c.grant("ada", "pay:1", 100_000*money.Credit, time.Time{})
		var before, after int
		const q = `SELECT COALESCE(MAX(no), 0) FROM credit_recall`
		if err := db.Q(t.Context()).QueryRowContext(t.Context(), q).Scan(&before); err != nil {
			t.Fatal(err)
		}
		for i := range 300 {
			h, err := c.nodes[i%3].Reserve(t.Context(), call(fmt.Sprintf("call_%d", i), money.Credit))
			if err != nil {
				t.Fatal(err)
			}
			c.settle(h, money.Credit)
		}
		if err := db.Q(t.Context()).QueryRowContext(t.Context(), q).Scan(&after); err != nil || after != before {
			t.Errorf("%d recalls, %v", after-before, err)
		}
		c.expect(99_700*money.Credit, 0)
	})
}

// A process that is silent for long enough is resolved by another, and what it
// wanted to charge later is noted as uncollected.
func TestASilentProcessIsTakenOver(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		p := shared
		p.TakeOver = 200 * time.Millisecond
		dead := shared
		dead.Beat = time.Hour // it writes nothing by itself, as if it were paused
		c := join(t, db, 1, dead)
		zombie := c.nodes[0]
		c.grant("ada", "pay:1", 10*money.Credit, time.Time{})
		open := c.reserve("ada", "call_open", 4*money.Credit)
		idle := c.reserve("ada", "call_idle", money.Credit)
		for _, h := range []*credit.Hold{open, idle} {
			if err := h.Durable(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		open.Progress(2*money.Credit, []byte("{}"))
		zombie.Idle() // the progress is written
		other := c.add("other", p)
		until(t, "the holds of the silent process are resolved", func() bool {
			b, err := other.Balance(t.Context(), "ada")
			return err == nil && b.Held == 0 && b.Available == 8*money.Credit
		})
		// The zombie wakes up: nothing is charged twice.
		for _, h := range []*credit.Hold{open, idle} {
			if _, err := h.Settle(t.Context(), outcome(h, 3*money.Credit)); err == nil {
				t.Errorf("%s was settled by the zombie", h.Ref())
			}
		}
		until(t, "both are noted", func() bool {
			var n, sum int64
			const q = `SELECT COUNT(*), CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM credit_uncollected WHERE cause = 'late'`
			err := db.Q(t.Context()).QueryRowContext(t.Context(), q).Scan(&n, &sum)
			return err == nil && n == 2 && sum == int64(4*money.Credit)
		})
		// It goes on with lanes of its own.
		until(t, "the zombie serves again", func() bool {
			h, err := zombie.Reserve(t.Context(), call("call_again", money.Credit))
			if err != nil {
				return false
			}
			c.settle(h, money.Credit)
			return true
		})
		c.expect(7*money.Credit, 0)
	})
}

func TestALiveProcessIsNotTakenOver(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		p := shared
		p.TakeOver = 300 * time.Millisecond
		c := join(t, db, 2, p)
		c.grant("ada", "pay:1", 10*money.Credit, time.Time{})
		h := c.reserve("ada", "call_1", money.Credit)
		end := time.NewTimer(900 * time.Millisecond)
		<-end.C
		if n := c.nodes[0].Stats().Fenced + c.nodes[1].Stats().Fenced; n != 0 {
			t.Errorf("%d lanes of live processes were taken over", n)
		}
		c.settle(h, money.Credit)
	})
}

func TestAWrongClockAdmitsNothing(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := join(t, db, 1, shared)
		c.grant("ada", "pay:1", 10*money.Credit, time.Time{})
		off := credit.New(credit.Needs{
			DB: db, Log: c.log(), Now: c.clock.now, Node: "off", Records: c.records, Policy: shared,
			Offset: func(context.Context) (time.Duration, error) { return 3 * time.Second, nil },
		})
		if err := off.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.nodes = append(c.nodes, off)
		if _, err := off.Reserve(t.Context(), call("call_1", 1)); !errors.Is(err, credit.ErrUnavailable) {
			t.Errorf("reserve: %v, want ErrUnavailable", err)
		}
		if state, reason := off.Health(); state != "down" {
			t.Errorf("health %s: %s", state, reason)
		}
	})
}

func TestLeasesGoHomeAtTheEnd(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := join(t, db, 2, shared)
		c.grant("ada", "pay:1", 10*money.Credit, time.Time{})
		c.settle(c.reserve("ada", "call_1", money.Credit), money.Credit)
		if err := c.nodes[0].Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		var leased, lanes int64
		const q = `SELECT (SELECT CAST(SUM(leased) AS BIGINT) FROM credit_grant), (SELECT COUNT(*) FROM credit_lane WHERE node = 'node0')`
		if err := db.Q(t.Context()).QueryRowContext(t.Context(), q).Scan(&leased, &lanes); err != nil || leased != 0 || lanes != 0 {
			t.Errorf("%d leased, %d lanes kept, %v", leased, lanes, err)
		}
	})
}

// A minute before credits expire they are in no lease but of open holds, so that
// whoever needs the last of them finds them.
func TestCreditsThatExpireSoonAreInNoLease(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := join(t, db, 2, shared)
		c.grant("ada", "pay:soon", 100*money.Credit, time.Now().Add(40*time.Second))
		c.grant("ada", "pay:later", 1000*money.Credit, time.Now().Add(time.Hour))
		leased := func(want money.Credits) func() bool {
			return func() bool {
				c.nodes[0].Idle()
				var n int64
				const q = `SELECT CAST(COALESCE(SUM(l.amount - l.spent), 0) AS BIGINT)
					FROM credit_grant g JOIN credit_lease l ON l.grant_id = g.id WHERE g.ref = 'pay:soon'`
				err := db.Q(t.Context()).QueryRowContext(t.Context(), q).Scan(&n)
				return err == nil && n == int64(want)
			}
		}
		h := c.reserve("ada", "call_1", money.Credit)
		c.nodes[0].Sweep()
		until(t, "only the open hold has a lease", leased(money.Credit))
		c.settle(h, money.Credit)
		until(t, "nothing is leased that can be spent", leased(0))
		h = c.reserve("ada", "call_2", 2*money.Credit)
		until(t, "the next call leases what it needs", leased(2*money.Credit))
		other, err := c.nodes[1].Reserve(t.Context(), call("call_3", 97*money.Credit))
		if err != nil {
			t.Fatal(err)
		}
		until(t, "the other process has found all the rest", leased(99*money.Credit))
		c.settle(other, 97*money.Credit)
		c.settle(h, 2*money.Credit)
		c.expect(1000*money.Credit, 0)
	})
}

// Many users begin at the same time on two processes, each with budgets: their
// credits and budgets are leased in sets, to each what is theirs.
func TestManyUsersBeginAtOnce(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := join(t, db, 2, shared)
		const users = 150
		var wg sync.WaitGroup
		for i := range users {
			user, price := fmt.Sprintf("usr_%03d", i), money.Credits(i%5+1)*money.Credit
			c.grant(user, "pay:a:"+user, 7*money.Credit, time.Time{})
			c.grant(user, "pay:b:"+user, 5*money.Credit, time.Now().Add(time.Hour))
			for n, s := range c.nodes {
				wg.Go(func() {
					h, err := s.Reserve(t.Context(), credit.Call{
						User: user, Ref: fmt.Sprintf("call_%s_%d", user, n), Need: price, Journal: []byte("{}"),
						Caps: []credit.Cap{
							{Owner: user, Window: today, Limit: 10 * money.Credit, Full: credit.ErrDayCap},
							{Owner: "key_" + user, Limit: 20 * money.Credit, Full: credit.ErrKeyCap},
						},
					})
					if err != nil {
						t.Errorf("%s: %v", user, err)
						return
					}
					c.settle(h, price)
				})
			}
		}
		wg.Wait()
		for i := range users {
			user, spent := fmt.Sprintf("usr_%03d", i), money.Credits(i%5+1)*2*money.Credit
			c.used(user, today, spent)
			c.used("key_"+user, time.Time{}, spent)
			if b, err := c.Balance(t.Context(), user); err != nil || b.Available != 12*money.Credit-spent {
				t.Errorf("%s has %s, %v; want %s", user, b.Available, err, 12*money.Credit-spent)
			}
		}
	})
}

// Two cuts of one user in one batch lease no credit twice.
func TestTwoCutsInOneBatchTakeNothingTwice(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := join(t, db, 1, shared)
		c.grant("ada", "pay:1", 10*money.Credit, time.Time{})
		c.grant("ada", "pay:2", 5*money.Credit, time.Time{})
		if got, err := c.CutTogether(t.Context(), "ada", 3); err != nil || got != 15*money.Credit {
			t.Errorf("leased %s (%v) of 15 credits", got, err)
		}
	})
}
