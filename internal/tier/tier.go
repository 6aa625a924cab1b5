// Package tier has the table of tiers: what people get for what they pay. The
// table is data; who has which tier is for others to say.
package tier

import (
	"cmp"
	"slices"

	"github.com/rephlo/rephlo/internal/money"
)

// Unlimited is the tier of an installation that sells nothing: it ranks above
// all others and bounds nothing. Nobody can buy it.
const Unlimited = "unlimited"

// Free is the tier of those who pay nothing.
const Free = "free"

// Tier is what one tier allows. A limit of 0 is none.
type Tier struct {
	Name string
	// Rank orders the tiers.
	Rank int
	// Calls and tokens in a minute, calls at once, credits in a UTC day.
	RequestsPerMinute  int64
	TokensPerMinute    int64
	ConcurrentRequests int64
	CreditsPerDay      money.Credits
}

// Table is a set of tiers. It is immutable.
type Table struct {
	byName map[string]*Tier
	sorted []*Tier
}

// NewTable returns a Table of tiers and the tier Unlimited.
func NewTable(tiers ...Tier) *Table {
	t := &Table{byName: map[string]*Tier{}}
	highest := 0
	for i := range tiers {
		t.sorted = append(t.sorted, &tiers[i])
		highest = max(highest, tiers[i].Rank)
	}
	slices.SortStableFunc(t.sorted, func(a, b *Tier) int { return cmp.Compare(a.Rank, b.Rank) })
	for _, tier := range append(slices.Clone(t.sorted), &Tier{Name: Unlimited, Rank: highest + 1}) {
		t.byName[tier.Name] = tier
	}
	return t
}

// Seeds is the table of a fresh installation.
func Seeds() *Table {
	day := func(credits int64) money.Credits { return money.Credits(credits) * money.Credit }
	return NewTable(
		Tier{Free, 0, 10, 10_000, 1, day(200)},
		Tier{"pro", 1, 30, 100_000, 3, day(5_000)},
		Tier{"pro_plus", 2, 60, 200_000, 5, day(10_000)},
		Tier{"pro_max", 3, 120, 500_000, 10, day(25_000)},
		Tier{"enterprise_pro", 4, 60, 200_000, 5, day(10_000)},
		Tier{"enterprise_pro_plus", 5, 120, 500_000, 10, day(50_000)},
	)
}

// Tier returns the tier of a name, or nil.
func (t *Table) Tier(name string) *Tier { return t.byName[name] }

// Rank orders the tiers; it is false for a name that no tier has.
func (t *Table) Rank(name string) (int, bool) {
	tier := t.byName[name]
	if tier == nil {
		return 0, false
	}
	return tier.Rank, true
}

// Names are the tiers that people can have, the lowest first.
func (t *Table) Names() []string {
	out := make([]string, 0, len(t.sorted))
	for _, tier := range t.sorted {
		out = append(out, tier.Name)
	}
	return out
}
