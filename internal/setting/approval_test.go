package setting_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/setting"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// other is a context in which another super_admin decides.
func other(ctx context.Context) context.Context {
	return access.With(ctx, access.Actor{
		UserID: "usr_other", Scopes: []string{access.ScopeAdmin}, Roles: []string{access.RoleSuperAdmin}, AuthTime: time.Now(),
	}, nil)
}

func TestTheValueOfACreditNeedsTwoPeople(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		o := newOffice(t, db)
		values := func(value, margin int) object {
			return object{"valueMicroUsd": value, "incrementMicro": 10_000, "defaultMarginBp": margin}
		}
		if got := o.put("pricing", 0, values(10_000, 16_000), 200); got["version"] != 1.0 {
			t.Errorf("a change of the margin alone: %v", got)
		}
		asked := o.put("pricing", 1, values(20_000, 16_000), 202)
		if asked["status"] != "pending" || asked["version"] != 1.0 || setting.CreditValue.Of(o.s) != 10_000 {
			t.Fatalf("asked: %v", asked)
		}
		late := o.put("pricing", 1, values(30_000, 16_000), 202)
		o.put("pricing", 1, values(0, 16_000), 422)
		approvalID, _ := asked["approvalId"].(string)

		// A transaction that fails in the end leaves nothing, in memory neither.
		lost := errors.New("the connection is gone")
		err := db.InTx(t.Context(), func(ctx context.Context) error {
			if _, err := o.approvals.Approve(other(ctx), approvalID, ""); err != nil {
				return err
			}
			return lost
		})
		if !errors.Is(err, lost) || setting.CreditValue.Of(o.s) != 10_000 {
			t.Errorf("a transaction that fails: %v, a credit is worth %d", err, setting.CreditValue.Of(o.s))
		}
		if r, err := o.approvals.Approve(other(t.Context()), approvalID, ""); err != nil || string(r.Result) != `{"category":"pricing","version":2}` {
			t.Errorf("approve: %s, %v", r.Result, err)
		}
		if got := setting.CreditValue.Of(o.s); got != 20_000 {
			t.Errorf("a credit is worth %d", got)
		}
		approvalID, _ = late["approvalId"].(string)
		if _, err := o.approvals.Approve(other(t.Context()), approvalID, ""); !errors.Is(err, setting.ErrEdited) {
			t.Errorf("approve what was asked for before: %v", err)
		}
		back := o.do("super_admin", "POST /pricing/restore", object{"version": 1, "reason": why}, 202)
		approvalID, _ = back["approvalId"].(string)
		if _, err := o.approvals.Approve(other(t.Context()), approvalID, ""); err != nil || setting.CreditValue.Of(o.s) != 10_000 {
			t.Errorf("restore: a credit is worth %d, %v", setting.CreditValue.Of(o.s), err)
		}
	})
}
