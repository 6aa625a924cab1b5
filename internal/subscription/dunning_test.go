package subscription_test

import (
	"errors"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/subscription"
	"github.com/rephlo/rephlo/internal/tier"
)

func credits64(whole int64) money.Credits { return money.Credits(whole) * money.Credit }

// unpaid is a pro subscription with 1,000 credits left whose renewal on 1 May
// was declined.
func unpaid(t *testing.T, db *sqldb.DB) *world {
	t.Helper()
	w := newWorld(t, db, "2026-04-01 00:00")
	w.spentFree()
	w.buy(plan("pro", monthly), false)
	w.spend(500)
	w.bank.refuse(true)
	w.later("2026-05-01 00:00")
	w.wantState(subscription.PastDue, "pro")
	w.wantCredits(credits{credit.Plan: 1000})
	return w
}

func TestAnUnpaidRenewalIsSuspendedOnDay7AndEndsOnDay14(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := unpaid(t, db)
		w.later("2026-05-04 00:00")
		w.wantState(subscription.PastDue, "pro")
		w.wantCredits(credits{credit.Plan: 1000})
		w.later("2026-05-07 23:59")
		w.wantState(subscription.PastDue, "pro")
		if name := w.subs.TierOf(user); name != "pro" {
			t.Errorf("in the days of grace the tier is %s", name)
		}
		w.later("2026-05-08 00:00")
		w.wantState(subscription.Suspended, "pro")
		if name := w.subs.TierOf(user); name != tier.Free {
			t.Errorf("suspended, the tier is %s", name)
		}
		if b, err := w.credits.Balance(t.Context(), user); err != nil || b.Available != 0 || b.Frozen != credits64(1000) {
			t.Errorf("suspended: available %s, frozen %s, %v", b.Available, b.Frozen, err)
		}
		w.later("2026-05-15 00:00")
		w.wantState(subscription.Active, tier.Free)
		w.clock.set(at("2026-05-15 00:01"))
		w.wantCredits(credits{credit.Plan: 200})
		if w.bank.sum() != 0 {
			t.Errorf("charged %d", w.bank.sum())
		}
	})
}

func TestAPaymentBringsAnUnpaidSubscriptionBack(t *testing.T) {
	t.Parallel()
	for _, day := range []string{"2026-05-04 00:00", "2026-05-08 00:00", "2026-05-15 00:00"} {
		t.Run(day, func(t *testing.T) {
			t.Parallel()
			dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
				w := unpaid(t, db)
				for _, before := range []string{"2026-05-04 00:00", "2026-05-08 00:00"} {
					if before < day {
						w.later(before)
					}
				}
				w.bank.refuse(false)
				w.later(day)
				s := w.wantState(subscription.Active, "pro")
				if p := s.Period(); !p.Start.Equal(at("2026-05-01 00:00")) || !p.End.Equal(at("2026-06-01 00:00")) || w.bank.sum() != 1500 {
					t.Errorf("period %v, charged %d", p, w.bank.sum())
				}
				w.wantCredits(credits{credit.Plan: 1500, credit.Rollover: 750})
				w.later("2026-05-20 00:00")
				w.wantCredits(credits{credit.Plan: 1500, credit.Rollover: 750})
				w.later("2026-06-01 00:00")
				if s := w.wantState(subscription.Active, "pro"); s.Allocated != 2 || w.bank.sum() != 3000 {
					t.Errorf("cycle %d, charged %d", s.Allocated, w.bank.sum())
				}
			})
		})
	}
}

func TestAnInvoicePaidElsewhereBringsItBackAtOnce(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := unpaid(t, db)
		w.clock.set(at("2026-05-02 12:00"))
		s := w.current()
		w.must(w.subs.Paid(t.Context(), s.ID))
		w.wantState(subscription.Active, "pro")
		w.wantCredits(credits{credit.Plan: 1500, credit.Rollover: 750})
		if err := w.subs.Paid(t.Context(), s.ID); !errors.Is(err, subscription.ErrState) {
			t.Errorf("paid twice: %v", err)
		}
	})
}

func TestWhatAnAdministratorGivesCostsNothingAndEnds(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-01-15 00:00")
		o := subscription.Order{User: user, Tier: "enterprise_pro", Cycle: monthly, EndsAt: at("2026-03-20 00:00"), Actor: "usr_admin", Reason: "partner"}
		s, err := w.subs.Start(t.Context(), o)
		w.must(err)
		if _, err := w.subs.Start(t.Context(), o); !errors.Is(err, subscription.ErrHasOne) {
			t.Errorf("a second one: %v", err)
		}
		w.later("2026-03-15 00:00") // two months behind: in order, each once
		w.wantCredits(credits{credit.Plan: 3500, credit.Rollover: 1750})
		w.later("2026-03-20 00:00")
		w.wantState(subscription.Active, tier.Free)
		w.clock.set(at("2026-03-20 00:01"))
		w.wantCredits(credits{credit.Plan: 200})
		if w.bank.sum() != 0 {
			t.Errorf("charged %d", w.bank.sum())
		}
		events, err := w.subs.Events(t.Context(), "", s.ID, "", 10)
		w.must(err)
		if n := len(events); n != 4 || events[n-1].Actor != "usr_admin" || events[n-1].Reason != "partner" || events[0].To != subscription.Expired {
			t.Errorf("events %+v", events)
		}
	})
}

func TestAnUnpaidCheckoutGoesAfterADay(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-01-15 00:00")
		_, err := w.subs.Checkout(t.Context(), subscription.Order{User: user, Tier: "pro", Cycle: monthly})
		w.must(err)
		w.wantState(subscription.Active, tier.Free)
		w.clock.set(at("2026-01-16 00:00").Add(-time.Second))
		w.must(w.subs.Due(t.Context()))
		count := func() int {
			page, err := w.subs.List(t.Context(), subscription.Filter{State: "incomplete"}, 10)
			w.must(err)
			return len(page)
		}
		if count() != 1 {
			t.Error("removed too early")
		}
		w.later("2026-01-16 00:00")
		if count() != 0 {
			t.Error("it is still there")
		}
	})
}
