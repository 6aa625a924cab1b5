package subscription_test

import (
	"errors"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/subscription"
	"github.com/rephlo/rephlo/internal/tier"
)

type credits = map[credit.Source]int64

func TestTheFreePlanGivesItsCreditsEachMonthFromTheAnchor(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-01-31 10:00")
		w.must(w.subs.StartFree(t.Context(), user, w.clock.now()))
		w.must(w.subs.StartFree(t.Context(), user, w.clock.now()))
		w.wantCredits(credits{credit.Plan: 200})
		w.spend(50)
		w.later("2026-02-28 09:59")
		w.wantCredits(credits{credit.Plan: 150})
		w.later("2026-02-28 10:00")
		w.wantCredits(credits{credit.Plan: 200})
		w.later("2026-03-31 09:59")
		if s := w.current(); s.Allocated != 1 {
			t.Errorf("cycle %d", s.Allocated)
		}
		w.later("2026-03-31 10:00")
		if s := w.wantState(subscription.Active, tier.Free); s.Allocated != 2 || !s.CreditCycle().End.Equal(at("2026-04-30 10:00")) {
			t.Errorf("cycle %d to %s", s.Allocated, s.CreditCycle().End)
		}
	})
}

// Section 4.3: plan left 500, older rollover 400, cap 750: new 500, old 250; and
// plan left 1,100, none older: 750, and 350 expire.
func TestRolloverGivesTheNumbersOfTheSpecification(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-01-01 00:00")
		w.spentFree()
		seeds := tier.Defaults(200)
		seeds[1].RolloverMonths = 2 // so that there is older rollover at an end of cycle
		w.tiers.Set(seeds, nil, w.clock.now())
		w.buy(plan("pro", monthly), false)
		w.wantCredits(credits{credit.Plan: 1500})
		w.spend(1100)
		w.later("2026-02-01 00:00")
		w.wantCredits(credits{credit.Plan: 1500, credit.Rollover: 400})
		// The plan's credits expire first, so that 500 of them are left.
		w.spend(1000)
		w.later("2026-03-01 00:00")
		w.wantCredits(credits{credit.Plan: 1500, credit.Rollover: 750})
		page, err := w.credits.Grants(t.Context(), user, credit.Rollover, true, 0, 10)
		w.must(err)
		if len(page) != 2 || page[0].Remaining != 500_000_000 || page[1].Remaining != 250_000_000 {
			t.Errorf("rollover %+v, want 500 new and 250 old", page)
		}
	})
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-01-01 00:00")
		w.spentFree()
		w.buy(plan("pro", monthly), false)
		w.spend(400)
		w.later("2026-02-01 00:00")
		w.wantCredits(credits{credit.Plan: 1500, credit.Rollover: 750})
		w.later("2026-03-01 00:00") // rollover of pro lasts a month
		w.wantCredits(credits{credit.Plan: 1500, credit.Rollover: 750})
	})
}

