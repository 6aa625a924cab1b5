package sso

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// store holds this package's SQL.
type store struct{ db *sqldb.DB }

func (s store) byHash(ctx context.Context, hash []byte) (Session, bool, error) {
	const q = `SELECT id, user_id, auth_time, acr, amr, keep, trust, created_at, last_seen_at, ended_at FROM sso_session WHERE hash = $1`
	var ss Session
	var amr string
	var auth, created, seen, ended sqldb.Time
	err := s.db.Q(ctx).QueryRowContext(ctx, q, hash).Scan(&ss.ID, &ss.UserID, &auth, &ss.ACR, &amr, &ss.Keep, &ss.Trust, &created, &seen, &ended)
	if errors.Is(err, sql.ErrNoRows) {
		return Session{}, false, nil
	}
	if err != nil {
		return Session{}, false, fmt.Errorf("read session: %w", err)
	}
	ss.AuthTime, ss.createdAt, ss.lastSeenAt, ss.endedAt = auth.Time, created.Time, seen.Time, ended.Time
	ss.AMR = strings.Fields(amr)
	return ss, true, nil
}

func (s store) insert(ctx context.Context, ss Session, hash []byte, address, agent string) error {
	const q = `
		INSERT INTO sso_session (id, hash, user_id, auth_time, acr, amr, address, agent, keep, trust, created_at, last_seen_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $4, $4)`
	return s.exec(ctx, "begin session", q, ss.ID, hash, ss.UserID, ss.AuthTime.UnixMicro(), ss.ACR, strings.Join(ss.AMR, " "),
		address, strings.ToValidUTF8(agent, ""), ss.Keep, ss.Trust)
}

// renew gives a live session a new secret and sign-in.
func (s store) renew(ctx context.Context, ss Session, hash []byte) (bool, error) {
	const q = `
		UPDATE sso_session SET hash = $2, auth_time = $3, acr = $4, amr = $5, keep = $7, trust = $8, created_at = $3, last_seen_at = $3
		WHERE id = $1 AND user_id = $6 AND ended_at IS NULL`
	res, err := s.db.Q(ctx).ExecContext(ctx, q, ss.ID, hash, ss.AuthTime.UnixMicro(), ss.ACR, strings.Join(ss.AMR, " "), ss.UserID, ss.Keep, ss.Trust)
	return changed(res, err, "renew session")
}

// raise gives a live session a new secret and what its user has proved since.
func (s store) raise(ctx context.Context, ss Session, hash []byte) (bool, error) {
	const q = `UPDATE sso_session SET hash = $2, acr = $3, amr = $4, trust = '' WHERE id = $1 AND user_id = $5 AND ended_at IS NULL`
	res, err := s.db.Q(ctx).ExecContext(ctx, q, ss.ID, hash, ss.ACR, strings.Join(ss.AMR, " "), ss.UserID)
	return changed(res, err, "raise session")
}

func (s store) seen(ctx context.Context, sessionID string, at time.Time) error {
	return s.exec(ctx, "record use", `UPDATE sso_session SET last_seen_at = $2 WHERE id = $1`, sessionID, at.UnixMicro())
}

func (s store) end(ctx context.Context, sessionID string, at time.Time) (bool, error) {
	const q = `UPDATE sso_session SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL`
	res, err := s.db.Q(ctx).ExecContext(ctx, q, sessionID, at.UnixMicro())
	return changed(res, err, "end session")
}

// endAll ends all sessions and returns how many there were.
func (s store) endAll(ctx context.Context, at time.Time) (int64, error) {
	res, err := s.db.Q(ctx).ExecContext(ctx, `UPDATE sso_session SET ended_at = $1 WHERE ended_at IS NULL`, at.UnixMicro())
	if err != nil {
		return 0, fmt.Errorf("end sessions: %w", err)
	}
	return res.RowsAffected()
}

