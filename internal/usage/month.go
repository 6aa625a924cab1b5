package usage

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/calendar"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
)

// Month is a user's usage of a calendar month.
type Month struct {
	calendar.Period
	Total  Sum
	Models []Row // the most used first
	// What was used of the credits of each kind, and could be.
	Free, Plan, Rollover, Bonus, Purchased Part
}

// Part is credits of one kind.
type Part struct{ Used, Limit money.Credits }

func (p *Part) add(g credit.GrantPeriod) {
	p.Used += g.Used
	p.Limit += g.Limit
}

// Grants tells the credits of a user apart.
type Grants interface {
	// GrantsIn returns what was done in [from, until) with each grant.
	GrantsIn(ctx context.Context, user string, from, until time.Time) ([]credit.GrantPeriod, error)
}

// month adds a user's usage of a calendar month up, as far as their plan shows
// it.
func (a API) month(ctx context.Context, user string, p calendar.Period, first time.Time) (Month, error) {
	m := Month{Period: p}
	from := later(p.Start, first)
	if !from.Before(p.End) {
		return m, nil
	}
	stats, err := a.Usage.Stats(ctx, user, from, p.End, ByModel, time.UTC)
	if err != nil {
		return m, err
	}
	m.Total, m.Models = stats.Total, stats.Rows
	slices.SortFunc(m.Models, func(x, y Row) int {
		return cmp.Or(cmp.Compare(y.Requests, x.Requests), cmp.Compare(y.Charged, x.Charged), cmp.Compare(x.Name, y.Name))
	})
	grants, err := a.Grants.GrantsIn(ctx, user, from, p.End)
	if err != nil {
		return m, outage(err)
	}
	free, err := a.Free(ctx, user, from)
	if err != nil {
		return m, outage(err)
	}
	for _, g := range grants {
		switch g.Source {
		case credit.Plan, credit.Trial:
			if free[g.Grant] {
				m.Free.add(g)
			} else {
				m.Plan.add(g)
			}
		case credit.Rollover:
			m.Rollover.add(g)
		case credit.Bonus, credit.Adjustment, credit.Coupon, credit.Referral:
			m.Bonus.add(g)
		case credit.Pack:
			m.Purchased.add(g)
		}
	}
	return m, nil
}
