package passkey

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

// row is a stored passkey.
type row struct {
	Passkey
	userID             string
	credential, record []byte
	signCount          int64
}

const columns = `id, credential, user_id, name, host, record, sign_count, suspect, created_at, last_used_at`

func scan(s sqldb.Row) (row, error) {
	var r row
	var created, used sqldb.Time
	err := s.Scan(&r.ID, &r.credential, &r.userID, &r.Name, &r.Host, &r.record, &r.signCount, &r.Suspect, &created, &used)
	r.CreatedAt, r.LastUsedAt = created.Time, used.Time
	return r, err
}

func (s store) of(ctx context.Context, userID string) ([]row, error) {
	const q = `SELECT ` + columns + ` FROM passkey_credential WHERE user_id = $1 ORDER BY created_at, id`
	return sqldb.All(ctx, s.db, "read passkeys", scan, q, userID)
}

func (s store) byCredential(ctx context.Context, credential []byte) (row, bool, error) {
	const q = `SELECT ` + columns + ` FROM passkey_credential WHERE credential = $1`
	r, err := scan(s.db.Q(ctx).QueryRowContext(ctx, q, credential))
	if errors.Is(err, sql.ErrNoRows) {
		return row{}, false, nil
	}
	if err != nil {
		return row{}, false, fmt.Errorf("read a passkey: %w", err)
	}
	return r, true, nil
}

func (s store) usable(ctx context.Context, userID, host string) (n int, err error) {
	const q = `SELECT COUNT(*) FROM passkey_credential WHERE user_id = $1 AND host = $2 AND NOT suspect`
	if err := s.db.Q(ctx).QueryRowContext(ctx, q, userID, host).Scan(&n); err != nil {
		return 0, fmt.Errorf("count passkeys: %w", err)
	}
	return n, nil
}

// add stores a passkey unless its owner has as many as allowed.
func (s store) add(ctx context.Context, r row, limit int) (bool, error) {
	const q = `
		INSERT INTO passkey_credential (id, credential, user_id, name, host, record, sign_count, suspect, created_at)
		SELECT $1, $2, $3, $4, $5, $6, $7, FALSE, $8
		WHERE (SELECT COUNT(*) FROM passkey_credential WHERE user_id = $3) < $9`
	return s.db.Change(ctx, "store a passkey", q, r.ID, r.credential, r.userID, r.Name, r.Host, r.record, r.signCount, r.CreatedAt.UnixMicro(), limit)
}

// used records a use whose counter rose, or that has none.
func (s store) used(ctx context.Context, id string, record []byte, count int64, at time.Time) (bool, error) {
	const q = `
		UPDATE passkey_credential SET record = $2, sign_count = $3, last_used_at = $4
		WHERE id = $1 AND NOT suspect AND (sign_count < $3 OR sign_count = 0 AND $3 = 0)`
	return s.db.Change(ctx, "record the use of a passkey", q, id, record, count, at.UnixMicro())
}

func (s store) suspect(ctx context.Context, id string) error {
	_, err := s.db.Change(ctx, "mark a passkey", `UPDATE passkey_credential SET suspect = TRUE WHERE id = $1`, id)
	return err
}

func (s store) rename(ctx context.Context, userID, id, name string) (bool, error) {
	return s.db.Change(ctx, "rename a passkey", `UPDATE passkey_credential SET name = $3 WHERE user_id = $1 AND id = $2`, userID, id, name)
}

func (s store) remove(ctx context.Context, userID, id string) (bool, error) {
	return s.db.Change(ctx, "remove a passkey", `DELETE FROM passkey_credential WHERE user_id = $1 AND id = $2`, userID, id)
}

func (s store) forget(ctx context.Context, userID string) error {
	_, err := s.db.Change(ctx, "remove passkeys", `DELETE FROM passkey_credential WHERE user_id = $1`, userID)
	return err
}

func (s store) addCeremony(ctx context.Context, hash []byte, holder, data string, expires time.Time) error {
	const q = `INSERT INTO passkey_ceremony (hash, holder, data, expires_at) VALUES ($1, $2, $3, $4)`
	_, err := s.db.Change(ctx, "begin a passkey ceremony", q, hash, holder, data, expires.UnixMicro())
	return err
}

// takeCeremony ends a ceremony; only one of many callers gets it.
func (s store) takeCeremony(ctx context.Context, hash []byte, holder string, now time.Time) (data string, ok bool, err error) {
	const q = `DELETE FROM passkey_ceremony WHERE hash = $1 AND holder = $2 AND expires_at > $3 RETURNING data`
	err = s.db.Q(ctx).QueryRowContext(ctx, q, hash, holder, now.UnixMicro()).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("end a passkey ceremony: %w", err)
	}
	return data, true, nil
}

func (s store) sweep(ctx context.Context, now time.Time) error {
	_, err := s.db.Change(ctx, "sweep passkey ceremonies", `DELETE FROM passkey_ceremony WHERE expires_at < $1`, now.UnixMicro())
	return err
}
