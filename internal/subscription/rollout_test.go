package subscription_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/subscription"
	"github.com/rephlo/rephlo/internal/tier"
)

// levels lets administrators change w's tiers.
func (w *world) levels() *tier.Service {
	w.Helper()
	log := slog.New(slog.DiscardHandler)
	b := bus.New(w.db, log, w.clock.now)
	s := tier.New(tier.Needs{DB: w.db, Bus: b, Log: log, Now: w.clock.now, Base: tier.Defaults(200)})
	w.tiers = s.Table
	w.subs = subscription.New(w.needs(b))
	return s
}

// rollOut does what valid versions ask for and returns who was told of a price.
func (w *world) rollOut(s *tier.Service) (told []string) {
	w.Helper()
	w.must(s.Load(w.Context()))
	w.must(s.RollOut(w.Context(), w.subs.RollOut(func(_ context.Context, v subscription.Subscription, _, _ *tier.Tier) error {
		told = append(told, v.UserID)
		return nil
	})))
	return told
}

const because = "a change for a test"

// The full difference comes once to the running cycle, at once or at the time
// that is given; later cycles get the new amount.
func TestMoreCreditsReachThoseWhoHaveTheTier(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-01-01 00:00")
		levels := w.levels()
		w.spentFree()
		w.buy(plan("pro", monthly), false)
		change := tier.Order{Tier: "pro", Patch: tier.Patch{CreditsPerMonth: new(int64(2000))}, Existing: true, Reason: because, By: "usr_root"}
		_, err := levels.Change(t.Context(), change)
		w.must(err)
		w.rollOut(levels)
		w.rollOut(levels)
		w.wantCredits(credits{credit.Plan: 2000})

		w.clock.set(at("2026-01-10 00:00"))
		change.Patch.CreditsPerMonth, change.ValidFrom = new(int64(2500)), at("2026-01-20 00:00")
		_, err = levels.Change(t.Context(), change)
		w.must(err)
		w.rollOut(levels)
		w.wantCredits(credits{credit.Plan: 2000})
		w.clock.set(at("2026-01-20 00:00"))
		w.rollOut(levels)
		w.wantCredits(credits{credit.Plan: 2500})
		w.spend(2500)
		w.later("2026-02-01 00:00")
		w.rollOut(levels)
		w.wantCredits(credits{credit.Plan: 2500})
	})
}

// Without that it begins with the next cycle, and an upgrade that was computed
// with the new amount is not given the difference again.
func TestMoreCreditsAreGivenOnce(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-04-01 00:00")
		levels := w.levels()
		w.spentFree()
		v := w.buy(plan("pro", monthly), false)
		_, err := levels.Change(t.Context(), tier.Order{Tier: "pro", Patch: tier.Patch{CreditsPerMonth: new(int64(2000))}, Reason: because})
		w.must(err)
		w.rollOut(levels)
		w.wantCredits(credits{credit.Plan: 1500})

		w.clock.set(at("2026-04-16 00:00"))
		_, err = levels.Change(t.Context(), tier.Order{Tier: "pro_plus", Patch: tier.Patch{CreditsPerMonth: new(int64(6000))}, Existing: true, Reason: because})
		w.must(err)
		p, err := w.subs.Preview(t.Context(), v.ID, "pro_plus", subscription.Monthly, false)
		w.must(err)
		_, err = w.subs.Change(t.Context(), v.ID, "pro_plus", subscription.Monthly, p.Token, subscription.Why{})
		w.must(err)
		w.rollOut(levels)
		w.wantCredits(credits{credit.Plan: 1500 + (6000-2000)/2})
	})
}

