package subscription

import (
	"context"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/tier"
	"github.com/rephlo/rephlo/internal/web"
)

// Currency is that of all prices.
const Currency = "USD"

// API is what users do with their own subscription.
type API struct {
	Plans   *Service
	Cursors list.Cursors
}

// Mount registers the routes. The paths with /me and /current are the same.
func (a API) Mount(m *web.Mux) {
	read, manage := access.Needs(access.ScopeUser), access.Needs(access.ScopeBilling)
	web.Route(m, "GET /v1/subscription-plans", a.plans, web.Public(), web.Doc("List the plans that can be bought"))
	web.Route(m, "POST /v1/subscriptions", a.start, manage, web.Once(), web.Status(http.StatusCreated), web.Doc("Begin a paid subscription; the answer has the link at which it is paid"))
	web.Route(m, "GET /v1/subscriptions/history", a.history, read, web.Doc("List what happened to your subscriptions, newest first"))
	web.Route(m, "GET /v1/subscriptions/prorations", a.prorations, read, web.Doc("List your changes of plan and how they were computed, newest first"))
	web.Route(m, "GET /api/user/credits", a.credits, access.Needs(access.ScopeCredits), web.Doc("Your credits by where they come from"))
	web.Route(m, "GET /v1/billing/balance", a.balance, read, web.Doc("Show the money that your next invoices use"))
	for _, mine := range []string{"/v1/subscriptions/current", "/v1/subscriptions/me"} {
		web.Route(m, "GET "+mine, a.current, read, web.Doc("Show your subscription"))
		web.Route(m, "POST "+mine+"/preview", a.preview, manage, web.Doc("Compute a change of plan without making it"))
		web.Route(m, "PATCH "+mine, a.change, manage, web.Once(), web.Doc("Make the change of plan that a preview computed"))
		web.Route(m, "DELETE "+mine+"/scheduled-change", a.withdraw, manage, web.Status(http.StatusOK), web.Doc("Take back a change that waits for the end of the period"))
		web.Route(m, "POST "+mine+"/cancel", a.cancel, manage, web.Once(), web.Doc("Cancel your subscription"))
		web.Route(m, "POST "+mine+"/reactivate", a.reactivate, manage, web.Once(), web.Doc("Take back a cancellation that waits for the end of the period"))
	}
}

type planBody struct {
	ID              string        `json:"id"`
	MonthlyPrice    int64         `json:"monthlyPrice" doc:"In minor units, like all money"`
	AnnualPrice     int64         `json:"annualPrice"`
	Currency        string        `json:"currency"`
	CreditsPerMonth money.Credits `json:"creditsPerMonth"`
	TrialDays       int           `json:"trialDays"`
	TrialCredits    money.Credits `json:"trialCredits"`
	Rollover        struct {
		Cap    money.Credits `json:"cap"`
		Months int           `json:"months"`
	} `json:"rollover"`
	Limits     PlanLimits   `json:"limits"`
	Features   PlanFeatures `json:"features"`
	Highlights []string     `json:"highlights"`
}

// PlanLimits is how much a plan allows at a time; 0 is no limit.
type PlanLimits struct {
	RequestsPerMinute  int64         `json:"requestsPerMinute"`
	TokensPerMinute    int64         `json:"tokensPerMinute"`
	ConcurrentRequests int64         `json:"concurrentRequests"`
	CreditsPerDay      money.Credits `json:"creditsPerDay"`
	PriorityWeight     int64         `json:"priorityWeight" doc:"The plan's part of a server that is full, against that of others"`
}

// PlanFeatures is what a plan includes.
type PlanFeatures struct {
	HistoryDays       int  `json:"historyDays"`
	AdvancedAnalytics bool `json:"advancedAnalytics"`
	WebhookEndpoints  int  `json:"webhookEndpoints"`
	APIAccess         bool `json:"apiAccess"`
	LiveKeys          int  `json:"liveApiKeys"`
	TestKeys          int  `json:"testApiKeys"`
}

func showPlan(t *tier.Tier) planBody {
	b := planBody{
		ID: t.Name, MonthlyPrice: t.MonthlyPrice, AnnualPrice: t.AnnualPrice, Currency: Currency, CreditsPerMonth: t.CreditsPerMonth,
		TrialDays: t.TrialDays, TrialCredits: t.TrialCredits, Highlights: append([]string{}, t.Highlights...),
	}
	b.Rollover.Cap, b.Rollover.Months = t.RolloverCap, t.RolloverMonths
	b.Limits.RequestsPerMinute, b.Limits.TokensPerMinute = t.RequestsPerMinute, t.TokensPerMinute
	b.Limits.ConcurrentRequests, b.Limits.CreditsPerDay = t.ConcurrentRequests, t.CreditsPerDay
	b.Limits.PriorityWeight = t.PriorityWeight
	b.Features.HistoryDays, b.Features.AdvancedAnalytics = t.HistoryDays, t.AdvancedAnalytics
	b.Features.WebhookEndpoints, b.Features.APIAccess = t.WebhookEndpoints, t.LiveKeys > 0
	b.Features.LiveKeys, b.Features.TestKeys = t.LiveKeys, t.TestKeys
	return b
}

type plansOutput struct{ Body list.Page[planBody] }

func (a API) plans(context.Context, *struct{}) (*plansOutput, error) {
	out := &plansOutput{Body: list.Page[planBody]{Data: []planBody{}}}
	for _, t := range a.Plans.Tiers.All() {
		if t.Active {
			out.Body.Data = append(out.Body.Data, showPlan(t))
		}
	}
	return out, nil
}

