// Package tier has the table of tiers: what people get for what they pay. The
// table is data; who has which tier is for others to say.
package tier

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rephlo/rephlo/internal/money"
)

// Unlimited is the tier of an installation that sells nothing: it ranks above
// all others and bounds nothing. Nobody can buy it.
const Unlimited = "unlimited"

// Free is the tier of those who pay nothing.
const Free = "free"

// Tier is what one tier costs and allows. A limit of 0 is none.
type Tier struct {
	Name string
	// Rank orders the tiers.
	Rank int
	// Calls and tokens in a minute, calls at once, credits in a UTC day.
	RequestsPerMinute  int64
	TokensPerMinute    int64
	ConcurrentRequests int64
	CreditsPerDay      money.Credits
	// PriorityWeight is the tier's part of a server that is full, against that of
	// others.
	PriorityWeight int64

	// Prices of a month and of a year, in minor units of the currency.
	MonthlyPrice int64
	AnnualPrice  int64
	// CreditsPerMonth are given at the start of each credit cycle; a multiple
	// of a credit.
	CreditsPerMonth money.Credits
	// RolloverCap is the most that a user keeps of ended cycles, for
	// RolloverMonths.
	RolloverCap    money.Credits
	RolloverMonths int
	TrialDays      int
	TrialCredits   money.Credits
	// HistoryDays is how far back users see their usage.
	HistoryDays int
	// AdvancedAnalytics allows statistics by hour, key and app, and the export.
	AdvancedAnalytics bool
	// WebhookEndpoints is how many of them a user may have.
	WebhookEndpoints int
	// LiveKeys and TestKeys are how many API keys of each kind a user may have.
	// Without a live key models can be called by apps only.
	LiveKeys, TestKeys int
	// Multiplier is that of vendors' prices where no rule says otherwise, in
	// basis points; 0: that of the settings.
	Multiplier int64
	// Active tiers can be bought.
	Active bool
	// Highlights are lines for the price page.
	Highlights []string
}

// Price is what a billing period of the given number of months, 1 or 12, costs.
func (t *Tier) Price(months int) int64 {
	if months == 12 {
		return t.AnnualPrice
	}
	return t.MonthlyPrice
}

// Table is a set of tiers and what they were before. It is safe for concurrent
// use: Set replaces all of it at once, and a *Tier that was taken from it never
// changes.
type Table struct{ now atomic.Pointer[content] }

type content struct {
	byName map[string]*Tier
	sorted []*Tier
	states map[string][]state
}

// NewTable returns a Table of tiers and the tier Unlimited.
func NewTable(tiers ...Tier) *Table {
	t := &Table{}
	t.Set(tiers, nil, time.Time{})
	return t
}

// Set replaces the tiers: base as changed by those versions that are valid by
// now.
func (t *Table) Set(base []Tier, versions []Version, now time.Time) {
	c := &content{byName: map[string]*Tier{}, states: map[string][]state{}}
	highest := 0
	for _, b := range base {
		states := unfold(b, slices.DeleteFunc(slices.Clone(versions), func(v Version) bool { return v.Tier != b.Name }))
		c.states[b.Name] = states
		c.sorted = append(c.sorted, at(states, now))
		highest = max(highest, b.Rank)
	}
	slices.SortStableFunc(c.sorted, func(a, b *Tier) int { return cmp.Compare(a.Rank, b.Rank) })
	for _, tier := range append(slices.Clone(c.sorted), &Tier{Name: Unlimited, Rank: highest + 1, PriorityWeight: 30, AdvancedAnalytics: true, WebhookEndpoints: 20, LiveKeys: 100, TestKeys: 100}) {
		c.byName[tier.Name] = tier
	}
	t.now.Store(c)
}

// Allocation returns the credits of a cycle that begins now in a period that was
// paid for at some time: what the tier gives, or what it gave then if that was
// more. It is false for a name that no tier has.
func (t *Table) Allocation(name string, paid time.Time) (money.Credits, bool) {
	c := t.now.Load()
	now := c.byName[name]
	if now == nil {
		return 0, false
	}
	most := now.CreditsPerMonth
	if states := c.states[name]; len(states) > 0 && !paid.IsZero() {
		most = max(most, at(states, paid).CreditsPerMonth)
	}
	return most, true
}

