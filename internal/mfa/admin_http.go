package mfa

import (
	"context"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/approval"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/web"
)

// AdminAPI is what administrators do with other people's factors.
type AdminAPI struct {
	Factors   *Service
	Accounts  *account.Service
	Approvals *approval.Service
	Audit     *audit.Log

	reset approval.Operation[resets]
}

// resets is what waits for an approval.
type resets struct {
	UserID string `json:"userId"`
}

// Mount registers the routes.
func (a AdminAPI) Mount(m *web.Mux) {
	a.reset = approval.Define(a.Approvals, a.resets())
	web.Route(m, "POST /admin/users/{id}/reset-mfa", a.ask, access.Allows(access.ResetFactors), a.Approvals.Asks(),
		web.Doc("Ask for all second factors of a person to be removed"))
}

type resetInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Reason string `json:"reason" minLength:"10" maxLength:"500"`
	}
}

func (a AdminAPI) ask(ctx context.Context, in *resetInput) (*approval.PendingOutput, error) {
	return a.Approvals.Answer(a.reset.Ask(ctx, approval.Wish[resets]{
		Type: "user", For: in.ID, Person: in.ID, Reason: in.Body.Reason, Input: resets{in.ID},
	}))
}

func (a AdminAPI) resets() approval.Definition[resets] {
	return approval.Definition[resets]{
		Name: "users.reset_mfa", Permission: access.ResetFactors,
		Check: func(ctx context.Context, _ approval.Request, in resets) error {
			if err := a.mayReset(ctx, in.UserID); err != nil {
				return err
			}
			u, err := a.Accounts.ByID(ctx, in.UserID)
			if err != nil {
				return err
			}
			return a.Factors.hasAny(ctx, u)
		},
		Run: func(ctx context.Context, r approval.Request, in resets) (any, error) {
			if err := a.mayReset(ctx, in.UserID); err != nil {
				return nil, err
			}
			u, err := a.Accounts.ByID(ctx, in.UserID)
			if err != nil {
				return nil, err
			}
			if err := a.Factors.ResetAll(ctx, u); err != nil {
				return nil, err
			}
			c := audit.Change{Action: "users.reset_mfa", Type: "user", ID: u.ID, Reason: r.Reason, After: map[string]any{"approvalId": r.ID}}
			return in, a.Audit.Write(ctx, c)
		},
	}
}

// mayReset keeps people from their own factors, and all but a super_admin from
// those of one: who has somebody's factors removed is a step nearer to being them.
func (a AdminAPI) mayReset(ctx context.Context, userID string) error {
	actor, err := access.From(ctx)
	if err != nil {
		return err
	}
	if actor.UserID == userID {
		return account.ErrOwn
	}
	return a.Accounts.Closing(ctx, userID)
}
