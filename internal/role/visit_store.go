package role

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// lastVisit returns when a sign-in last administered, as far as it was written
// down; the zero time is never.
func (s store) lastVisit(ctx context.Context, key sign) (time.Time, error) {
	var at sqldb.Time
	const q = `SELECT last_at FROM role_visit WHERE user_id = $1 AND signed_in_at = $2`
	err := s.db.Q(ctx).QueryRowContext(ctx, q, key.userID, key.at).Scan(&at)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, fmt.Errorf("read when somebody administered: %w", err)
	}
	return at.Time, nil
}

func (s store) visit(ctx context.Context, key sign, at time.Time) error {
	const q = `INSERT INTO role_visit (user_id, signed_in_at, last_at) VALUES ($1, $2, $3)
		ON CONFLICT (user_id, signed_in_at) DO UPDATE SET last_at = CASE WHEN role_visit.last_at < excluded.last_at THEN excluded.last_at ELSE role_visit.last_at END`
	return s.exec(ctx, "note that somebody administered", q, key.userID, key.at, at.UnixMicro())
}

func (s store) dropVisits(ctx context.Context, before time.Time) error {
	return s.exec(ctx, "drop old visits", `DELETE FROM role_visit WHERE last_at < $1`, before.UnixMicro())
}
