package tier

import (
	"context"
	"strconv"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/web"
)

// AdminAPI is what administrators do with tiers.
type AdminAPI struct {
	Tiers   *Service
	Cursors list.Cursors
	// Holders counts those who have a tier.
	Holders func(ctx context.Context, tier string) (Holders, error)
	// Terms say what a credit is worth and costs now.
	Terms func() money.Terms
}

// Mount registers the routes.
func (a AdminAPI) Mount(m *web.Mux) {
	view, edit := access.Allows(access.ViewTiers), access.Allows(access.EditTiers)
	web.Route(m, "GET /admin/tier-config", a.all, view, web.Doc("List the tiers, with what is left of their price when all credits are used"))
	web.Route(m, "GET /admin/tier-config/{tier}", a.one, view, web.Doc("Show a tier"))
	web.Route(m, "GET /admin/tier-config/{tier}/history", a.history, view, web.Doc("List the changes of a tier, newest first"))
	web.Route(m, "POST /admin/tier-config/{tier}/preview", a.preview, view, web.Doc("Compute whom a change would concern, without making it"))
	web.Route(m, "PATCH /admin/tier-config/{tier}/credits", a.credits, edit, web.Doc("Change the credits of a cycle, now or later"))
	web.Route(m, "PATCH /admin/tier-config/{tier}/price", a.price, edit, web.Doc("Change the prices; who pays already is told of a higher one in good time"))
	web.Route(m, "PATCH /admin/tier-config/{tier}/features", a.features, edit, web.Doc("Change what people with this tier may do"))
	web.Route(m, "PATCH /admin/tier-config/{tier}/status", a.status, edit, web.Doc("Say whether the tier can be bought"))
}

type configBody struct {
	Tier               string         `json:"tier"`
	Version            int64          `json:"version" doc:"0: it is as the program comes"`
	Rank               int            `json:"rank"`
	MonthlyPrice       int64          `json:"monthlyPrice" doc:"In minor units"`
	AnnualPrice        int64          `json:"annualPrice" doc:"In minor units"`
	CreditsPerMonth    money.Credits  `json:"creditsPerMonth"`
	RolloverCap        money.Credits  `json:"rolloverCap"`
	RolloverMonths     int            `json:"rolloverMonths"`
	TrialDays          int            `json:"trialDays"`
	TrialCredits       money.Credits  `json:"trialCredits"`
	RequestsPerMinute  int64          `json:"requestsPerMinute"`
	TokensPerMinute    int64          `json:"tokensPerMinute"`
	ConcurrentRequests int64          `json:"concurrentRequests"`
	CreditsPerDay      money.Credits  `json:"creditsPerDay"`
	PriorityWeight     int64          `json:"priorityWeight" doc:"Its part of a server that is full, against that of others"`
	HistoryDays        int            `json:"historyDays"`
	AdvancedAnalytics  bool           `json:"advancedAnalytics"`
	WebhookEndpoints   int            `json:"webhookEndpoints"`
	LiveKeys           int            `json:"liveApiKeys"`
	TestKeys           int            `json:"testApiKeys"`
	Highlights         []string       `json:"highlights"`
	Active             bool           `json:"active"`
	Margin             *marginBody    `json:"marginAtFullUse" doc:"Of the price in minor units when all credits are used; null: it cannot be computed"`
	Waiting            []*versionBody `json:"scheduled" doc:"Changes that begin later"`
}

type marginBody struct {
	Monthly int64 `json:"monthly"`
	Annual  int64 `json:"annual"`
	Loss    bool  `json:"loss" doc:"One of them is below zero"`
}

type versionBody struct {
	Version   int64     `json:"version"`
	Changes   Patch     `json:"changes"`
	Reason    string    `json:"reason"`
	ChangedBy string    `json:"changedBy"`
	ChangedAt time.Time `json:"changedAt"`
	ValidFrom time.Time `json:"validFrom"`
	Existing  bool      `json:"applyToExistingUsers"`
	Done      bool      `json:"done" doc:"Everybody whom it concerns has it, or was told"`
}

