package grant

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// store holds this package's SQL. Lists are stored separated by spaces, which
// none of their values can contain.
type store struct{ db *sqldb.DB }

// code is a stored Code.
type code struct {
	Code
	authorizationID     string
	issuedAt, expiresAt time.Time
}

func joined(list []string) string { return strings.Join(list, " ") }

func (s store) addCode(ctx context.Context, hash string, c code) error {
	const q = `
		INSERT INTO grant_code (hash, authorization_id, client_id, user_id, session_id, redirect_uri, challenge, nonce,
			scopes, resources, auth_time, acr, amr, issued_at, expires_at, jkt, claims)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`
	_, err := s.db.Q(ctx).ExecContext(ctx, q, hash, c.authorizationID, c.ClientID, c.UserID, c.SessionID, c.RedirectURI,
		c.Challenge, c.Nonce, joined(c.Scopes), joined(c.Resources), c.AuthTime.UnixMicro(), c.ACR, joined(c.AMR),
		c.issuedAt.UnixMicro(), c.expiresAt.UnixMicro(), c.JKT, joined(c.Claims))
	if err != nil {
		return fmt.Errorf("store authorization code: %w", err)
	}
	return nil
}

// useCode marks a code as used. The test and the mark are one statement, so of
// many that try at once one gets the code.
func (s store) useCode(ctx context.Context, hash string, now time.Time) (code, bool, error) {
	const q = `
		UPDATE grant_code SET used_at = $2
		WHERE hash = $1 AND used_at IS NULL AND expires_at > $2
		RETURNING authorization_id, client_id, user_id, session_id, redirect_uri, challenge, nonce,
			scopes, resources, auth_time, acr, amr, issued_at, jkt, claims`
	var c code
	var scopes, resources, amr, claims string
	var authTime, issuedAt sqldb.Time
	err := s.db.Q(ctx).QueryRowContext(ctx, q, hash, now.UnixMicro()).Scan(&c.authorizationID, &c.ClientID, &c.UserID,
		&c.SessionID, &c.RedirectURI, &c.Challenge, &c.Nonce, &scopes, &resources, &authTime, &c.ACR, &amr, &issuedAt, &c.JKT, &claims)
	if errors.Is(err, sql.ErrNoRows) {
		return code{}, false, nil
	}
	if err != nil {
		return code{}, false, fmt.Errorf("use authorization code: %w", err)
	}
	c.Scopes, c.Resources, c.AMR = strings.Fields(scopes), strings.Fields(resources), strings.Fields(amr)
	c.Claims = strings.Fields(claims)
	c.AuthTime, c.issuedAt = authTime.Time, issuedAt.Time
	return c, true, nil
}

// usedCode reports whether a code was used before, and what it gave.
func (s store) usedCode(ctx context.Context, hash string) (authorizationID string, used bool, err error) {
	const q = `SELECT authorization_id, used_at IS NOT NULL FROM grant_code WHERE hash = $1`
	err = s.db.Q(ctx).QueryRowContext(ctx, q, hash).Scan(&authorizationID, &used)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("look up authorization code: %w", err)
	}
	return authorizationID, used, nil
}

func (s store) consent(ctx context.Context, userID, clientID string) (Consent, bool, error) {
	const q = `SELECT scopes, resources, created_at, updated_at, credits_per_month FROM grant_consent WHERE user_id = $1 AND client_id = $2`
	c := Consent{UserID: userID, ClientID: clientID}
	var scopes, resources string
	var created, updated sqldb.Time
	err := s.db.Q(ctx).QueryRowContext(ctx, q, userID, clientID).Scan(&scopes, &resources, &created, &updated, &c.CreditsPerMonth)
	if errors.Is(err, sql.ErrNoRows) {
		return c, false, nil
	}
	if err != nil {
		return c, false, fmt.Errorf("read consent: %w", err)
	}
	c.Scopes, c.Resources = strings.Fields(scopes), strings.Fields(resources)
	c.CreatedAt, c.UpdatedAt = created.Time, updated.Time
	return c, true, nil
}

func (s store) saveConsent(ctx context.Context, c Consent, now time.Time) error {
	const q = `
		INSERT INTO grant_consent (user_id, client_id, scopes, resources, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $5)
		ON CONFLICT (user_id, client_id) DO UPDATE
		SET scopes = excluded.scopes, resources = excluded.resources, updated_at = excluded.updated_at`
	_, err := s.db.Q(ctx).ExecContext(ctx, q, c.UserID, c.ClientID, joined(c.Scopes), joined(c.Resources), now.UnixMicro())
	if err != nil {
		return fmt.Errorf("save consent: %w", err)
	}
	return nil
}

