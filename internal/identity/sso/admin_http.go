package sso

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/approval"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/web"
)

// AdminAPI lets administrators see where people are signed in, and end it.
type AdminAPI struct {
	Sessions *Service
	Audit    *audit.Log
	// Staff returns who has a role.
	Staff func(ctx context.Context) ([]string, error)
	// Person is for routes about one person: it checks that there is one and who
	// may see them.
	Person web.Option
	// Approvals is who agrees to signing everybody out, and EndTokens ends what
	// sign-ins of everybody have led to, in the transaction of its context.
	Approvals *approval.Service
	EndTokens func(ctx context.Context) error

	all approval.Operation[everybody]
}

// everybody is what waits for an approval: it has nothing to choose.
type everybody struct{}

// recent is how long ago the sign-in may be of who ends those of others.
const recent = 5 * time.Minute

// Mount registers the routes.
func (a AdminAPI) Mount(m *web.Mux) {
	a.all = approval.Define(a.Approvals, a.everybodys())
	view := access.Allows(access.ViewSecurity)
	web.Route(m, "GET /admin/sessions", a.staff, view, web.Doc("List the sign-ins of administrators"))
	web.Route(m, "GET /admin/users/{id}/sessions", a.ofUser, view, a.Person, web.Doc("List where a person is signed in"))
	web.Route(m, "DELETE /admin/sessions/{id}", a.end, access.Allows(access.ManageSecurity), access.Recent(recent, a.Sessions.Now), web.Doc("End a sign-in"))
	web.Route(m, "POST /admin/sessions/end-all", a.askAll, access.Allows(access.ManageSecurity), a.Approvals.Asks(), web.Doc("Ask for everybody to be signed out everywhere"))
}

type endAllInput struct {
	Body struct {
		Reason string `json:"reason" minLength:"10" maxLength:"500"`
	}
}

func (a AdminAPI) askAll(ctx context.Context, in *endAllInput) (*approval.PendingOutput, error) {
	return a.Approvals.Answer(a.all.Ask(ctx, approval.Wish[everybody]{Type: "session", For: "all", Reason: in.Body.Reason}))
}

// ended says how many sign-ins there were.
type ended struct {
	Sessions int64 `json:"sessions"`
}

func (a AdminAPI) everybodys() approval.Definition[everybody] {
	return approval.Definition[everybody]{
		Name: "sessions.end_all", Permission: access.ManageSecurity,
		Check: func(context.Context, approval.Request, everybody) error { return nil },
		Run: func(ctx context.Context, r approval.Request, _ everybody) (any, error) {
			n, err := a.Sessions.EndAll(ctx)
			if err != nil {
				return nil, err
			}
			if err := a.EndTokens(ctx); err != nil {
				return nil, err
			}
			return ended{n}, a.Audit.Write(ctx, audit.Change{Action: "sessions.end_all", Type: "session", ID: "all", Reason: r.Reason, After: map[string]any{"sessions": n}})
		},
	}
}

type adminSignIn struct {
	ID         string    `json:"id"`
	UserID     string    `json:"userId"`
	Device     string    `json:"device"`
	IP         *string   `json:"ip" doc:"null without users.view_pii"`
	Factors    []string  `json:"factors"`
	SignedInAt time.Time `json:"signedInAt"`
	LastSeenAt time.Time `json:"lastSeenAt"`
}

type adminSignInsOutput struct {
	Body struct {
		Data []adminSignIn `json:"data"`
	}
}

func (a AdminAPI) show(ctx context.Context, users ...string) (*adminSignInsOutput, error) {
	reader, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	out := &adminSignInsOutput{}
	out.Body.Data = []adminSignIn{}
	for _, userID := range users {
		list, err := a.Sessions.List(ctx, userID)
		if err != nil {
			return nil, err
		}
		for _, l := range list {
			row := adminSignIn{
				ID: l.ID, UserID: l.UserID, Device: l.Device(), Factors: append([]string{}, l.AMR...),
				SignedInAt: l.AuthTime.UTC().Truncate(time.Second), LastSeenAt: l.LastSeenAt.UTC().Truncate(time.Second),
			}
			if reader.May(access.ViewPII) {
				row.IP = &l.Address
			}
			out.Body.Data = append(out.Body.Data, row)
		}
	}
	return out, nil
}

func (a AdminAPI) staff(ctx context.Context, _ *struct{}) (*adminSignInsOutput, error) {
	users, err := a.Staff(ctx)
	if err != nil {
		return nil, err
	}
	return a.show(ctx, users...)
}

type userPath struct {
	ID string `path:"id" maxLength:"64"`
}

func (a AdminAPI) ofUser(ctx context.Context, in *userPath) (*adminSignInsOutput, error) {
	return a.show(ctx, in.ID)
}

type endForInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Reason string `json:"reason" minLength:"10" maxLength:"500"`
	}
}

func (a AdminAPI) end(ctx context.Context, in *endForInput) (*struct{}, error) {
	return nil, unavailable(a.Sessions.DB.InTx(ctx, func(ctx context.Context) error {
		userID, err := a.Sessions.store.owner(ctx, in.ID)
		if err != nil {
			return err
		}
		if err := a.Sessions.End(ctx, in.ID); err != nil {
			return err
		}
		return a.Audit.Write(ctx, audit.Change{Action: "sessions.end", Type: "user", ID: userID, Reason: in.Body.Reason, After: map[string]any{"session": in.ID}})
	}))
}