// RenewalPrice returns what those who have a tier pay for a period of 1 or 12
// months that begins at some time: the lowest price of the notice before, so
// that a higher one holds from the first renewal that is as long after it.
func (t *Table) RenewalPrice(name string, months int, begins time.Time, notice time.Duration) (int64, bool) {
	c := t.now.Load()
	now := c.byName[name]
	if now == nil {
		return 0, false
	}
	states := c.states[name]
	if len(states) == 0 {
		return now.Price(months), true
	}
	since := begins.Add(-notice)
	lowest := min(at(states, begins).Price(months), at(states, since).Price(months))
	for _, s := range states[1:] {
		if s.from.After(since) && !s.from.After(begins) {
			lowest = min(lowest, s.tier.Price(months))
		}
	}
	return lowest, true
}

// Seeds is the table of a fresh installation.
func Seeds() *Table { return NewTable(Defaults(200)...) }

// Defaults are the tiers of a fresh installation. free is what the free tier
// gives in a month, in whole credits.
func Defaults(free int64) []Tier {
	return []Tier{
		seed("free", 0, limits{10, 10_000, 1, 200}, price{0, 0, free}, roll{}, trial{}, Tier{Multiplier: 15_000, PriorityWeight: 10, HistoryDays: 30, TestKeys: 2, Active: true}),
		seed("pro", 1, limits{30, 100_000, 3, 5_000}, price{1500, 15_000, 1_500}, roll{750, 1}, trial{14, 150}, Tier{Multiplier: 13_000, PriorityWeight: 15, HistoryDays: 90, WebhookEndpoints: 2, TestKeys: 5, Active: true}),
		seed("pro_plus", 2, limits{60, 200_000, 5, 10_000}, price{4500, 45_000, 5_000}, roll{2_500, 3}, trial{14, 500}, Tier{Multiplier: 12_500, PriorityWeight: 20, HistoryDays: 180, WebhookEndpoints: 5, LiveKeys: 10, TestKeys: 10, AdvancedAnalytics: true, Active: true}),
		seed("pro_max", 3, limits{120, 500_000, 10, 25_000}, price{19_900, 199_000, 25_000}, roll{12_500, 6}, trial{14, 2_500}, Tier{Multiplier: 12_500, PriorityWeight: 30, HistoryDays: 365, WebhookEndpoints: 10, LiveKeys: 50, TestKeys: 50, AdvancedAnalytics: true, Active: true}),
		seed("enterprise_pro", 4, limits{60, 200_000, 5, 10_000}, price{3000, 30_000, 3_500}, roll{1_750, 3}, trial{30, 350}, Tier{Multiplier: 11_500, PriorityWeight: 20, HistoryDays: 180, WebhookEndpoints: 10, LiveKeys: 25, TestKeys: 25, AdvancedAnalytics: true}),
		seed("enterprise_pro_plus", 5, limits{120, 500_000, 10, 50_000}, price{9000, 90_000, 11_000}, roll{5_500, 6}, trial{30, 1_100}, Tier{Multiplier: 11_000, PriorityWeight: 30, HistoryDays: 365, WebhookEndpoints: 20, LiveKeys: 100, TestKeys: 100, AdvancedAnalytics: true}),
	}
}

// Parts of a seed; credits are whole.
type (
	limits struct{ requests, tokens, atOnce, day int64 }
	price  struct{ month, year, credits int64 }
	roll   struct {
		limit  int64
		months int
	}
	trial struct {
		days    int
		credits int64
	}
)

func seed(name string, rank int, l limits, p price, r roll, tr trial, t Tier) Tier {
	whole := func(credits int64) money.Credits { return money.Credits(credits) * money.Credit }
	t.Name, t.Rank = name, rank
	t.RequestsPerMinute, t.TokensPerMinute, t.ConcurrentRequests, t.CreditsPerDay = l.requests, l.tokens, l.atOnce, whole(l.day)
	t.MonthlyPrice, t.AnnualPrice, t.CreditsPerMonth = p.month, p.year, whole(p.credits)
	t.RolloverCap, t.RolloverMonths = whole(r.limit), r.months
	t.TrialDays, t.TrialCredits = tr.days, whole(tr.credits)
	return t
}

// Tier returns the tier of a name, or nil.
func (t *Table) Tier(name string) *Tier { return t.now.Load().byName[name] }

// All are the tiers that people can have, the lowest first.
func (t *Table) All() []*Tier { return slices.Clone(t.now.Load().sorted) }

// Rank orders the tiers; it is false for a name that no tier has.
func (t *Table) Rank(name string) (int, bool) {
	tier := t.Tier(name)
	if tier == nil {
		return 0, false
	}
	return tier.Rank, true
}

// Names are the tiers that people can have, the lowest first.
func (t *Table) Names() []string {
	var out []string
	for _, tier := range t.All() {
		out = append(out, tier.Name)
	}
	return out
}
