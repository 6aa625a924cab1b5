package apikey

import (
	"context"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/web"
)

// API is the JSON surface: people manage their own keys. A key cannot manage
// keys, because no key can have the scope keys.manage.
type API struct {
	Keys    *Service
	Cursors list.Cursors
}

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	needs := access.Needs(access.ScopeKeys)
	web.Route(m, "GET /v1/api-keys", a.list, needs, web.Doc("List your API keys"))
	web.Route(m, "GET /v1/api-keys/{id}", a.one, needs, web.Doc("Show one of your API keys"))
	web.Route(m, "POST /v1/api-keys", a.create, needs, web.Once(), web.Status(http.StatusCreated), web.Doc("Create an API key; the answer has its secret, once"))
	web.Route(m, "PATCH /v1/api-keys/{id}", a.edit, needs, web.Doc("Change an API key"))
	web.Route(m, "POST /v1/api-keys/{id}/rotate", a.rotate, needs, web.Once(), web.Status(http.StatusCreated), web.Doc("Replace an API key; the answer has the new secret, once"))
	web.Route(m, "DELETE /v1/api-keys/{id}", a.revoke, needs, web.Status(http.StatusNoContent), web.Doc("Revoke an API key"))
}

// Shown is a key as the API shows it.
type Shown struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Prefix     string     `json:"prefix" doc:"The first 12 characters"`
	Mode       Mode       `json:"mode" enum:"live,test"`
	Scopes     []string   `json:"scopes"`
	ModelIDs   []string   `json:"modelIds" doc:"The models it may call; empty: all"`
	Limits     Limits     `json:"limits"`
	Cache      bool       `json:"cache" doc:"Keep whole answers for a while and give them again to the same request, where the model allows it"`
	Status     Status     `json:"status" enum:"active,paused,expired,revoked"`
	PausedBy   *string    `json:"pausedBy" enum:"user,plan" doc:"plan: it allows fewer keys; the oldest go on"`
	CreatedAt  time.Time  `json:"createdAt"`
	Capture    bool       `json:"capture" doc:"Keep what is asked and answered, sealed, for you to read; where the operator allows it"`
	ExpiresAt  *time.Time `json:"expiresAt"`
	LastUsedAt *time.Time `json:"lastUsedAt"`
	ReplacedBy *string    `json:"replacedBy" doc:"The key that takes its place, after a rotation"`
}

func (a API) show(k Key) Shown {
	out := Shown{
		ID: k.ID, Name: k.Name, Prefix: k.Prefix, Mode: k.Mode, Scopes: k.Scopes, Status: k.Status(a.Keys.now()),
		ModelIDs: append([]string{}, k.Models...), Limits: k.Limits, Cache: k.Cache, Capture: k.Capture,
		CreatedAt: k.CreatedAt, ExpiresAt: optional(k.ExpiresAt), LastUsedAt: optional(k.LastUsedAt),
	}
	if k.ReplacedBy != "" {
		out.ReplacedBy = &k.ReplacedBy
	}
	switch {
	case out.Status == StatusPaused:
		out.PausedBy = new("user")
	case out.Status == StatusActive && a.Keys.Surplus(k):
		out.Status, out.PausedBy = StatusPaused, new("plan")
	}
	return out
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// ListInput is a page of keys, and which it has.
type ListInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Cursor string `query:"cursor"`
	Mode   string `query:"mode" enum:"live,test"`
	Status string `query:"status" enum:"active,paused,expired,revoked"`
}

type listOutput struct{ Body list.Page[Shown] }

const listName = "api-keys"

func (a API) list(ctx context.Context, in *ListInput) (*listOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	return a.page(ctx, actor.UserID, in)
}

