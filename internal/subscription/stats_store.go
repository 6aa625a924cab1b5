package subscription

import (
	"context"
	"fmt"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// Count is how many subscriptions are alike, and what they pay a month.
type Count struct {
	State State
	Tier  string
	Cycle Cycle
	Mode  Mode
	Count int64
	// Monthly is Σ of the price of a month, in minor units: for annual ones each
	// price ÷ 12, half up.
	Monthly int64
}

// counts returns all subscriptions but unpaid checkouts, counted.
func (s store) counts(ctx context.Context) ([]Count, error) {
	const q = `SELECT state, tier, cycle, mode, COUNT(*), CAST(SUM(CASE cycle WHEN 'annual' THEN (2 * paid + 12) / 24 ELSE paid END) AS BIGINT)
		FROM subscription_plan WHERE state <> 'incomplete' GROUP BY state, tier, cycle, mode ORDER BY state, tier, cycle, mode`
	return sqldb.All(ctx, s.db, "count subscriptions", func(r sqldb.Row) (c Count, err error) {
		return c, r.Scan(&c.State, &c.Tier, &c.Cycle, &c.Mode, &c.Count, &c.Monthly)
	}, q)
}

// trials returns how many trials have ended, and how many of them were paid on.
func (s store) trials(ctx context.Context) (ended, converted int64, err error) {
	const q = `SELECT COUNT(*), COUNT(CASE to_state WHEN 'active' THEN 1 END) FROM subscription_event WHERE from_state = 'trial' AND to_state <> 'trial'`
	if err := s.db.Q(ctx).QueryRowContext(ctx, q).Scan(&ended, &converted); err != nil {
		return 0, 0, fmt.Errorf("count trials: %w", err)
	}
	return ended, converted, nil
}

// ProrationSum is what changes from one plan to another came to.
type ProrationSum struct {
	From, To                   string
	Count, Credit, Charge, Net int64
}

func (s store) prorationSums(ctx context.Context) ([]ProrationSum, error) {
	const q = `SELECT from_tier, to_tier, COUNT(*), CAST(SUM(credit) AS BIGINT), CAST(SUM(charge) AS BIGINT), CAST(SUM(net) AS BIGINT)
		FROM subscription_proration GROUP BY from_tier, to_tier ORDER BY from_tier, to_tier`
	return sqldb.All(ctx, s.db, "sum prorations up", func(r sqldb.Row) (p ProrationSum, err error) {
		return p, r.Scan(&p.From, &p.To, &p.Count, &p.Credit, &p.Charge, &p.Net)
	}, q)
}
