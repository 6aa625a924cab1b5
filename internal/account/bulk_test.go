package account_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// approvalOf returns the id of the approval that an answer names.
func approvalOf(answer string) string {
	_, rest, _ := strings.Cut(answer, `"approvalId":"`)
	approvalID, _, _ := strings.Cut(rest, `"`)
	return approvalID
}

func TestADeletionIsApprovedAndCanBeUndone(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		o := newOffice(t, db)
		ada := o.people(1)[0]
		path := "/admin/users/" + ada.ID
		if status, body := o.ask("admin", "POST", path+"/restore", `{`+because+`}`); status != 409 {
			t.Errorf("restore who is there: %d %s", status, body)
		}
		if status, body := o.ask("ops", "DELETE", path+becauseThat, ""); status != 403 {
			t.Errorf("ops: %d %s", status, body)
		}
		status, asked := o.ask("super_admin", "DELETE", path+becauseThat, "")
		if u, err := o.ByID(t.Context(), ada.ID); status != 202 || err != nil || u.State != account.StateActive {
			t.Fatalf("ask: %d %s; she is %s, %v", status, asked, u.State, err)
		}
		if status, body := o.ask("admin", "POST", "/admin/approvals/"+approvalOf(asked)+"/approve", `{}`); status != 200 || !strings.Contains(body, `"status":"deleted"`) {
			t.Fatalf("approve: %d %s", status, body)
		}
		u, err := o.ByID(t.Context(), ada.ID)
		if err != nil || !u.Leaving(o.clock()) || u.Until.Sub(o.clock()) < 13*24*time.Hour || account.Usable(u, o.clock()) == nil {
			t.Errorf("deleted: %+v, %v", u, err)
		}
		if letters := o.letters(t, ada.Email); !strings.Contains(letters[len(letters)-1], "will be deleted") {
			t.Errorf("the mail: %v", letters)
		}
		if status, body := o.ask("admin", "POST", path+"/restore", `{"notify":true,`+because+`}`); status != 200 || !strings.Contains(body, `"status":"active"`) {
			t.Fatalf("restore: %d %s", status, body)
		}
		if letters := o.letters(t, ada.Email); !strings.Contains(letters[len(letters)-1], "nothing is deleted") && !strings.Contains(letters[len(letters)-1], "opened your Rephlo account again") {
			t.Errorf("the mail: %v", letters)
		}
		es, err := o.Audit.List(t.Context(), audit.Filter{Type: "user", ID: ada.ID}, 10)
		if err != nil || len(es) != 2 || es[0].Action != "users.restore" || es[1].Action != "users.delete" || es[1].Actor != "usr_admin" {
			t.Errorf("the audit log: %+v, %v", es, err)
		}
		// What was erased is gone.
		_, asked = o.ask("super_admin", "DELETE", path+becauseThat, "")
		o.ask("admin", "POST", "/admin/approvals/"+approvalOf(asked)+"/approve", `{}`)
		o.pass(15 * 24 * time.Hour)
		if status, body := o.ask("admin", "POST", path+"/restore", `{`+because+`}`); status != 409 {
			t.Errorf("restore after the time of grace: %d %s", status, body)
		}
	})
}

// outcome is what a change of many people answered.
type outcome struct {
	Matched, Affected int
	Skipped           []struct{ UserID, Code string }
	ApprovalID        string
}

func (o *office) many(role, body string, want int) outcome {
	o.t.Helper()
	status, answer := o.ask(role, "POST", "/admin/users/bulk", body)
	if status != want {
		o.t.Errorf("%s by %s: %d %s, want %d", body, role, status, answer, want)
	}
	var out outcome
	if err := json.Unmarshal([]byte(answer), &out); err != nil {
		o.t.Fatal(err)
	}
	return out
}

