package account

import (
	"context"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/web"
)

// LeaveAPI is where people delete their account.
type LeaveAPI struct {
	Accounts *Service
	Grace    func() time.Duration // in which they can come back
}

// Mount registers the route.
func (a LeaveAPI) Mount(m *web.Mux) {
	web.Route(m, "DELETE /v1/users/me", a.leave, access.Needs(access.ScopeAccountManage), access.Recent(recent, a.Accounts.Now),
		web.Once(), web.Status(http.StatusAccepted), web.Doc("Delete your account; signing in before eraseAt undoes it"))
}

type leaveOutput struct {
	Body struct {
		EraseAt time.Time `json:"eraseAt" doc:"When everything about you is erased"`
	}
}

func (a LeaveAPI) leave(ctx context.Context, _ *struct{}) (*leaveOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	at, err := a.Accounts.Leave(ctx, actor.UserID, access.Actor{UserID: actor.UserID}, "they asked for it themselves", a.Grace())
	out := &leaveOutput{}
	out.Body.EraseAt = at.UTC().Truncate(time.Second)
	return out, err
}
