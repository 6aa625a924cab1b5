package self

import (
	"context"
	"errors"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/web"
)

// Apps is the JSON surface on the Resource API: people see which clients they
// have let in, and take it back.
type Apps struct {
	Grants  *grant.Service
	Clients *client.Service
	// Spent returns what a user's apps have spent in this calendar month, by id.
	Spent func(ctx context.Context, userID string) (map[string]money.Credits, error)
	// Person is for routes of administrators about one person: it checks that
	// there is one and who may see them.
	Person web.Option
}

// Mount registers the routes.
func (a Apps) Mount(m *web.Mux) {
	manage := access.Needs(access.ScopeAccountManage)
	web.Route(m, "GET /v1/users/me/apps", a.list, manage, web.Doc("List the apps that have access to your account"))
	web.Route(m, "GET /admin/users/{id}/apps", a.ofPerson, access.Allows(access.ViewUsers), a.Person, web.Doc("List the apps that have access to a person's account"))
	web.Route(m, "PATCH /v1/users/me/apps/{clientId}", a.limit, manage, web.Doc("Limit what an app may spend in a calendar month"))
	web.Route(m, "DELETE /v1/users/me/apps/{clientId}", a.remove, manage, web.Doc("Take an app's access away; its tokens die at once"))
}

type connectedApp struct {
	ClientID   string         `json:"clientId"`
	ClientName string         `json:"clientName"`
	Scopes     []string       `json:"scopes"`
	AllowedAt  time.Time      `json:"allowedAt"`
	LastUsedAt *time.Time     `json:"lastUsedAt"`
	Limit      *money.Credits `json:"creditLimitPerMonth" doc:"Credits in a calendar month (UTC); null: no limit"`
	Spent      money.Credits  `json:"creditsThisMonth"`
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
	spent, err := a.Spent(ctx, userID)
	if err != nil {
		return nil, err
	}
	out := &connectedAppsOutput{}
	out.Body.Data = []connectedApp{}
	for _, g := range list {
		row := connectedApp{ClientID: g.ClientID, ClientName: g.ClientID, Scopes: append([]string{}, g.Scopes...), AllowedAt: g.AllowedAt.UTC().Truncate(time.Second), Spent: spent[g.ClientID]}
		if g.CreditsPerMonth > 0 {
			row.Limit = &g.CreditsPerMonth
		}
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

type limitAppInput struct {
	ClientID string `path:"clientId" maxLength:"512"`
	Body     struct {
		Limit *money.Credits `json:"creditLimitPerMonth" nullable:"true" doc:"Credits in a calendar month (UTC); null: no limit"`
	}
}

type connectedAppOutput struct{ Body connectedApp }

func (a Apps) limit(ctx context.Context, in *limitAppInput) (*connectedAppOutput, error) {
	userID, err := owner(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.Grants.Limit(ctx, userID, in.ClientID, in.Body.Limit); err != nil {
		return nil, err
	}
	list, err := a.of(ctx, userID)
	if err != nil {
		return nil, err
	}
	for _, app := range list.Body.Data {
		if app.ClientID == in.ClientID {
			return &connectedAppOutput{app}, nil
		}
	}
	return nil, grant.ErrNoApp
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
