package credit_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// What was used is of this cycle, less what was given back, however often and
// whenever one asks.
func TestUsedCreditsAreThoseOfThisCycle(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w, c := httpWorld(t, db)
		ada := c.with("User", "ada", "Scope", "credits.read")
		used := func(want float64) {
			t.Helper()
			if got := ada.do("GET", "/v1/credits/me", ""); got.body["usedCredits"] != want {
				t.Errorf("used %v, want %v: %s", got.body["usedCredits"], want, got.text)
			}
		}
		w.give(credit.NewGrant{Source: credit.Pack, Ref: "pay:1", Amount: 1000 * money.Credit})
		w.settle(w.reserve("ada", "call_before", 10*money.Credit), 10*money.Credit)
		used(10) // no cycle yet
		w.clock.advance(time.Hour)
		w.give(credit.NewGrant{Source: credit.Plan, Ref: "plan:1", Amount: 100 * money.Credit, ExpiresAt: w.clock.now().AddDate(0, 1, 0)})
		used(0)
		var want money.Credits
		for _, call := range []string{"call_1", "call_2", "call_3", "call_4", "call_5", "call_6"} {
			w.settle(w.reserve("ada", call, 30*money.Credit), 21*money.Credit)
			want += 21 * money.Credit
			used(float64(want) / 1e6)
			w.clock.advance(10 * time.Minute)
			used(float64(want) / 1e6)
		}
		for range 2 {
			if _, err := w.Reverse(t.Context(), "call_2", "usr_admin"); err != nil {
				t.Fatal(err)
			}
			used(105)
		}
		w.clock.advance(3 * time.Hour)
		used(105)
	})
}

// Months sum up, and the preview of a cycle's end is what the end does.
func TestMonthsAndTheNextCyclesEnd(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w, c := httpWorld(t, db)
		root := c.with("User", "root", "Scope", "admin", "Roles", "super_admin")
		if got := root.do("GET", "/admin/credits/rollover/ada", ""); got.status != 200 || got.body["cycleEnd"] != nil || got.body["rollsOver"] != 0.0 {
			t.Errorf("without a plan: %d %s", got.status, got.text)
		}
		w.give(credit.NewGrant{Source: credit.Pack, Ref: "pay:1", Amount: 50 * money.Credit})
		w.settle(w.reserve("ada", "call_1", 9*money.Credit), 9*money.Credit)
		w.clock.advance(31 * 24 * time.Hour) // to April
		end := w.clock.now().AddDate(0, 1, 0)
		w.give(credit.NewGrant{Source: credit.Rollover, Ref: "roll:0", Amount: 400 * money.Credit, ExpiresAt: end.AddDate(0, 1, 0)})
		w.give(credit.NewGrant{Source: credit.Rollover, Ref: "roll:over", Amount: 70 * money.Credit, ExpiresAt: end.Add(-time.Hour)})
		plan := w.give(credit.NewGrant{Source: credit.Plan, Ref: "plan:1", Amount: 500 * money.Credit, ExpiresAt: end})
		w.settle(w.reserve("ada", "call_2", 30*money.Credit), 30*money.Credit)
		if _, err := w.Deduct(t.Context(), credit.Taking{User: "ada", Ref: "adm:1", Amount: 5 * money.Credit}); err != nil {
			t.Fatal(err)
		}
		got := root.do("GET", "/admin/credits/usage/ada?months=2", "")
		want := []any{
			map[string]any{"period": "2026-04", "granted": 970.0, "charged": 30.0, "returned": 0.0, "expired": 0.0, "taken": 5.0},
			map[string]any{"period": "2026-03", "granted": 50.0, "charged": 9.0, "returned": 0.0, "expired": 0.0, "taken": 0.0},
		}
		if diff := cmp.Diff(want, got.body["data"]); diff != "" {
			t.Errorf("%d %s", got.status, diff)
		}
		preview := root.do("GET", "/admin/credits/rollover/ada", "")
		w.clock.advance(end.Sub(w.clock.now()))
		if err := w.Recall(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
		r, err := w.Roll(t.Context(), credit.Roll{User: "ada", Subscription: "sub", Plan: plan, End: end, Cap: 750 * money.Credit, Months: 2})
		if err != nil || r.Rolled != 500*money.Credit || r.Trimmed != 150*money.Credit || r.Expired != 0 {
			t.Fatalf("rolled %+v, %v", r, err)
		}
		if b := preview.body; b["planRemaining"] != 500.0 || b["rollsOver"] != 500.0 || b["trimmed"] != 150.0 || b["expires"] != 0.0 ||
			b["cycleEnd"] != end.Format(time.RFC3339) || b["rolloverExpiresAt"] != end.AddDate(0, 2, 0).Format(time.RFC3339) {
			t.Errorf("preview %d %s", preview.status, preview.text)
		}
	})
}
