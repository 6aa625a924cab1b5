package approval_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/approval"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

func TestAnotherPersonDecides(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		d := newDesk(t, db)
		d.roles["ida"] = "admin"
		r := d.ask("ada", "")
		path := "/admin/approvals/" + r.ID
		for _, tt := range []struct {
			user, path, code string
			status           int
		}{
			{"ada", path + "/approve", "self_approval", 403},
			{"ada", path + "/deny", "self_approval", 403},
			{"ida", path + "/approve", "self_approval", 403}, // it is about her
			{"eve", path + "/approve", "forbidden", 403},
			{"bob", path + "/cancel", "not_found", 404},
			{"bob", "/admin/approvals/apr_none/approve", "not_found", 404},
		} {
			if got := d.do(tt.user, "POST", tt.path, `{"note":"`+why+`"}`); got.status != tt.status || got.code != tt.code {
				t.Errorf("%s %s: %d %s, want %d %s", tt.user, tt.path, got.status, got.text, tt.status, tt.code)
			}
		}
		seen := d.do("una", "GET", path, "")
		asked, _ := seen.body["request"].(map[string]any)
		if seen.status != 200 || seen.body["status"] != "pending" || seen.body["reason"] != why || seen.body["requestedBy"] != "ada" || asked["much"] != 7.0 {
			t.Errorf("before: %d %s", seen.status, seen.text)
		}
		if n := d.given(); n != 0 {
			t.Fatalf("%d effects before anybody has decided", n)
		}
		done := d.do("bob", "POST", path+"/approve", `{"note":"fine"}`)
		result, _ := done.body["result"].(map[string]any)
		if done.status != 200 || done.body["status"] != "approved" || done.body["decidedBy"] != "bob" || done.body["note"] != "fine" || result["given"] != 7.0 {
			t.Fatalf("approve: %d %s", done.status, done.text)
		}
		for _, what := range []string{"approve", "deny", "cancel"} {
			user := map[string]string{"cancel": "ada"}[what] + map[string]string{"approve": "bob", "deny": "bob"}[what]
			if got := d.do(user, "POST", path+"/"+what, `{}`); got.status != 409 || got.code != "invalid_state" {
				t.Errorf("then %s: %d %s", what, got.status, got.text)
			}
		}
		if n := d.given(); n != 1 {
			t.Errorf("%d effects", n)
		}
		es, err := d.audit.List(t.Context(), audit.Filter{Type: "approval", ID: r.ID}, 10)
		if err != nil || len(es) != 2 || es[0].Action != "approvals.approve" || es[0].Actor != "bob" || es[1].Action != "approvals.request" || es[1].Actor != "ada" {
			t.Errorf("the audit log: %+v, %v", es, err)
		}
	})
}

func TestARequestIsDeniedOrWithdrawn(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		d := newDesk(t, db)
		denied, cancelled, left := d.ask("ada", ""), d.ask("eve", ""), d.ask("eve", "")
		if got := d.do("bob", "POST", "/admin/approvals/"+denied.ID+"/deny", `{"note":"no"}`); got.body["status"] != "denied" || got.body["result"] != nil {
			t.Errorf("deny: %d %s", got.status, got.text)
		}
		if got := d.do("eve", "POST", "/admin/approvals/"+cancelled.ID+"/cancel", `{}`); got.body["status"] != "cancelled" {
			t.Errorf("cancel: %d %s", got.status, got.text)
		}
		for status, id := range map[string]string{"denied": denied.ID, "cancelled": cancelled.ID, "pending": left.ID} {
			got := d.do("sam", "GET", "/admin/approvals?operation=gifts.give&status="+status, "")
			if data, _ := got.body["data"].([]any); len(data) != 1 || !strings.Contains(got.text, id) {
				t.Errorf("list %s: %s", status, got.text)
			}
		}
		for _, id := range []string{denied.ID, cancelled.ID} {
			if got := d.do("bob", "POST", "/admin/approvals/"+id+"/approve", `{}`); got.code != "invalid_state" {
				t.Errorf("approve after all: %d %s", got.status, got.text)
			}
		}
		bob := access.Actor{UserID: "bob", Roles: []string{"admin"}}
		if toDecide, own, err := d.Waiting(t.Context(), bob); err != nil || toDecide != 1 || own != 0 {
			t.Errorf("waits for bob: %d, %d, %v", toDecide, own, err)
		}
		if n := d.given(); n != 0 {
			t.Errorf("%d effects", n)
		}
	})
}

