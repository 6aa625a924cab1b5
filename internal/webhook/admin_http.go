package webhook

import (
	"context"
	"net/http"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/web"
)

// AdminAPI is what administrators see and do of everybody's endpoints.
type AdminAPI struct {
	Webhooks *Service
	Cursors  list.Cursors
	Audit    *audit.Log // nil: nothing is remembered
	// Person is for routes about one person: it checks that there is one and who
	// may see them.
	Person web.Option
}

// Mount registers the routes.
func (a AdminAPI) Mount(m *web.Mux) {
	view, manage := access.Allows(access.ViewWebhooks), access.Allows(access.ManageWebhooks)
	web.Route(m, "GET /admin/webhooks", a.list, view, web.Doc("List webhook endpoints, newest first"))
	web.Route(m, "GET /admin/users/{id}/webhooks", a.ofPerson, view, a.Person, web.Doc("List a person's webhook endpoints, newest first"))
	web.Route(m, "GET /admin/webhooks/deliveries", a.deliveries, view, web.Doc("List deliveries of webhooks, newest first"))
	web.Route(m, "POST /admin/webhooks/deliveries/{id}/replay", a.replay, manage, web.Status(http.StatusAccepted), web.Doc("Make a delivery again"))
	web.Route(m, "POST /admin/webhooks/{id}/disable", a.disable, manage, web.Doc("Switch a webhook endpoint off; its owner cannot switch it on again"))
}

type adminListInput struct {
	PageInput
	UserID string `query:"user_id" maxLength:"64"`
}

type adminBody struct {
	Body
	UserID string `json:"userId"`
}

func showAdmin(e Endpoint) adminBody { return adminBody{show(e), e.UserID} }

type adminListOutput struct{ Body list.Page[adminBody] }

func (a AdminAPI) list(ctx context.Context, in *adminListInput) (*adminListOutput, error) {
	page, err := list.Make(a.Cursors, "all webhooks", in.Cursor, in.Limit, showAdmin, func(e Endpoint) string { return e.ID },
		func(before string, limit int) ([]Endpoint, error) {
			return a.Webhooks.List(ctx, in.UserID, before, limit)
		})
	return &adminListOutput{page}, err
}

type ofPersonInput struct {
	PageInput
	ID string `path:"id" maxLength:"64"`
}

func (a AdminAPI) ofPerson(ctx context.Context, in *ofPersonInput) (*adminListOutput, error) {
	return a.list(ctx, &adminListInput{in.PageInput, in.ID})
}

type adminDeliveriesInput struct {
	FilterInput
	UserID     string `query:"user_id" maxLength:"64"`
	EndpointID string `query:"endpoint_id" maxLength:"64"`
}

func (a AdminAPI) deliveries(ctx context.Context, in *adminDeliveriesInput) (*deliveriesOutput, error) {
	return API{Webhooks: a.Webhooks, Cursors: a.Cursors}.page(ctx, in.FilterInput, Filter{User: in.UserID, Endpoint: in.EndpointID})
}

func (a AdminAPI) replay(ctx context.Context, in *IDInput) (*replayOutput, error) {
	var d Delivery
	err := a.changed(ctx, audit.Change{Action: "webhooks.replay", Type: "webhook_delivery", ID: in.ID}, func(ctx context.Context) (err error) {
		d, err = a.Webhooks.Replay(ctx, "", in.ID)
		return err
	})
	return &replayOutput{showDelivery(d)}, err
}

type disableInput struct {
	IDInput
	Body struct {
		Reason string `json:"reason" minLength:"10" maxLength:"500"`
	}
}

type adminOneOutput struct{ Body adminBody }

func (a AdminAPI) disable(ctx context.Context, in *disableInput) (*adminOneOutput, error) {
	var e Endpoint
	err := a.changed(ctx, audit.Change{Action: "webhooks.disable", Type: "webhook", ID: in.ID, Reason: in.Body.Reason}, func(ctx context.Context) (err error) {
		e, err = a.Webhooks.Disable(ctx, in.ID)
		return err
	})
	return &adminOneOutput{showAdmin(e)}, err
}

// changed does something and remembers it in the audit log, or does neither.
func (a AdminAPI) changed(ctx context.Context, c audit.Change, do func(ctx context.Context) error) error {
	return a.Webhooks.DB.InTx(ctx, func(ctx context.Context) error {
		if err := do(ctx); err != nil {
			return err
		}
		return a.Audit.Write(ctx, c)
	})
}
