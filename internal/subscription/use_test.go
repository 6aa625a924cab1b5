package subscription_test

import (
	"testing"

	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/tier"
)

func TestTheCreditsOfEachCycleAreAccountedFor(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-04-01 00:00")
		a := newAPI(w)
		w.spentFree()
		path := "/admin/subscriptions/" + w.buy(plan("pro", monthly), false).ID
		w.spend(400)
		w.later("2026-05-01 00:00") // 1,100 are left: 750 roll over, 350 expire
		page := func(query string) (rows []any, next any) {
			t.Helper()
			got := a.do("help", "GET "+path+"/credit-usage"+query, "", 200)
			return got["data"].([]any), got["nextCursor"]
		}
		rows, _ := page("")
		if len(rows) != 2 {
			t.Fatalf("cycles: %v, want 2", rows)
		}
		for i, want := range []object{
			{"cycleStart": "2026-05-01T00:00:00Z", "cycleEnd": "2026-06-01T00:00:00Z", "granted": 1500.0, "taken": 0.0, "used": 0.0, "rolledOver": 0.0, "expired": 0.0, "remaining": 1500.0},
			{"cycleStart": "2026-04-01T00:00:00Z", "cycleEnd": "2026-05-01T00:00:00Z", "granted": 1500.0, "taken": 400.0, "used": 0.0, "rolledOver": 750.0, "expired": 350.0, "remaining": 0.0},
		} {
			for name, v := range want {
				if got := rows[i].(object)[name]; got != v {
					t.Errorf("cycle %d: %s is %v, want %v", i, name, got, v)
				}
			}
		}
		first, next := page("?limit=1")
		second, end := page("?limit=1&cursor=" + next.(string))
		if len(first) != 1 || len(second) != 1 || second[0].(object)["cycleStart"] != "2026-04-01T00:00:00Z" || end != nil {
			t.Errorf("by pages: %v, %v, %v", first, second, end)
		}
		a.do("ada", "GET "+path+"/credit-usage", "", 403)
		a.do("help", "GET /admin/subscriptions/sub_none/credit-usage", "", 404)
	})
}

func TestWhatASubscriptionAllowsIsShownAsItHolds(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-04-01 00:00")
		a := newAPI(w)
		w.spentFree()
		path := "/admin/subscriptions/" + w.buy(plan("pro", monthly), false).ID
		want := func(rights any, requests float64, own bool) {
			t.Helper()
			got := a.do("help", "GET "+path+"/features", "", 200)
			if got["tier"] != "pro" || got["rightsOf"] != rights || got["limits"].(object)["requestsPerMinute"] != requests || got["ownLimits"] != own {
				t.Errorf("at %s: %v, want the rights of %v", w.clock.now(), got, rights)
			}
		}
		want("pro", 30, false)
		*a.own = func(_ string, t *tier.Tier) *tier.Tier {
			o := *t
			o.RequestsPerMinute = 77
			return &o
		}
		want("pro", 77, true)
		*a.own = nil
		w.bank.refuse(true)
		for _, day := range []string{"2026-05-01 00:00", "2026-05-04 00:00", "2026-05-08 00:00"} {
			w.later(day)
		}
		want("free", 10, false) // suspended
		w.later("2026-05-15 00:00")
		want(nil, 30, false) // expired
		if got := a.do("help", "GET /admin/subscriptions/user/"+user, "", 200); got["tier"] != "free" || got["userId"] != user {
			t.Errorf("the live one: %v", got)
		}
		a.do("help", "GET /admin/subscriptions/user/usr_none", "", 404)
		a.do("ada", "GET /admin/subscriptions/user/"+user, "", 403)
	})
}

func TestWhatTheFreePlanGaveIsToldFromWhatWasPaidFor(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-04-01 00:00")
		w.must(w.subs.StartFree(t.Context(), user, w.clock.now()))
		free := w.current().PlanGrant
		w.clock.set(at("2026-04-10 00:00"))
		paid := w.buy(plan("pro", monthly), false).PlanGrant
		got, err := w.subs.FreeGrants(t.Context(), user, at("2026-04-01 00:00"))
		w.must(err)
		if len(got) != 1 || !got[free] || got[paid] || free == 0 || paid == 0 {
			t.Errorf("%v, want %d and not %d", got, free, paid)
		}
		late, err := w.subs.FreeGrants(t.Context(), user, at("2026-09-01 00:00"))
		w.must(err)
		if len(late) != 0 {
			t.Errorf("long after: %v", late)
		}
	})
}
