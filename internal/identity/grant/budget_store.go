package grant

import (
	"context"
	"fmt"
	"time"
)

// setBudget stores a limit, also for an app that needs no consent.
func (s store) setBudget(ctx context.Context, b budget) error {
	const q = `
		INSERT INTO grant_consent (user_id, client_id, scopes, resources, created_at, updated_at, credits_per_month, limited_at)
		VALUES ($1, $2, '', '', $4, $4, $3, $4)
		ON CONFLICT (user_id, client_id) DO UPDATE SET credits_per_month = excluded.credits_per_month, limited_at = excluded.limited_at`
	_, err := s.db.Change(ctx, "limit an app", q, b.UserID, b.ClientID, b.Limit, b.At)
	return err
}

// budgets returns the limits that were set since; the zero time returns all
// that are in force.
func (s store) budgets(ctx context.Context, since time.Time) ([]budget, error) {
	q, from := `SELECT user_id, client_id, credits_per_month, limited_at FROM grant_consent WHERE limited_at >= $1 AND limited_at > 0`, since.UnixMicro()
	if since.IsZero() {
		q, from = `SELECT user_id, client_id, credits_per_month, limited_at FROM grant_consent WHERE limited_at > 0 AND credits_per_month > $1`, 0
	}
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, from)
	if err != nil {
		return nil, fmt.Errorf("read limits of apps: %w", err)
	}
	defer rows.Close()
	var out []budget
	for rows.Next() {
		var b budget
		if err := rows.Scan(&b.UserID, &b.ClientID, &b.Limit, &b.At); err != nil {
			return nil, fmt.Errorf("read limits of apps: %w", err)
		}
		out = append(out, b)
	}
	return out, rows.Err()
}
