package subscription

import (
	"context"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/tier"
	"github.com/rephlo/rephlo/internal/web"
)

// AdminAPI is what administrators do with everybody's subscriptions.
type AdminAPI struct {
	Plans   *Service
	Cursors list.Cursors
	// Person is for routes about one person: it checks that there is one and who
	// may see them.
	Person web.Option
	// Own returns a tier with the limits of its own that a user has, the same one
	// without such; nil: nobody has.
	Own func(userID string, t *tier.Tier) *tier.Tier
}

// Mount registers the routes.
func (a AdminAPI) Mount(m *web.Mux) {
	view, edit := access.Allows(access.ViewPlans), access.Allows(access.EditPlans)
	web.Route(m, "GET /admin/subscriptions", a.list, view, web.Doc("List subscriptions, newest first"))
	web.Route(m, "GET /admin/users/{id}/subscriptions", a.ofPerson, view, a.Person, web.Doc("List a person's subscriptions, newest first"))
	web.Route(m, "GET /admin/subscriptions/{id}", a.one, view, web.Doc("Show a subscription"))
	web.Route(m, "GET /admin/subscriptions/{id}/events", a.events, view, web.Doc("List what happened to a subscription, newest first"))
	web.Route(m, "POST /admin/subscriptions", a.start, access.Allows(access.CreatePlans), web.Once(), web.Status(http.StatusCreated), web.Doc("Give a user a subscription that nobody pays for"))
	web.Route(m, "POST /admin/subscriptions/{id}/preview", a.preview, edit, web.Doc("Compute a change of plan without making it"))
	web.Route(m, "POST /admin/subscriptions/{id}/change", a.change, edit, web.Once(), web.Doc("Make the change of plan that a preview computed"))
	web.Route(m, "POST /admin/subscriptions/{id}/cancel", a.cancel, access.Allows(access.CancelPlans), web.Once(), web.Doc("Cancel a subscription"))
	web.Route(m, "POST /admin/subscriptions/{id}/reactivate", a.reactivate, access.Allows(access.ReactivatePlans), web.Once(), web.Doc("Take back a cancellation that waits for the end of the period"))
	web.Route(m, "POST /admin/credits/allocate", a.allocate, edit, web.Once(), web.Doc("Give the running credit cycle its credits if they are missing"))
	web.Route(m, "GET /admin/prorations", a.prorations, access.Allows(access.ViewBilling), web.Doc("List changes of plan and how they were computed, newest first"))
	a.mountMore(m)
	a.mountUse(m)
}

type listInput struct {
	PageInput
	Status string `query:"status" enum:"incomplete,trial,active,past_due,suspended,cancelled,expired"`
	Tier   string `query:"tier" maxLength:"40"`
	Cycle  string `query:"billing_cycle" enum:"monthly,annual"`
	Mode   string `query:"billing_mode" enum:"free,manual,vendor"`
	UserID string `query:"user_id" maxLength:"64"`
}

type listOutput struct{ Body list.Page[body] }

func (a AdminAPI) list(ctx context.Context, in *listInput) (*listOutput, error) {
	f := Filter{State: in.Status, Tier: in.Tier, Cycle: in.Cycle, Mode: in.Mode, User: in.UserID}
	page, err := list.Make(a.Cursors, "subscriptions", in.Cursor, in.Limit, a.Plans.show, func(v Subscription) string { return v.ID },
		func(before string, limit int) ([]Subscription, error) {
			f.Before = before
			return a.Plans.List(ctx, f, limit)
		})
	return &listOutput{page}, err
}

type ofPersonInput struct {
	PageInput
	ID string `path:"id" maxLength:"64"`
}

func (a AdminAPI) ofPerson(ctx context.Context, in *ofPersonInput) (*listOutput, error) {
	return a.list(ctx, &listInput{PageInput: in.PageInput, UserID: in.ID})
}

// IDInput names a subscription.
type IDInput struct {
	ID string `path:"id" maxLength:"64"`
}

func (a AdminAPI) one(ctx context.Context, in *IDInput) (*oneOutput, error) {
	return a.Plans.answer(a.Plans.ByID(ctx, in.ID))
}

type eventsInput struct {
	IDInput
	PageInput
}

type adminEvent struct {
	EventBody
	Actor *string `json:"actor" doc:"null: the system"`
}

type adminEventsOutput struct{ Body list.Page[adminEvent] }