func showVersion(v Version) *versionBody {
	return &versionBody{v.Number, v.Patch, v.Reason, v.By, v.At, v.ValidFrom, v.Existing, v.Done}
}

func (a AdminAPI) show(c Config) configBody {
	b := a.showTier(c.Tier)
	b.Version = c.Version
	for _, v := range c.Waiting {
		b.Waiting = append(b.Waiting, showVersion(v))
	}
	return b
}

func (a AdminAPI) showTier(t *Tier) configBody {
	b := configBody{
		Tier: t.Name, Rank: t.Rank, MonthlyPrice: t.MonthlyPrice, AnnualPrice: t.AnnualPrice, CreditsPerMonth: t.CreditsPerMonth,
		RolloverCap: t.RolloverCap, RolloverMonths: t.RolloverMonths, TrialDays: t.TrialDays, TrialCredits: t.TrialCredits,
		RequestsPerMinute: t.RequestsPerMinute, TokensPerMinute: t.TokensPerMinute, ConcurrentRequests: t.ConcurrentRequests,
		CreditsPerDay: t.CreditsPerDay, PriorityWeight: t.PriorityWeight, HistoryDays: t.HistoryDays, AdvancedAnalytics: t.AdvancedAnalytics, WebhookEndpoints: t.WebhookEndpoints,
		LiveKeys: t.LiveKeys, TestKeys: t.TestKeys,
		Highlights: t.Highlights, Active: t.Active, Waiting: []*versionBody{},
	}
	if b.Highlights == nil {
		b.Highlights = []string{}
	}
	monthly, err := t.Margin(1, a.Terms())
	annual, err2 := t.Margin(12, a.Terms())
	if err == nil && err2 == nil {
		b.Margin = &marginBody{monthly, annual, monthly < 0 || annual < 0}
	}
	return b
}

type allOutput struct{ Body list.Page[configBody] }

func (a AdminAPI) all(ctx context.Context, _ *struct{}) (*allOutput, error) {
	configs, err := a.Tiers.Configs(ctx)
	if err != nil {
		return nil, err
	}
	out := &allOutput{Body: list.Page[configBody]{Data: []configBody{}}}
	for _, c := range configs {
		out.Body.Data = append(out.Body.Data, a.show(c))
	}
	return out, nil
}

// NameInput names a tier.
type NameInput struct {
	Tier string `path:"tier" maxLength:"40"`
}

type oneOutput struct{ Body configBody }

func (a AdminAPI) answer(c Config, err error) (*oneOutput, error) {
	if err != nil {
		return nil, err
	}
	return &oneOutput{a.show(c)}, nil
}

func (a AdminAPI) one(ctx context.Context, in *NameInput) (*oneOutput, error) {
	return a.answer(a.Tiers.Config(ctx, in.Tier))
}

type historyInput struct {
	NameInput
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Cursor string `query:"cursor" maxLength:"400"`
}

type historyOutput struct{ Body list.Page[*versionBody] }

func (a AdminAPI) history(ctx context.Context, in *historyInput) (*historyOutput, error) {
	versions, err := a.Tiers.History(ctx, in.Tier)
	if err != nil {
		return nil, err
	}
	page, err := list.Make(a.Cursors, "tier "+in.Tier, in.Cursor, in.Limit, showVersion,
		func(v Version) string { return strconv.FormatInt(v.Number, 10) },
		func(before string, limit int) ([]Version, error) {
			below, _ := strconv.ParseInt(before, 10, 64) // ours, or ""
			var out []Version
			for _, v := range versions {
				if len(out) < limit && (below == 0 || v.Number < below) {
					out = append(out, v)
				}
			}
			return out, nil
		})
	return &historyOutput{page}, err
}

type previewInput struct {
	NameInput
	Body struct {
		NewCredits *int64 `json:"newCredits,omitempty" minimum:"0" maximum:"1000000"`
		Pricing
		Existing bool `json:"applyToExistingUsers,omitempty"`
	}
}

