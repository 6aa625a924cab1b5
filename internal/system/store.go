package system

import (
	"context"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

type store struct{ db *sqldb.DB }

func (s store) beat(ctx context.Context, n Node) error {
	const q = `INSERT INTO system_node (name, version, started_at, seen_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (name) DO UPDATE SET version = excluded.version, started_at = excluded.started_at, seen_at = excluded.seen_at`
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, n.Name, n.Version, n.StartedAt.UnixMicro(), n.SeenAt.UnixMicro()); err != nil {
		return fmt.Errorf("note that this process serves: %w", err)
	}
	return nil
}

func (s store) leave(ctx context.Context, name string) error {
	if _, err := s.db.Q(ctx).ExecContext(ctx, `DELETE FROM system_node WHERE name = $1`, name); err != nil {
		return fmt.Errorf("note that this process ends: %w", err)
	}
	return nil
}

func (s store) nodes(ctx context.Context, since time.Time) ([]Node, error) {
	const q = `SELECT name, version, started_at, seen_at FROM system_node WHERE seen_at >= $1 ORDER BY name`
	return sqldb.All(ctx, s.db, "list the processes", func(r sqldb.Row) (n Node, err error) {
		var started, seen sqldb.Time
		err = r.Scan(&n.Name, &n.Version, &started, &seen)
		n.StartedAt, n.SeenAt = started.Time, seen.Time
		return n, err
	}, q, since.UnixMicro())
}

func (s store) forget(ctx context.Context, before time.Time) error {
	if _, err := s.db.Q(ctx).ExecContext(ctx, `DELETE FROM system_node WHERE seen_at < $1`, before.UnixMicro()); err != nil {
		return fmt.Errorf("forget processes: %w", err)
	}
	return nil
}