// A rollout that is cut off goes on where it was, and nobody gets more twice.
func TestARolloutGoesOnAfterAFailure(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-01-01 00:00")
		levels := w.levels()
		w.spentFree()
		w.buy(plan("pro", monthly), false)
		_, err := levels.Change(t.Context(), tier.Order{Tier: "pro", Patch: tier.Patch{CreditsPerMonth: new(int64(2000))}, Existing: true, Reason: because})
		w.must(err)
		cut := errors.New("cut off")
		do := w.subs.RollOut(nil)
		err = levels.RollOut(t.Context(), func(ctx context.Context, v tier.Version, before, after *tier.Tier, from string, limit int) (string, error) {
			if _, err := do(ctx, v, before, after, from, limit); err != nil {
				return "", err
			}
			return "", cut
		})
		if !errors.Is(err, cut) {
			t.Fatalf("%v, want the failure", err)
		}
		w.wantCredits(credits{credit.Plan: 1500})
		w.rollOut(levels)
		w.wantCredits(credits{credit.Plan: 2000})
	})
}

// Who pays is told of a higher price and pays it from the first renewal 30 days
// later; a lower one at the next renewal. Fewer credits wait for the paid period.
func TestPricesChangeInGoodTime(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-01-01 00:00")
		levels := w.levels()
		w.spentFree()
		w.buy(plan("pro", monthly), false)
		w.clock.set(at("2026-01-10 00:00"))
		_, err := levels.Change(t.Context(), tier.Order{
			Tier: "pro", Patch: tier.Patch{CreditsPerMonth: new(int64(1000)), Pricing: tier.Pricing{MonthlyPrice: new(int64(2000))}}, Reason: because,
		})
		w.must(err)
		if told := w.rollOut(levels); len(told) != 1 || told[0] != user {
			t.Errorf("told %v, want %s", told, user)
		}
		if told := w.rollOut(levels); len(told) != 0 {
			t.Errorf("told %v again", told)
		}
		w.later("2026-02-01 00:00")
		w.wantPaid(1500)
		w.later("2026-03-01 00:00")
		w.wantPaid(2000)
		_, err = levels.Change(t.Context(), tier.Order{Tier: "pro", Patch: tier.Patch{Pricing: tier.Pricing{MonthlyPrice: new(int64(1200))}}, Reason: because})
		w.must(err)
		if told := w.rollOut(levels); len(told) != 0 {
			t.Errorf("told %v of a lower price", told)
		}
		w.later("2026-04-01 00:00")
		w.wantPaid(1200)
	})
}

func (w *world) wantPaid(want int64) {
	w.Helper()
	if got := w.current().Paid; got != want {
		w.Errorf("at %s the period cost %d, want %d", w.clock.now(), got, want)
	}
}

// What a year was paid for keeps its credits to its end.
func TestFewerCreditsWaitForThePaidPeriod(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-01-01 00:00")
		levels := w.levels()
		w.spentFree()
		w.buy(plan("pro", annual), false)
		_, err := levels.Change(t.Context(), tier.Order{Tier: "pro", Patch: tier.Patch{CreditsPerMonth: new(int64(1000))}, ValidFrom: at("2026-01-15 00:00"), Reason: because})
		w.must(err)
		w.spend(1500)
		w.clock.set(at("2026-02-01 00:00"))
		w.rollOut(levels)
		w.later("2026-02-01 00:00")
		w.wantCredits(credits{credit.Plan: 1500})
		w.spend(1500)
		for _, month := range []string{"03", "04", "05", "06", "07", "08", "09", "10", "11", "12"} {
			w.later("2026-" + month + "-01 00:00")
			w.spend(1500)
		}
		w.clock.set(at("2027-01-01 00:00"))
		w.rollOut(levels)
		w.later("2027-01-01 00:00")
		w.wantCredits(credits{credit.Plan: 1000})
	})
}

