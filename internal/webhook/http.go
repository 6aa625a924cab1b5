package webhook

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/web"
)

// API is what users do with their own endpoints.
type API struct {
	Webhooks *Service
	Cursors  list.Cursors
}

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	needs := access.Needs(access.ScopeWebhooks)
	web.Route(m, "GET /v1/webhooks/event-types", a.types, web.Public(), web.Doc("List the types of events"))
	web.Route(m, "GET /v1/webhooks", a.list, needs, web.Doc("List your webhook endpoints, newest first"))
	web.Route(m, "POST /v1/webhooks", a.create, needs, web.Status(http.StatusCreated), web.Doc("Make a webhook endpoint; the answer has its secret, once"))
	web.Route(m, "GET /v1/webhooks/{id}", a.one, needs, web.Doc("Show one of your webhook endpoints"))
	web.Route(m, "PATCH /v1/webhooks/{id}", a.edit, needs, web.Doc("Change a webhook endpoint"))
	web.Route(m, "DELETE /v1/webhooks/{id}", a.remove, needs, web.Status(http.StatusNoContent), web.Doc("Delete a webhook endpoint"))
	web.Route(m, "POST /v1/webhooks/{id}/rotate-secret", a.rotate, needs, web.Once(), web.Doc("Give a webhook endpoint another secret; the old one signs for a day more"))
	web.Route(m, "POST /v1/webhooks/{id}/test", a.test, needs, web.Doc("Send a test event now and see how it goes"))
	web.Route(m, "GET /v1/webhooks/{id}/deliveries", a.deliveries, needs, web.Doc("List the deliveries to a webhook endpoint, newest first"))
	web.Route(m, "GET /v1/webhooks/deliveries/{id}", a.delivery, needs, web.First(), web.Doc("Show a delivery with its body and attempts"))
	web.Route(m, "POST /v1/webhooks/deliveries/{id}/replay", a.replay, needs, web.Once(), web.Status(http.StatusAccepted), web.Doc("Make a delivery again"))
	web.Route(m, "POST /v1/webhooks/{id}/replay-failed", a.replayFailed, needs, web.Once(), web.Status(http.StatusAccepted), web.Doc("Make all deliveries again that failed since a time"))
}

type typesOutput struct{ Body list.Page[typeBody] }

type typeBody struct {
	Type        string          `json:"type"`
	Description string          `json:"description"`
	Example     json.RawMessage `json:"example" doc:"Of the event's data"`
}

func (a API) types(context.Context, *struct{}) (*typesOutput, error) {
	out := &typesOutput{}
	for _, t := range Types {
		out.Body.Data = append(out.Body.Data, typeBody{t.Name, t.Description, t.Example})
	}
	return out, nil
}

// Body is an endpoint as the API shows it.
type Body struct {
	ID             string     `json:"id"`
	URL            string     `json:"url"`
	Description    string     `json:"description"`
	Events         []string   `json:"events"`
	Enabled        bool       `json:"enabled"`
	DisabledReason *string    `json:"disabledReason" enum:"user,gone,failing,plan,operator"`
	FailingSince   *time.Time `json:"failingSince"`
	LastSuccessAt  *time.Time `json:"lastSuccessAt"`
	CreatedAt      time.Time  `json:"createdAt"`
}

func show(e Endpoint) Body {
	b := Body{
		ID: e.ID, URL: e.URL, Description: e.Description, Events: e.Events, Enabled: e.Enabled,
		FailingSince: optional(e.FailingSince), LastSuccessAt: optional(e.LastSuccessAt), CreatedAt: e.CreatedAt,
	}
	if !e.Enabled {
		b.DisabledReason = &e.DisabledReason
	}
	return b
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// PageInput pages through a list.
type PageInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Cursor string `query:"cursor" maxLength:"400"`
}

type listOutput struct{ Body list.Page[Body] }

