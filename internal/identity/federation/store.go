package federation

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// store holds this package's SQL.
type store struct{ db *sqldb.DB }

const columns = `id, provider, issuer, subject, user_id, email, created_at, last_used_at`

func scan(s sqldb.Row) (Identity, error) {
	var i Identity
	var created, used sqldb.Time
	err := s.Scan(&i.ID, &i.Provider, &i.Issuer, &i.Subject, &i.UserID, &i.Email, &created, &used)
	i.CreatedAt, i.LastUsedAt = created.Time, used.Time
	return i, err
}

func (s store) of(ctx context.Context, userID string) ([]Identity, error) {
	const q = `SELECT ` + columns + ` FROM federation_identity WHERE user_id = $1 ORDER BY created_at, id`
	return sqldb.All(ctx, s.db, "read linked identities", scan, q, userID)
}

func (s store) bySubject(ctx context.Context, issuer, subject string) (Identity, bool, error) {
	const q = `SELECT ` + columns + ` FROM federation_identity WHERE issuer = $1 AND subject = $2`
	i, err := scan(s.db.Q(ctx).QueryRowContext(ctx, q, issuer, subject))
	if errors.Is(err, sql.ErrNoRows) {
		return Identity{}, false, nil
	}
	if err != nil {
		return Identity{}, false, fmt.Errorf("read a linked identity: %w", err)
	}
	return i, true, nil
}

// add links an identity, unless it is linked already.
func (s store) add(ctx context.Context, i Identity) (bool, error) {
	const q = `
		INSERT INTO federation_identity (id, provider, issuer, subject, user_id, email, created_at, last_used_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT DO NOTHING`
	return s.db.Change(ctx, "link an identity", q, i.ID, i.Provider, i.Issuer, i.Subject, i.UserID, i.Email, i.CreatedAt.UnixMicro())
}

func (s store) used(ctx context.Context, id string, at time.Time) error {
	_, err := s.db.Change(ctx, "record the use of an identity", `UPDATE federation_identity SET last_used_at = $2 WHERE id = $1`, id, at.UnixMicro())
	return err
}

func (s store) remove(ctx context.Context, userID, id string) (bool, error) {
	return s.db.Change(ctx, "unlink an identity", `DELETE FROM federation_identity WHERE user_id = $1 AND id = $2`, userID, id)
}

func (s store) forget(ctx context.Context, userID string) error {
	_, err := s.db.Change(ctx, "unlink identities", `DELETE FROM federation_identity WHERE user_id = $1`, userID)
	return err
}

func (s store) begin(ctx context.Context, hash []byte, stage string, browser, data []byte, expires time.Time) error {
	const q = `INSERT INTO federation_attempt (hash, stage, browser, data, expires_at) VALUES ($1, $2, $3, $4, $5)`
	_, err := s.db.Change(ctx, "begin a sign-in elsewhere", q, hash, stage, browser, data, expires.UnixMicro())
	return err
}

// peek reads what take would.
func (s store) peek(ctx context.Context, hash []byte, stage string, browser []byte, now time.Time) ([]byte, bool, error) {
	const q = `SELECT data FROM federation_attempt WHERE hash = $1 AND stage = $2 AND browser = $3 AND expires_at > $4`
	return s.attempt(ctx, q, hash, stage, browser, now)
}

// take ends an attempt; only one of many callers gets it.
func (s store) take(ctx context.Context, hash []byte, stage string, browser []byte, now time.Time) ([]byte, bool, error) {
	const q = `DELETE FROM federation_attempt WHERE hash = $1 AND stage = $2 AND browser = $3 AND expires_at > $4 RETURNING data`
	return s.attempt(ctx, q, hash, stage, browser, now)
}

func (s store) attempt(ctx context.Context, query string, hash []byte, stage string, browser []byte, now time.Time) (data []byte, ok bool, err error) {
	err = s.db.Q(ctx).QueryRowContext(ctx, query, hash, stage, browser, now.UnixMicro()).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("continue a sign-in elsewhere: %w", err)
	}
	return data, true, nil
}

func (s store) sweep(ctx context.Context, now time.Time) error {
	_, err := s.db.Change(ctx, "sweep sign-ins elsewhere", `DELETE FROM federation_attempt WHERE expires_at < $1`, now.UnixMicro())
	return err
}
