package credit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

func (w *world) give(g credit.NewGrant) credit.GrantID {
	w.t.Helper()
	if g.User == "" {
		g.User = "ada"
	}
	id, err := w.Grant(w.t.Context(), g)
	if err != nil {
		w.t.Fatal(err)
	}
	w.clock.advance(time.Second)
	return id
}

func TestAddRaisesAGrantOnce(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		ctx := t.Context()
		id := w.grant("ada", "plan:1", 10*money.Credit, time.Time{})
		h := w.reserve("ada", "call_1", 8*money.Credit)
		for range 2 {
			if err := w.Add(ctx, id, 5*money.Credit, "up:1", "usr_admin"); err != nil {
				t.Fatal(err)
			}
		}
		w.settle(w.reserve("ada", "call_2", 7*money.Credit), 0) // what was added is there at once
		w.settle(h, 8*money.Credit)
		w.expect(7*money.Credit, 0)
		if err := w.Add(ctx, id, 6*money.Credit, "up:1", ""); !errors.Is(err, credit.ErrConflict) {
			t.Errorf("another amount: %v, want ErrConflict", err)
		}
		if err := w.Add(ctx, 1, money.Credit, "up:2", ""); !errors.Is(err, credit.ErrNoGrant) {
			t.Errorf("no such grant: %v, want ErrNoGrant", err)
		}
		for i := range 100 {
			err := w.Add(ctx, id, money.MaxTransfer, fmt.Sprintf("big:%d", i), "")
			if i == 99 && !errors.Is(err, credit.ErrInvalid) {
				t.Errorf("more than a grant holds: %v, want ErrInvalid", err)
			} else if i < 99 && err != nil {
				t.Fatal(err)
			}
		}
	})
}

// The examples of the product's rules for the end of a cycle.
func TestACycleEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ plan, older, cap, rolled, trimmed, expired money.Credits }{
		{500, 400, 750, 500, 150, 0},
		{1100, 0, 750, 750, 0, 350},
		{300, 0, 0, 0, 0, 300},
		{0, 400, 300, 0, 100, 0},
		{200, 100, 750, 200, 0, 0},
	} {
		t.Run(fmt.Sprintf("%d left, %d older, cap %d", tt.plan, tt.older, tt.cap), func(t *testing.T) {
			t.Parallel()
			dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
				w := open(t, db, quiet)
				end := w.clock.now().AddDate(0, 1, 0)
				plan := w.give(credit.NewGrant{Source: credit.Plan, Ref: "plan:sub:1", Amount: 2000 * money.Credit, ExpiresAt: end.AddDate(0, 0, 14)})
				used := 2000*money.Credit - tt.plan*money.Credit
				w.settle(w.reserve("ada", "call_1", used), used)
				if tt.older > 0 {
					w.give(credit.NewGrant{Source: credit.Rollover, Ref: "roll:sub:0", Amount: tt.older * money.Credit, ExpiresAt: end.AddDate(0, 1, 0)})
				}
				w.clock.advance(end.Sub(w.clock.now()))
				roll := credit.Roll{User: "ada", Subscription: "sub", Plan: plan, End: end, Cap: tt.cap * money.Credit, Months: 2}
				var first credit.Rolled
				for n := range 2 {
					if err := w.Recall(t.Context(), "ada"); err != nil {
						t.Fatal(err)
					}
					got, err := w.Roll(t.Context(), roll)
					if err != nil {
						t.Fatal(err)
					}
					if n == 0 {
						first = got
					} else if got != first {
						t.Errorf("again %+v, first %+v", got, first)
					}
				}
				if first.Rolled != tt.rolled*money.Credit || first.Trimmed != tt.trimmed*money.Credit || first.Expired != tt.expired*money.Credit {
					t.Errorf("%+v, want %d rolled, %d trimmed, %d expired", first, tt.rolled, tt.trimmed, tt.expired)
				}
				w.expect((tt.rolled+tt.older-tt.trimmed)*money.Credit, 0)
			})
		})
	}
}

// Open holds keep their part of a plan that ends; what they return expires.
func TestARollLeavesOpenHolds(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		end := w.clock.now().Add(time.Hour)
		plan := w.give(credit.NewGrant{Source: credit.Plan, Ref: "plan:sub:1", Amount: 100 * money.Credit, ExpiresAt: end})
		h := w.reserve("ada", "call_1", 30*money.Credit)
		if err := h.Durable(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.clock.advance(2 * time.Hour)
		if err := w.Recall(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
		got, err := w.Roll(t.Context(), credit.Roll{User: "ada", Subscription: "sub", Plan: plan, End: end, Cap: 1000 * money.Credit, Months: 1})
		if err != nil || got.Rolled != 70*money.Credit {
			t.Fatalf("%+v, %v; want 70 rolled", got, err)
		}
		w.settle(h, 10*money.Credit) // 20 come back to the plan and expire
		w.expect(70*money.Credit, 0)
	})
}

