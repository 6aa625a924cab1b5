package capture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// store holds this package's SQL.
type store struct{ db *sqldb.DB }

// Row is a payload without its content. Sizes are those before media were
// replaced.
type Row struct {
	ID, RequestID, UserID, KeyID, ModelID, Operation string
	RequestSize, AnswerSize                          int64
	At                                               time.Time
}

const columns = `id, request_id, user_id, key_id, model_id, operation, request_size, answer_size, at`

func scan(row sqldb.Row) (r Row, err error) {
	var at sqldb.Time
	err = row.Scan(&r.ID, &r.RequestID, &r.UserID, &r.KeyID, &r.ModelID, &r.Operation, &r.RequestSize, &r.AnswerSize, &at)
	r.At = at.Time
	return r, err
}

func (s store) add(ctx context.Context, r Row, sealed []byte) error {
	const q = `INSERT INTO capture_call (` + columns + `, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
	_, err := s.db.Q(ctx).ExecContext(ctx, q, r.ID, r.RequestID, r.UserID, r.KeyID, r.ModelID, r.Operation, r.RequestSize, r.AnswerSize, r.At.UnixMicro(), sealed)
	if err != nil {
		return fmt.Errorf("keep a payload: %w", err)
	}
	return nil
}

// list returns rows with ids below before; ids rise with time.
func (s store) list(ctx context.Context, userID, keyID, before string, limit int) ([]Row, error) {
	const q = `SELECT ` + columns + ` FROM capture_call
		WHERE user_id = $1 AND ($2 = '' OR key_id = $2) AND ($3 = '' OR id < $3) ORDER BY id DESC LIMIT $4`
	return sqldb.All(ctx, s.db, "list payloads", scan, q, userID, keyID, before, limit)
}

func (s store) one(ctx context.Context, userID, id string) (r Row, sealed []byte, err error) {
	const q = `SELECT sealed, ` + columns + ` FROM capture_call WHERE id = $2 AND user_id = $1`
	r, err = scan(withFirst{s.db.Q(ctx).QueryRowContext(ctx, q, userID, id), &sealed})
	if errors.Is(err, sql.ErrNoRows) {
		return r, nil, fault.ErrNotFound
	}
	if err != nil {
		return r, nil, fmt.Errorf("read a payload: %w", err)
	}
	return r, sealed, nil
}

// withFirst is a row with one more column in front.
type withFirst struct {
	row   sqldb.Row
	first any
}

// Scan implements sqldb.Row.
func (w withFirst) Scan(dest ...any) error { return w.row.Scan(append([]any{w.first}, dest...)...) }

// remove removes one payload of a user, or with an empty id all.
func (s store) remove(ctx context.Context, userID, id string) (int64, error) {
	const q = `DELETE FROM capture_call WHERE user_id = $1 AND ($2 = '' OR id = $2)`
	return s.exec(ctx, "remove payloads", q, userID, id)
}

// sweep removes up to limit rows that are older than before.
func (s store) sweep(ctx context.Context, before time.Time, limit int) (int64, error) {
	const q = `DELETE FROM capture_call WHERE id IN (SELECT id FROM capture_call WHERE at < $1 ORDER BY at LIMIT $2)`
	return s.exec(ctx, "sweep payloads", q, before.UnixMicro(), limit)
}

func (s store) exec(ctx context.Context, what, q string, args ...any) (int64, error) {
	res, err := s.db.Q(ctx).ExecContext(ctx, q, args...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	return res.RowsAffected()
}
