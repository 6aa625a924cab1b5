package mfa

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

// secret returns a person's sealed secret; false is none.
func (s store) secret(ctx context.Context, user string) ([]byte, bool, error) {
	const q = `SELECT secret FROM mfa_totp WHERE user_id = $1`
	return s.sealed(ctx, q, user)
}

// setup returns the sealed secret of a set-up that has not expired.
func (s store) setup(ctx context.Context, id, user string, now time.Time) ([]byte, bool, error) {
	const q = `SELECT secret FROM mfa_setup WHERE id = $1 AND user_id = $2 AND expires_at > $3`
	return s.sealed(ctx, q, id, user, now.UnixMicro())
}

func (s store) sealed(ctx context.Context, q string, args ...any) ([]byte, bool, error) {
	var sealed []byte
	err := s.db.Q(ctx).QueryRowContext(ctx, q, args...).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read a second factor: %w", err)
	}
	return sealed, true, nil
}

// addSetup replaces the set-ups of a person by one.
func (s store) addSetup(ctx context.Context, id, user string, sealed []byte, expires time.Time) error {
	if _, err := s.exec(ctx, `DELETE FROM mfa_setup WHERE user_id = $1`, user); err != nil {
		return err
	}
	const q = `INSERT INTO mfa_setup (id, user_id, secret, expires_at) VALUES ($1, $2, $3, $4)`
	_, err := s.exec(ctx, q, id, user, sealed, expires.UnixMicro())
	return err
}

// dropSetup uses a set-up up; only one of many callers gets it.
func (s store) dropSetup(ctx context.Context, id string) (bool, error) {
	n, err := s.exec(ctx, `DELETE FROM mfa_setup WHERE id = $1`, id)
	return n == 1, err
}

// enroll stores a person's authenticator, instead of the one before. step is
// that of the code that proved it.
func (s store) enroll(ctx context.Context, user string, sealed []byte, step int64, now time.Time) error {
	const q = `
		INSERT INTO mfa_totp (user_id, secret, last_step, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, last_step = excluded.last_step, created_at = excluded.created_at`
	_, err := s.exec(ctx, q, user, sealed, step, now.UnixMicro())
	return err
}

// useStep uses up the code of a step, and with it those of all earlier ones.
func (s store) useStep(ctx context.Context, user string, step int64) (bool, error) {
	n, err := s.exec(ctx, `UPDATE mfa_totp SET last_step = $2 WHERE user_id = $1 AND last_step < $2`, user, step)
	return n == 1, err
}

// recovery returns the hash of the unused code with this selector.
func (s store) recovery(ctx context.Context, user, selector string) (string, bool, error) {
	const q = `SELECT hash FROM mfa_recovery WHERE user_id = $1 AND selector = $2 AND used_at IS NULL`
	var hash string
	err := s.db.Q(ctx).QueryRowContext(ctx, q, user, selector).Scan(&hash)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("read a recovery code: %w", err)
	}
	return hash, true, nil
}

// useRecovery uses a recovery code up; only one of many callers gets it. The
// hash guards against a set that was renewed meanwhile.
func (s store) useRecovery(ctx context.Context, user, selector, hash string, now time.Time) (bool, error) {
	const q = `UPDATE mfa_recovery SET used_at = $4 WHERE user_id = $1 AND selector = $2 AND hash = $3 AND used_at IS NULL`
	n, err := s.exec(ctx, q, user, selector, hash, now.UnixMicro())
	return n == 1, err
}

// replaceRecovery stores a new set of codes, by selector.
func (s store) replaceRecovery(ctx context.Context, user string, hashes map[string]string) error {
	if _, err := s.exec(ctx, `DELETE FROM mfa_recovery WHERE user_id = $1`, user); err != nil {
		return err
	}
	for selector, hash := range hashes {
		const q = `INSERT INTO mfa_recovery (user_id, selector, hash) VALUES ($1, $2, $3)`
		if _, err := s.exec(ctx, q, user, selector, hash); err != nil {
			return err
		}
	}
	return nil
}

// forgetApp removes a person's authenticator, and reports whether there was one.
func (s store) forgetApp(ctx context.Context, user string) (bool, error) {
	n, err := s.exec(ctx, `DELETE FROM mfa_totp WHERE user_id = $1`, user)
	return n == 1, err
}

// forget removes all factors of a person, and reports whether there were any.
func (s store) forget(ctx context.Context, user string) (bool, error) {
	had, err := s.forgetApp(ctx, user)
	if err != nil {
		return false, err
	}
	for _, q := range []string{`DELETE FROM mfa_recovery WHERE user_id = $1`, `DELETE FROM mfa_setup WHERE user_id = $1`} {
		if _, err := s.exec(ctx, q, user); err != nil {
			return false, err
		}
	}
	return had, nil
}

// status returns whether a person has an authenticator, and how many recovery
// codes are unused.
func (s store) status(ctx context.Context, user string) (enrolled bool, left int, err error) {
	const q = `
		SELECT EXISTS (SELECT 1 FROM mfa_totp WHERE user_id = $1),
			(SELECT COUNT(*) FROM mfa_recovery WHERE user_id = $1 AND used_at IS NULL)`
	if err := s.db.Q(ctx).QueryRowContext(ctx, q, user).Scan(&enrolled, &left); err != nil {
		return false, 0, fmt.Errorf("read second factors: %w", err)
	}
	return enrolled, left, nil
}

func (s store) sweep(ctx context.Context, now time.Time) error {
	_, err := s.exec(ctx, `DELETE FROM mfa_setup WHERE expires_at < $1`, now.UnixMicro())
	return err
}

func (s store) exec(ctx context.Context, q string, args ...any) (int64, error) {
	res, err := s.db.Q(ctx).ExecContext(ctx, q, args...)
	if err != nil {
		return 0, fmt.Errorf("write a second factor: %w", err)
	}
	return res.RowsAffected()
}
