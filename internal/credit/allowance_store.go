package credit

import (
	"context"
	"fmt"
)

// given returns what an administrator gave away on a day, and on the days from
// first to before next.
func (s store) given(ctx context.Context, actor string, day, first, next int64) (today, all int64, err error) {
	const q = `SELECT COALESCE(SUM(CASE WHEN day = $2 THEN amount ELSE 0 END), 0), COALESCE(SUM(amount), 0) FROM credit_given
		WHERE actor = $1 AND day >= $3 AND day < $4`
	if err := s.db.Q(ctx).QueryRowContext(ctx, q, actor, day, first, next).Scan(&today, &all); err != nil {
		return 0, 0, fmt.Errorf("read what an administrator gave away: %w", err)
	}
	return today, all, nil
}

func (s store) addGiven(ctx context.Context, actor string, day, amount int64) error {
	const q = `INSERT INTO credit_given (actor, day, amount) VALUES ($1, $2, $3)
		ON CONFLICT (actor, day) DO UPDATE SET amount = credit_given.amount + excluded.amount`
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, actor, day, amount); err != nil {
		return fmt.Errorf("note what an administrator gave away: %w", err)
	}
	return nil
}
