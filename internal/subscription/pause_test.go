package subscription_test

import (
	"errors"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/subscription"
	"github.com/rephlo/rephlo/internal/tier"
)

var locked = subscription.Why{Actor: "usr_admin", Reason: "a reason that is long enough"}

func (w *world) pause(text string) {
	w.Helper()
	w.clock.set(at(text))
	w.must(w.subs.Pause(w.Context(), user, locked))
	w.must(w.subs.Pause(w.Context(), user, locked)) // it is paused
}

func (w *world) resume(text string) {
	w.Helper()
	w.clock.set(at(text))
	_, err := w.credits.Expire(w.Context(), w.clock.now().Add(-time.Hour), 1000) // as a job does
	w.must(err)
	w.must(w.subs.Resume(w.Context(), user, locked))
	w.must(w.subs.Resume(w.Context(), user, locked)) // it goes on
	w.must(w.subs.Due(w.Context()))
}

func TestNobodyPaysForTheTimeOfASuspension(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-01-01 00:00")
		w.spentFree()
		w.buy(plan("pro", monthly), false)
		w.pause("2026-01-15 00:00")
		w.wantCredits(credits{credit.Plan: 1500})
		w.later("2026-03-10 08:00")
		if s := w.wantState(subscription.Active, "pro"); w.bank.sum() != 0 || s.PausedAt.IsZero() {
			t.Errorf("collected %d while it was paused since %s", w.bank.sum(), s.PausedAt)
		}
		w.wantCredits(credits{}) // those of January have expired
		w.resume("2026-03-31 12:00")
		s := w.wantState(subscription.Active, "pro")
		if w.bank.sum() != 1500 || s.Period().Start.Before(at("2026-03-28 12:00")) || s.Period().Start.After(at("2026-03-31 12:00")) {
			t.Errorf("collected %d for the period from %s", w.bank.sum(), s.Period().Start)
		}
		w.wantCredits(credits{credit.Plan: 1500})
		end := s.Period().End
		w.clock.set(end.Add(-1))
		w.must(w.subs.Due(t.Context()))
		if w.bank.sum() != 1500 {
			t.Errorf("collected %d before the end of the period", w.bank.sum())
		}
		w.clock.set(end)
		w.must(w.subs.Due(t.Context()))
		if s := w.wantState(subscription.Active, "pro"); w.bank.sum() != 3000 || !s.Period().Start.Equal(end) {
			t.Errorf("collected %d, the period begins %s", w.bank.sum(), s.Period().Start)
		}
	})
}

func TestWhatWasPaidForGoesOnDuringASuspension(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-01-01 00:00")
		w.spentFree()
		before := w.buy(plan("pro", annual), false)
		w.spend(1500)
		w.pause("2026-01-15 00:00")
		w.later("2026-02-01 00:00")
		w.wantCredits(credits{credit.Plan: 1500})
		w.resume("2026-02-10 00:00")
		if after := w.current(); !after.Period().End.Equal(before.Period().End) || after.Allocated != before.Allocated+1 || w.bank.sum() != 0 {
			t.Errorf("a suspension inside of a year: %+v", after)
		}
	})
}

func TestAttemptsToCollectWaitForTheEndOfASuspension(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-01-01 00:00")
		w.spentFree()
		w.buy(plan("pro", monthly), false)
		w.bank.refuse(true)
		w.later("2026-02-01 00:00")
		w.wantState(subscription.PastDue, "pro")
		w.pause("2026-02-02 00:00")
		w.later("2026-05-02 00:00")
		if s := w.wantState(subscription.PastDue, "pro"); s.Attempts != 0 {
			t.Errorf("%d attempts in the meantime", s.Attempts)
		}
		w.bank.refuse(false)
		w.resume("2026-05-02 00:00")
		w.wantState(subscription.PastDue, "pro")
		w.later("2026-05-04 00:00") // the third day, of which two were before
		if s := w.wantState(subscription.Active, "pro"); w.bank.sum() != 1500 || !s.Period().End.After(w.clock.now()) {
			t.Errorf("collected %d for the period to %s", w.bank.sum(), s.Period().End)
		}
	})
}

func TestATrialThatEndsDuringASuspensionIsChargedAfterIt(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-01-01 00:00")
		w.spentFree()
		w.buy(plan("pro", monthly), true)
		w.pause("2026-01-02 00:00")
		w.later("2026-03-01 00:00")
		w.wantState(subscription.Trial, "pro")
		w.resume("2026-03-02 00:00")
		if s := w.wantState(subscription.Active, "pro"); w.bank.sum() != 1500 || !s.Period().Start.Equal(at("2026-03-02 00:00")) {
			t.Errorf("collected %d for the period from %s", w.bank.sum(), s.Period().Start)
		}
		w.wantCredits(credits{credit.Plan: 1500})
	})
}

func TestTheFreePlanGoesOnDuringASuspension(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-01-01 00:00")
		w.spentFree()
		w.pause("2026-01-15 00:00")
		w.later("2026-02-01 00:00")
		w.wantCredits(credits{credit.Plan: 200})
		w.resume("2026-02-10 00:00")
		w.wantState(subscription.Active, tier.Free)
	})
}

func TestAClosedAccountHasNoSubscriptionUntilItIsOpened(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-01-01 00:00")
		w.spentFree()
		paid := w.buy(plan("pro", monthly), false)
		_, err := w.credits.Grant(t.Context(), credit.NewGrant{User: user, Source: credit.Pack, Ref: "pay:1", Amount: 5_000_000})
		w.must(err)
		w.pause("2026-01-09 00:00") // it is suspended before
		w.clock.set(at("2026-01-10 00:00"))
		for range 2 {
			w.must(w.subs.Close(t.Context(), user, locked))
		}
		w.later("2026-03-01 00:00")
		w.wantCredits(credits{credit.Pack: 5})
		if s, err := w.subs.ByID(t.Context(), paid.ID); err != nil || s.State != subscription.Cancelled || s.EndedAt.IsZero() || w.bank.sum() != 0 {
			t.Errorf("the paid one: %+v, %v, collected %d", s, err, w.bank.sum())
		}
		if list, err := w.subs.List(t.Context(), subscription.Filter{User: user, State: "active"}, 10); err != nil || len(list) != 0 {
			t.Errorf("still: %+v, %v", list, err)
		}
		for range 2 {
			w.must(w.subs.Open(t.Context(), user))
		}
		if s := w.wantState(subscription.Active, tier.Free); !s.Anchor.Equal(at("2026-03-01 00:00")) {
			t.Errorf("the free one counts from %s", s.Anchor)
		}
		w.wantCredits(credits{credit.Pack: 5, credit.Plan: 200})
		events, err := w.subs.Events(t.Context(), user, paid.ID, "", 10)
		if err != nil || events[0].Cause != "account_closed" || events[0].Actor != "usr_admin" || events[0].Reason != locked.Reason {
			t.Errorf("the events: %+v, %v", events, err)
		}
		if errors.Is(w.subs.Due(t.Context()), subscription.ErrUnknown) {
			t.Error("something is due for nobody")
		}
	})
}