// mine returns the actor and their subscription.
func (a API) mine(ctx context.Context) (access.Actor, Subscription, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return actor, Subscription{}, err
	}
	v, err := a.Plans.Current(ctx, actor.UserID)
	return actor, v, err
}

func (a API) current(ctx context.Context, _ *struct{}) (*oneOutput, error) {
	_, v, err := a.mine(ctx)
	return a.Plans.answer(v, err)
}

type startInput struct {
	Body struct {
		Tier       string `json:"tier" maxLength:"40"`
		Cycle      Cycle  `json:"billingCycle" enum:"monthly,annual"`
		StartTrial bool   `json:"startTrial,omitempty"`
	}
}

type startOutput struct {
	Body struct {
		CheckoutURL string `json:"checkoutUrl"`
	}
}

func (a API) start(ctx context.Context, in *startInput) (*startOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	url, err := a.Plans.Checkout(ctx, Order{User: actor.UserID, Tier: in.Body.Tier, Cycle: in.Body.Cycle, Trial: in.Body.StartTrial})
	if err != nil {
		return nil, err
	}
	out := &startOutput{}
	out.Body.CheckoutURL = url
	return out, nil
}

// PlanInput names a plan.
type PlanInput struct {
	Tier  string `json:"tier" maxLength:"40"`
	Cycle Cycle  `json:"billingCycle" enum:"monthly,annual"`
}

type previewInput struct{ Body PlanInput }

func (a API) preview(ctx context.Context, in *previewInput) (*previewOutput, error) {
	_, v, err := a.mine(ctx)
	if err != nil {
		return nil, err
	}
	p, err := a.Plans.Preview(ctx, v.ID, in.Body.Tier, in.Body.Cycle, false)
	return showPreview(p), err
}

// ChangeInput asks for what a preview computed.
type ChangeInput struct {
	Body struct {
		PlanInput
		PreviewToken string `json:"previewToken" maxLength:"2000"`
	}
}

func (a API) change(ctx context.Context, in *ChangeInput) (*oneOutput, error) {
	actor, v, err := a.mine(ctx)
	if err != nil {
		return nil, err
	}
	v, err = a.Plans.Change(ctx, v.ID, in.Body.Tier, in.Body.Cycle, in.Body.PreviewToken, Why{Actor: actor.UserID})
	return a.Plans.answer(v, err)
}

func (a API) withdraw(ctx context.Context, _ *struct{}) (*oneOutput, error) {
	actor, v, err := a.mine(ctx)
	if err != nil {
		return nil, err
	}
	v, err = a.Plans.Withdraw(ctx, v.ID, Why{Actor: actor.UserID})
	return a.Plans.answer(v, err)
}

type cancelBody struct {
	AtPeriodEnd *bool  `json:"atPeriodEnd,omitempty" doc:"Default true; false ends it at once, without money back"`
	Reason      string `json:"reason,omitempty" maxLength:"500"`
}

func (b cancelBody) atEnd() bool { return b.AtPeriodEnd == nil || *b.AtPeriodEnd }

// CancelInput cancels a subscription.
type CancelInput struct{ Body cancelBody }

func (a API) cancel(ctx context.Context, in *CancelInput) (*oneOutput, error) {
	actor, v, err := a.mine(ctx)
	if err != nil {
		return nil, err
	}
	v, err = a.Plans.Cancel(ctx, v.ID, in.Body.atEnd(), Why{Actor: actor.UserID, Reason: in.Body.Reason})
	return a.Plans.answer(v, err)
}

func (a API) reactivate(ctx context.Context, _ *struct{}) (*oneOutput, error) {
	actor, v, err := a.mine(ctx)
	if err != nil {
		return nil, err
	}
	v, err = a.Plans.Reactivate(ctx, v.ID, Why{Actor: actor.UserID})
	return a.Plans.answer(v, err)
}

type balanceOutput struct {
	Body struct {
		Amount   int64  `json:"amount"`
		Currency string `json:"currency"`
	}
}

func (a API) balance(ctx context.Context, _ *struct{}) (*balanceOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	out := &balanceOutput{}
	out.Body.Currency = Currency
	out.Body.Amount, err = a.Plans.Balance(ctx, actor.UserID)
	return out, err
}

// PageInput asks for a page of a list.
type PageInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Cursor string `query:"cursor" maxLength:"500"`
}

type eventsOutput struct{ Body list.Page[EventBody] }

func (a API) history(ctx context.Context, in *PageInput) (*eventsOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	body, err := list.Make(a.Cursors, "subscription history", in.Cursor, in.Limit, showEvent, func(e Event) string { return e.ID },
		func(before string, limit int) ([]Event, error) {
			return a.Plans.Events(ctx, actor.UserID, "", before, limit)
		})
	return &eventsOutput{body}, err
}

type prorationsOutput struct{ Body list.Page[ProrationBody] }

func (a API) prorations(ctx context.Context, in *PageInput) (*prorationsOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	body, err := list.Make(a.Cursors, "prorations", in.Cursor, in.Limit, showProration, func(r Record) string { return r.ID },
		func(before string, limit int) ([]Record, error) {
			return a.Plans.Prorations(ctx, actor.UserID, before, limit)
		})
	return &prorationsOutput{body}, err
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
