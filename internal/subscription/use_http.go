package subscription

import (
	"context"
	"strconv"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/calendar"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/tier"
	"github.com/rephlo/rephlo/internal/web"
)

func (a AdminAPI) mountUse(m *web.Mux) {
	view := access.Allows(access.ViewPlans)
	web.Route(m, "GET /admin/subscriptions/user/{userId}", a.liveOf, view, web.First(), web.Doc("Show the subscription that a user has now"))
	web.Route(m, "GET /admin/subscriptions/{id}/credit-usage", a.creditUsage, view, web.Doc("List the credit cycles of a subscription and what became of their credits, newest first"))
	web.Route(m, "GET /admin/subscriptions/{id}/features", a.features, view, web.Doc("Show what a subscription allows"))
}

type liveOfInput struct {
	UserID string `path:"userId" maxLength:"64"`
}

// liveOf makes nobody a subscription, as the user's own look does.
func (a AdminAPI) liveOf(ctx context.Context, in *liveOfInput) (*oneOutput, error) {
	v, err := a.Plans.store.live(ctx, in.UserID)
	return a.Plans.answer(v, err)
}

// CycleUse is one credit cycle of a subscription. All amounts are of its plan
// credits.
type CycleUse struct {
	Start      time.Time     `json:"cycleStart"`
	End        time.Time     `json:"cycleEnd"`
	GrantID    *string       `json:"grantId" doc:"null: the tier gives no credits"`
	Granted    money.Credits `json:"granted" doc:"With what an upgrade added"`
	Used       money.Credits `json:"used" doc:"By calls"`
	Returned   money.Credits `json:"returned" doc:"Of what was used or taken"`
	RolledOver money.Credits `json:"rolledOver"`
	Expired    money.Credits `json:"expired"`
	Taken      money.Credits `json:"taken" doc:"By administrators, or with a payment that was taken back"`
	Remaining  money.Credits `json:"remaining" doc:"With what open calls hold"`
}

type creditUsageOutput struct{ Body list.Page[CycleUse] }

func (a AdminAPI) creditUsage(ctx context.Context, in *eventsInput) (*creditUsageOutput, error) {
	v, err := a.Plans.ByID(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	var uses map[credit.GrantID]credit.GrantUse
	show := func(c allocation) CycleUse { return showUse(v, c, uses[c.grant]) }
	page, err := list.Make(a.Cursors, "subscription cycles", in.Cursor, in.Limit, show, func(c allocation) string { return strconv.Itoa(c.cycle) },
		func(before string, limit int) ([]allocation, error) {
			cycles, err := a.Plans.store.allocations(ctx, v.ID, before, limit)
			if err != nil || len(cycles) == 0 {
				return cycles, err
			}
			var grants []credit.GrantID
			for i, c := range cycles {
				if c.cycle == v.Allocated { // an upgrade may have made the first grant of it
					cycles[i].grant = v.PlanGrant
				}
				if cycles[i].grant != 0 {
					grants = append(grants, cycles[i].grant)
				}
			}
			// The allocation is noted after its grant, in the same transaction.
			uses, err = a.Plans.Credits.UsesOf(ctx, v.UserID, grants, cycles[len(cycles)-1].at.Add(-time.Hour))
			return cycles, err
		})
	return &creditUsageOutput{page}, err
}

func showUse(v Subscription, c allocation, u credit.GrantUse) CycleUse {
	p := calendar.Nth(v.Anchor, c.cycle, 1)
	out := CycleUse{
		Start: p.Start, End: p.End, Granted: u.Granted, Used: u.Charged, Returned: u.Returned, RolledOver: u.Rolled, Expired: u.Expired, Taken: u.Taken, Remaining: u.Remaining,
	}
	if c.grant != 0 {
		out.GrantID = new(c.grant.String())
	}
	return out
}

type featuresOutput struct {
	Body struct {
		SubscriptionID string       `json:"subscriptionId"`
		UserID         string       `json:"userId"`
		Tier           string       `json:"tier"`
		RightsOf       *string      `json:"rightsOf" doc:"The tier whose rights the user has by it: another while it is suspended; null once it has ended"`
		OwnLimits      bool         `json:"ownLimits" doc:"Some of the limits are the user's own, in place of those of the tier"`
		Limits         PlanLimits   `json:"limits"`
		Features       PlanFeatures `json:"features"`
	}
}

func (a AdminAPI) features(ctx context.Context, in *IDInput) (*featuresOutput, error) {
	v, err := a.Plans.ByID(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := &featuresOutput{}
	b := &out.Body
	b.SubscriptionID, b.UserID, b.Tier = v.ID, v.UserID, v.Tier
	t := a.Plans.Tiers.Tier(v.Tier)
	if v.Live() {
		name := a.Plans.tierOf(v)
		b.RightsOf, t = &name, a.Plans.Tiers.Tier(name)
	}
	if t == nil {
		t = &tier.Tier{} // of a table that has changed since
	}
	if v.Live() && a.Own != nil {
		own := a.Own(v.UserID, t)
		b.OwnLimits, t = own != t, own
	}
	shown := showPlan(t)
	b.Limits, b.Features = shown.Limits, shown.Features
	return out, nil
}
