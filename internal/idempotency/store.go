package idempotency

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

var errNone = errors.New("no such key")

// store holds this package's SQL.
type store struct{ db *sqldb.DB }

// claim takes the key of c until the given time and reports whether it did: a
// key that is new, that is older than its life, or whose claim ran out.
func (s store) claim(ctx context.Context, c call, now, until, old time.Time) (bool, error) {
	const q = `
		INSERT INTO idempotency_key AS k (id, request_hash, attempt, claimed_until, created_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (id) DO UPDATE SET request_hash = $2, attempt = $3, claimed_until = $4, created_at = $5, answer = NULL
		WHERE k.created_at < $6 OR (k.answer IS NULL AND k.claimed_until < $5 AND k.request_hash = $2)`
	res, err := s.db.Q(ctx).ExecContext(ctx, q, c.id, c.hash, c.attempt, until.UnixMicro(), now.UnixMicro(), old.UnixMicro())
	if err != nil {
		return false, fmt.Errorf("claim an idempotency key: %w", err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

func (s store) find(ctx context.Context, id string) (hash string, answer []byte, err error) {
	const q = `SELECT request_hash, answer FROM idempotency_key WHERE id = $1`
	err = s.db.Q(ctx).QueryRowContext(ctx, q, id).Scan(&hash, &answer)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil, errNone
	}
	if err != nil {
		return "", nil, fmt.Errorf("read an idempotency key: %w", err)
	}
	return hash, answer, nil
}

// keep stores the answer, unless another attempt has the key by now.
func (s store) keep(ctx context.Context, c call, sealed []byte) error {
	const q = `UPDATE idempotency_key SET answer = $3 WHERE id = $1 AND attempt = $2`
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, c.id, c.attempt, sealed); err != nil {
		return fmt.Errorf("keep an answer: %w", err)
	}
	return nil
}

func (s store) giveUp(ctx context.Context, c call) error {
	const q = `DELETE FROM idempotency_key WHERE id = $1 AND attempt = $2 AND answer IS NULL`
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, c.id, c.attempt); err != nil {
		return fmt.Errorf("give an idempotency key up: %w", err)
	}
	return nil
}

// sweep deletes in portions, so that writers do not wait for it.
func (s store) sweep(ctx context.Context, before time.Time) error {
	const q = `
		DELETE FROM idempotency_key WHERE id IN
			(SELECT id FROM idempotency_key WHERE created_at < $1 ORDER BY created_at, id LIMIT 1000)`
	for {
		res, err := s.db.Q(ctx).ExecContext(ctx, q, before.UnixMicro())
		if err != nil {
			return fmt.Errorf("forget idempotency keys: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n < 1000 {
			return err
		}
	}
}
