package credit

import (
	"context"
	"fmt"
)

// callState is where a call stands in the database.
type callState uint8

const (
	callUnknown callState = iota
	callOpen
	callEnded
)

// outcomeOf returns where a call stands, and what it was charged, with what it
// cost above its hold.
func (s store) outcomeOf(ctx context.Context, ref string) (callState, int64, error) {
	const q = `SELECT (SELECT COUNT(*) FROM credit_hold WHERE ref = $1), COUNT(*),
		CAST(COALESCE(SUM(CASE WHEN kind = 'charge' THEN amount ELSE 0 END), 0) AS BIGINT) +
		(SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM credit_uncollected WHERE ref = $1 AND cause = 'overrun')
		FROM credit_transfer WHERE ref = $1 AND part % 2 = 1`
	var open, ends, charged int64
	if err := s.db.Q(ctx).QueryRowContext(ctx, q, ref).Scan(&open, &ends, &charged); err != nil {
		return 0, 0, fmt.Errorf("read call: %w", err)
	}
	switch {
	case open > 0:
		return callOpen, 0, nil
	case ends > 0:
		return callEnded, charged, nil
	}
	return callUnknown, 0, nil
}

// addLate notes what came too late to be collected, once.
func (s store) addLate(ctx context.Context, ref, user string, amount, at int64) error {
	const q = `INSERT INTO credit_uncollected (ref, part, user_id, at, cause, amount) VALUES ($1, 0, $2, $3, $4, $5)
		ON CONFLICT (ref, cause, part) DO NOTHING`
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, ref, user, at, causeLate, amount); err != nil {
		return fmt.Errorf("note late settlement: %w", err)
	}
	return nil
}
