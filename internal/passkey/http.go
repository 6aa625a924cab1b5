package passkey

import (
	"context"
	"encoding/json"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/web"
)

// recent is how old the sign-in may be of who changes factors.
const recent = 5 * time.Minute

// API is the JSON surface: people manage their passkeys.
type API struct {
	Passkeys *Service
	Accounts *account.Service
}

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	with := func(doc string) []web.Option {
		return []web.Option{web.Doc(doc), access.Needs(access.ScopeAccountManage), access.Recent(recent, a.Passkeys.Now)}
	}
	web.Route(m, "GET /auth/passkeys", a.list, access.Needs(access.ScopeAccountManage), web.Doc("List your passkeys"))
	web.Route(m, "POST /auth/passkeys/options", a.options, with("Begin to add a passkey")...)
	web.Route(m, "POST /auth/passkeys", a.add, with("Add the passkey that the browser made")...)
	web.Route(m, "PATCH /auth/passkeys/{id}", a.rename, with("Rename a passkey")...)
	web.Route(m, "DELETE /auth/passkeys/{id}", a.remove, with("Remove a passkey")...)
}

func (a API) user(ctx context.Context) (account.User, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return account.User{}, err
	}
	return a.Accounts.ByID(ctx, actor.UserID)
}

type passkeyView struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Host       string     `json:"host" doc:"The host name that it is bound to"`
	Usable     bool       `json:"usable" doc:"False when it is bound to an old host name, or was copied"`
	CreatedAt  time.Time  `json:"createdAt"`
	LastUsedAt *time.Time `json:"lastUsedAt"`
}

func passkeyViewOf(p Passkey) passkeyView {
	v := passkeyView{ID: p.ID, Name: p.Name, Host: p.Host, Usable: !p.Old && !p.Suspect, CreatedAt: p.CreatedAt.UTC().Truncate(time.Second)}
	if !p.LastUsedAt.IsZero() {
		at := p.LastUsedAt.UTC().Truncate(time.Second)
		v.LastUsedAt = &at
	}
	return v
}

type passkeysOutput struct {
	Body struct {
		Data []passkeyView `json:"data"`
	}
}

func (a API) list(ctx context.Context, _ *struct{}) (*passkeysOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := a.Passkeys.List(ctx, actor.UserID)
	if err != nil {
		return nil, err
	}
	out := &passkeysOutput{}
	out.Body.Data = []passkeyView{}
	for _, p := range keys {
		out.Body.Data = append(out.Body.Data, passkeyViewOf(p))
	}
	return out, nil
}

type passkeyOptionsOutput struct {
	Body json.RawMessage
}

func (a API) options(ctx context.Context, _ *struct{}) (*passkeyOptionsOutput, error) {
	u, err := a.user(ctx)
	if err != nil {
		return nil, err
	}
	options, err := a.Passkeys.BeginRegistration(ctx, u)
	return &passkeyOptionsOutput{options}, err
}

type addPasskeyInput struct {
	Body struct {
		Name       string          `json:"name" maxLength:"240"`
		Credential json.RawMessage `json:"credential" doc:"What navigator.credentials.create returned, as JSON"`
	}
}

type passkeyOutput struct{ Body passkeyView }

func (a API) add(ctx context.Context, in *addPasskeyInput) (*passkeyOutput, error) {
	u, err := a.user(ctx)
	if err != nil {
		return nil, err
	}
	p, err := a.Passkeys.Register(ctx, u, in.Body.Name, in.Body.Credential)
	if err != nil {
		return nil, err
	}
	return &passkeyOutput{passkeyViewOf(p)}, nil
}

type renamePasskeyInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Name string `json:"name" maxLength:"240"`
	}
}

func (a API) rename(ctx context.Context, in *renamePasskeyInput) (*struct{}, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	return nil, a.Passkeys.Rename(ctx, actor.UserID, in.ID, in.Body.Name)
}

type removePasskeyInput struct {
	ID string `path:"id" maxLength:"64"`
}

func (a API) remove(ctx context.Context, in *removePasskeyInput) (*struct{}, error) {
	u, err := a.user(ctx)
	if err != nil {
		return nil, err
	}
	return nil, a.Passkeys.Remove(ctx, u, in.ID)
}
