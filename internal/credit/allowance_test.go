package credit_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// bounds of the tests: support has few, everybody else has none.
func bounds(a access.Actor) (credit.Allowance, bool) {
	if a.Roles[0] != access.RoleSupport {
		return credit.Allowance{}, false
	}
	return credit.Allowance{Grant: 10 * money.Credit, Day: 25 * money.Credit, Month: 40 * money.Credit}, true
}

func TestGrantsBeyondACapNeedASecondPerson(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w, c := httpWorld(t, db)
		support := c.with("User", "sam", "Scope", "admin", "Roles", "support")
		key := 0
		give := func(as caller, amount string) answer {
			t.Helper()
			key++
			return as.with("Idempotency-Key", fmt.Sprint("g", key)).do("POST", "/admin/credits/grant-bonus", `{"userId":"ada","amount":`+amount+`,`+why+`}`)
		}
		for _, tt := range []struct {
			name, amount string
			status       int
			pass         time.Duration
		}{
			{"as much as one grant may", "10", 201, 0},
			{"a millionth more", "10.000001", 202, 0},
			{"a second one that day", "10", 201, 0},
			{"beyond the day", "5.000001", 202, 0},
			{"to the end of the day", "5", 201, 0},
			{"nothing is left of it", "0.000001", 202, 0},
			{"on the next day", "10", 201, 24 * time.Hour},
			{"beyond the month", "5.000001", 202, 0},
			{"to the end of the month", "5", 201, 24 * time.Hour},
			{"in the next month", "10", 201, 31 * 24 * time.Hour},
		} {
			w.clock.advance(tt.pass)
			got := give(support, tt.amount)
			if got.status != tt.status || (got.body["approvalId"] != nil) != (tt.status == 202) || (got.body["grantId"] != nil) != (tt.status == 201) {
				t.Errorf("%s: %d %s, want %d", tt.name, got.status, got.text, tt.status)
			}
		}
		if got := give(c.with("User", "root", "Scope", "admin", "Roles", "super_admin"), "1000"); got.status != 201 {
			t.Errorf("without bounds: %d %s", got.status, got.text)
		}
		stale := support.with("Signed-In", "long ago")
		if got := give(stale, "1"); got.status != 201 {
			t.Errorf("a small grant after some time: %d %s", got.status, got.text)
		}
		if got := give(stale, "11"); got.status != 401 || got.code() != "reauthentication_required" {
			t.Errorf("a large grant after some time: %d %s", got.status, got.text)
		}
		asked := give(support, "10.000001")
		before, err := w.Balance(t.Context(), "ada")
		if err != nil {
			t.Fatal(err)
		}
		id, _ := asked.body["approvalId"].(string)
		if got := c.with("User", "other", "Scope", "admin", "Roles", "admin").do("POST", "/admin/approvals/"+id+"/approve", `{}`); got.status != 200 {
			t.Fatalf("approve: %d %s", got.status, got.text)
		}
		after, err := w.Balance(t.Context(), "ada")
		if err != nil || after.Available-before.Available != 10_000_001 {
			t.Errorf("approved: %v after %v, %v", after.Available, before.Available, err)
		}
		// The same request again is the same grant, not another one.
		got := support.with("Idempotency-Key", fmt.Sprint("g", key)).do("POST", "/admin/credits/grant-bonus", `{"userId":"ada","amount":10.000001,`+why+`}`)
		if got.status != 201 || got.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("the request again: %d %s", got.status, got.text)
		}
	})
}

func TestAllowancesHoldForGrantsAtOnce(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w, c := httpWorld(t, db)
		support := c.with("User", "sam", "Scope", "admin", "Roles", "support")
		var given, asked atomic.Int64
		var all sync.WaitGroup
		for n := range 10 {
			all.Go(func() {
				got := support.with("Idempotency-Key", fmt.Sprint("k", n)).do("POST", "/admin/credits/grant-bonus", `{"userId":"ada","amount":5,`+why+`}`)
				switch got.status {
				case 201:
					given.Add(1)
				case 202:
					asked.Add(1)
				default:
					t.Errorf("%d %s", got.status, got.text)
				}
			})
		}
		all.Wait()
		left, err := w.Allowed(context.Background(), "sam", credit.Allowance{Grant: 10 * money.Credit, Day: 25 * money.Credit, Month: 40 * money.Credit})
		if given.Load() != 5 || asked.Load() != 5 || err != nil || left.Day != 0 || left.Month != 15*money.Credit {
			t.Errorf("%d given, %d asked for, %+v left, %v", given.Load(), asked.Load(), left, err)
		}
	})
}