// What a preview shows is what the bank is asked for and what the ledger gives.
func TestAnUpgradeChargesItsPreview(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		from, to   subscription.Plan
		start, now string
		net, extra int64
		next       string
	}{
		{plan("pro", monthly), plan("pro_plus", monthly), "2026-04-01 00:00", "2026-04-16 00:00", 1500, 1750, "2026-05-01 00:00"},
		{plan("pro", monthly), plan("pro", annual), "2026-04-01 00:00", "2026-04-16 00:00", 14250, 0, "2027-04-16 00:00"},
		{plan("pro", annual), plan("pro_max", annual), "2026-01-01 00:00", "2026-07-01 00:00", 92756, 23500, "2027-01-01 00:00"},
		{plan("pro", annual), plan("pro_plus", monthly), "2026-01-01 00:00", "2026-07-01 00:00", -3062, 3500, "2026-08-01 00:00"},
	} {
		t.Run(tt.from.Tier.Name+" "+string(tt.from.Cycle)+" to "+tt.to.Tier.Name+" "+string(tt.to.Cycle), func(t *testing.T) {
			t.Parallel()
			dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
				w := newWorld(t, db, tt.start)
				s := w.buy(tt.from, false)
				w.later(tt.now)
				paid, had := w.bank.sum(), w.has()[credit.Plan]
				p, err := w.subs.Preview(t.Context(), s.ID, tt.to.Tier.Name, tt.to.Cycle, false)
				w.must(err)
				if p.When != subscription.Now || p.Net != tt.net || p.Extra != credits64(tt.extra) || !p.Next.Equal(at(tt.next)) {
					t.Fatalf("preview %+v, want net %d extra %d next %s", p, tt.net, tt.extra, tt.next)
				}
				w.clock.set(at(tt.now).Add(9 * time.Minute))
				after, err := w.subs.Change(t.Context(), s.ID, tt.to.Tier.Name, tt.to.Cycle, p.Token, subscription.Why{})
				w.must(err)
				if got := w.bank.sum() - paid; got != max(tt.net, 0) {
					t.Errorf("the bank was asked for %d, want %d", got, tt.net)
				}
				balance, err := w.subs.Balance(t.Context(), user)
				w.must(err)
				if balance != -min(tt.net, 0) {
					t.Errorf("balance %d, want %d", balance, -min(tt.net, 0))
				}
				if got := w.has()[credit.Plan] - had; got != tt.extra {
					t.Errorf("%d more credits, want %d", got, tt.extra)
				}
				if after.Tier != tt.to.Tier.Name || !after.Period().End.Equal(at(tt.next)) || w.subs.TierOf(user) != tt.to.Tier.Name {
					t.Errorf("after it %+v", after)
				}
				if _, err := w.subs.Change(t.Context(), s.ID, tt.to.Tier.Name, tt.to.Cycle, p.Token, subscription.Why{}); !errors.Is(err, subscription.ErrPreview) {
					t.Errorf("a second time: %v", err)
				}
				records, err := w.subs.Prorations(t.Context(), user, "", 10)
				w.must(err)
				if len(records) != 1 || records[0].Proration != p.Proration {
					t.Errorf("records %+v, want the preview", records)
				}
			})
		})
	}
}

func TestAPreviewIsGoodForTenMinutesAndOneState(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-04-01 00:00")
		s := w.buy(plan("pro", monthly), false)
		paid := w.bank.sum()
		p, err := w.subs.Preview(t.Context(), s.ID, "pro_max", monthly, false)
		w.must(err)
		refuse := func(what, name, token string) {
			t.Helper()
			if _, err := w.subs.Change(t.Context(), s.ID, name, monthly, token, subscription.Why{}); !errors.Is(err, subscription.ErrPreview) {
				t.Errorf("%s: %v", what, err)
			}
		}
		refuse("for another plan", "pro_plus", p.Token)
		first := "x"
		if p.Token[0] == 'x' {
			first = "y"
		}
		refuse("a made up token", "pro_max", first+p.Token[1:])
		w.clock.set(at("2026-04-01 00:11"))
		refuse("too late", "pro_max", p.Token)
		p, err = w.subs.Preview(t.Context(), s.ID, "pro_max", monthly, false)
		w.must(err)
		_, err = w.subs.Cancel(t.Context(), s.ID, true, subscription.Why{})
		w.must(err)
		refuse("after a cancellation", "pro_max", p.Token)
		w.bank.refuse(true)
		p, err = w.subs.Preview(t.Context(), s.ID, "pro_max", monthly, false)
		w.must(err)
		if _, err := w.subs.Change(t.Context(), s.ID, "pro_max", monthly, p.Token, subscription.Why{}); !errors.Is(err, subscription.ErrDeclined) {
			t.Errorf("declined: %v", err)
		}
		if s := w.wantState(subscription.Active, "pro"); w.bank.sum() != paid || s.Paid != 1500 {
			t.Errorf("refused changes moved money: %d, paid %d", w.bank.sum(), s.Paid)
		}
	})
}

func TestADowngradeWaitsForTheEndOfThePeriod(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-01-31 00:00")
		w.spentFree()
		s := w.buy(plan("pro_plus", monthly), false)
		schedule := func() {
			t.Helper()
			p, err := w.subs.Preview(t.Context(), s.ID, "pro", monthly, false)
			w.must(err)
			if p.When != subscription.PeriodEnd || p.Net != 0 || p.Extra != 0 || !p.At.Equal(at("2026-02-28 00:00")) || p.NextPrice != 1500 {
				t.Errorf("preview %+v", p)
			}
			_, err = w.subs.Change(t.Context(), s.ID, "pro", monthly, p.Token, subscription.Why{})
			w.must(err)
		}
		schedule()
		_, err := w.subs.Withdraw(t.Context(), s.ID, subscription.Why{})
		w.must(err)
		schedule()
		w.spend(4900)
		w.wantState(subscription.Active, "pro_plus")
		before := w.bank.sum()
		w.later("2026-02-28 00:00")
		w.wantState(subscription.Active, "pro")
		w.wantCredits(credits{credit.Plan: 1500, credit.Rollover: 100})
		if got := w.bank.sum() - before; got != 1500 {
			t.Errorf("renewed for %d, want 1500", got)
		}
	})
}

