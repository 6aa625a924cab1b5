package tier

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/money"
)

// Errors of changes.
var (
	ErrUnknown = fault.New(fault.NotFound, "not_found", "There is no such tier.")
	ErrEdited  = fault.New(fault.PreconditionFailed, "edited_elsewhere", "Somebody has changed this tier meanwhile. Look at it again and repeat your change.")
	ErrConfirm = fault.New(fault.Unprocessable, "confirmation_required", "The change is of more than half. Look at its preview, then send it again with confirm: true.").At("confirm")
	ErrWrong   = fault.New(fault.Unprocessable, "validation_error", "The change is not possible.")
)

// Patch is what a version changes of a tier. Credits are whole.
type Patch struct {
	CreditsPerMonth *int64 `json:"creditsPerMonth,omitempty" minimum:"0" maximum:"1000000" doc:"0, or 100 to 1,000,000 in steps of 100"`
	Pricing
	Features
	Highlights *[]string `json:"highlights,omitempty" maxItems:"20"`
	Active     *bool     `json:"active,omitempty" doc:"It can be bought"`
}

// Pricing is the part of a Patch that is about money, in minor units.
type Pricing struct {
	MonthlyPrice *int64 `json:"monthlyPrice,omitempty" minimum:"0" maximum:"100000000" doc:"In minor units"`
	AnnualPrice  *int64 `json:"annualPrice,omitempty" minimum:"0" maximum:"1000000000" doc:"In minor units"`
}

// Features is the part of a Patch that says what people may do; 0 is no limit of
// a rate, and none of a thing. Each is enforced: what is not here cannot be
// saved.
type Features struct {
	RequestsPerMinute  *int64 `json:"requestsPerMinute,omitempty" minimum:"0" maximum:"1000000"`
	TokensPerMinute    *int64 `json:"tokensPerMinute,omitempty" minimum:"0" maximum:"1000000000"`
	ConcurrentRequests *int64 `json:"concurrentRequests,omitempty" minimum:"0" maximum:"100000"`
	CreditsPerDay      *int64 `json:"creditsPerDay,omitempty" minimum:"0" maximum:"1000000000"`
	PriorityWeight     *int64 `json:"priorityWeight,omitempty" minimum:"1" maximum:"1000" doc:"Its part of a server that is full, against that of others"`
	RolloverCap        *int64 `json:"rolloverCap,omitempty" minimum:"0" maximum:"1000000000"`
	RolloverMonths     *int   `json:"rolloverMonths,omitempty" minimum:"0" maximum:"120"`
	TrialDays          *int   `json:"trialDays,omitempty" minimum:"0" maximum:"90"`
	TrialCredits       *int64 `json:"trialCredits,omitempty" minimum:"0" maximum:"1000000"`
	HistoryDays        *int   `json:"historyDays,omitempty" minimum:"1" maximum:"3650"`
	AdvancedAnalytics  *bool  `json:"advancedAnalytics,omitempty"`
	WebhookEndpoints   *int   `json:"webhookEndpoints,omitempty" minimum:"0" maximum:"1000"`
	LiveKeys           *int   `json:"liveApiKeys,omitempty" minimum:"0" maximum:"100" doc:"0: models can be called by apps only"`
	TestKeys           *int   `json:"testApiKeys,omitempty" minimum:"0" maximum:"100"`
}

// apply makes p's changes to t.
func (p Patch) apply(t *Tier) {
	put(&t.MonthlyPrice, p.MonthlyPrice)
	put(&t.AnnualPrice, p.AnnualPrice)
	put(&t.RequestsPerMinute, p.RequestsPerMinute)
	put(&t.TokensPerMinute, p.TokensPerMinute)
	put(&t.ConcurrentRequests, p.ConcurrentRequests)
	put(&t.PriorityWeight, p.PriorityWeight)
	put(&t.RolloverMonths, p.RolloverMonths)
	put(&t.TrialDays, p.TrialDays)
	put(&t.HistoryDays, p.HistoryDays)
	put(&t.AdvancedAnalytics, p.AdvancedAnalytics)
	put(&t.WebhookEndpoints, p.WebhookEndpoints)
	put(&t.LiveKeys, p.LiveKeys)
	put(&t.TestKeys, p.TestKeys)
	put(&t.Highlights, p.Highlights)
	put(&t.Active, p.Active)
	credits(&t.CreditsPerMonth, p.CreditsPerMonth)
	credits(&t.CreditsPerDay, p.CreditsPerDay)
	credits(&t.RolloverCap, p.RolloverCap)
	credits(&t.TrialCredits, p.TrialCredits)
}

