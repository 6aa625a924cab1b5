package credit

import (
	"context"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/approval"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/web"
)

type deductInput struct {
	OnceInput
	Body struct {
		UserID string     `json:"userId" minLength:"1" maxLength:"64"`
		Amount web.Amount `json:"amount"`
		Reason string     `json:"reason" minLength:"10" maxLength:"500"`
	}
}

// deduction is what waits for an approval.
type deduction struct {
	UserID string        `json:"userId"`
	Amount money.Credits `json:"amount"`
	Ref    string        `json:"ref"` // of the ledger: it happens once
}

// deducted is what came of it.
type deducted struct {
	UserID      string        `json:"userId"`
	Deducted    money.Credits `json:"deducted"`
	Uncollected money.Credits `json:"uncollected"` // what the balance did not have
}

func (a API) deduct(ctx context.Context, in *deductInput) (*approval.PendingOutput, error) {
	_, ref, err := a.begin(ctx, access.Deduct, in.OnceInput, in.Body.UserID)
	if err != nil {
		return nil, err
	}
	return a.Approvals.Answer(a.deduction.Ask(ctx, approval.Wish[deduction]{
		Type: typeUser, For: in.Body.UserID, Person: in.Body.UserID, Reason: in.Body.Reason, Once: ref,
		Input: deduction{in.Body.UserID, in.Body.Amount.Credits, ref},
	}))
}

// deductions is the operation: leases come home before, and again while calls
// lease what should be taken.
func (a API) deductions() approval.Definition[deduction] {
	return approval.Definition[deduction]{
		Name: "credits.deduct", Permission: access.Deduct, Again: ErrBusy,
		Check: func(ctx context.Context, _ approval.Request, d deduction) error {
			again, err := a.Credits.Happened(ctx, d.Ref)
			if err == nil && again {
				err = web.ErrKeyReuse // a grant has it
			}
			return outage(err)
		},
		Prepare: func(ctx context.Context, d deduction) error { return outage(a.Credits.Recall(ctx, d.UserID)) },
		Run: func(ctx context.Context, r approval.Request, d deduction) (any, error) {
			actor, err := access.From(ctx)
			if err != nil {
				return nil, err
			}
			if err := a.Known(ctx, d.UserID); err != nil {
				return nil, err
			}
			taken, err := a.Credits.Take(ctx, Taking{
				User: d.UserID, Ref: d.Ref, Amount: d.Amount, Actor: actor.UserID, Cause: "admin",
				Then: func(ctx context.Context, t Taken) error {
					return a.Audit.Write(ctx, audit.Change{
						Action: "credits.deduct", Type: typeUser, ID: d.UserID, Reason: r.Reason,
						After: map[string]any{"deducted": t.Taken, "uncollected": t.Uncollected, "ref": d.Ref, "approvalId": r.ID},
					})
				},
			})
			return deducted{d.UserID, taken.Taken, taken.Uncollected}, outage(err)
		},
	}
}