func (s store) removeConsent(ctx context.Context, userID, clientID string) error {
	const q = `DELETE FROM grant_consent WHERE user_id = $1 AND client_id = $2`
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, userID, clientID); err != nil {
		return fmt.Errorf("remove consent: %w", err)
	}
	return nil
}

// apps lists a user's consents and live sign-ins of clients, by client.
func (s store) apps(ctx context.Context, userID string, now time.Time) ([]App, error) {
	const q = `
		SELECT client_id, MAX(scopes), MIN(allowed_at), MAX(used_at), MAX(credits_per_month) FROM (
			SELECT client_id, scopes, created_at AS allowed_at, CAST(NULL AS BIGINT) AS used_at, credits_per_month FROM grant_consent WHERE user_id = $1
			UNION ALL
			SELECT f.client_id, CASE WHEN c.client_id IS NULL THEN f.scopes ELSE '' END, f.issued_at, f.used_at, 0
			FROM grant_family f LEFT JOIN grant_consent c ON c.user_id = f.user_id AND c.client_id = f.client_id
			WHERE f.user_id = $1 AND f.revoked_at IS NULL AND f.expires_at > $2
		) AS app GROUP BY client_id ORDER BY MIN(allowed_at) DESC, client_id`
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, userID, now.UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("list apps: %w", err)
	}
	defer rows.Close()
	var out []App
	for rows.Next() {
		var a App
		var scopes string
		var allowed, used sqldb.Time
		if err := rows.Scan(&a.ClientID, &scopes, &allowed, &used, &a.CreditsPerMonth); err != nil {
			return nil, fmt.Errorf("list apps: %w", err)
		}
		a.Scopes, a.AllowedAt, a.LastUsedAt = strings.Fields(scopes), allowed.Time, used.Time
		out = append(out, a)
	}
	return out, rows.Err()
}

// once stores a hash, unless it is there. Of many that try at once one wins.
func (s store) once(ctx context.Context, hash string, until time.Time) (bool, error) {
	const q = `INSERT INTO grant_once (hash, until) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING`
	return s.db.Change(ctx, "remember single use", q, hash, until.UnixMicro())
}

// addLogin notes that a client got tokens in a browser session.
func (s store) addLogin(ctx context.Context, a Authorization, now time.Time) error {
	const q = `INSERT INTO grant_login (session_id, client_id, user_id, at) VALUES ($1, $2, $3, $4) ON CONFLICT (session_id, client_id) DO UPDATE SET at = excluded.at`
	_, err := s.db.Change(ctx, "note sign-in", q, a.SessionID, a.ClientID, a.UserID, now.UnixMicro())
	return err
}

// takeLogins removes and returns the clients of a browser session.
func (s store) takeLogins(ctx context.Context, sessionID string) ([]Login, error) {
	const q = `DELETE FROM grant_login WHERE session_id = $1 RETURNING client_id, user_id`
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, sessionID)
	if err != nil {
		return nil, fmt.Errorf("read sign-ins: %w", err)
	}
	defer rows.Close()
	var out []Login
	for rows.Next() {
		l := Login{SessionID: sessionID}
		if err := rows.Scan(&l.ClientID, &l.UserID); err != nil {
			return nil, fmt.Errorf("read sign-ins: %w", err)
		}
		out = append(out, l)
	}
	return out, rows.Err()
}

// sweep removes what has no effect any more.
func (s store) sweep(ctx context.Context, now time.Time) error {
	for _, step := range []struct {
		q      string
		before time.Time
	}{
		{`DELETE FROM grant_code WHERE issued_at < $1`, now.Add(-codeMemory)},
		{`DELETE FROM grant_rotation WHERE used_at < $1`, now.Add(-time.Minute)},
		{`DELETE FROM grant_family WHERE expires_at < $1`, now},
		{`DELETE FROM grant_revocation WHERE until < $1`, now},
		{`DELETE FROM grant_login WHERE at < $1`, now.Add(-loginMemory)},
		{`DELETE FROM grant_device WHERE expires_at < $1`, now.Add(-codeMemory)},
		{`DELETE FROM grant_once WHERE until < $1`, now},
	} {
		if _, err := s.db.Q(ctx).ExecContext(ctx, step.q, step.before.UnixMicro()); err != nil {
			return fmt.Errorf("sweep grants: %w", err)
		}
	}
	return nil
}
