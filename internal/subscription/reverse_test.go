package subscription_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/subscription"
)

// upgraded changes to a plan and returns the id of the record.
func (a api) upgraded(v subscription.Subscription, to subscription.Plan) string {
	a.Helper()
	p, err := a.subs.Preview(a.Context(), v.ID, to.Tier.Name, to.Cycle, false)
	a.must(err)
	_, err = a.subs.Change(a.Context(), v.ID, to.Tier.Name, to.Cycle, p.Token, subscription.Why{})
	a.must(err)
	a.clock.set(a.clock.now().Add(time.Second)) // ids are in the order of time
	return fmt.Sprint(a.do("root", "GET /admin/prorations", "", 200)["data"].([]any)[0].(object)["id"])
}

// takeBack reverses a change of plan.
func (a api) takeBack(id string, status int) object {
	a.Helper()
	got := a.do("root", "POST /admin/prorations/"+id+"/reverse", reverseBody, status)
	a.clock.set(a.clock.now().Add(time.Second))
	return got
}

// verified fails the test when the ledger and its sums differ.
func (w *world) verified() {
	w.Helper()
	_, err := w.credits.Verify(w.Context(), credit.VerifyOptions{}, func(f credit.Finding) { w.Errorf("the ledger: %s", f) })
	w.must(err)
}

const reverseBody = `{` + whyText + `}`

// Case 1 of section 8.3, taken back a day later: 1500 cents go to the balance,
// 1,750 credits leave the plan grant.
func TestAChangeOfPlanIsTakenBackOnceWithItsMoneyAndCredits(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-04-01 00:00")
		a := newAPI(w)
		w.spentFree()
		v := w.buy(plan("pro", monthly), false)
		w.clock.set(at("2026-04-16 00:00"))
		id := a.upgraded(v, plan("pro_plus", monthly))
		w.wantCredits(map[credit.Source]int64{credit.Plan: 3250})
		w.clock.set(at("2026-04-17 00:00"))
		path := "POST /admin/prorations/" + id + "/reverse"
		a.do("help", path, reverseBody, 403)
		a.do("root", path, `{"reason":"short"}`, 422)
		a.do("root", "POST /admin/prorations/pro_none/reverse", reverseBody, 404)
		got := a.do("root", path, reverseBody, 201)
		wanted := object{
			"reverses": id, "fromTier": "pro_plus", "toTier": "pro", "credit": 2250.0, "charge": 750.0, "net": -1500.0, "extraCredits": -1750.0, "uncollectedCredits": 0.0,
		}
		for name, want := range wanted {
			if got[name] != want {
				t.Errorf("the mirror: %s is %v, want %v", name, got[name], want)
			}
		}
		after := w.wantState(subscription.Active, "pro")
		if after.Paid != 1500 || !after.Period().End.Equal(at("2026-05-01 00:00")) {
			t.Errorf("the subscription: %+v", after)
		}
		w.wantCredits(map[credit.Source]int64{credit.Plan: 1500})
		if b, err := w.subs.Balance(t.Context(), user); err != nil || b != 1500 {
			t.Errorf("the balance: %d, %v, want 1500", b, err)
		}
		if one := a.do("help", "GET /admin/prorations/"+id, "", 200); one["reversedBy"] != got["id"] || one["extraCredits"] != 1750.0 {
			t.Errorf("the change: %v", one)
		}
		steps := a.do("help", fmt.Sprintf("GET /admin/prorations/%v/calculation", got["id"]), "", 200)["steps"].([]any)
		if first, last := steps[0].(object), steps[3].(object); first["result"] != "2250" || last["result"] != "-1750" {
			t.Errorf("the mirror's steps: %v", steps)
		}
		a.do("root", path, reverseBody, 409)
		a.do("root", fmt.Sprintf("POST /admin/prorations/%v/reverse", got["id"]), reverseBody, 409)
		w.verified()
		w.later("2026-05-01 00:00")
		if b, err := w.subs.Balance(t.Context(), user); err != nil || b != 0 || w.bank.sum() != 1500 {
			t.Errorf("the renewal: balance %d, %v, collected %d; want the balance to pay it", b, err, w.bank.sum())
		}
	})
}

