package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// user is a User with its password hash.
type user struct {
	User
	password string
}

// store holds the SQL of account_user.
type store struct{ db *sqldb.DB }

// selectUser reads what scan takes.
const selectUser = `SELECT id, email, verified, username, first_name, last_name, locale, timezone, password, password_at, signed_out_at,
	staff, state, state_reason, state_until, created_at, last_login_at, credits_used FROM account_user `

func (s store) one(ctx context.Context, query, key string) (user, error) {
	u, err := scanUser(s.db.Q(ctx).QueryRowContext(ctx, query, key))
	if errors.Is(err, sql.ErrNoRows) {
		return user{}, ErrUnknown
	}
	if err != nil {
		return user{}, fmt.Errorf("read account: %w", err)
	}
	return u, nil
}

func scanUser(row interface{ Scan(...any) error }) (u user, err error) {
	var passwordAt, signedOut, until, created, login sqldb.Time
	err = row.Scan(&u.ID, &u.Email, &u.Verified, &u.Username, &u.FirstName, &u.LastName,
		&u.Locale, &u.Timezone, &u.password, &passwordAt, &signedOut, &u.Staff, &u.State, &u.Reason, &until, &created, &login, (*int64)(&u.CreditsUsed))
	u.PasswordAt, u.SignedOutAt, u.Until, u.CreatedAt, u.LastLoginAt = passwordAt.Time, signedOut.Time, until.Time, created.Time, login.Time
	return u, err
}

func (s store) byID(ctx context.Context, userID string) (user, error) {
	return s.one(ctx, selectUser+`WHERE id = $1`, userID)
}

func (s store) byEmail(ctx context.Context, key string) (user, error) {
	return s.one(ctx, selectUser+`WHERE email_key = $1`, key)
}

func (s store) byUsername(ctx context.Context, key string) (user, error) {
	return s.one(ctx, selectUser+`WHERE username_key = $1`, key)
}

func (s store) admins(ctx context.Context) (n int, err error) {
	const q = `SELECT COUNT(*) FROM account_user WHERE staff AND state = 'active'`
	if err := s.db.Q(ctx).QueryRowContext(ctx, q).Scan(&n); err != nil {
		return 0, fmt.Errorf("count administrators: %w", err)
	}
	return n, nil
}

// usernameTaken leaves out the unproven account of emailKey, which a sign-up
// with that address replaces.
func (s store) usernameTaken(ctx context.Context, key, emailKey string) (taken bool, err error) {
	const q = `SELECT EXISTS (SELECT 1 FROM account_user WHERE username_key = $1 AND (email_key <> $2 OR verified))`
	if err := s.db.Q(ctx).QueryRowContext(ctx, q, key, emailKey).Scan(&taken); err != nil {
		return false, fmt.Errorf("look for username: %w", err)
	}
	return taken, nil
}

func (s store) usernameOfOther(ctx context.Context, key, userID string) (taken bool, err error) {
	const q = `SELECT EXISTS (SELECT 1 FROM account_user WHERE username_key = $1 AND id <> $2)`
	if err := s.db.Q(ctx).QueryRowContext(ctx, q, key, userID).Scan(&taken); err != nil {
		return false, fmt.Errorf("look for username: %w", err)
	}
	return taken, nil
}

// insert adds u, unless its address or username is taken.
func (s store) insert(ctx context.Context, u user) (created bool, err error) {
	const q = `
		INSERT INTO account_user (id, email, email_key, verified, username, username_key, first_name, last_name, locale, password,
			password_at, signed_out_at, role, staff, state, state_reason, terms_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, '', $12, $13, '', $11, $14)
		ON CONFLICT DO NOTHING`
	res, err := s.db.Q(ctx).ExecContext(ctx, q, u.ID, u.Email, emailKey(u.Email), u.Verified, u.Username, usernameKey(u.Username),
		u.FirstName, u.LastName, u.Locale, u.password, u.PasswordAt.UnixMicro(), u.Staff, u.State, u.CreatedAt.UnixMicro())
	return changed(res, err, "create account")
}

