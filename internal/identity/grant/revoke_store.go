package grant

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// raise writes an epoch, which never goes back.
func (s store) raise(ctx context.Context, r revocation, now time.Time) error {
	const q = `
		INSERT INTO grant_revocation (kind, subject, not_before_ms, until, written_at)
		VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (kind, subject) DO UPDATE
		SET not_before_ms = excluded.not_before_ms, until = excluded.until, written_at = excluded.written_at
		WHERE grant_revocation.not_before_ms < excluded.not_before_ms`
	_, err := s.db.Q(ctx).ExecContext(ctx, q, r.Kind, r.Subject, r.NotBefore, r.Until, now.UnixMicro())
	if err != nil {
		return fmt.Errorf("revoke %s: %w", r.Kind, err)
	}
	return nil
}

// familiesOf says, per kind, which refresh tokens a revocation ends.
var familiesOf = map[Kind]string{
	KindInstance:      `UPDATE grant_family SET revoked_at = $1 WHERE revoked_at IS NULL AND $2 = ''`,
	KindUser:          `UPDATE grant_family SET revoked_at = $1 WHERE revoked_at IS NULL AND user_id = $2`,
	KindClient:        `UPDATE grant_family SET revoked_at = $1 WHERE revoked_at IS NULL AND client_id = $2`,
	KindConsent:       `UPDATE grant_family SET revoked_at = $1 WHERE revoked_at IS NULL AND user_id = $2 AND client_id = $3`,
	KindSession:       `UPDATE grant_family SET revoked_at = $1 WHERE revoked_at IS NULL AND bound AND session_id = $2`,
	KindAuthorization: `UPDATE grant_family SET revoked_at = $1 WHERE revoked_at IS NULL AND authorization_id = $2`,
}

func (s store) revokeFamilies(ctx context.Context, kind Kind, subject string, now time.Time) error {
	q, ok := familiesOf[kind]
	if !ok {
		return nil // an access token has no family of its own
	}
	args := []any{now.UnixMicro(), subject}
	if kind == KindConsent {
		userID, clientID, _ := strings.Cut(subject, " ")
		args = []any{now.UnixMicro(), userID, clientID}
	}
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, args...); err != nil {
		return fmt.Errorf("revoke refresh tokens of %s: %w", kind, err)
	}
	return nil
}

// authorizations lists those of a user that have live refresh tokens, but not
// those of one session.
func (s store) authorizations(ctx context.Context, userID, session string, now time.Time) ([]string, error) {
	const q = `
		SELECT authorization_id FROM grant_family
		WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2 AND ($3 = '' OR session_id <> $3)`
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, userID, now.UnixMicro(), session)
	if err != nil {
		return nil, fmt.Errorf("list authorizations: %w", err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("list authorizations: %w", err)
		}
		out = append(out, id)
	}
	return out, rows.Err()
}

// revokedSince reports whether anything that ends a's tokens was revoked at
// or after made.
func (s store) revokedSince(ctx context.Context, a Authorization, made time.Time) (bool, error) {
	const q = `
		SELECT COUNT(*) FROM grant_revocation
		WHERE not_before_ms >= $1 AND (kind = 'instance' OR kind = 'user' AND subject = $2 OR kind = 'client' AND subject = $3
			OR kind = 'consent' AND subject = $4 OR kind = 'session' AND subject = $5 OR kind = 'authorization' AND subject = $6)`
	var n int
	err := s.db.Q(ctx).QueryRowContext(ctx, q, made.UnixMilli(), a.UserID, a.ClientID, ConsentSubject(a.UserID, a.ClientID),
		a.SessionID, a.ID).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look up revocations: %w", err)
	}
	return n > 0, nil
}

// revocations returns what was written since; the zero time returns all.
func (s store) revocations(ctx context.Context, since time.Time) ([]revocation, error) {
	const q = `SELECT kind, subject, not_before_ms, until FROM grant_revocation WHERE written_at >= $1`
	var from int64
	if !since.IsZero() {
		from = since.UnixMicro()
	}
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, from)
	if err != nil {
		return nil, fmt.Errorf("read revocations: %w", err)
	}
	return scanRevocations(rows)
}

func scanRevocations(rows *sql.Rows) ([]revocation, error) {
	defer rows.Close()
	var out []revocation
	for rows.Next() {
		var r revocation
		if err := rows.Scan(&r.Kind, &r.Subject, &r.NotBefore, &r.Until); err != nil {
			return nil, fmt.Errorf("read revocations: %w", err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// forgetClient removes what people agreed to let a client do.
func (s store) forgetClient(ctx context.Context, clientID string) error {
	_, err := s.db.Change(ctx, "forget consents", `DELETE FROM grant_consent WHERE client_id = $1`, clientID)
	return err
}

// live counts a client's refresh tokens that work.
func (s store) live(ctx context.Context, clientID string, now time.Time) (int64, error) {
	const q = `SELECT COUNT(*) FROM grant_family WHERE client_id = $1 AND revoked_at IS NULL AND expires_at > $2`
	var n int64
	if err := s.db.Q(ctx).QueryRowContext(ctx, q, clientID, now.UnixMicro()).Scan(&n); err != nil {
		return 0, fmt.Errorf("count refresh tokens: %w", err)
	}
	return n, nil
}
