package impersonate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

type store struct{ db *sqldb.DB }

const selectSQL = `SELECT id, user_id, admin_id, created_at, started_at, ends_at FROM impersonation `

func scan(row sqldb.Row) (i Impersonation, err error) {
	var created, started, ends sqldb.Time
	err = row.Scan(&i.ID, &i.UserID, &i.AdminID, &created, &started, &ends)
	i.CreatedAt, i.StartedAt, i.EndsAt = created.Time, started.Time, ends.Time
	return i, err
}

func (s store) add(ctx context.Context, i Impersonation) error {
	const q = `INSERT INTO impersonation (id, user_id, admin_id, created_at, started_at, ends_at) VALUES ($1, $2, $3, $4, NULL, $5)`
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, i.ID, i.UserID, i.AdminID, i.CreatedAt.UnixMicro(), i.EndsAt.UnixMicro()); err != nil {
		return fmt.Errorf("note an impersonation: %w", err)
	}
	return nil
}

func (s store) byID(ctx context.Context, impersonationID string) (Impersonation, error) {
	i, err := scan(s.db.Q(ctx).QueryRowContext(ctx, selectSQL+`WHERE id = $1`, impersonationID))
	if errors.Is(err, sql.ErrNoRows) {
		return i, ErrUnknown
	}
	if err != nil {
		return i, fmt.Errorf("read an impersonation: %w", err)
	}
	return i, nil
}

// start notes when i began, unless it has begun.
func (s store) start(ctx context.Context, i Impersonation) (bool, error) {
	const q = `UPDATE impersonation SET started_at = $2, ends_at = $3 WHERE id = $1 AND started_at IS NULL`
	return s.db.Change(ctx, "begin an impersonation", q, i.ID, i.StartedAt.UnixMicro(), i.EndsAt.UnixMicro())
}

func (s store) end(ctx context.Context, impersonationID string, at time.Time) error {
	_, err := s.db.Change(ctx, "end an impersonation", `UPDATE impersonation SET ends_at = $2 WHERE id = $1 AND ends_at > $2`, impersonationID, at.UnixMicro())
	return err
}

func (s store) list(ctx context.Context, adminID, before string, limit int) ([]Impersonation, error) {
	var w sqldb.Where
	w.Is("admin_id", adminID)
	w.Below("id", before)
	q := selectSQL + w.String() + ` ORDER BY id DESC LIMIT ` + w.Arg(limit)
	return sqldb.All(ctx, s.db, "list impersonations", scan, q, w.Args()...)
}
