package limit

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
)

type store struct{ db *sqldb.DB }

const selectOverrides = `SELECT user_id, requests_per_minute, tokens_per_minute, concurrent_requests, credits_per_day, reason, created_by, created_at, expires_at
	FROM limit_override `

func scan(row sqldb.Row) (o Override, err error) {
	var requests, tokens, atOnce, day sql.NullInt64
	var at, expires sqldb.Time
	err = row.Scan(&o.UserID, &requests, &tokens, &atOnce, &day, &o.Reason, &o.By, &at, &expires)
	o.RequestsPerMinute, o.TokensPerMinute, o.ConcurrentRequests, o.CreditsPerDay = requests.Int64, tokens.Int64, atOnce.Int64, money.Credits(day.Int64)
	o.At, o.ExpiresAt = at.Time, expires.Time
	return o, err
}

func (s store) all(ctx context.Context) ([]Override, error) {
	return sqldb.All(ctx, s.db, "read the limits of people", scan, selectOverrides+`ORDER BY user_id`)
}

// of returns somebody's override, or an empty one.
func (s store) of(ctx context.Context, userID string) (Override, error) {
	list, err := sqldb.All(ctx, s.db, "read somebody's limits", scan, selectOverrides+`WHERE user_id = $1`, userID)
	if err != nil || len(list) == 0 {
		return Override{}, err
	}
	return list[0], nil
}

func (s store) set(ctx context.Context, o Override) error {
	const q = `INSERT INTO limit_override (user_id, requests_per_minute, tokens_per_minute, concurrent_requests, credits_per_day, reason, created_by, created_at, expires_at)
		VALUES ($1, NULLIF($2, 0), NULLIF($3, 0), NULLIF($4, 0), NULLIF($5, 0), $6, $7, $8, $9)
		ON CONFLICT (user_id) DO UPDATE SET requests_per_minute = excluded.requests_per_minute, tokens_per_minute = excluded.tokens_per_minute,
			concurrent_requests = excluded.concurrent_requests, credits_per_day = excluded.credits_per_day,
			reason = excluded.reason, created_by = excluded.created_by, created_at = excluded.created_at, expires_at = excluded.expires_at`
	_, err := s.changed(ctx, "set somebody's limits", q, o.UserID, o.RequestsPerMinute, o.TokensPerMinute, o.ConcurrentRequests, int64(o.CreditsPerDay),
		o.Reason, o.By, o.At.UnixMicro(), sqldb.TimeArg(o.ExpiresAt))
	return err
}

func (s store) clear(ctx context.Context, userID string) (bool, error) {
	return s.changed(ctx, "clear somebody's limits", `DELETE FROM limit_override WHERE user_id = $1`, userID)
}

func (s store) sweep(ctx context.Context, now time.Time) error {
	_, err := s.changed(ctx, "clear limits that have expired", `DELETE FROM limit_override WHERE expires_at <= $1`, now.UnixMicro())
	return err
}

func (s store) changed(ctx context.Context, what, q string, args ...any) (bool, error) {
	res, err := s.db.Q(ctx).ExecContext(ctx, q, args...)
	if err != nil {
		return false, fmt.Errorf("%s: %w", what, err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}
