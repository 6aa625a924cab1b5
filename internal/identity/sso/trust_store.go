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

// trusted returns the id of a user's trusted device by its cookie, noting that it
// was used; "" if there is none.
func (s store) trusted(ctx context.Context, hash []byte, userID string, now time.Time) (trustedID string, err error) {
	const q = `UPDATE sso_trusted SET used_at = $3 WHERE hash = $1 AND user_id = $2 AND expires_at > $3 RETURNING id`
	err = s.db.Q(ctx).QueryRowContext(ctx, q, hash, userID, now.UnixMicro()).Scan(&trustedID)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look up trusted device: %w", err)
	}
	return trustedID, nil
}

func (s store) trust(ctx context.Context, t Trusted, hash []byte, userID string) error {
	const q = `
		INSERT INTO sso_trusted (id, hash, user_id, address, agent, created_at, used_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $6, $7)
		ON CONFLICT (hash, user_id) DO UPDATE SET address = $4, agent = $5, used_at = $6, expires_at = $7`
	return s.exec(ctx, "trust device", q, t.ID, hash, userID, t.Address, strings.ToValidUTF8(t.Agent, ""), t.CreatedAt.UnixMicro(), t.ExpiresAt.UnixMicro())
}

// trustedOf lists a user's trusted devices, the newest first.
func (s store) trustedOf(ctx context.Context, userID string, now time.Time) ([]Trusted, error) {
	const q = `
		SELECT id, address, agent, created_at, used_at, expires_at FROM sso_trusted
		WHERE user_id = $1 AND expires_at > $2 ORDER BY created_at DESC, id DESC`
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, userID, now.UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("list trusted devices: %w", err)
	}
	defer rows.Close()
	var out []Trusted
	for rows.Next() {
		var t Trusted
		var created, used, expires sqldb.Time
		if err := rows.Scan(&t.ID, &t.Address, &t.Agent, &created, &used, &expires); err != nil {
			return nil, fmt.Errorf("list trusted devices: %w", err)
		}
		t.CreatedAt, t.UsedAt, t.ExpiresAt = created.Time, used.Time, expires.Time
		out = append(out, t)
	}
	return out, rows.Err()
}

// distrust ends a device's trust, also for the sign-ins that rest on it.
func (s store) distrust(ctx context.Context, userID, trustedID string) error {
	return errors.Join(
		s.exec(ctx, "distrust device", `DELETE FROM sso_trusted WHERE id = $1 AND user_id = $2`, trustedID, userID),
		s.exec(ctx, "distrust sign-ins", `UPDATE sso_session SET trust = '' WHERE user_id = $1 AND trust = $2`, userID, trustedID),
	)
}

func (s store) distrustEverybody(ctx context.Context) error {
	return errors.Join(
		s.exec(ctx, "distrust devices", `DELETE FROM sso_trusted`),
		s.exec(ctx, "distrust sign-ins", `UPDATE sso_session SET trust = '' WHERE trust <> ''`),
	)
}

// rename gives a browser another secret, for all who trust it.
func (s store) rename(ctx context.Context, hash, next []byte) error {
	return s.exec(ctx, "renew a trusted device", `UPDATE sso_trusted SET hash = $2 WHERE hash = $1`, hash, next)
}

func (s store) distrustAll(ctx context.Context, userID string) error {
	return errors.Join(
		s.exec(ctx, "distrust devices", `DELETE FROM sso_trusted WHERE user_id = $1`, userID),
		s.exec(ctx, "distrust sign-ins", `UPDATE sso_session SET trust = '' WHERE user_id = $1 AND trust <> ''`, userID),
	)
}