func TestTakeNeverMakesABalanceNegative(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		ctx := t.Context()
		w.give(credit.NewGrant{Source: credit.Pack, Ref: "pay:1", Amount: 10 * money.Credit, Payment: "pay_1", PaidMinor: 1000, Currency: "usd"})
		w.give(credit.NewGrant{Source: credit.Bonus, Ref: "b:1", Amount: 5 * money.Credit})
		h := w.reserve("ada", "call_1", 4*money.Credit)
		if err := h.Durable(ctx); err != nil {
			t.Fatal(err)
		}
		claw := credit.Taking{User: "ada", Ref: "claw:1", Payment: "pay_1", Amount: 10 * money.Credit, Whole: true}
		w.settle(h, 0)
		h = w.reserve("ada", "call_2", 14*money.Credit)
		if err := h.Durable(ctx); err != nil {
			t.Fatal(err)
		}
		if err := w.Recall(ctx, "ada"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Take(ctx, claw); !errors.Is(err, credit.ErrBusy) {
			t.Errorf("while a hold keeps some: %v, want ErrBusy", err)
		}
		claw.Whole = false
		var wg sync.WaitGroup
		for range 4 { // at once, and again: one effect
			wg.Go(func() {
				if got, err := w.Deduct(ctx, claw); err != nil || got.Taken != 1*money.Credit || got.Uncollected != 9*money.Credit {
					t.Errorf("%+v, %v; want 1 taken and 9 missing", got, err)
				}
			})
		}
		wg.Wait()
		claw.Amount = money.Credit
		if _, err := w.Take(ctx, claw); !errors.Is(err, credit.ErrConflict) {
			t.Errorf("another amount: %v, want ErrConflict", err)
		}
		w.settle(h, 0)
		w.expect(14*money.Credit, 0)
		got, err := w.Deduct(ctx, credit.Taking{User: "ada", Ref: "adm:1", Amount: 20 * money.Credit, Actor: "usr_admin", Cause: "abuse"})
		if err != nil || got.Taken != 14*money.Credit || got.Uncollected != 6*money.Credit {
			t.Errorf("%+v, %v; want 14 taken and 6 missing", got, err)
		}
		w.expect(0, 0)
		none := credit.Taking{User: "ada", Ref: "adm:2", Amount: money.Credit}
		for range 2 {
			if got, err := w.Deduct(ctx, none); err != nil || got.Taken != 0 || got.Uncollected != money.Credit {
				t.Errorf("from nothing: %+v, %v", got, err)
			}
		}
	})
}

func TestACallIsGivenBackOnce(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		ctx := t.Context()
		soon := w.clock.now().Add(time.Hour)
		w.give(credit.NewGrant{Source: credit.Plan, Ref: "plan:1", Amount: 10 * money.Credit, ExpiresAt: soon})
		w.give(credit.NewGrant{Source: credit.Pack, Ref: "pay:1", Amount: 10 * money.Credit})
		w.settle(w.reserve("ada", "call_1", 15*money.Credit), 12*money.Credit) // 10 of the plan, 2 of the pack
		w.settle(w.reserve("ada", "call_2", 3*money.Credit), 3*money.Credit)
		w.expect(5*money.Credit, 0)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if got, err := w.Reverse(ctx, "call_2", "usr_admin"); err != nil || got != 3*money.Credit {
					t.Errorf("%s given back, %v; want 3", got, err)
				}
			})
		}
		wg.Wait()
		w.expect(8*money.Credit, 0)
		w.clock.advance(2 * time.Hour) // the plan has expired: its part becomes an adjustment
		if got, err := w.Reverse(ctx, "call_1", "usr_admin"); err != nil || got != 12*money.Credit {
			t.Errorf("%s given back, %v; want 12", got, err)
		}
		w.expect(20*money.Credit, 0)
		b, err := w.Balance(ctx, "ada")
		if err != nil || len(b.Buckets) != 2 || b.Buckets[0].Source != credit.Adjustment || b.Buckets[0].Remaining != 10*money.Credit {
			t.Errorf("%+v, %v", b.Buckets, err)
		}
		if _, err := w.Reverse(ctx, "call_3", "usr_admin"); !errors.Is(err, credit.ErrNothingCharged) {
			t.Errorf("an unknown call: %v, want ErrNothingCharged", err)
		}
		// A claw-back is undone in the same way.
		if _, err := w.Deduct(ctx, credit.Taking{User: "ada", Ref: "claw:1", Amount: 6 * money.Credit}); err != nil {
			t.Fatal(err)
		}
		if got, err := w.Reverse(ctx, "claw:1", ""); err != nil || got != 6*money.Credit {
			t.Errorf("%s given back, %v; want 6", got, err)
		}
		w.expect(20*money.Credit, 0)
	})
}