func changed(res sql.Result, err error, what string) (bool, error) {
	if err != nil {
		return false, fmt.Errorf("%s: %w", what, err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// release takes address, name and password from accounts that never proved
// their address, and returns their ids.
const release = `
	UPDATE account_user SET email = '', email_key = 'gone:' || id, username = '', username_key = 'gone:' || id,
		first_name = '', last_name = '', password = '', state = 'deleted'
	WHERE NOT verified AND NOT staff AND state = 'active' AND `

func (s store) releaseUnproven(ctx context.Context, emailKey string) ([]string, error) {
	return s.ids(ctx, release+`email_key = $1 RETURNING id`, emailKey)
}

func (s store) releaseOlder(ctx context.Context, before time.Time) ([]string, error) {
	return s.ids(ctx, release+`created_at < $1 RETURNING id`, before.UnixMicro())
}

func (s store) ids(ctx context.Context, query string, arg any) ([]string, error) {
	rows, err := s.db.Q(ctx).QueryContext(ctx, query, arg)
	if err != nil {
		return nil, fmt.Errorf("release addresses: %w", err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var userID string
		if err := rows.Scan(&userID); err != nil {
			return nil, fmt.Errorf("release addresses: %w", err)
		}
		out = append(out, userID)
	}
	return out, rows.Err()
}

func (s store) setVerified(ctx context.Context, userID string) error {
	return s.exec(ctx, "verify account", `UPDATE account_user SET verified = TRUE WHERE id = $1`, userID)
}

// setPassword replaces the password hash that u was read with.
func (s store) setPassword(ctx context.Context, u user, phc string) (bool, error) {
	const q = `UPDATE account_user SET password = $2, password_at = $3, signed_out_at = $4 WHERE id = $1 AND password = $5`
	res, err := s.db.Q(ctx).ExecContext(ctx, q, u.ID, phc, u.PasswordAt.UnixMicro(), u.SignedOutAt.UnixMicro(), u.password)
	return changed(res, err, "set password")
}

func (s store) setEmail(ctx context.Context, userID, email string) error {
	const q = `UPDATE account_user SET email = $2, email_key = $3, verified = TRUE WHERE id = $1`
	return s.exec(ctx, "change address", q, userID, email, emailKey(email))
}

func (s store) dropUserTokens(ctx context.Context, userID, purpose string) error {
	const q = `DELETE FROM account_token WHERE user_id = $1 AND purpose = $2 AND used_at IS NULL`
	return s.exec(ctx, "drop links", q, userID, purpose)
}

func (s store) setProfile(ctx context.Context, u User) error {
	const q = `UPDATE account_user SET first_name = $2, last_name = $3, username = $4, username_key = $5 WHERE id = $1`
	return s.exec(ctx, "change profile", q, u.ID, u.FirstName, u.LastName, u.Username, usernameKey(u.Username))
}

func (s store) setAdmin(ctx context.Context, userID, password string, at time.Time) error {
	const q = `
		UPDATE account_user SET verified = TRUE, staff = TRUE, state = 'active', state_reason = '', state_until = NULL,
			password = $2, password_at = $3, signed_out_at = $3
		WHERE id = $1`
	return s.exec(ctx, "make administrator", q, userID, password, at.UnixMicro())
}

// signedIn records a sign-in. A new hash replaces the one that was verified,
// not a password that was changed meanwhile.
func (s store) signedIn(ctx context.Context, userID string, at time.Time, password, verified string) error {
	const q = `
		UPDATE account_user SET last_login_at = $2, password = CASE WHEN $3 <> '' AND password = $4 THEN $3 ELSE password END
		WHERE id = $1`
	return s.exec(ctx, "record sign-in", q, userID, at.UnixMicro(), password, verified)
}

func (s store) exec(ctx context.Context, what, query string, args ...any) error {
	if _, err := s.db.Q(ctx).ExecContext(ctx, query, args...); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (s store) addToken(ctx context.Context, hash []byte, t token, now time.Time) error {
	const q = `
		INSERT INTO account_token (hash, purpose, user_id, email, back, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`
	return s.exec(ctx, "store link", q, hash, t.purpose, t.userID, t.email, t.back, now.UnixMicro(), t.expiresAt.UnixMicro())
}

func (s store) token(ctx context.Context, hash []byte) (token, error) {
	const q = `SELECT purpose, user_id, email, back, expires_at, used_at FROM account_token WHERE hash = $1`
	var t token
	var expires, used sqldb.Time
	err := s.db.Q(ctx).QueryRowContext(ctx, q, hash).Scan(&t.purpose, &t.userID, &t.email, &t.back, &expires, &used)
	if errors.Is(err, sql.ErrNoRows) {
		return token{}, errNoToken
	}
	if err != nil {
		return token{}, fmt.Errorf("read link: %w", err)
	}
	t.expiresAt, t.usedAt = expires.Time, used.Time
	return t, nil
}

// useToken marks a token as used; only the first caller wins.
func (s store) useToken(ctx context.Context, hash []byte, at time.Time) (won bool, err error) {
	const q = `UPDATE account_token SET used_at = $2 WHERE hash = $1 AND used_at IS NULL AND expires_at > $2`
	res, err := s.db.Q(ctx).ExecContext(ctx, q, hash, at.UnixMicro())
	return changed(res, err, "use link")
}

func (s store) dropTokens(ctx context.Context, purpose, email string) error {
	const q = `DELETE FROM account_token WHERE purpose = $1 AND LOWER(email) = $2`
	return s.exec(ctx, "drop links", q, purpose, strings.ToLower(email))
}

func (s store) sweepTokens(ctx context.Context, before time.Time) error {
	return s.exec(ctx, "sweep links", `DELETE FROM account_token WHERE expires_at < $1`, before.UnixMicro())
}
