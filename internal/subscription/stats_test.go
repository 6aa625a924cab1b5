package subscription_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

const whyText = `"reason":"a reason that is long enough"`

func TestAGivenSubscriptionIsExtended(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-04-01 00:00")
		a := newAPI(w)
		w.spentFree()
		given := a.do("admin", "POST /admin/subscriptions", `{"userId":"`+user+`","tier":"pro","billingCycle":"monthly","billingMode":"manual","endsAt":"2026-04-20T00:00:00Z"}`, 201)
		path := fmt.Sprintf("/admin/subscriptions/%v", given["id"])
		a.do("help", "POST "+path+"/extend", `{"days":10,`+whyText+`}`, 403)
		a.do("admin", "POST "+path+"/extend", `{"days":0,`+whyText+`}`, 422)
		if got := a.do("admin", "POST "+path+"/extend", `{"days":15,`+whyText+`}`, 200); got["endsAt"] != "2026-05-05T00:00:00Z" {
			t.Errorf("extended: %v", got)
		}
		a.do("admin", "POST "+path+"/trial", `{"endsAt":"2026-05-01T00:00:00Z",`+whyText+`}`, 409)
		w.later("2026-04-20 00:00")
		if got := w.current(); got.Tier != "pro" || got.State != "active" {
			t.Errorf("at its first end: %+v", got)
		}
		w.later("2026-05-05 00:00")
		if got := w.current(); got.Tier != "free" {
			t.Errorf("after its end: %+v", got)
		}
		a.do("admin", "POST "+path+"/extend", `{"days":15,`+whyText+`}`, 409)
		a.do("admin", fmt.Sprintf("POST /admin/subscriptions/%s/extend", w.current().ID), `{"days":15,`+whyText+`}`, 409)
	})
}

func TestATrialIsMovedWithItsCredits(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-04-01 00:00")
		a := newAPI(w)
		w.spentFree()
		path := "/admin/subscriptions/" + w.buy(plan("pro", monthly), true).ID // to 15 April
		for _, wrong := range []string{"2026-03-31T00:00:00Z", "2026-07-15T00:00:00Z"} {
			a.do("admin", "POST "+path+"/trial", `{"endsAt":"`+wrong+`",`+whyText+`}`, 422)
		}
		if got := a.do("admin", "POST "+path+"/trial", `{"endsAt":"2026-04-30T12:00:00Z",`+whyText+`}`, 200); got["trialEndsAt"] != "2026-04-30T12:00:00Z" {
			t.Errorf("moved: %v", got)
		}
		w.later("2026-04-30 11:59")
		w.wantCredits(map[credit.Source]int64{credit.Trial: 150})
		if got := w.current(); got.State != "trial" {
			t.Errorf("before its new end: %+v", got)
		}
		w.later("2026-04-30 12:00")
		w.wantCredits(map[credit.Source]int64{credit.Plan: 1500})
		if got := w.current(); got.State != "active" || !got.Period().End.Equal(time.Date(2026, 5, 30, 12, 0, 0, 0, time.UTC)) {
			t.Errorf("after its new end: %+v", got)
		}
	})
}

// The example of section 18 of the specification: 10 pro monthly and 2 pro
// annual are 17500 cents.
func TestSubscriptionsAreCountedAndChangesSummedUp(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-04-01 00:00")
		a := newAPI(w)
		for i := range 15 {
			state, cycle, mode, paid, trial := "active", "monthly", "vendor", 1500, 0
			switch i {
			case 9:
				state = "past_due"
			case 10, 11:
				cycle, paid = "annual", 15000
			case 12:
				state, trial = "trial", 1
			case 13:
				mode, paid = "manual", 0
			case 14:
				state = "expired"
			}
			_, err := db.Q(t.Context()).ExecContext(t.Context(), `INSERT INTO subscription_plan (id, user_id, tier, cycle, mode, state, anchor, allocated, plan_grant, period_anchor, period_at, paid,
				trial_end, ends_at, failed_at, attempts, cancel_at_end, next_tier, next_cycle, due_at, version, created_at, ended_at)
				VALUES ($1, $2, 'pro', $3, $4, $5, 1, 0, 0, 1, 0, $6, $7, 0, 0, 0, FALSE, '', '', 0, 1, 1, 0)`,
				fmt.Sprintf("sub_%02d", i), fmt.Sprintf("usr_%02d", i), cycle, mode, state, paid, trial)
			w.must(err)
		}
		got := a.do("help", "GET /admin/subscriptions/stats", "", 200)
		if got["mrr"] != 17500.0 || got["pastDue"] != 1.0 || got["trials"] != 1.0 || got["byTier"].(object)["pro"] != 14.0 || got["byBillingMode"].(object)["manual"] != 1.0 {
			t.Errorf("the numbers: %v", got)
		}
		w.spentFree()
		v := w.buy(plan("pro", monthly), false)
		w.clock.set(at("2026-04-16 00:00"))
		p, err := w.subs.Preview(t.Context(), v.ID, "pro_plus", monthly, false)
		w.must(err)
		a.do("admin", "POST /admin/subscriptions/"+v.ID+"/change", `{"tier":"pro_plus","billingCycle":"monthly","previewToken":"`+p.Token+`"}`, 200)
		sums := a.do("help", "GET /admin/prorations/stats", "", 200)["data"].([]any)
		if row := sums[0].(object); len(sums) != 1 || row["net"] != 1500.0 || row["credit"] != 750.0 || row["count"] != 1.0 {
			t.Errorf("the sums: %v", sums)
		}
		id := fmt.Sprint(a.do("help", "GET /admin/prorations", "", 200)["data"].([]any)[0].(object)["id"])
		if one := a.do("help", "GET /admin/prorations/"+id, "", 200); one["charge"] != 2250.0 || one["toTier"] != "pro_plus" {
			t.Errorf("one: %v", one)
		}
		steps := a.do("help", "GET /admin/prorations/"+id+"/calculation", "", 200)["steps"].([]any)
		if first, last := steps[0].(object), steps[3].(object); first["numbers"] != "1500 x 1296000 / 2592000" || first["result"] != "750" || last["result"] != "1750" {
			t.Errorf("the steps: %v", steps)
		}
		a.do("help", "GET /admin/prorations/pro_none", "", 404)
	})
}