// What an administrator does with a tier, from the preview to its history.
func TestAnAdministratorChangesATier(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-01-01 00:00")
		levels := w.levels()
		w.spentFree()
		w.buy(plan("pro", monthly), false)
		a := newAPI(w)
		tier.AdminAPI{
			Tiers: levels, Cursors: list.NewCursors(make([]byte, 32)), Holders: w.subs.Holders,
			Terms: func() money.Terms { return money.Terms{Multiplier: 13_000, CreditValue: 10_000, Increment: 1} },
		}.Mount(a.mux)
		p := a.do("root", "POST /admin/tier-config/pro/preview", `{"newCredits":2300,"monthlyPrice":1800,"applyToExistingUsers":true}`, 200)
		want := object{"affectedUsers": 1., "payingUsers": 1., "creditsPerMonth": 800., "creditsToday": 800., "moneyPerMonth": 300., "moneyPerYear": 0.}
		if diff := cmp.Diff(want, p["impact"]); diff != "" {
			t.Errorf("impact (-want +got):\n%s", diff)
		}
		if margin := p["before"].(object)["marginAtFullUse"]; !cmp.Equal(margin, object{"monthly": 346., "annual": 1153., "loss": false}) { //nolint:forcetypeassert // a test
			t.Errorf("margin %v", margin)
		}
		const reason = `"reason":"the market has moved"`
		a.do("root", "PATCH /admin/tier-config/pro/credits", `{"newCredits":2300,`+reason+`}`, 422)
		a.do("root", "PATCH /admin/tier-config/pro/credits", `{"newCredits":2350,"confirm":true,`+reason+`}`, 422)
		a.do("root", "PATCH /admin/tier-config/pro/credits", `{"newCredits":2300,"confirm":true}`, 422)
		a.do("root", "PATCH /admin/tier-config/gold/credits", `{"newCredits":2300,`+reason+`}`, 404)
		a.do("help", "PATCH /admin/tier-config/pro/credits", `{"newCredits":2300,"confirm":true,`+reason+`}`, 403)
		a.do("root", "PATCH /admin/tier-config/pro/credits", `{"newCredits":2300,"confirm":true,"scheduledAt":"2025-12-31T00:00:00Z",`+reason+`}`, 422)
		c := a.do("root", "PATCH /admin/tier-config/pro/credits", `{"newCredits":2300,"confirm":true,"scheduledAt":"2026-02-01T00:00:00Z",`+reason+`}`, 200)
		if c["creditsPerMonth"] != 1500. || len(c["scheduled"].([]any)) != 1 { //nolint:forcetypeassert // a test
			t.Errorf("a change for later: %v", c)
		}
		a.do("root", "PATCH /admin/tier-config/pro/features", `{"features":{"priority":9},`+reason+`}`, 422)
		c = a.do("root", "PATCH /admin/tier-config/pro/features", `{"features":{"requestsPerMinute":45},"highlights":["Answers within a day"],`+reason+`}`, 200)
		if c["requestsPerMinute"] != 45. || c["tokensPerMinute"] != 100_000. || c["version"] != 2. {
			t.Errorf("features: %v", c)
		}
		a.do("root", "PATCH /admin/tier-config/pro/price", `{"monthlyPrice":1800,`+reason+`}`, 200)
		if c = a.do("root", "PATCH /admin/tier-config/pro/status", `{"active":false,`+reason+`}`, 200); c["active"] != false {
			t.Errorf("status: %v", c)
		}
		if plans, _ := a.do("", "GET /v1/subscription-plans", "", 200)["data"].([]any); len(plans) != 3 {
			t.Errorf("%d plans can be bought, want 3", len(plans))
		}
		first := a.do("root", "GET /admin/tier-config/pro/history?limit=3", "", 200)
		rest := a.do("root", "GET /admin/tier-config/pro/history?cursor="+first["nextCursor"].(string), "", 200)         //nolint:forcetypeassert // a test
		if last := rest["data"].([]any)[0].(object); last["version"] != 1. || last["reason"] != "the market has moved" { //nolint:forcetypeassert // a test
			t.Errorf("the first change is %v", last)
		}
		if all := a.do("help", "GET /admin/tier-config", "", 200)["data"].([]any); len(all) != 6 { //nolint:forcetypeassert // a test
			t.Errorf("%d tiers, want 6", len(all))
		}
	})
}