type impactBody struct {
	AffectedUsers   int64         `json:"affectedUsers"`
	PayingUsers     int64         `json:"payingUsers"`
	CreditsPerMonth money.Credits `json:"creditsPerMonth" doc:"Given in a month more, or fewer if negative"`
	CreditsToday    money.Credits `json:"creditsToday" doc:"Given at once for the running cycles"`
	MoneyPerMonth   int64         `json:"moneyPerMonth" doc:"In minor units, from those who pay by the month"`
	MoneyPerYear    int64         `json:"moneyPerYear" doc:"In minor units, from those who pay by the year"`
}

type previewOutput struct {
	Body struct {
		Before configBody `json:"before"`
		After  configBody `json:"after"`
		Impact impactBody `json:"impact"`
	}
}

func (a AdminAPI) preview(ctx context.Context, in *previewInput) (*previewOutput, error) {
	before, err := a.Tiers.Config(ctx, in.Tier)
	if err != nil {
		return nil, err
	}
	h, err := a.Holders(ctx, in.Tier)
	if err != nil {
		return nil, err
	}
	o := Order{Tier: in.Tier, Patch: Patch{CreditsPerMonth: in.Body.NewCredits, Pricing: in.Body.Pricing}, Existing: in.Body.Existing}
	next, i, err := a.Tiers.Preview(ctx, o, h)
	if err != nil {
		return nil, err
	}
	out := &previewOutput{}
	out.Body.Before, out.Body.After = a.show(before), a.showTier(next)
	out.Body.After.Version = before.Version
	out.Body.Impact = impactBody{i.Users, i.Paying, i.Credits, i.Today, i.Monthly, i.Annual}
	return out, nil
}

// Why is part of every change.
type Why struct {
	Confirm bool   `json:"confirm,omitempty" doc:"Needed for a change of more than half"`
	Reason  string `json:"reason" minLength:"10" maxLength:"500"`
}

func (a AdminAPI) change(ctx context.Context, tier string, p Patch, w Why, more func(*Order)) (*oneOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	o := Order{Tier: tier, Patch: p, Confirm: w.Confirm, Reason: w.Reason, By: actor.UserID}
	if more != nil {
		more(&o)
	}
	return a.answer(a.Tiers.Change(ctx, o))
}

type creditsInput struct {
	NameInput
	Body struct {
		NewCredits  int64      `json:"newCredits" minimum:"0" maximum:"1000000" doc:"0, or 100 to 1,000,000 in steps of 100"`
		Existing    bool       `json:"applyToExistingUsers,omitempty" doc:"Running cycles get the difference too, if it is more"`
		ScheduledAt *time.Time `json:"scheduledAt,omitempty" doc:"Not before; absent: now"`
		Why
	}
}

func (a AdminAPI) credits(ctx context.Context, in *creditsInput) (*oneOutput, error) {
	return a.change(ctx, in.Tier, Patch{CreditsPerMonth: &in.Body.NewCredits}, in.Body.Why, func(o *Order) {
		o.Existing = in.Body.Existing
		if in.Body.ScheduledAt != nil {
			o.ValidFrom = *in.Body.ScheduledAt
		}
	})
}

type priceInput struct {
	NameInput
	Body struct {
		Pricing
		Why
	}
}

func (a AdminAPI) price(ctx context.Context, in *priceInput) (*oneOutput, error) {
	return a.change(ctx, in.Tier, Patch{Pricing: in.Body.Pricing}, in.Body.Why, nil)
}

type featuresInput struct {
	NameInput
	Body struct {
		Features   Features  `json:"features,omitzero"`
		Highlights *[]string `json:"highlights,omitempty" maxItems:"20" doc:"Lines for the price page"`
		Why
	}
}

func (a AdminAPI) features(ctx context.Context, in *featuresInput) (*oneOutput, error) {
	return a.change(ctx, in.Tier, Patch{Features: in.Body.Features, Highlights: in.Body.Highlights}, in.Body.Why, nil)
}

type statusInput struct {
	NameInput
	Body struct {
		Active bool `json:"active"`
		Why
	}
}

func (a AdminAPI) status(ctx context.Context, in *statusInput) (*oneOutput, error) {
	return a.change(ctx, in.Tier, Patch{Active: &in.Body.Active}, in.Body.Why, nil)
}
