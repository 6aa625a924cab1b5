package client

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/web"
)

// AdminAPI lets administrators see, make and change clients.
type AdminAPI struct {
	Admin
	Cursors list.Cursors
}

// recent is how long ago the sign-in may be of who changes clients: a client
// can be given the right to sign anybody in.
const recent = 5 * time.Minute

// Mount registers the routes.
func (a AdminAPI) Mount(m *web.Mux) {
	view := access.Allows(access.ViewClients)
	manage := web.All(access.Allows(access.ManageClients), access.Recent(recent, a.Clients.now))
	a.mountResources(m, view, manage)
	web.Route(m, "GET /admin/clients", a.list, view, web.Doc("List the clients that people sign in with"))
	web.Route(m, "POST /admin/clients", a.create, manage, web.Status(http.StatusCreated), web.Doc("Make a client; its secret is shown once"))
	web.Route(m, "GET /admin/clients/{id}", a.one, view, web.Doc("Show a client"))
	web.Route(m, "PATCH /admin/clients/{id}", a.edit, manage, web.Doc("Change a client, disable it or enable it again"))
	web.Route(m, "DELETE /admin/clients/{id}", a.remove, manage, web.Doc("Delete a client; its tokens end at once"))
	web.Route(m, "POST /admin/clients/{id}/rotate-secret", a.rotate, manage, web.Doc("Give a client another secret, which is shown once; the one before works for 24 hours still"))
	web.Route(m, "POST /admin/clients/{id}/verify", a.verify, manage, web.Doc("Vouch for who a client is, or take that back"))
}

type clientsInput struct {
	Cursor string `query:"cursor" maxLength:"200"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Search string `query:"search" maxLength:"120" doc:"Part of the id, the name or the owner"`
	Status Status `query:"status" enum:"active,disabled"`
	Source string `query:"source" enum:"built_in,administrator,registered"`
}

type clientsOutput struct{ Body list.Page[Shown] }

func (a AdminAPI) list(ctx context.Context, in *clientsInput) (*clientsOutput, error) {
	word := strings.ToLower(in.Search)
	keep := func(c Client) bool {
		return (in.Status == "" || c.Disabled == (in.Status == StatusDisabled)) && (in.Source == "" || c.source() == in.Source) &&
			(word == "" || strings.Contains(strings.ToLower(c.ID), word) || strings.Contains(strings.ToLower(c.Name), word) ||
				strings.Contains(strings.ToLower(c.Owner), word))
	}
	page, err := list.Make(a.Cursors, "clients", in.Cursor, in.Limit, a.show, func(c Client) string { return c.ID },
		func(before string, limit int) ([]Client, error) { return a.List(ctx, before, limit, keep), nil })
	return &clientsOutput{page}, err
}

func (a AdminAPI) show(c Client) Shown { return Show(c, a.Clients.now()) }

// ReasonField is why an administrator does something.
type ReasonField struct {
	Reason string `json:"reason" minLength:"10" maxLength:"500"`
}

type createClientInput struct {
	Body struct {
		Edit
		ReasonField
	}
}

// WithSecret is a client with what is shown once.
type WithSecret struct {
	Shown
	Secret *string `json:"secret" doc:"Shown now and never again; null for a client that has none"`
}

type createdOutput struct {
	Location string `header:"Location"`
	Body     WithSecret
}

func (a AdminAPI) create(ctx context.Context, in *createClientInput) (*createdOutput, error) {
	c, secret, err := a.Create(ctx, in.Body.Edit, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return &createdOutput{"/admin/clients/" + url.PathEscape(c.ID), WithSecret{a.show(c), orNull(secret)}}, nil
}

// Path names the client that an administrator asks about.
type Path struct {
	ID string `path:"id" maxLength:"600"`
}

type clientOutput struct{ Body Shown }

func (a AdminAPI) shown(c Client, err error) (*clientOutput, error) {
	if err != nil {
		return nil, err
	}
	return &clientOutput{a.show(c)}, nil
}

func (a AdminAPI) one(ctx context.Context, in *Path) (*clientOutput, error) {
	return a.shown(a.One(ctx, in.ID))
}

type editClientInput struct {
	Path
	Body struct {
		Edit
		ReasonField
	}
}

func (a AdminAPI) edit(ctx context.Context, in *editClientInput) (*clientOutput, error) {
	in.Body.ID = nil // a client keeps its id
	return a.shown(a.Edit(ctx, in.ID, in.Body.Edit, in.Body.Reason))
}

type removeClientInput struct {
	Path
	Reason  string `query:"reason" required:"true" minLength:"10" maxLength:"500"`
	Confirm bool   `query:"confirm" doc:"Delete it although people are signed in with it"`
}

func (a AdminAPI) remove(ctx context.Context, in *removeClientInput) (*struct{}, error) {
	return nil, a.Delete(ctx, in.ID, in.Confirm, in.Reason)
}

type rotateSecretInput struct {
	Path
	Body struct {
		Leaked bool   `json:"leaked,omitempty" doc:"The secret before works no more, and the client's tokens end"`
		Reason string `json:"reason" minLength:"10" maxLength:"500"`
	}
}

type rotatedOutput struct{ Body WithSecret }

func (a AdminAPI) rotate(ctx context.Context, in *rotateSecretInput) (*rotatedOutput, error) {
	c, secret, err := a.RotateSecret(ctx, in.ID, in.Body.Leaked, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return &rotatedOutput{WithSecret{a.show(c), orNull(secret)}}, nil
}

type verifyInput struct {
	Path
	Body struct {
		Verified *bool  `json:"verified,omitempty" doc:"Default true"`
		Reason   string `json:"reason" minLength:"10" maxLength:"500"`
	}
}

func (a AdminAPI) verify(ctx context.Context, in *verifyInput) (*clientOutput, error) {
	return a.shown(a.Verify(ctx, in.ID, in.Body.Verified == nil || *in.Body.Verified, in.Body.Reason))
}
