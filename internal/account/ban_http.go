package account

import (
	"context"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/approval"
)

// bans is what waits for an approval.
type bans struct {
	UserID string `json:"userId"`
	Notify bool   `json:"notify"`
}

// standing is how somebody's account is after a change.
type standing struct {
	UserID string `json:"userId"`
	Status string `json:"status"`
}

func (a AdminAPI) askBan(ctx context.Context, in *turnInput) (*approval.PendingOutput, error) {
	return a.Approvals.Answer(a.ban.Ask(ctx, approval.Wish[bans]{
		Type: "user", For: in.ID, Person: in.ID, Reason: in.Body.Reason, Input: bans{in.ID, in.Body.Notify},
	}))
}

func (a AdminAPI) bans() approval.Definition[bans] {
	return approval.Definition[bans]{
		Name: "users.ban", Permission: access.BanUsers,
		Check: func(ctx context.Context, _ approval.Request, in bans) error {
			return a.Accounts.canClose(ctx, in.UserID, StateActive, StateSuspended)
		},
		Run: func(ctx context.Context, r approval.Request, in bans) (any, error) {
			by, err := access.From(ctx)
			if err != nil {
				return nil, err
			}
			u, err := a.Accounts.Ban(ctx, in.UserID, Turn{By: by, Reason: r.Reason, Notify: in.Notify})
			return standing{u.ID, u.State}, err
		},
	}
}