func TestWhatTheBalanceHoldsIsUsedBeforeTheCard(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-01-01 00:00")
		s := w.buy(plan("pro", annual), false)
		w.later("2026-07-01 00:00")
		p, err := w.subs.Preview(t.Context(), s.ID, "pro_plus", monthly, false)
		w.must(err)
		_, err = w.subs.Change(t.Context(), s.ID, "pro_plus", monthly, p.Token, subscription.Why{})
		w.must(err) // 3062 to the balance
		paid := w.bank.sum()
		w.later("2026-08-01 00:00")
		if got := w.bank.sum() - paid; got != 4500-3062 {
			t.Errorf("charged %d, want %d", got, 4500-3062)
		}
		if b, err := w.subs.Balance(t.Context(), user); err != nil || b != 0 {
			t.Errorf("balance %d, %v", b, err)
		}
		w.later("2026-09-01 00:00")
		if got := w.bank.sum() - paid; got != 2*4500-3062 {
			t.Errorf("charged %d in all, want %d", got, 2*4500-3062)
		}
	})
}

func TestATrialBecomesASubscriptionOrEnds(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-03-01 00:00")
		s := w.buy(plan("pro", monthly), true)
		if s.State != subscription.Trial || !s.TrialEnd.Equal(at("2026-03-15 00:00")) || w.subs.TierOf(user) != "pro" {
			t.Fatalf("%+v", s)
		}
		w.wantCredits(credits{credit.Plan: 200, credit.Trial: 150})
		p, err := w.subs.Preview(t.Context(), s.ID, "pro_plus", monthly, false)
		w.must(err)
		if _, err = w.subs.Change(t.Context(), s.ID, "pro_plus", monthly, p.Token, subscription.Why{}); err != nil || w.bank.sum() != 0 {
			t.Fatalf("a change on trial: %v, %d charged", err, w.bank.sum())
		}
		w.later("2026-03-15 00:00")
		if s := w.wantState(subscription.Active, "pro_plus"); !s.Period().End.Equal(at("2026-04-15 00:00")) || w.bank.sum() != 4500 {
			t.Errorf("%+v, charged %d", s, w.bank.sum())
		}
		w.wantCredits(credits{credit.Plan: 5200})
		_, err = w.subs.Cancel(t.Context(), s.ID, false, subscription.Why{})
		w.must(err)
		if _, err := w.subs.Checkout(t.Context(), subscription.Order{User: user, Tier: "pro", Cycle: monthly, Trial: true}); !errors.Is(err, subscription.ErrTried) {
			t.Errorf("a second trial: %v", err)
		}
	})
}

func TestCancellingAtTheEndCanBeTakenBackAndAtOnceCannot(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-04-01 00:00")
		s := w.buy(plan("pro", monthly), false)
		_, err := w.credits.Grant(t.Context(), credit.NewGrant{User: user, Source: credit.Pack, Ref: "pack:1", Amount: credits64(500)})
		w.must(err)
		cancel := func(atEnd bool) {
			t.Helper()
			_, err := w.subs.Cancel(t.Context(), s.ID, atEnd, subscription.Why{})
			w.must(err)
		}
		cancel(true)
		_, err = w.subs.Reactivate(t.Context(), s.ID, subscription.Why{})
		w.must(err)
		w.later("2026-05-01 00:00")
		w.wantState(subscription.Active, "pro")
		cancel(true)
		w.later("2026-06-01 00:00")
		w.wantState(subscription.Active, tier.Free)
		w.clock.set(at("2026-06-01 00:01"))
		w.wantCredits(credits{credit.Plan: 200, credit.Pack: 500})
		if _, err := w.subs.Reactivate(t.Context(), s.ID, subscription.Why{}); fault.From(err).Code != "invalid_state" {
			t.Errorf("reactivated after the end: %v", err)
		}
		s = w.buy(plan("pro", monthly), false)
		w.clock.set(at("2026-06-02 00:00"))
		cancel(false)
		w.wantState(subscription.Active, tier.Free)
		w.clock.set(at("2026-06-02 00:01"))
		w.wantCredits(credits{credit.Plan: 200, credit.Pack: 500})
	})
}