// page returns one page of a user's keys.
func (a API) page(ctx context.Context, userID string, in *ListInput) (*listOutput, error) {
	f := Filter{Mode: Mode(in.Mode), Status: Status(in.Status)}
	if in.Cursor != "" {
		if err := a.Cursors.Decode(listName, in.Cursor, &f.Before); err != nil {
			return nil, err
		}
	}
	keys, err := a.Keys.List(ctx, userID, f, in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &listOutput{Body: list.Page[Shown]{Data: []Shown{}}}
	if len(keys) > in.Limit {
		keys = keys[:in.Limit]
		cursor, err := a.Cursors.Encode(listName, keys[in.Limit-1].ID)
		if err != nil {
			return nil, err
		}
		out.Body.NextCursor = &cursor
	}
	for _, k := range keys {
		out.Body.Data = append(out.Body.Data, a.show(k))
	}
	return out, nil
}

type oneInput struct {
	ID string `path:"id" maxLength:"64"`
}

type oneOutput struct{ Body Shown }

func (a API) one(ctx context.Context, in *oneInput) (*oneOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	k, err := a.Keys.ByID(ctx, actor.UserID, in.ID)
	if err != nil {
		return nil, err
	}
	return &oneOutput{Body: a.show(k)}, nil
}

type createInput struct {
	Body struct {
		Name          string     `json:"name" minLength:"1" maxLength:"100"`
		Mode          string     `json:"mode,omitempty" enum:"live,test" default:"live"`
		Scopes        []string   `json:"scopes,omitempty" enum:"llm.inference,models.read,user.info,credits.read" minItems:"1" maxItems:"4" doc:"Default: llm.inference and models.read"`
		ModelIDs      []string   `json:"modelIds,omitempty" maxItems:"100" doc:"The models it may call. Default: all"`
		Limits        *Limits    `json:"limits,omitempty" doc:"Besides those of your plan. Default: none"`
		Cache         bool       `json:"cache,omitempty" doc:"Keep whole answers for a while and give them again to the same request, where the model allows it"`
		Capture       bool       `json:"capture,omitempty" doc:"Keep what is asked and answered, sealed, for you to read; where the operator allows it"`
		ExpiresAt     *time.Time `json:"expiresAt,omitempty" doc:"Default: in 90 days"`
		ExpiresInDays *int       `json:"expiresInDays,omitempty" minimum:"0" maximum:"3650" doc:"Instead of expiresAt; 0: never"`
	}
}

type createOutput struct {
	Location string `header:"Location"`
	Body     created
}

type created struct {
	Shown
	Key string `json:"key" doc:"The secret. It is shown only here."`
}

func (a API) create(ctx context.Context, in *createInput) (*createOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	n := NewKey{UserID: actor.UserID, Name: in.Body.Name, Mode: Mode(in.Body.Mode), Scopes: in.Body.Scopes, Models: in.Body.ModelIDs, Cache: in.Body.Cache, Capture: in.Body.Capture}
	if in.Body.Limits != nil {
		n.Limits = *in.Body.Limits
	}
	switch days := in.Body.ExpiresInDays; {
	case in.Body.ExpiresAt != nil && days != nil:
		return nil, errField.Saying("Send expiresAt or expiresInDays, not both.").At("expiresInDays")
	case in.Body.ExpiresAt != nil:
		n.ExpiresAt = *in.Body.ExpiresAt
	case days != nil:
		n.NoExpiry = *days == 0
		if !n.NoExpiry {
			n.ExpiresAt = a.Keys.now().AddDate(0, 0, *days)
		}
	}
	k, text, err := a.Keys.Create(ctx, n)
	if err != nil {
		return nil, err
	}
	return &createOutput{Location: "/v1/api-keys/" + k.ID, Body: created{Shown: a.show(k), Key: text.Reveal()}}, nil
}

type editInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Name      *string    `json:"name,omitempty" minLength:"1" maxLength:"100"`
		Scopes    *[]string  `json:"scopes,omitempty" enum:"llm.inference,models.read,user.info,credits.read" minItems:"1" maxItems:"4"`
		ModelIDs  *[]string  `json:"modelIds,omitempty" maxItems:"100" doc:"Empty: all models"`
		Limits    *Limits    `json:"limits,omitempty"`
		Cache     *bool      `json:"cache,omitempty" doc:"Keep whole answers for a while and give them again to the same request, where the model allows it"`
		Capture   *bool      `json:"capture,omitempty" doc:"Keep what is asked and answered, sealed, for you to read; where the operator allows it"`
		ExpiresAt *time.Time `json:"expiresAt,omitempty"`
		NoExpiry  bool       `json:"noExpiry,omitempty" doc:"Let it never expire"`
		Paused    *bool      `json:"paused,omitempty"`
	}
}

func (a API) edit(ctx context.Context, in *editInput) (*oneOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	b := in.Body
	e := Edit{Name: b.Name, Scopes: b.Scopes, Models: b.ModelIDs, Limits: b.Limits, Cache: b.Cache, Capture: b.Capture, ExpiresAt: b.ExpiresAt, Paused: b.Paused}
	if b.NoExpiry {
		e.ExpiresAt = &time.Time{}
	}
	k, err := a.Keys.Change(ctx, actor.UserID, in.ID, e)
	if err != nil {
		return nil, err
	}
	return &oneOutput{Body: a.show(k)}, nil
}

func (a API) revoke(ctx context.Context, in *oneInput) (*struct{}, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	return nil, a.Keys.Revoke(ctx, actor.UserID, in.ID)
}