// owner returns whose sign-in that is; ErrUnknown when it has ended.
func (s store) owner(ctx context.Context, sessionID string) (userID string, err error) {
	const q = `SELECT user_id FROM sso_session WHERE id = $1 AND ended_at IS NULL`
	err = s.db.Q(ctx).QueryRowContext(ctx, q, sessionID).Scan(&userID)
	if errors.Is(err, sql.ErrNoRows) {
		return "", ErrUnknown
	}
	if err != nil {
		return "", fmt.Errorf("read session: %w", err)
	}
	return userID, nil
}

// open lists a user's sessions that have not ended, the newest first.
func (s store) open(ctx context.Context, userID string) ([]string, error) {
	const q = `SELECT id FROM sso_session WHERE user_id = $1 AND ended_at IS NULL ORDER BY created_at DESC, id DESC`
	return s.list(ctx, "list sessions", q, userID)
}

// of reads a user's sign-ins that have not ended, the newest first.
func (s store) of(ctx context.Context, userID string) ([]Listed, error) {
	const q = `
		SELECT id, user_id, auth_time, acr, amr, keep, address, agent, created_at, last_seen_at FROM sso_session
		WHERE user_id = $1 AND ended_at IS NULL ORDER BY created_at DESC, id DESC`
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, userID)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	defer rows.Close()
	var out []Listed
	for rows.Next() {
		var l Listed
		var amr string
		var auth, created, seen sqldb.Time
		if err := rows.Scan(&l.ID, &l.UserID, &auth, &l.ACR, &amr, &l.Keep, &l.Address, &l.Agent, &created, &seen); err != nil {
			return nil, fmt.Errorf("list sessions: %w", err)
		}
		l.AuthTime, l.createdAt, l.lastSeenAt, l.AMR = auth.Time, created.Time, seen.Time, strings.Fields(amr)
		out = append(out, l)
	}
	return out, rows.Err()
}

// knows lists the users who signed in on a device.
func (s store) knows(ctx context.Context, hash []byte, since time.Time) ([]string, error) {
	const q = `SELECT user_id FROM sso_device WHERE hash = $1 AND last_seen_at > $2`
	return s.list(ctx, "read device", q, hash, since.UnixMicro())
}

func (s store) list(ctx context.Context, what, query string, args ...any) ([]string, error) {
	rows, err := s.db.Q(ctx).QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// devices counts those on which a user has signed in.
func (s store) devices(ctx context.Context, userID string) (n int, err error) {
	const q = `SELECT COUNT(*) FROM sso_device WHERE user_id = $1`
	if err := s.db.Q(ctx).QueryRowContext(ctx, q, userID).Scan(&n); err != nil {
		return 0, fmt.Errorf("count devices: %w", err)
	}
	return n, nil
}

func (s store) remember(ctx context.Context, hash []byte, userID string, at time.Time) error {
	const q = `
		INSERT INTO sso_device (hash, user_id, last_seen_at) VALUES ($1, $2, $3)
		ON CONFLICT (hash, user_id) DO UPDATE SET last_seen_at = $3`
	return s.exec(ctx, "remember device", q, hash, userID, at.UnixMicro())
}

func (s store) sweep(ctx context.Context, sessions, devices, trusted time.Time) error {
	return errors.Join(
		s.exec(ctx, "sweep sessions", `DELETE FROM sso_session WHERE last_seen_at < $1`, sessions.UnixMicro()),
		s.exec(ctx, "sweep devices", `DELETE FROM sso_device WHERE last_seen_at < $1`, devices.UnixMicro()),
		s.exec(ctx, "sweep trusted devices", `DELETE FROM sso_trusted WHERE expires_at <= $1`, trusted.UnixMicro()),
	)
}

func (s store) exec(ctx context.Context, what, query string, args ...any) error {
	if _, err := s.db.Q(ctx).ExecContext(ctx, query, args...); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func changed(res sql.Result, err error, what string) (bool, error) {
	if err != nil {
		return false, fmt.Errorf("%s: %w", what, err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}
