package credit

import (
	"context"
	"fmt"
)

// movePlanEnds sets the end of the user's plan and rollover grants that end at
// since or later and before a time.
func (s store) movePlanEnds(ctx context.Context, user string, since, before, to int64) error {
	const q = `UPDATE credit_grant SET expires_at = CASE WHEN granted_at >= $4 THEN granted_at + 1 ELSE $4 END
		WHERE user_id = $1 AND source IN ('plan', 'rollover') AND expires_at >= $2 AND expires_at < $3`
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, user, since, before, to); err != nil {
		return fmt.Errorf("set expiry: %w", err)
	}
	return nil
}

// thawPlan lifts FreezeSuspended of the user's plan and rollover grants.
func (s store) thawPlan(ctx context.Context, user string) error {
	const q = `UPDATE credit_grant SET frozen = frozen - 1 WHERE user_id = $1 AND source IN ('plan', 'rollover') AND frozen % 2 = 1`
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, user); err != nil {
		return fmt.Errorf("thaw: %w", err)
	}
	return nil
}
