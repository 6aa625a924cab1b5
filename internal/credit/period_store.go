package credit

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/rephlo/rephlo/internal/money"
)

// grantsIn computes what a grant had at the beginning from what it has now.
func (s store) grantsIn(ctx context.Context, user string, from, until int64) ([]GrantPeriod, error) {
	const (
		change = `CASE WHEN kind IN ('grant', 'rollover_in', 'reversal') THEN amount WHEN kind = 'release' THEN 0 ELSE -amount END`
		q      = `SELECT g.id, g.source, g.credited - g.debited - COALESCE(l.spent, 0), COALESCE(t.used, 0), COALESCE(t.given, 0), COALESCE(t.changed, 0)
			FROM credit_grant g
			LEFT JOIN (
				SELECT x.grant_id, CAST(SUM(x.spent) AS BIGINT) AS spent
				FROM credit_lease x JOIN credit_grant y ON y.id = x.grant_id
				WHERE y.user_id = $1 GROUP BY x.grant_id) l ON l.grant_id = g.id
			LEFT JOIN (
				SELECT grant_id, CAST(SUM(` + change + `) AS BIGINT) AS changed,
					CAST(SUM(CASE WHEN at >= $3 THEN 0 WHEN kind = 'charge' THEN amount WHEN kind = 'reversal' AND ref LIKE 'rev:call_%' THEN -amount ELSE 0 END) AS BIGINT) AS used,
					CAST(SUM(CASE WHEN at < $3 AND kind IN ('grant', 'rollover_in') THEN amount ELSE 0 END) AS BIGINT) AS given
				FROM credit_transfer WHERE user_id = $1 AND kind <> 'hold' AND at >= $2 GROUP BY grant_id) t ON t.grant_id = g.id
			WHERE g.user_id = $1 AND g.granted_at < $3 AND (g.expires_at > $2 OR t.used <> 0)
			ORDER BY g.expires_at, g.priority, g.granted_at, g.id`
	)
	out, err := collect(ctx, s, "grants of a time", func(r *sql.Rows, p *GrantPeriod) error {
		var left, given, changed money.Credits
		err := r.Scan(&p.Grant, &p.Source, &left, &p.Used, &given, &changed)
		p.Used = max(p.Used, 0) // what was given back may have been charged before
		p.Limit = max(left-changed+given, p.Used)
		return err
	}, q, user, from, until)
	if err != nil {
		return nil, fmt.Errorf("add up the grants of a time: %w", err)
	}
	return out, nil
}