func TestFrozenCreditsWait(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		ctx := t.Context()
		expires := w.clock.now().Add(10 * time.Hour)
		id := w.give(credit.NewGrant{Source: credit.Plan, Ref: "plan:1", Amount: 10 * money.Credit, ExpiresAt: expires})
		h := w.reserve("ada", "call_1", 2*money.Credit)
		ids := []credit.GrantID{id, id}
		for _, why := range []credit.Freeze{credit.FreezeDispute, credit.FreezeSuspended, credit.FreezeDispute} {
			if err := w.Freeze(ctx, ids, why); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Reserve(ctx, call("call_2", money.Credit)); !errors.Is(err, credit.ErrInsufficient) {
			t.Errorf("from a frozen grant: %v, want ErrInsufficient", err)
		}
		w.settle(h, money.Credit) // what is open ends as it would have
		b, err := w.Balance(ctx, "ada")
		if err != nil || b.Frozen != 9*money.Credit || b.Available != 0 {
			t.Errorf("%+v, %v; want 9 frozen", b, err)
		}
		w.clock.advance(5 * time.Hour)
		if n, err := w.Expire(ctx, expires.Add(time.Hour), 10); err != nil || n != 0 {
			t.Errorf("%d frozen grants expired, %v", n, err)
		}
		if err := w.Thaw(ctx, ids, credit.FreezeSuspended, false); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Reserve(ctx, call("call_2", money.Credit)); !errors.Is(err, credit.ErrInsufficient) {
			t.Errorf("while one reason is left: %v, want ErrInsufficient", err)
		}
		if err := w.Thaw(ctx, ids, credit.FreezeDispute, true); err != nil {
			t.Fatal(err)
		}
		w.settle(w.reserve("ada", "call_2", money.Credit), money.Credit)
		w.expect(8*money.Credit, 0)
		b, err = w.Balance(ctx, "ada")
		if want := expires.Add(5 * time.Hour); err != nil || len(b.Buckets) != 1 || !b.Buckets[0].ExpiresAt.Equal(want) {
			t.Errorf("%+v, %v; want the frozen time added: %s", b.Buckets, err, want)
		}
		if err := w.Freeze(ctx, ids, 3); !errors.Is(err, credit.ErrInvalid) {
			t.Errorf("an unknown reason: %v", err)
		}
	})
}

func TestTheEndOfAGrantMoves(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		ctx := t.Context()
		id := w.give(credit.NewGrant{Source: credit.Bonus, Ref: "b:1", Amount: 10 * money.Credit, ExpiresAt: w.clock.now().Add(time.Hour)})
		w.settle(w.reserve("ada", "call_1", money.Credit), money.Credit) // leased with the old end
		if err := w.SetExpiry(ctx, id, w.clock.now().Add(3*time.Hour)); err != nil {
			t.Fatal(err)
		}
		w.Idle() // a batch that is under way would seem to take hours
		w.clock.advance(2 * time.Hour)
		w.settle(w.reserve("ada", "call_2", money.Credit), money.Credit)
		if err := w.SetExpiry(ctx, id, w.clock.now()); !errors.Is(err, credit.ErrInvalid) {
			t.Errorf("an end that has passed: %v, want ErrInvalid", err)
		}
		w.Idle() // a batch that is under way would seem to take hours
		w.clock.advance(2 * time.Hour)
		if err := w.SetExpiry(ctx, id, time.Time{}); !errors.Is(err, credit.ErrInvalid) {
			t.Errorf("of an expired grant: %v, want ErrInvalid", err)
		}
	})
}

