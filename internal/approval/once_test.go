package approval_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rephlo/rephlo/internal/approval"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// The test binary, started again with these, approves a request and dies when
// its effect is written and not committed.
const (
	envDatabase = "REPHLO_TEST_APPROVE_DATABASE"
	envRequest  = "REPHLO_TEST_APPROVE_REQUEST"
	died        = 86
)

func TestMain(m *testing.M) {
	if os.Getenv(envDatabase) == "" {
		os.Exit(m.Run())
	}
	// As a test, because the fixture wants one; it never comes to an end.
	testing.Main(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "dies", F: func(t *testing.T) {
		db, err := sqldb.Open(t.Context(), os.Getenv(envDatabase))
		if err != nil {
			t.Fatal(err)
		}
		d := newDesk(t, db)
		d.then = func(context.Context, gift) error {
			os.Exit(died)
			return nil
		}
		_, err = d.Approve(d.as(t.Context(), "bob"), os.Getenv(envRequest), "")
		t.Fatal("it lives:", err)
	}}}, nil, nil)
}

func TestTwoWhoApproveAtOnceDoItOnce(t *testing.T) {
	t.Parallel()
	dbtest.RunURL(t, func(t *testing.T, url string) {
		one, other := newDesk(t, dbtest.Open(t, url)), newDesk(t, dbtest.Open(t, url)) // two processes
		for round := range 10 {
			r := one.ask("eve", "")
			var won, late atomic.Int64
			var all sync.WaitGroup
			for _, d := range []*desk{one, other, one, other} {
				for _, user := range []string{"ada", "bob"} {
					all.Go(func() {
						_, err := d.Approve(d.as(t.Context(), user), r.ID, "")
						switch {
						case err == nil:
							won.Add(1)
						case errors.Is(err, approval.ErrState):
							late.Add(1)
						default:
							t.Error(err)
						}
					})
				}
			}
			all.Wait()
			if won.Load() != 1 || late.Load() != 7 || one.given() != round+1 {
				t.Fatalf("round %d: %d were told that they approved, %d that they were late, %d effects", round, won.Load(), late.Load(), one.given())
			}
		}
	})
}

func TestWhoApprovesAndWhoDeniesAtOnceAgree(t *testing.T) {
	t.Parallel()
	dbtest.RunURL(t, func(t *testing.T, url string) {
		one, other := newDesk(t, dbtest.Open(t, url)), newDesk(t, dbtest.Open(t, url))
		approved := 0
		for range 10 {
			r := one.ask("eve", "")
			var yes, no error
			var all sync.WaitGroup
			all.Go(func() { _, yes = one.Approve(one.as(t.Context(), "ada"), r.ID, "") })
			all.Go(func() { _, no = other.Deny(other.as(t.Context(), "bob"), r.ID, "") })
			all.Wait()
			if (yes == nil) == (no == nil) {
				t.Fatalf("approve: %v, deny: %v", yes, no)
			}
			if yes == nil {
				approved++
			}
			got, err := one.ByID(t.Context(), r.ID)
			if err != nil || (got.Status == approval.Approved) != (yes == nil) || one.given() != approved {
				t.Fatalf("it is %s, %v, with %d effects; approve: %v", got.Status, err, one.given(), yes)
			}
		}
	})
}

func TestAnEffectThatFailsLeavesTheRequestPending(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		d := newDesk(t, db)
		r := d.ask("eve", "")
		bob := d.as(t.Context(), "bob")
		lost := errors.New("the connection is gone")
		cut, end := context.WithCancel(bob)
		for name, then := range map[string]func(context.Context, gift) error{
			"the effect is refused":      func(context.Context, gift) error { return lost },
			"the transaction is cut off": func(context.Context, gift) error { end(); return nil },
			"the last part of it is refused": func(ctx context.Context, _ gift) error {
				return db.BeforeCommit(ctx, func(context.Context) error { return lost })
			},
		} {
			d.then = then
			ctx := bob
			if name == "the transaction is cut off" {
				ctx = cut
			}
			if _, err := d.Approve(ctx, r.ID, ""); err == nil {
				t.Errorf("%s: approved", name)
			}
			if got, err := d.ByID(t.Context(), r.ID); err != nil || got.Status != approval.Pending || got.DecidedBy != "" || d.given() != 0 {
				t.Errorf("%s: %+v, %v, %d effects", name, got, err, d.given())
			}
		}
		d.then = func(context.Context, gift) error { return nil }
		if _, err := d.Approve(bob, r.ID, ""); err != nil || d.given() != 1 {
			t.Errorf("then: %v, %d effects", err, d.given())
		}
	})
}

func TestAProcessThatDiesBetweenDecisionAndEffectHasDoneNeither(t *testing.T) {
	t.Parallel()
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d := newDesk(t, dbtest.Open(t, url))
		r := d.ask("eve", "")
		for range 2 {
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=dies")
			child.Env = append(os.Environ(), envDatabase+"="+url, envRequest+"="+r.ID)
			out, err := child.CombinedOutput()
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != died {
				t.Fatalf("%v: %s", err, out)
			}
			if got, err := d.ByID(t.Context(), r.ID); err != nil || got.Status != approval.Pending || d.given() != 0 {
				t.Fatalf("after the end of a process: %+v, %v, %d effects", got, err, d.given())
			}
		}
		if _, err := d.Approve(d.as(t.Context(), "bob"), r.ID, ""); err != nil || d.given() != 1 {
			t.Errorf("then: %v, %d effects", err, d.given())
		}
	})
}

func TestWhatMattersIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		d := newDesk(t, db)
		gone := fmt.Errorf("it is not possible any more")
		d.check = func() error { return gone }
		if _, err := d.gifts.Ask(d.as(t.Context(), "eve"), approval.Wish[gift]{Reason: why, Input: gift{"ida", 7}}); !errors.Is(err, gone) {
			t.Errorf("asked for what cannot be: %v", err)
		}
		d.check = func() error { return nil }
		r := d.ask("eve", "")
		bob := d.as(t.Context(), "bob")
		d.then = func(context.Context, gift) error { return gone }
		if _, err := d.Approve(bob, r.ID, ""); !errors.Is(err, gone) {
			t.Errorf("approve what cannot be: %v", err)
		}
		d.then = func(context.Context, gift) error { return nil }
		d.roles["eve"] = "analyst"
		if _, err := d.Approve(bob, r.ID, ""); !errors.Is(err, approval.ErrAsker) || d.given() != 0 {
			t.Errorf("for who may not any more: %v", err)
		}
		d.roles["eve"] = "ops"
		if _, err := d.Approve(bob, r.ID, ""); err != nil {
			t.Errorf("then: %v", err)
		}
	})
}