func (a AdminAPI) events(ctx context.Context, in *eventsInput) (*adminEventsOutput, error) {
	show := func(e Event) adminEvent {
		out := adminEvent{EventBody: showEvent(e)}
		if e.Actor != "" {
			out.Actor = &e.Actor
		}
		return out
	}
	if _, err := a.Plans.ByID(ctx, in.ID); err != nil {
		return nil, err
	}
	page, err := list.Make(a.Cursors, "subscription events", in.Cursor, in.Limit, show, func(e Event) string { return e.ID },
		func(before string, limit int) ([]Event, error) { return a.Plans.Events(ctx, "", in.ID, before, limit) })
	return &adminEventsOutput{page}, err
}

type adminStartInput struct {
	Body struct {
		UserID     string     `json:"userId" maxLength:"64"`
		Tier       string     `json:"tier" maxLength:"40"`
		Cycle      Cycle      `json:"billingCycle" enum:"monthly,annual"`
		Mode       Mode       `json:"billingMode" enum:"manual" doc:"Nobody pays; paid ones begin at the user's checkout"`
		EndsAt     *time.Time `json:"endsAt,omitempty"`
		StartTrial bool       `json:"startTrial,omitempty"`
		TrialDays  int        `json:"trialDays,omitempty" minimum:"1" maximum:"90"`
		Reason     string     `json:"reason,omitempty" maxLength:"500"`
	}
}

func (a AdminAPI) start(ctx context.Context, in *adminStartInput) (*oneOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	o := Order{
		User: in.Body.UserID, Tier: in.Body.Tier, Cycle: in.Body.Cycle, Trial: in.Body.StartTrial || in.Body.TrialDays > 0, Days: in.Body.TrialDays,
		Actor: actor.UserID, Reason: in.Body.Reason,
	}
	if in.Body.EndsAt != nil {
		o.EndsAt = in.Body.EndsAt.UTC().Truncate(time.Second)
	}
	return a.Plans.answer(a.Plans.Start(ctx, o))
}

type adminPreviewInput struct {
	IDInput
	Body PlanInput
}

func (a AdminAPI) preview(ctx context.Context, in *adminPreviewInput) (*previewOutput, error) {
	p, err := a.Plans.Preview(ctx, in.ID, in.Body.Tier, in.Body.Cycle, true)
	return showPreview(p), err
}

type adminChangeInput struct {
	IDInput
	ChangeInput
}

func (a AdminAPI) change(ctx context.Context, in *adminChangeInput) (*oneOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	return a.Plans.answer(a.Plans.Change(ctx, in.ID, in.Body.Tier, in.Body.Cycle, in.Body.PreviewToken, Why{Actor: actor.UserID, Admin: true}))
}

type adminCancelInput struct {
	IDInput
	CancelInput
}

func (a AdminAPI) cancel(ctx context.Context, in *adminCancelInput) (*oneOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	return a.Plans.answer(a.Plans.Cancel(ctx, in.ID, in.Body.atEnd(), Why{Actor: actor.UserID, Reason: in.Body.Reason, Admin: true}))
}

func (a AdminAPI) reactivate(ctx context.Context, in *IDInput) (*oneOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	return a.Plans.answer(a.Plans.Reactivate(ctx, in.ID, Why{Actor: actor.UserID, Admin: true}))
}

type allocateInput struct {
	Body struct {
		SubscriptionID string `json:"subscriptionId" maxLength:"64"`
	}
}

func (a AdminAPI) allocate(ctx context.Context, in *allocateInput) (*oneOutput, error) {
	err := a.Plans.DB.InTx(ctx, func(ctx context.Context) error {
		if err := a.Plans.Allocate(ctx, in.Body.SubscriptionID); err != nil {
			return err
		}
		return a.Plans.Audit.Write(ctx, audit.Change{Action: "subscription.allocate", Type: "subscription", ID: in.Body.SubscriptionID})
	})
	if err != nil {
		return nil, err
	}
	return a.Plans.answer(a.Plans.ByID(ctx, in.Body.SubscriptionID))
}

type adminProrationsInput struct {
	PageInput
	UserID string `query:"user_id" maxLength:"64"`
}

func (a AdminAPI) prorations(ctx context.Context, in *adminProrationsInput) (*prorationsOutput, error) {
	page, err := list.Make(a.Cursors, "all prorations", in.Cursor, in.Limit, showProration, func(r Record) string { return r.ID },
		func(before string, limit int) ([]Record, error) {
			return a.Plans.Prorations(ctx, in.UserID, before, limit)
		})
	return &prorationsOutput{page}, err
}
