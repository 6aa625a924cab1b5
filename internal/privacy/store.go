package privacy

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

type store struct{ db *sqldb.DB }

// add writes e unless its person has one that is waiting.
func (s store) add(ctx context.Context, e Export) (bool, error) {
	const q = `INSERT INTO privacy_export (id, user_id, state, run, size, created_at, expires_at) VALUES ($1, $2, 'waiting', '', 0, $3, $4)
		ON CONFLICT DO NOTHING`
	return s.db.Change(ctx, "order an export", q, e.ID, e.UserID, e.CreatedAt.UnixMicro(), e.ExpiresAt.UnixMicro())
}

const selectExport = `SELECT id, user_id, state, run, size, created_at, expires_at FROM privacy_export `

func (s store) one(ctx context.Context, query string, args ...any) (e Export, err error) {
	var created, expires sqldb.Time
	err = s.db.Q(ctx).QueryRowContext(ctx, selectExport+query, args...).Scan(&e.ID, &e.UserID, &e.State, &e.run, &e.Size, &created, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return Export{}, ErrUnknown
	}
	if err != nil {
		return Export{}, fmt.Errorf("read an export: %w", err)
	}
	e.CreatedAt, e.ExpiresAt = created.Time, expires.Time
	return e, nil
}

func (s store) byID(ctx context.Context, id string) (Export, error) {
	return s.one(ctx, `WHERE id = $1`, id)
}

func (s store) waiting(ctx context.Context, userID string) (Export, error) {
	return s.one(ctx, `WHERE user_id = $1 AND state = 'waiting'`, userID)
}

func (s store) last(ctx context.Context, userID string) (Export, error) {
	return s.one(ctx, `WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT 1`, userID)
}

func (s store) dropOthers(ctx context.Context, userID, keep string) error {
	_, err := s.db.Change(ctx, "replace an export", `DELETE FROM privacy_export WHERE user_id = $1 AND id <> $2`, userID, keep)
	return err
}

// begin makes run the one that writes an export; what others wrote goes.
func (s store) begin(ctx context.Context, id, run string) (bool, error) {
	began, err := s.db.Change(ctx, "begin an export", `UPDATE privacy_export SET run = $2 WHERE id = $1 AND state = 'waiting'`, id, run)
	if err != nil || !began {
		return false, err
	}
	_, err = s.db.Change(ctx, "begin an export", `DELETE FROM privacy_chunk WHERE export_id = $1`, id)
	return true, err
}

// addChunk writes a piece, if e's run is still the one that writes.
func (s store) addChunk(ctx context.Context, e Export, n int64, content []byte) (written bool, err error) {
	const (
		fence = `UPDATE privacy_export SET run = $2 WHERE id = $1 AND run = $2 AND state = 'waiting'`
		q     = `INSERT INTO privacy_chunk (export_id, run, number, content) VALUES ($1, $2, $3, $4)`
	)
	err = s.db.InTx(ctx, func(ctx context.Context) error {
		if written, err = s.db.Change(ctx, "write a piece of an export", fence, e.ID, e.run); err != nil || !written {
			return err
		}
		_, err = s.db.Change(ctx, "write a piece of an export", q, e.ID, e.run, n, content)
		return err
	})
	return written, err
}

func (s store) finish(ctx context.Context, e Export) (bool, error) {
	const q = `UPDATE privacy_export SET state = $3, size = $4, expires_at = $5 WHERE id = $1 AND run = $2 AND state = 'waiting'`
	return s.db.Change(ctx, "finish an export", q, e.ID, e.run, string(e.State), e.Size, e.ExpiresAt.UnixMicro())
}

func (s store) chunk(ctx context.Context, e Export, n int64) (content []byte, err error) {
	const q = `SELECT content FROM privacy_chunk WHERE export_id = $1 AND run = $2 AND number = $3`
	if err := s.db.Q(ctx).QueryRowContext(ctx, q, e.ID, e.run, n).Scan(&content); err != nil {
		return nil, fmt.Errorf("read piece %d of export %s: %w", n, e.ID, err)
	}
	return content, nil
}

// forget removes the exports of somebody.
func (s store) forget(ctx context.Context, userID string) error {
	_, err := s.db.Change(ctx, "remove exports", `DELETE FROM privacy_export WHERE user_id = $1`, userID)
	return err
}

func (s store) sweep(ctx context.Context, now time.Time) error {
	_, err := s.db.Change(ctx, "sweep exports", `DELETE FROM privacy_export WHERE expires_at <= $1`, now.UnixMicro())
	return err
}
