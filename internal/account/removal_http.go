package account

import (
	"context"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/approval"
)

// removals is what waits for an approval.
type removals struct {
	UserID string `json:"userId"`
}

// The reason is in the query: a DELETE has no body.
type removalInput struct {
	ID     string `path:"id" maxLength:"64"`
	Reason string `query:"reason" required:"true" minLength:"10" maxLength:"500"`
}

func (a AdminAPI) askRemoval(ctx context.Context, in *removalInput) (*approval.PendingOutput, error) {
	return a.Approvals.Answer(a.removal.Ask(ctx, approval.Wish[removals]{
		Type: "user", For: in.ID, Person: in.ID, Reason: in.Reason, Input: removals{in.ID},
	}))
}

func (a AdminAPI) removals() approval.Definition[removals] {
	return approval.Definition[removals]{
		Name: "users.delete", Permission: access.DeleteUsers,
		Check: func(ctx context.Context, _ approval.Request, in removals) error {
			return a.Accounts.canClose(ctx, in.UserID, StateActive)
		},
		Run: func(ctx context.Context, r approval.Request, in removals) (any, error) {
			by, err := access.From(ctx)
			if err != nil {
				return nil, err
			}
			_, err = a.Accounts.Leave(ctx, in.UserID, by, r.Reason, a.Grace())
			return standing{in.UserID, StateDeleted}, err
		},
	}
}