func TestWhatWasUsedOfAChangeThatIsTakenBackIsUncollected(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-04-01 00:00")
		a := newAPI(w)
		w.spentFree()
		v := w.buy(plan("pro", monthly), false)
		w.clock.set(at("2026-04-16 00:00"))
		id := a.upgraded(v, plan("pro_plus", monthly))
		w.spend(3000) // 250 are left
		got := a.takeBack(id, 201)
		if got["extraCredits"] != -250.0 || got["uncollectedCredits"] != 1500.0 {
			t.Errorf("taken %v, uncollected %v", got["extraCredits"], got["uncollectedCredits"])
		}
		w.wantCredits(map[credit.Source]int64{})
		w.verified()
	})
}

// Cases 4 and 6 of section 8.3: a new period started, and money went to the
// balance.
func TestTakingBackRestoresThePeriodAndTheBalance(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-01-01 00:00")
		a := newAPI(w)
		w.spentFree()
		v := w.buy(plan("pro", annual), false)
		w.later("2026-07-01 00:00")
		before := w.current()
		sixth := a.upgraded(v, plan("pro_plus", monthly))
		if b, err := w.subs.Balance(t.Context(), user); err != nil || b != 3062 {
			t.Fatalf("the balance: %d, %v, want 3062", b, err)
		}
		a.takeBack(sixth, 201)
		after := w.current()
		if b, err := w.subs.Balance(t.Context(), user); err != nil || b != 0 || after.Period() != before.Period() || after.Cycle != annual || after.Paid != 15000 {
			t.Errorf("taken back: balance %d, %v, %+v", b, err, after)
		}
		again := a.upgraded(v, plan("pro_plus", monthly)) // and the balance is used
		next := a.upgraded(w.current(), plan("pro_max", monthly))
		a.takeBack(again, 409) // not the newest
		a.takeBack(next, 201)
		a.takeBack(again, 201)
		w.wantState(subscription.Active, "pro")
		third := a.upgraded(v, plan("pro_plus", monthly))
		w.later("2026-08-01 00:00") // the renewal uses what the change put on the balance
		a.takeBack(third, 409)
		w.verified()
	})
}

func TestAChangeThatGaveMoneyWhichIsUsedIsNotTakenBack(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-01-01 00:00")
		a := newAPI(w)
		w.spentFree()
		v := w.buy(plan("pro", annual), false)
		w.later("2026-07-01 00:00")
		id := a.upgraded(v, plan("pro_plus", monthly))
		_, err := db.Q(t.Context()).ExecContext(t.Context(), `INSERT INTO subscription_balance (ref, user_id, amount, at) VALUES ('used', $1, -1, 1)`, user)
		w.must(err)
		a.takeBack(id, 409)
		w.wantState(subscription.Active, "pro_plus")
		w.wantCredits(w.has())
		w.verified()
	})
}

func TestOfManyWhoTakeAChangeBackOneDoes(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-04-01 00:00")
		a := newAPI(w)
		w.spentFree()
		v := w.buy(plan("pro", monthly), false)
		w.clock.set(at("2026-04-16 00:00"))
		id := a.upgraded(v, plan("pro_plus", monthly))
		var (
			done sync.WaitGroup
			mu   sync.Mutex
			won  int
		)
		for range 8 {
			done.Go(func() {
				if _, err := w.subs.ReverseProration(t.Context(), id, subscription.Why{Actor: "usr_root"}); err == nil {
					mu.Lock()
					won++
					mu.Unlock()
				}
			})
		}
		done.Wait()
		if b, err := w.subs.Balance(t.Context(), user); won != 1 || err != nil || b != 1500 {
			t.Errorf("%d took it back, balance %d, %v; want one and 1500", won, b, err)
		}
		w.wantCredits(map[credit.Source]int64{credit.Plan: 1500})
		w.verified()
	})
}