func TestOneThingIsDoneToManyPeople(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		o := newOffice(t, db)
		people := o.people(4)
		states := func() (out string) {
			for _, p := range people {
				u, err := o.ByID(t.Context(), p.ID)
				if err != nil {
					t.Fatal(err)
				}
				out += u.State[:1]
			}
			return out
		}
		first := fmt.Sprintf(`"userIds":[%q,%q,%q,"usr_nobody"]`, people[0].ID, people[0].ID, people[1].ID)
		got := o.many("admin", `{"action":"suspend","dryRun":true,`+first+`,`+because+`}`, 200)
		if got.Matched != 3 || got.Affected != 2 || len(got.Skipped) != 1 || got.Skipped[0].Code != "user_not_found" && got.Skipped[0].Code != "not_found" || states() != "aaaa" {
			t.Errorf("a dry run: %+v, %s", got, states())
		}
		if got := o.many("admin", `{"action":"suspend",`+first+`,`+because+`}`, 200); got.Affected != 2 || states() != "ssaa" {
			t.Errorf("suspend two: %+v, %s", got, states())
		}
		got = o.many("admin", `{"action":"suspend","filter":{"search":"example.com"},`+because+`}`, 200)
		if got.Matched != 4 || got.Affected != 2 || len(got.Skipped) != 2 || got.Skipped[0].Code != "invalid_state" || states() != "ssss" {
			t.Errorf("suspend the rest: %+v, %s", got, states())
		}
		if got := o.many("support", `{"action":"unsuspend","filter":{"status":"suspended"},`+because+`}`, 200); got.Affected != 4 || states() != "aaaa" {
			t.Errorf("let them in: %+v, %s", got, states())
		}
		o.changes = nil
		if got := o.many("ops", `{"action":"sign_out","filter":{"search":"example.com"},`+because+`}`, 200); got.Affected != 4 || len(o.changes) != 4 {
			t.Errorf("sign them out: %+v, %v", got, o.changes)
		}
		// Bans and deletions are asked for, and what is approved is what was asked for.
		asked := o.many("super_admin", `{"action":"ban","filter":{"search":"person"},`+because+`}`, 202)
		if asked.Affected != 4 || asked.ApprovalID == "" || states() != "aaaa" {
			t.Errorf("ask for bans: %+v, %s", asked, states())
		}
		o.many("super_admin", `{"action":"suspend","userIds":["`+people[3].ID+`"],`+because+`}`, 200)
		o.many("admin", `{"action":"delete","userIds":["`+people[2].ID+`"],`+because+`}`, 202)
		if status, body := o.ask("admin", "POST", "/admin/approvals/"+asked.ApprovalID+"/approve", `{}`); status != 200 || !strings.Contains(body, `"affected":4`) || states() != "bbbb" {
			t.Errorf("approve: %d %s, %s", status, body, states())
		}
		if got := o.many("admin", `{"action":"unban","filter":{"status":"banned"},`+because+`}`, 200); got.Affected != 4 || states() != "aaaa" {
			t.Errorf("end the bans: %+v, %s", got, states())
		}
		es, err := o.Audit.List(t.Context(), audit.Filter{Action: "users.ban"}, 10)
		if err != nil || len(es) != 4 {
			t.Errorf("%d bans are remembered, %v", len(es), err)
		}
	})
}

func TestABulkChangeIsAsRestrictedAsASingleOne(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		o := newOffice(t, db)
		o.people(1)
		for role, body := range map[string]string{
			"support": `{"action":"suspend","filter":{"status":"active"},` + because + `}`,
			"ops":     `{"action":"ban","filter":{"status":"active"},` + because + `}`,
			"auditor": `{"action":"sign_out","filter":{"status":"active"},` + because + `}`,
		} {
			o.many(role, body, 403)
		}
		o.many("ops", `{"action":"suspend","dryRun":true,"filter":{"status":"active"},`+because+`}`, 403) // without an end
		for _, body := range []string{
			`{"action":"suspend","filter":{},` + because + `}`,
			`{"action":"suspend",` + because + `}`,
			`{"action":"suspend","userIds":["a"],"filter":{"status":"active"},` + because + `}`,
			`{"action":"promote","userIds":["a"],` + because + `}`,
			`{"action":"ban","until":"2030-01-01T00:00:00Z","userIds":["a"],` + because + `}`,
			`{"action":"suspend","userIds":["a"]}`,
		} {
			o.many("admin", body, 422)
		}
		last := fault.New(fault.Conflict, "last_super_admin", "No.")
		o.Closing = func(context.Context, string) error { return last }
		if got := o.many("admin", `{"action":"suspend","filter":{"status":"active"},`+because+`}`, 200); got.Affected != 0 || got.Skipped[0].Code != "last_super_admin" {
			t.Errorf("the last super_admin: %+v", got)
		}
	})
}
