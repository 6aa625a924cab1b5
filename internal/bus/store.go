package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

type message struct{ id, kind, subject string }

// store holds this package's SQL.
type store struct{ db *sqldb.DB }

func (s store) add(ctx context.Context, m message, at time.Time) error {
	const q = `INSERT INTO bus_message (id, kind, subject, at) VALUES ($1, $2, $3, $4)`
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, m.id, m.kind, m.subject, at.UnixMicro()); err != nil {
		return fmt.Errorf("publish %s: %w", m.kind, err)
	}
	return nil
}

func (s store) since(ctx context.Context, at time.Time) ([]message, error) {
	const q = `SELECT id, kind, subject FROM bus_message WHERE at >= $1 ORDER BY at, id`
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, at.UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("read messages: %w", err)
	}
	defer rows.Close()
	var out []message
	for rows.Next() {
		var m message
		if err := rows.Scan(&m.id, &m.kind, &m.subject); err != nil {
			return nil, fmt.Errorf("read messages: %w", err)
		}
		out = append(out, m)
	}
	return out, rows.Err()
}

func (s store) sweep(ctx context.Context, before time.Time) error {
	const q = `DELETE FROM bus_message WHERE at < $1`
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, before.UnixMicro()); err != nil {
		return fmt.Errorf("sweep messages: %w", err)
	}
	return nil
}
