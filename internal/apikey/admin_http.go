package apikey

import (
	"context"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/web"
)

// AdminAPI is what administrators see and do of other people's keys.
type AdminAPI struct {
	Keys    *Service
	Cursors list.Cursors
	Audit   *audit.Log
	// Person is for routes about one person: it checks that there is one and who
	// may see them.
	Person web.Option
}

// Mount registers the routes.
func (a AdminAPI) Mount(m *web.Mux) {
	web.Route(m, "GET /admin/users/{id}/api-keys", a.ofPerson, access.Allows(access.ViewKeys), a.Person, web.Doc("List a person's API keys"))
	web.Route(m, "GET /admin/api-keys", a.everybodys, access.Allows(access.ViewKeys), web.Doc("List everybody's API keys"))
	web.Route(m, "POST /admin/api-keys/{id}/revoke", a.revoke, access.Allows(access.RevokeKeys), web.Doc("Revoke somebody's API key"))
}

type ofPersonInput struct {
	ListInput
	ID string `path:"id" maxLength:"64"`
}

func (a AdminAPI) ofPerson(ctx context.Context, in *ofPersonInput) (*listOutput, error) {
	return API{Keys: a.Keys, Cursors: a.Cursors}.page(ctx, in.ID, &in.ListInput)
}

type everybodysKeysInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Cursor string `query:"cursor" maxLength:"500"`
	UserID string `query:"user_id" maxLength:"64"`
	Prefix string `query:"prefix" maxLength:"200" doc:"The first 12 characters of the key; what follows is not looked at"`
	Status Status `query:"status" enum:"active,paused,expired,revoked"`
}

// OwnedKey is a key with whose it is.
type OwnedKey struct {
	Shown
	UserID string `json:"userId"`
}

type everybodysKeysOutput struct{ Body list.Page[OwnedKey] }

func (a AdminAPI) everybodys(ctx context.Context, in *everybodysKeysInput) (*everybodysKeysOutput, error) {
	show := func(k Key) OwnedKey { return OwnedKey{API{Keys: a.Keys}.show(k), k.UserID} }
	page, err := list.Make(a.Cursors, "all api-keys", in.Cursor, in.Limit, show, func(k Key) string { return k.ID },
		func(before string, limit int) ([]Key, error) {
			return a.Keys.Everybodys(ctx, Filter{UserID: in.UserID, Prefix: in.Prefix, Status: in.Status, Before: before}, limit)
		})
	return &everybodysKeysOutput{page}, err
}

type adminRevokeInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Reason string `json:"reason" minLength:"10" maxLength:"500"`
	}
}

func (a AdminAPI) revoke(ctx context.Context, in *adminRevokeInput) (*oneOutput, error) {
	k, err := a.Keys.RevokeAny(ctx, in.ID, func(ctx context.Context, k Key) error {
		return a.Audit.Write(ctx, audit.Change{
			Action: "api_keys.revoke", Type: "api_key", ID: k.ID, Reason: in.Body.Reason, After: map[string]any{"userId": k.UserID, "prefix": k.Prefix},
		})
	})
	if err != nil {
		return nil, err
	}
	return &oneOutput{API{Keys: a.Keys}.show(k)}, nil
}