func put[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

func credits(to *money.Credits, from *int64) {
	if from != nil {
		*to = money.Credits(*from) * money.Credit
	}
}

// check returns what is wrong with making p's changes to t.
func (p Patch) check(t *Tier, confirmed bool) error {
	next := *t
	p.apply(&next)
	if p.CreditsPerMonth != nil && *p.CreditsPerMonth%100 != 0 {
		return ErrWrong.Saying("An allocation is 0, or 100 to 1,000,000 credits in steps of 100.").At("newCredits")
	}
	if (next.RolloverCap == 0) != (next.RolloverMonths == 0) {
		return ErrWrong.Saying("rolloverCap and rolloverMonths are both 0, or neither.").At("rolloverCap")
	}
	if (next.TrialDays == 0) != (next.TrialCredits == 0) {
		return ErrWrong.Saying("trialDays and trialCredits are both 0, or neither.").At("trialDays")
	}
	if t.Name == Free && (next.MonthlyPrice != 0 || next.AnnualPrice != 0) {
		return ErrWrong.Saying("The free tier costs nothing.").At("monthlyPrice")
	}
	if confirmed {
		return nil
	}
	for _, n := range [][2]int64{
		{int64(t.CreditsPerMonth), int64(next.CreditsPerMonth)}, {t.MonthlyPrice, next.MonthlyPrice}, {t.AnnualPrice, next.AnnualPrice},
	} {
		if d := n[1] - n[0]; n[0] != 0 && max(d, -d) > n[0]/2 {
			return ErrConfirm
		}
	}
	return nil
}

// Version is a change of a tier. It never changes itself.
type Version struct {
	Tier      string
	Number    int64 // from 1; 0 is what the program comes with
	Patch     Patch
	Reason    string
	By        string
	At        time.Time
	ValidFrom time.Time
	Existing  bool // who has the tier gets the difference in credits
	Notify    bool // who pays for it is told
	Done      bool // for all of them
}

// state is a tier from a moment on.
type state struct {
	from time.Time
	tier *Tier
}

// unfold returns what base becomes by versions, which are sorted by number: the
// earliest first, which is base itself from ever on.
func unfold(base Tier, versions []Version) []state {
	by := slices.Clone(versions)
	slices.SortStableFunc(by, func(a, b Version) int {
		return cmp.Or(a.ValidFrom.Compare(b.ValidFrom), cmp.Compare(a.Number, b.Number))
	})
	out := []state{{tier: &base}}
	for _, v := range by {
		next := *out[len(out)-1].tier
		v.Patch.apply(&next)
		out = append(out, state{v.ValidFrom, &next})
	}
	return out
}

// at returns the state of a moment.
func at(states []state, now time.Time) *Tier {
	t := states[0].tier
	for _, s := range states[1:] {
		if s.from.After(now) {
			break
		}
		t = s.tier
	}
	return t
}

// Impact is what a change means for those who have the tier.
type Impact struct {
	Users, Paying int64
	// Credits are given in a month more, or fewer.
	Credits money.Credits
	// Money comes in more, or less, in minor units, from those who pay by the
	// month and by the year.
	Monthly, Annual int64
	// Today is given at once for the running cycles.
	Today money.Credits
}

// Holders are those who have a tier: all, and those who pay for it by cycle.
type Holders struct{ All, Monthly, Annual int64 }

// impact computes what next means for the holders of t.
func impact(t, next *Tier, h Holders, existing bool) Impact {
	more := next.CreditsPerMonth - t.CreditsPerMonth
	i := Impact{
		Users: h.All, Paying: h.Monthly + h.Annual, Credits: more * money.Credits(h.All),
		Monthly: (next.MonthlyPrice - t.MonthlyPrice) * h.Monthly, Annual: (next.AnnualPrice - t.AnnualPrice) * h.Annual,
	}
	if existing && more > 0 {
		i.Today = i.Credits
	}
	return i
}

// Margin returns what is left of the tier's price, in minor units of a dollar,
// when all its credits are used: price − credits x value ÷ multiplier, rounded
// down; months is 1 or 12.
func (t *Tier) Margin(months int, terms money.Terms) (int64, error) {
	const micro = 10_000 // micro-dollars in a cent
	if t.Multiplier > 0 {
		terms.Multiplier = t.Multiplier
	}
	if terms.Multiplier <= 0 {
		return 0, money.ErrRange
	}
	whole := int64(t.CreditsPerMonth/money.Credit) * int64(months)
	if terms.CreditValue <= 0 || whole > math.MaxInt64/10_000/terms.CreditValue {
		return 0, money.ErrRange
	}
	cost := whole * terms.CreditValue * 10_000 / terms.Multiplier // micro-dollars
	return t.Price(months) - (cost+micro-1)/micro, nil
}

func versionsOf(all []Version, tier string) []Version {
	return slices.DeleteFunc(slices.Clone(all), func(v Version) bool { return v.Tier != tier })
}

// versionsUntil returns v and those that are valid before it.
func versionsUntil(own []Version, v Version) []Version {
	return slices.DeleteFunc(slices.Clone(own), func(o Version) bool {
		return o.ValidFrom.After(v.ValidFrom) || o.ValidFrom.Equal(v.ValidFrom) && o.Number > v.Number
	})
}

func newest(own []Version) int64 {
	if len(own) == 0 {
		return 0
	}
	return own[len(own)-1].Number
}

// shown is what the audit log says of a tier.
func shown(t *Tier) map[string]any {
	return map[string]any{
		"creditsPerMonth": t.CreditsPerMonth, "monthlyPrice": t.MonthlyPrice, "annualPrice": t.AnnualPrice,
		"requestsPerMinute": t.RequestsPerMinute, "tokensPerMinute": t.TokensPerMinute, "concurrentRequests": t.ConcurrentRequests,
		"creditsPerDay": t.CreditsPerDay, "rolloverCap": t.RolloverCap, "rolloverMonths": t.RolloverMonths,
		"trialDays": t.TrialDays, "trialCredits": t.TrialCredits, "historyDays": t.HistoryDays, "priorityWeight": t.PriorityWeight, "advancedAnalytics": t.AdvancedAnalytics,
		"webhookEndpoints": t.WebhookEndpoints, "liveApiKeys": t.LiveKeys, "testApiKeys": t.TestKeys, "highlights": t.Highlights, "active": t.Active,
	}
}
