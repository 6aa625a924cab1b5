package sso

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/web"
)

// API is the JSON surface: people see where they are signed in, and end it.
type API struct{ Sessions *Service }

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	manage := access.Needs(access.ScopeAccountManage)
	web.Route(m, "GET /v1/users/me/sessions", a.list, manage, web.Doc("List your sign-ins in browsers"))
	web.Route(m, "DELETE /v1/users/me/sessions/{id}", a.end, manage, web.Doc("End a sign-in"))
	web.Route(m, "DELETE /v1/users/me/sessions", a.endOthers, manage, web.Doc("End all other sign-ins"))
}

type signIn struct {
	ID         string    `json:"id"`
	Device     string    `json:"device"`
	IP         string    `json:"ip"`
	CreatedAt  time.Time `json:"createdAt"`
	LastSeenAt time.Time `json:"lastSeenAt"`
	Current    bool      `json:"current" doc:"The credential of this request belongs to it"`
}

type signInsOutput struct {
	Body struct {
		Data []signIn `json:"data"`
	}
}

func (a API) list(ctx context.Context, _ *struct{}) (*signInsOutput, error) {
	actor, err := person(ctx)
	if err != nil {
		return nil, err
	}
	list, err := a.Sessions.List(ctx, actor.UserID)
	if err != nil {
		return nil, err
	}
	out := &signInsOutput{}
	out.Body.Data = []signIn{}
	for _, l := range list {
		out.Body.Data = append(out.Body.Data, signIn{
			ID: l.ID, Device: l.Device(), IP: l.Address, CreatedAt: l.CreatedAt.UTC().Truncate(time.Second),
			LastSeenAt: l.LastSeenAt.UTC().Truncate(time.Second), Current: l.ID == actor.Session,
		})
	}
	return out, nil
}

// person returns who asks, if it is not an API key.
func person(ctx context.Context) (access.Actor, error) {
	actor, err := access.From(ctx)
	if err == nil && actor.KeyID != "" {
		err = access.ErrNotByKey
	}
	return actor, err
}

type endSignInInput struct {
	ID string `path:"id" maxLength:"64"`
}

func (a API) end(ctx context.Context, in *endSignInInput) (*struct{}, error) {
	actor, err := person(ctx)
	if err != nil {
		return nil, err
	}
	return nil, a.Sessions.EndOwn(ctx, actor.UserID, in.ID)
}

func (a API) endOthers(ctx context.Context, _ *struct{}) (*struct{}, error) {
	actor, err := person(ctx)
	if err != nil {
		return nil, err
	}
	return nil, a.Sessions.EndOthers(ctx, actor.UserID, actor.Session)
}
