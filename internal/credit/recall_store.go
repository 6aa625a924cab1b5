package credit

import (
	"context"
	"fmt"
)

// recallRow is a row of credit_recall.
type recallRow struct {
	user, node string
	no, need   int64
}

// kind returns which hint the row repeats.
func (r recallRow) kind() string {
	if r.need == 0 {
		return hintGrant
	}
	return hintRecall
}

// addRecall leaves a note for the processes that do not hear hints.
func (s store) addRecall(ctx context.Context, r recallRow) error {
	const q = `INSERT INTO credit_recall (user_id, no, need, node) VALUES ($1, 1, $2, $3)
		ON CONFLICT (user_id) DO UPDATE SET no = credit_recall.no + 1, need = excluded.need, node = excluded.node`
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, r.user, r.need, r.node); err != nil {
		return fmt.Errorf("ask for leases: %w", err)
	}
	return nil
}

func (s store) recalls(ctx context.Context) ([]recallRow, error) {
	rows, err := s.db.Q(ctx).QueryContext(ctx, `SELECT user_id, no, need, node FROM credit_recall`)
	if err != nil {
		return nil, fmt.Errorf("read recalls: %w", err)
	}
	defer rows.Close()
	var out []recallRow
	for rows.Next() {
		var r recallRow
		if err := rows.Scan(&r.user, &r.no, &r.need, &r.node); err != nil {
			return nil, fmt.Errorf("read recalls: %w", err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// forgetRecall removes a note unless it was renewed.
func (s store) forgetRecall(ctx context.Context, r recallRow) error {
	const q = `DELETE FROM credit_recall WHERE user_id = $1 AND no = $2`
	_, err := s.db.Q(ctx).ExecContext(ctx, q, r.user, r.no)
	return err
}

// leasedAway returns what the leases of lanes other than ours have free of the
// user's grants.
func (s store) leasedAway(ctx context.Context, user string, ours map[int64]bool) (away int64, err error) {
	const q = `SELECT l.lane, CAST(SUM(l.amount - l.spent - l.held) AS BIGINT) FROM credit_grant g
		JOIN credit_lease l ON l.grant_id = g.id WHERE g.user_id = $1 GROUP BY l.lane`
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, user)
	if err != nil {
		return 0, fmt.Errorf("read leases: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var lane, free int64
		if err := rows.Scan(&lane, &free); err != nil {
			return 0, fmt.Errorf("read leases: %w", err)
		}
		if !ours[lane] {
			away += free
		}
	}
	return away, rows.Err()
}