func (a API) list(ctx context.Context, in *PageInput) (*listOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	page, err := list.Make(a.Cursors, "webhooks", in.Cursor, in.Limit, show, func(e Endpoint) string { return e.ID },
		func(before string, limit int) ([]Endpoint, error) {
			return a.Webhooks.List(ctx, actor.UserID, before, limit)
		})
	return &listOutput{page}, err
}

type createInput struct {
	Body struct {
		URL         string   `json:"url" minLength:"1" maxLength:"2000"`
		Events      []string `json:"events" maxItems:"50" doc:"Types of events, or *"`
		Description string   `json:"description,omitempty" maxLength:"500"`
		Enabled     *bool    `json:"enabled,omitempty" doc:"Default true"`
	}
}

type createOutput struct {
	Location string `header:"Location"`
	Body     struct {
		Body
		Secret string `json:"secret" doc:"Signs the deliveries; shown once"`
	}
}

func (a API) create(ctx context.Context, in *createInput) (*createOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	e, secret, err := a.Webhooks.Create(ctx, NewEndpoint{
		UserID: actor.UserID, URL: in.Body.URL, Description: in.Body.Description, Events: in.Body.Events, Enabled: in.Body.Enabled == nil || *in.Body.Enabled,
	})
	if err != nil {
		return nil, err
	}
	out := &createOutput{Location: "/v1/webhooks/" + e.ID}
	out.Body.Body, out.Body.Secret = show(e), secret.Reveal()
	return out, nil
}

// IDInput names an endpoint or a delivery.
type IDInput struct {
	ID string `path:"id" maxLength:"64"`
}

type oneOutput struct{ Body Body }

func (a API) one(ctx context.Context, in *IDInput) (*oneOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	e, err := a.Webhooks.ByID(ctx, actor.UserID, in.ID)
	return &oneOutput{show(e)}, err
}

type editInput struct {
	IDInput
	Body struct {
		URL         *string   `json:"url,omitempty" minLength:"1" maxLength:"2000"`
		Events      *[]string `json:"events,omitempty" maxItems:"50"`
		Description *string   `json:"description,omitempty" maxLength:"500"`
		Enabled     *bool     `json:"enabled,omitempty"`
	}
}

func (a API) edit(ctx context.Context, in *editInput) (*oneOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	e, err := a.Webhooks.Change(ctx, actor.UserID, in.ID, Edit{URL: in.Body.URL, Description: in.Body.Description, Events: in.Body.Events, Enabled: in.Body.Enabled})
	return &oneOutput{show(e)}, err
}

func (a API) remove(ctx context.Context, in *IDInput) (*struct{}, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	return nil, a.Webhooks.Delete(ctx, actor.UserID, in.ID)
}

type rotateOutput struct {
	Body struct {
		Secret        string    `json:"secret"`
		OldValidUntil time.Time `json:"oldValidUntil"`
	}
}

func (a API) rotate(ctx context.Context, in *IDInput) (*rotateOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	secret, until, err := a.Webhooks.Rotate(ctx, actor.UserID, in.ID)
	if err != nil {
		return nil, err
	}
	out := &rotateOutput{}
	out.Body.Secret, out.Body.OldValidUntil = secret.Reveal(), until
	return out, nil
}

type testInput struct {
	IDInput
	Body struct {
		Type string `json:"type,omitempty" maxLength:"64" doc:"Default webhook.test; of others the example is sent"`
	}
}

type testOutput struct {
	Body struct {
		Status    int    `json:"status" doc:"0: no answer"`
		LatencyMS int64  `json:"latencyMs"`
		Response  string `json:"response" doc:"The first 4 KiB of the answer, or why there is none"`
	}
}

func (a API) test(ctx context.Context, in *testInput) (*testOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	kind := in.Body.Type
	if kind == "" {
		kind = Test
	}
	got, err := a.Webhooks.Try(ctx, actor.UserID, in.ID, kind)
	if err != nil {
		return nil, err
	}
	out := &testOutput{}
	out.Body.Status, out.Body.LatencyMS, out.Body.Response = got.Status, got.Latency.Milliseconds(), got.Response
	return out, nil
}
