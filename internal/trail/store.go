package trail

import (
	"context"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// store holds this package's SQL.
type store struct{ db *sqldb.DB }

func (s store) add(ctx context.Context, e Event) error {
	const q = `INSERT INTO trail_event (id, user_id, kind, detail, address, agent, at) VALUES ($1, $2, $3, $4, $5, $6, $7)`
	_, err := s.db.Change(ctx, "record a security event", q, e.ID, e.UserID, string(e.Kind), e.Detail, e.Address, e.Agent, e.At.UnixMicro())
	return err
}

func (s store) list(ctx context.Context, userID, before string, limit int) ([]Event, error) {
	const q = `
		SELECT id, user_id, kind, detail, address, agent, at FROM trail_event
		WHERE user_id = $1 AND ($2 = '' OR id < $2) ORDER BY id DESC LIMIT $3`
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, userID, before, limit)
	if err != nil {
		return nil, fmt.Errorf("list security events: %w", err)
	}
	defer rows.Close()
	var out []Event
	for rows.Next() {
		var e Event
		var at sqldb.Time
		if err := rows.Scan(&e.ID, &e.UserID, &e.Kind, &e.Detail, &e.Address, &e.Agent, &at); err != nil {
			return nil, fmt.Errorf("list security events: %w", err)
		}
		e.At = at.Time
		out = append(out, e)
	}
	return out, rows.Err()
}

func (s store) forget(ctx context.Context, userID string) error {
	_, err := s.db.Change(ctx, "remove security events", `DELETE FROM trail_event WHERE user_id = $1`, userID)
	return err
}

func (s store) sweep(ctx context.Context, before time.Time) error {
	_, err := s.db.Change(ctx, "sweep security events", `DELETE FROM trail_event WHERE at < $1`, before.UnixMicro())
	return err
}
