package credit

import (
	"context"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// nearEmpty returns the running grants of plans of which three quarters are
// used, and more than their users know, by id after the one given.
func (s store) nearEmpty(ctx context.Context, now, after int64, limit int) ([]Use, error) {
	const q = `SELECT id, user_id, credited, used, known FROM (
			SELECT g.id, g.user_id, g.credited, COALESCE(a.percent, 0) AS known,
				g.debited + COALESCE((SELECT CAST(SUM(l.spent) AS BIGINT) FROM credit_lease l WHERE l.grant_id = g.id), 0) AS used
			FROM credit_grant g LEFT JOIN credit_alert a ON a.grant_id = g.id
			WHERE g.source = 'plan' AND g.expires_at > $1 AND g.granted_at <= $1 AND g.id > $2 AND g.credited > 0 AND COALESCE(a.percent, 0) < 100) x
		WHERE used >= credited / 100 * 75 ORDER BY id LIMIT $3`
	return sqldb.All(ctx, s.db, "find plans that are used", func(row sqldb.Row) (u Use, err error) {
		err = row.Scan(&u.Grant, &u.User, &u.Granted, &u.Used, &u.known)
		return u, err
	}, q, now, after, limit)
}

// told remembers that a user knows how far a grant is used, unless they do.
func (s store) told(ctx context.Context, grant, percent int64) (bool, error) {
	const q = `INSERT INTO credit_alert (grant_id, percent) VALUES ($1, $2)
		ON CONFLICT (grant_id) DO UPDATE SET percent = excluded.percent WHERE credit_alert.percent < excluded.percent`
	return s.db.Change(ctx, "remember an alert", q, grant, percent)
}
