package credit

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"
)

func lineID(lane, seq int64) string {
	return "ldg_" + strconv.FormatInt(lane, 10) + "_" + strconv.FormatInt(seq, 10)
}

// left returns what all grants of the user have, used and expired ones too.
func (s store) left(ctx context.Context, user string) (sum int64, err error) {
	const q = `SELECT CAST(COALESCE(SUM(g.credited - g.debited), 0) AS BIGINT)
		- CAST(COALESCE((SELECT SUM(l.spent) FROM credit_grant o JOIN credit_lease l ON l.grant_id = o.id WHERE o.user_id = $1), 0) AS BIGINT)
		FROM credit_grant g WHERE g.user_id = $1`
	if err := s.db.Q(ctx).QueryRowContext(ctx, q, user).Scan(&sum); err != nil {
		return 0, fmt.Errorf("read balance: %w", err)
	}
	return sum, nil
}

// charged returns what the user's calls were charged from a moment until
// another, and what they were since then; what was given back is taken off.
func (s store) charged(ctx context.Context, user string, from, until int64) (old, recent int64, err error) {
	const (
		change = `CASE WHEN kind = 'charge' THEN amount WHEN kind = 'reversal' AND ref LIKE 'rev:call_%' THEN -amount ELSE 0 END`
		q      = `SELECT CAST(COALESCE(SUM(CASE WHEN at < $3 THEN ` + change + ` END), 0) AS BIGINT),
				CAST(COALESCE(SUM(CASE WHEN at >= $3 THEN ` + change + ` END), 0) AS BIGINT)
			FROM credit_transfer WHERE user_id = $1 AND kind <> 'hold' AND at >= $2`
	)
	if err := s.db.Q(ctx).QueryRowContext(ctx, q, user, from, until).Scan(&old, &recent); err != nil {
		return 0, 0, fmt.Errorf("sum charges: %w", err)
	}
	return old, recent, nil
}

// kindSums returns the sums of the user's transfers.
func (s store) kindSums(ctx context.Context, user string) (map[kind]int64, error) {
	return s.kindSumsBetween(ctx, user, 0, never)
}

// kindSumsBetween returns those from a moment until another.
func (s store) kindSumsBetween(ctx context.Context, user string, from, until int64) (map[kind]int64, error) {
	const q = `SELECT kind, CAST(SUM(amount) AS BIGINT) FROM credit_transfer
		WHERE user_id = $1 AND kind <> 'hold' AND at >= $2 AND at < $3 GROUP BY kind`
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, user, from, until)
	if err != nil {
		return nil, fmt.Errorf("sum transfers: %w", err)
	}
	defer rows.Close()
	out := map[kind]int64{}
	for rows.Next() {
		var (
			k   kind
			sum int64
		)
		if err := rows.Scan(&k, &sum); err != nil {
			return nil, fmt.Errorf("sum transfers: %w", err)
		}
		out[k] = sum
	}
	return out, rows.Err()
}

// historyPage returns transfers before a position, newest first.
func (s store) historyPage(ctx context.Context, user string, p Position, limit int) ([]transfer, error) {
	const q = `SELECT ` + transferColumns + ` FROM credit_transfer
		WHERE user_id = $1 AND kind <> 'hold' AND (at, lane, seq) < ($2, $3, $4)
		ORDER BY at DESC, lane DESC, seq DESC LIMIT $5`
	return s.transfers(ctx, q, user, p.At, p.Lane, p.Seq, limit)
}

// grantList returns grants with an id below before, the highest first. now
// above 0 leaves out what is used up or has expired.
func (s store) grantList(ctx context.Context, user, source string, now, before int64, limit int) ([]GrantState, error) {
	const q = `SELECT g.id, g.source, g.frozen <> 0, g.credited, g.credited - g.debited - CAST(COALESCE(SUM(l.spent), 0) AS BIGINT),
			CAST(COALESCE(SUM(l.held), 0) AS BIGINT), g.expires_at, g.granted_at
		FROM credit_grant g LEFT JOIN credit_lease l ON l.grant_id = g.id
		WHERE g.user_id = $1 AND g.id < $2 AND ($3 = '' OR g.source = $3) AND g.expires_at > $4
		GROUP BY g.id, g.source, g.frozen, g.credited, g.debited, g.expires_at, g.granted_at
		HAVING $4 = 0 OR g.credited - g.debited > CAST(COALESCE(SUM(l.spent), 0) AS BIGINT)
		ORDER BY g.id DESC LIMIT $5`
	if before == 0 {
		before = math.MaxInt64
	}
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, user, before, source, now, limit)
	if err != nil {
		return nil, fmt.Errorf("list grants: %w", err)
	}
	defer rows.Close()
	var out []GrantState
	for rows.Next() {
		var (
			g                GrantState
			expires, granted int64
		)
		if err := rows.Scan(&g.ID, &g.Source, &g.Frozen, &g.Amount, &g.Remaining, &g.Held, &expires, &granted); err != nil {
			return nil, fmt.Errorf("list grants: %w", err)
		}
		g.ExpiresAt, g.CreatedAt = expiryTime(expires), time.UnixMicro(granted).UTC()
		out = append(out, g)
	}
	return out, rows.Err()
}

func (s store) openHolds(ctx context.Context, limit int) ([]OpenHold, error) {
	const q = `SELECT ref, user_id, amount, progress, renewed_at FROM credit_hold ORDER BY renewed_at, ref LIMIT $1`
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, limit)
	if err != nil {
		return nil, fmt.Errorf("list open holds: %w", err)
	}
	defer rows.Close()
	var out []OpenHold
	for rows.Next() {
		var (
			h       OpenHold
			renewed int64
		)
		if err := rows.Scan(&h.Call, &h.User, &h.Amount, &h.Progress, &renewed); err != nil {
			return nil, fmt.Errorf("list open holds: %w", err)
		}
		h.RenewedAt = time.UnixMicro(renewed).UTC()
		out = append(out, h)
	}
	return out, rows.Err()
}