func TestARequestCountsForADay(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		d := newDesk(t, db)
		r := d.ask("ada", "")
		bob := d.as(t.Context(), "bob")
		d.at.Store(int64(approval.Life/time.Second) - 1)
		if got, err := d.ByID(t.Context(), r.ID); err != nil || !got.ExpiresAt.After(d.now()) {
			t.Errorf("a second before: %+v, %v", got, err)
		}
		d.at.Add(1)
		if _, err := d.Approve(bob, r.ID, ""); !errors.Is(err, approval.ErrState) {
			t.Errorf("approve: %v", err)
		}
		if got := d.do("una", "GET", "/admin/approvals?status=expired", ""); !strings.Contains(got.text, `"status":"expired"`) {
			t.Errorf("before the job: %s", got.text)
		}
		for range 2 {
			if err := d.Expire(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		es, err := d.audit.List(t.Context(), audit.Filter{Action: "approvals.expire"}, 10)
		if err != nil || len(es) != 1 || es[0].Actor != audit.System {
			t.Errorf("the audit log: %+v, %v", es, err)
		}
		if got := d.do("una", "GET", "/admin/approvals?status=expired", ""); !strings.Contains(got.text, r.ID) {
			t.Errorf("after the job: %s", got.text)
		}
	})
}

func TestDecidingNeedsASignInOfTheLastMinutes(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		d := newDesk(t, db)
		r := d.ask("ada", "")
		d.at.Store(301)
		if got := d.do("bob", "POST", "/admin/approvals/"+r.ID+"/approve", `{}`); got.status != 401 {
			t.Errorf("five minutes later: %d %s", got.status, got.text)
		}
	})
}

func TestWhoIsAloneDecidesWithATypedReason(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		d := newDesk(t, db)
		d.roles = map[string]string{"ada": "super_admin", "sam": "support", "ida": "ops"}
		ada := d.as(t.Context(), "ada")
		r, bySam := d.ask("ada", ""), d.ask("sam", "")
		if _, err := d.Approve(ada, r.ID, "   short "); !errors.Is(err, approval.ErrNote) {
			t.Errorf("without a reason: %v", err)
		}
		if _, err := d.Approve(d.as(t.Context(), "sam"), bySam.ID, why); !errors.Is(err, access.ErrPermission) {
			t.Errorf("who may not decide at all: %v", err)
		}
		d.roles["bob"] = "admin" // he could decide now, whether or not he looks
		if _, err := d.Approve(ada, r.ID, why); !errors.Is(err, approval.ErrSelf) {
			t.Errorf("with another who could: %v", err)
		}
		delete(d.roles, "bob")
		if got, err := d.Approve(ada, r.ID, why); err != nil || got.Note != why || d.given() != 1 {
			t.Errorf("alone: %+v, %v", got, err)
		}
		if _, err := d.Approve(ada, bySam.ID, ""); err != nil {
			t.Errorf("what somebody else asked for: %v", err)
		}
	})
}

func TestTheSameWishIsAskedForOnce(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		d := newDesk(t, db)
		first := d.ask("ada", "key")
		if again := d.ask("ada", "key"); again.ID != first.ID {
			t.Errorf("again: %s, want %s", again.ID, first.ID)
		}
		if _, err := d.Approve(d.as(t.Context(), "bob"), first.ID, ""); err != nil {
			t.Fatal(err)
		}
		if after := d.ask("ada", "key"); after.ID != first.ID || after.Status != approval.Approved {
			t.Errorf("after it was approved: %+v", after)
		}
		_, err := d.gifts.Ask(d.as(t.Context(), "ada"), approval.Wish[gift]{Reason: why, Once: "key", Input: gift{"ida", 8}})
		if !errors.Is(err, approval.ErrOther) {
			t.Errorf("something else: %v", err)
		}
	})
}
