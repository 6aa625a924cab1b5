package subscription_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

func TestCreditsAreShownByWhereTheyComeFrom(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-04-01 00:00")
		a := newAPI(w)
		none := object{"remaining": 0., "monthlyAllocation": 0., "used": 0., "resetDate": nil, "daysUntilReset": nil}
		w.must(w.subs.StartFree(t.Context(), user, w.clock.now()))
		w.must(w.credits.Start(t.Context()))
		call, err := w.credits.Reserve(t.Context(), credit.Call{User: user, Ref: "call_1", Need: 60 * money.Credit})
		w.must(err)
		_, err = call.Settle(t.Context(), credit.Outcome{Price: 50 * money.Credit, Ending: credit.Finished})
		w.must(err)
		w.must(w.credits.Stop(t.Context()))
		got := a.do("read", "GET /api/user/credits", "", 200)
		want := object{
			"freeCredits":         object{"remaining": 150., "monthlyAllocation": 200., "used": 50., "resetDate": "2026-05-01T00:00:00Z", "daysUntilReset": 30.},
			"subscriptionCredits": none,
			"rolloverCredits":     object{"remaining": 0., "nextExpiry": nil}, "bonusCredits": object{"remaining": 0., "nextExpiry": nil},
			"purchasedCredits": object{"remaining": 0., "totalPurchased": 0., "lifetimeUsed": 0.},
			"held":             0., "totalAvailable": 150.,
			// 50 in seven days: 150 last three times as long.
			"forecastEmptyAt": "2026-04-22T00:00:00Z", "lastUpdated": "2026-04-01T00:00:00Z",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("on the free plan (-want +got):\n%s", diff)
		}

		grant := func(source credit.Source, ref string, amount money.Credits, end time.Time) {
			_, err := w.credits.Grant(t.Context(), credit.NewGrant{User: user, Source: source, Ref: ref, Amount: amount * money.Credit, ExpiresAt: end})
			w.must(err)
		}
		grant(credit.Bonus, "bonus:1", 30, at("2026-06-01 00:00"))
		grant(credit.Referral, "referral:1", 5, at("2026-05-20 00:00"))
		grant(credit.Pack, "pay:1", 500, time.Time{})
		w.buy(plan("pro", monthly), false)
		w.clock.set(at("2026-04-20 12:00"))
		got = a.do("read", "GET /api/user/credits", "", 200)
		for name, want := range (object{
			// What the free plan left stays usable to the end of its cycle.
			"subscriptionCredits": object{"remaining": 1650., "monthlyAllocation": 1500., "used": 50., "resetDate": "2026-05-01T00:00:00Z", "daysUntilReset": 11.},
			"bonusCredits":        object{"remaining": 35., "nextExpiry": "2026-05-20T00:00:00Z"},
			"purchasedCredits":    object{"remaining": 500., "totalPurchased": 500., "lifetimeUsed": 0.},
			"freeCredits":         none,
			"forecastEmptyAt":     nil, // nothing was used for seven days
		}) {
			if diff := cmp.Diff(want, got[name]); diff != "" {
				t.Errorf("%s on pro (-want +got):\n%s", name, diff)
			}
		}
		a.do("ada", "GET /api/user/credits", "", 403)
	})
}