// Each line says what the balance was after it, and a page's cost does not
// depend on how deep it is.
func TestHistory(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		ctx := t.Context()
		w.give(credit.NewGrant{Source: credit.Pack, Ref: "pay:1", Amount: 100 * money.Credit})
		for i := range 7 {
			w.settle(w.reserve("ada", fmt.Sprintf("call_%d", i), 5*money.Credit), money.Credits(i)*money.Credit)
			w.clock.advance(time.Second)
		}
		h := w.reserve("ada", "call_open", money.Credit)
		if err := h.Durable(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Deduct(ctx, credit.Taking{User: "ada", Ref: "adm:1", Amount: 9 * money.Credit}); err != nil {
			t.Fatal(err)
		}
		w.clock.advance(time.Second)
		if _, err := w.Reverse(ctx, "call_5", ""); err != nil {
			t.Fatal(err)
		}
		var all []credit.Line
		var at *credit.Position
		for {
			lines, next, err := w.History(ctx, "ada", credit.Filter{}, at, 3)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, lines...)
			if at = next; at == nil {
				break
			}
		}
		balance := money.Credits(0)
		for _, l := range slices.Backward(all) {
			balance += l.Change
			if l.BalanceAfter != balance {
				t.Errorf("after %s %s: %s, want %s", l.Kind, l.Ref, l.BalanceAfter, balance)
			}
		}
		if len(all) != 10 || balance != 76*money.Credit {
			t.Errorf("%d lines, balance %s", len(all), balance)
		}
		lines, next, err := w.History(ctx, "ada", credit.Filter{Kind: "adjust"}, nil, 3)
		if err != nil || len(lines) != 1 || next != nil || lines[0].Change != -9*money.Credit {
			t.Errorf("%+v, %v, %v", lines, next, err)
		}
		lines, _, err = w.History(ctx, "ada", credit.Filter{Refs: []string{"call_3"}}, nil, 3)
		if err != nil || len(lines) != 1 || lines[0].Amount != 3*money.Credit {
			t.Errorf("%+v, %v", lines, err)
		}
		filteredAsAll(t, w.Service, all)
		parts, err := w.Parts(ctx, "ada", "call_3")
		if err != nil || len(parts) != 1 || parts[0].Charged != 3*money.Credit || parts[0].Held != 5*money.Credit {
			t.Errorf("%+v, %v", parts, err)
		}
		if parts, err := w.Parts(ctx, "bob", "call_3"); err != nil || len(parts) != 0 {
			t.Errorf("another user sees %+v, %v", parts, err)
		}
		holds, err := w.OpenHolds(ctx, 10)
		if err != nil || len(holds) != 1 || holds[0].Call != "call_open" {
			t.Errorf("%+v, %v", holds, err)
		}
		grants, err := w.Grants(ctx, "ada", "", true, 0, 10)
		if err != nil || len(grants) != 1 || grants[0].Held != money.Credit || grants[0].Amount != 105*money.Credit {
			t.Errorf("%+v, %v", grants, err)
		}
		w.settle(h, 0)
	})
}

// filteredAsAll finds each line of a history by its kind and by its cause, with
// the balance that the whole history has there, also when a page looks at two
// transfers only and may find nothing.
func filteredAsAll(t *testing.T, s *credit.Service, all []credit.Line) {
	t.Helper()
	for _, looks := range []int{2, 4096} {
		s.Look(looks)
		for _, l := range all {
			for _, f := range []credit.Filter{{Kind: l.Kind}, {Refs: []string{l.Ref}}} {
				var found []credit.Line
				var at *credit.Position
				for {
					lines, next, err := s.History(t.Context(), "ada", f, at, 3)
					if err != nil {
						t.Fatal(err)
					}
					found = append(found, lines...)
					if at = next; at == nil {
						break
					}
				}
				want := slices.DeleteFunc(slices.Clone(all), func(other credit.Line) bool {
					return f.Kind != "" && other.Kind != f.Kind || f.Refs != nil && other.Ref != f.Refs[0]
				})
				if !slices.Equal(found, want) {
					t.Errorf("%+v, looking at %d: %+v, want %+v", f, looks, found, want)
				}
			}
		}
		if lines, next, err := s.History(t.Context(), "ada", credit.Filter{Refs: []string{"call_unknown"}}, nil, 3); err != nil || len(lines) != 0 || next != nil {
			t.Errorf("an unknown call: %+v, %v, %v", lines, next, err)
		}
	}
}

// Cold operations happen with the transaction that they join, or not at all.
func TestColdOperationsJoinATransaction(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		id := w.give(credit.NewGrant{Source: credit.Plan, Ref: "plan:1", Amount: 10 * money.Credit, ExpiresAt: w.clock.now().Add(time.Hour)})
		w.settle(w.reserve("ada", "call_1", money.Credit), money.Credit)
		if err := w.Recall(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
		bad := errors.New("bad")
		err := db.InTx(t.Context(), func(ctx context.Context) error {
			_, err1 := w.Take(ctx, credit.Taking{User: "ada", Ref: "adm:1", Amount: 2 * money.Credit})
			_, err2 := w.Reverse(ctx, "call_1", "")
			err3 := w.Add(ctx, id, money.Credit, "up:1", "")
			err4 := w.Freeze(ctx, []credit.GrantID{id}, credit.FreezeDispute)
			_, err5 := w.Roll(ctx, credit.Roll{User: "ada", Subscription: "s", Plan: id, End: w.clock.now(), Cap: money.Credit, Months: 1})
			return errors.Join(err1, err2, err3, err4, err5, bad)
		})
		if err == nil || err.Error() != "bad" {
			t.Errorf("%v, want just bad", err)
		}
		w.expect(9*money.Credit, 0)
	})
}
