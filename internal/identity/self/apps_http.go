package self

import (
	"context"
	"errors"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/web"
)

// Apps is the JSON surface on the Resource API: people see which clients they
// have let in, and take it back.
type Apps struct {
	Grants  *grant.Service
	Clients *client.Service
	// Person is for routes of administrators about one person: it checks that
	// there is one and who may see them.
	Person web.Option
}

// Mount registers the routes.
func (a Apps) Mount(m *web.Mux) {
	manage := access.Needs(access.ScopeAccountManage)
	web.Route(m, "GET /v1/users/me/apps", a.list, manage, web.Doc("List the apps that have access to your account"))
	web.Route(m, "GET /admin/users/{id}/apps", a.ofPerson, access.Allows(access.ViewUsers), a.Person, web.Doc("List the apps that have access to a person's account"))
	web.Route(m, "DELETE /v1/users/me/apps/{clientId}", a.remove, manage, web.Doc("Take an app's access away; its tokens die at once"))
}

type connectedApp struct {
	ClientID   string     `json:"clientId"`
	ClientName string     `json:"clientName"`
	Scopes     []string   `json:"scopes"`
	AllowedAt  time.Time  `json:"allowedAt"`
	LastUsedAt *time.Time `json:"lastUsedAt"`
}

type connectedAppsOutput struct {
	Body struct {
		Data []connectedApp `json:"data"`
	}
}

func (a Apps) list(ctx context.Context, _ *struct{}) (*connectedAppsOutput, error) {
	userID, err := owner(ctx)
	if err != nil {
		return nil, err
	}
	return a.of(ctx, userID)
}

type ofPersonInput struct {
	ID string `path:"id" maxLength:"64"`
}

func (a Apps) ofPerson(ctx context.Context, in *ofPersonInput) (*connectedAppsOutput, error) {
	return a.of(ctx, in.ID)
}

// of returns the apps that somebody has let in.
func (a Apps) of(ctx context.Context, userID string) (*connectedAppsOutput, error) {
	list, err := a.Grants.Apps(ctx, userID)
	if err != nil {
		return nil, err
	}
	out := &connectedAppsOutput{}
	out.Body.Data = []connectedApp{}
	for _, g := range list {
		row := connectedApp{ClientID: g.ClientID, ClientName: g.ClientID, Scopes: append([]string{}, g.Scopes...), AllowedAt: g.AllowedAt.UTC().Truncate(time.Second)}
		c, err := a.Clients.ByID(ctx, g.ClientID)
		switch {
		case err == nil:
			row.ClientName = c.Name
		case !errors.Is(err, client.ErrUnknown) && !errors.Is(err, client.ErrDocument):
			return nil, err
		}
		if !g.LastUsedAt.IsZero() {
			at := g.LastUsedAt.UTC().Truncate(time.Second)
			row.LastUsedAt = &at
		}
		out.Body.Data = append(out.Body.Data, row)
	}
	return out, nil
}

// owner returns who asks, if it is not an API key.
func owner(ctx context.Context) (string, error) {
	actor, err := access.From(ctx)
	if err == nil && actor.KeyID != "" {
		err = access.ErrNotByKey
	}
	return actor.UserID, err
}

type removeAppInput struct {
	ClientID string `path:"clientId" maxLength:"512"`
}

func (a Apps) remove(ctx context.Context, in *removeAppInput) (*struct{}, error) {
	userID, err := owner(ctx)
	if err != nil {
		return nil, err
	}
	return nil, a.Grants.RemoveConsent(ctx, userID, in.ClientID)
}
