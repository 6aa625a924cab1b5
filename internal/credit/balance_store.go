package credit

import (
	"context"
	"fmt"

	"github.com/rephlo/rephlo/internal/money"
)

// grantTotals is a grant with what all leases on it hold and have spent.
type grantTotals struct {
	id                GrantID
	source            Source
	granted, expires  int64
	frozen            bool
	credited, debited int64
	held, spent       int64
}

// grantsOf returns the user's grants that have not expired, in burn order.
func (s store) grantsOf(ctx context.Context, user string, now int64) ([]grantTotals, error) {
	const q = `SELECT g.id, g.source, g.granted_at, g.expires_at, g.frozen <> 0, g.credited, g.debited,
			COALESCE(l.held, 0), COALESCE(l.spent, 0)
		FROM credit_grant g LEFT JOIN (
			SELECT x.grant_id, CAST(SUM(x.held) AS BIGINT) AS held, CAST(SUM(x.spent) AS BIGINT) AS spent
			FROM credit_lease x JOIN credit_grant y ON y.id = x.grant_id
			WHERE y.user_id = $1 AND y.expires_at > $2 GROUP BY x.grant_id) l ON l.grant_id = g.id
		WHERE g.user_id = $1 AND g.expires_at > $2
		ORDER BY g.expires_at, g.priority, g.granted_at, g.id`
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, user, now)
	if err != nil {
		return nil, fmt.Errorf("read balance: %w", err)
	}
	defer rows.Close()
	var out []grantTotals
	for rows.Next() {
		var g grantTotals
		err := rows.Scan(&g.id, &g.source, &g.granted, &g.expires, &g.frozen, &g.credited, &g.debited, &g.held, &g.spent)
		if err != nil {
			return nil, fmt.Errorf("read balance: %w", err)
		}
		out = append(out, g)
	}
	return out, rows.Err()
}

// bySource adds up the user's grants by source; those that end after now have
// not expired.
func (s store) bySource(ctx context.Context, user string, now int64) (map[Source]SourceTotals, error) {
	const (
		used = `g.debited + COALESCE(l.spent, 0)`
		q    = `SELECT g.source, CAST(SUM(g.credited) AS BIGINT), CAST(SUM(` + used + `) AS BIGINT),
				CAST(SUM(CASE WHEN g.expires_at > $2 THEN g.credited - (` + used + `) ELSE 0 END) AS BIGINT),
				CAST(SUM(CASE WHEN g.expires_at > $2 THEN ` + used + ` ELSE 0 END) AS BIGINT),
				COALESCE(MIN(CASE WHEN g.expires_at > $2 AND g.credited > ` + used + ` THEN g.expires_at END), $3)
			FROM credit_grant g LEFT JOIN (
				SELECT x.grant_id, CAST(SUM(x.spent) AS BIGINT) AS spent
				FROM credit_lease x JOIN credit_grant y ON y.id = x.grant_id
				WHERE y.user_id = $1 GROUP BY x.grant_id) l ON l.grant_id = g.id
			WHERE g.user_id = $1 GROUP BY g.source`
	)
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, user, now, int64(never))
	if err != nil {
		return nil, fmt.Errorf("add up grants: %w", err)
	}
	defer rows.Close()
	out := map[Source]SourceTotals{}
	for rows.Next() {
		var (
			source                         Source
			granted, spent, left, ran, end int64
		)
		if err := rows.Scan(&source, &granted, &spent, &left, &ran, &end); err != nil {
			return nil, fmt.Errorf("add up grants: %w", err)
		}
		out[source] = SourceTotals{
			Granted: money.Credits(granted), Used: money.Credits(spent), Remaining: money.Credits(left), RunningUsed: money.Credits(ran), NextExpiry: expiryTime(end),
		}
	}
	return out, rows.Err()
}
