package subscription

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/tier"
)

// ofTier returns the live subscriptions of a tier by id, after one.
func (s store) ofTier(ctx context.Context, name, after string, limit int) ([]Subscription, error) {
	const q = `SELECT ` + columns + ` FROM subscription_plan
		WHERE tier = $1 AND id > $2 AND state IN ('trial', 'active', 'past_due', 'suspended') ORDER BY id LIMIT $3`
	return sqldb.All(ctx, s.db, "list the subscriptions of a tier", func(r sqldb.Row) (Subscription, error) { return scan(r) }, q, name, after, limit)
}

func (s store) holders(ctx context.Context, name string) (h tier.Holders, err error) {
	const q = `SELECT COUNT(*),
			COALESCE(SUM(CASE WHEN mode = 'vendor' AND cycle = 'monthly' THEN 1 ELSE 0 END), 0),
			COALESCE(SUM(CASE WHEN mode = 'vendor' AND cycle = 'annual' THEN 1 ELSE 0 END), 0)
		FROM subscription_plan WHERE tier = $1 AND state IN ('trial', 'active', 'past_due', 'suspended')`
	if err := s.db.Q(ctx).QueryRowContext(ctx, q, name).Scan(&h.All, &h.Monthly, &h.Annual); err != nil {
		return h, fmt.Errorf("count the subscriptions of a tier: %w", err)
	}
	return h, nil
}

// changedSince reports whether the plan was changed at or after a time.
func (s store) changedSince(ctx context.Context, id string, since time.Time) (yes bool, err error) {
	const q = `SELECT EXISTS (SELECT 1 FROM subscription_event WHERE subscription_id = $1 AND cause = 'plan_changed' AND at >= $2)`
	if err := s.db.Q(ctx).QueryRowContext(ctx, q, id, since.UnixMicro()).Scan(&yes); err != nil {
		return false, fmt.Errorf("look for a change of plan: %w", err)
	}
	return yes, nil
}

// allocation returns what a cycle was given, 0 for one that was not.
func (s store) allocation(ctx context.Context, id string, cycle int) (money.Credits, error) {
	const q = `SELECT amount FROM subscription_allocation WHERE subscription_id = $1 AND cycle = $2`
	var amount int64
	err := s.db.Q(ctx).QueryRowContext(ctx, q, id, cycle).Scan(&amount)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("read an allocation: %w", err)
	}
	return money.Credits(amount), nil
}

func (s store) raiseAllocation(ctx context.Context, id string, cycle int, extra money.Credits) error {
	const q = `UPDATE subscription_allocation SET amount = amount + $3 WHERE subscription_id = $1 AND cycle = $2`
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, id, cycle, int64(extra)); err != nil {
		return fmt.Errorf("raise an allocation: %w", err)
	}
	return nil
}
