package subscription

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/tier"
)

// creditsBody is a user's credits by where they come from.
type creditsBody struct {
	Free            allowance     `json:"freeCredits" doc:"Of the free plan"`
	Subscription    allowance     `json:"subscriptionCredits" doc:"Of a plan that is paid for, given or on trial, with what an earlier plan left"`
	Rollover        bucket        `json:"rolloverCredits" doc:"Carried over from earlier cycles"`
	Bonus           bucket        `json:"bonusCredits" doc:"Bonuses, adjustments, coupons and referrals"`
	Purchased       purchased     `json:"purchasedCredits" doc:"Packs"`
	Held            money.Credits `json:"held" doc:"Set aside for open calls"`
	TotalAvailable  money.Credits `json:"totalAvailable" doc:"What a new call can use"`
	ForecastEmptyAt *time.Time    `json:"forecastEmptyAt" doc:"At the rate of the last seven days; null: not foreseeable"`
	LastUpdated     time.Time     `json:"lastUpdated"`
}

type allowance struct {
	Remaining         money.Credits `json:"remaining"`
	MonthlyAllocation money.Credits `json:"monthlyAllocation"`
	Used              money.Credits `json:"used" doc:"Of what was given for the running cycle"`
	ResetDate         *time.Time    `json:"resetDate"`
	DaysUntilReset    *int64        `json:"daysUntilReset" doc:"Begun days count"`
}

type bucket struct {
	Remaining  money.Credits `json:"remaining"`
	NextExpiry *time.Time    `json:"nextExpiry"`
}

type purchased struct {
	Remaining      money.Credits `json:"remaining"`
	TotalPurchased money.Credits `json:"totalPurchased"`
	LifetimeUsed   money.Credits `json:"lifetimeUsed" doc:"With what expired or was taken back"`
}

type creditsOutput struct{ Body creditsBody }

func (a API) credits(ctx context.Context, _ *struct{}) (*creditsOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	b, err := a.Plans.Credits.Balance(ctx, actor.UserID)
	if err != nil {
		return nil, err
	}
	sources, err := a.Plans.Credits.BySource(ctx, actor.UserID)
	if err != nil {
		return nil, err
	}
	empty, foreseen, err := a.Plans.Credits.Forecast(ctx, actor.UserID, b.Available)
	if err != nil {
		return nil, err
	}
	plan, trial, pack := sources[credit.Plan], sources[credit.Trial], sources[credit.Pack]
	out := creditsBody{
		Rollover:  bucketOf(sources, credit.Rollover),
		Bonus:     bucketOf(sources, credit.Bonus, credit.Adjustment, credit.Coupon, credit.Referral),
		Purchased: purchased{pack.Remaining, pack.Granted, pack.Used},
		Held:      b.Held, TotalAvailable: b.Available, LastUpdated: a.Plans.now(),
	}
	if foreseen {
		out.ForecastEmptyAt = &empty
	}
	given := allowance{Remaining: plan.Remaining + trial.Remaining, Used: plan.RunningUsed + trial.RunningUsed}
	v, err := a.Plans.store.live(ctx, actor.UserID)
	switch {
	case err == nil && v.Tier != tier.Free:
		out.Subscription = given.until(a.Plans, v)
	case err == nil:
		out.Free = given.until(a.Plans, v)
	default: // without a verified address there is none yet
		out.Free = given
	}
	return &creditsOutput{out}, nil
}

// until adds what the subscription says of the running cycle.
func (g allowance) until(s *Service, v Subscription) allowance {
	if t := s.Tiers.Tier(v.Tier); t != nil {
		g.MonthlyAllocation = t.CreditsPerMonth
	}
	end := v.CreditCycle().End
	const day = 24 * time.Hour
	days := int64((max(end.Sub(s.now()), 0) + day - 1) / day)
	g.ResetDate, g.DaysUntilReset = &end, &days
	return g
}

// bucketOf adds up sources; what expires first counts.
func bucketOf(all map[credit.Source]credit.SourceTotals, sources ...credit.Source) (out bucket) {
	for _, s := range sources {
		t := all[s]
		out.Remaining += t.Remaining
		if at := t.NextExpiry; !at.IsZero() && (out.NextExpiry == nil || at.Before(*out.NextExpiry)) {
			out.NextExpiry = &at
		}
	}
	return out
}
