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

func (s store) addDevice(ctx context.Context, d Device, userHash string, now, expires time.Time) (bool, error) {
	const q = `
		INSERT INTO grant_device (hash, user_code, client_id, scopes, resources, address, agent, state, pause, polled_at, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', $8, 0, $9, $10)
		ON CONFLICT (user_code) DO NOTHING`
	return s.db.Change(ctx, "store device code", q, d.ref, userHash, d.ClientID, joined(d.Scopes), joined(d.Resources), d.Address, d.Agent,
		DevicePause.Microseconds(), now.UnixMicro(), expires.UnixMicro())
}

func (s store) waitingDevice(ctx context.Context, userHash string, now time.Time) (Device, bool, error) {
	const q = `
		SELECT hash, client_id, scopes, resources, address, agent, created_at
		FROM grant_device WHERE user_code = $1 AND state = 'pending' AND expires_at > $2`
	var d Device
	var scopes, resources string
	var created sqldb.Time
	err := s.db.Q(ctx).QueryRowContext(ctx, q, userHash, now.UnixMicro()).Scan(&d.ref, &d.ClientID, &scopes, &resources, &d.Address, &d.Agent, &created)
	if errors.Is(err, sql.ErrNoRows) {
		return Device{}, false, nil
	}
	if err != nil {
		return Device{}, false, fmt.Errorf("look up user code: %w", err)
	}
	d.Scopes, d.Resources, d.CreatedAt = strings.Fields(scopes), strings.Fields(resources), created.Time
	return d, true, nil
}

// approveDevice and denyDevice are one statement each, so of many that decide
// at once the first one counts.
func (s store) approveDevice(ctx context.Context, ref, authorizationID string, c Code, now time.Time) (bool, error) {
	const q = `
		UPDATE grant_device SET state = 'approved', authorization_id = $2, user_id = $3, session_id = $4, granted = $5,
			auth_time = $6, acr = $7, amr = $8, approved_at = $9
		WHERE hash = $1 AND state = 'pending' AND expires_at > $9`
	return s.db.Change(ctx, "approve device", q, ref, authorizationID, c.UserID, c.SessionID, joined(c.Scopes), c.AuthTime.UnixMicro(),
		c.ACR, joined(c.AMR), now.UnixMicro())
}

func (s store) denyDevice(ctx context.Context, ref string, now time.Time) (bool, error) {
	const q = `UPDATE grant_device SET state = 'denied' WHERE hash = $1 AND state = 'pending' AND expires_at > $2`
	return s.db.Change(ctx, "deny device", q, ref, now.UnixMicro())
}

// pollDevice notes that a device asks, and returns its state: "" for one that
// is unknown, "early" before its pause is over, which then grows.
func (s store) pollDevice(ctx context.Context, ref, clientID string, now time.Time) (state string, over bool, err error) {
	const q = `
		UPDATE grant_device SET polled_at = $3
		WHERE hash = $1 AND client_id = $2 AND polled_at + pause <= $3
		RETURNING state, expires_at <= $3`
	err = s.db.Q(ctx).QueryRowContext(ctx, q, ref, clientID, now.UnixMicro()).Scan(&state, &over)
	switch {
	case err == nil:
		return state, over && state != "used", nil
	case !errors.Is(err, sql.ErrNoRows):
		return "", false, fmt.Errorf("poll device code: %w", err)
	}
	const slower = `UPDATE grant_device SET polled_at = $3, pause = pause + $4 WHERE hash = $1 AND client_id = $2 AND expires_at > $3`
	early, err := s.db.Change(ctx, "poll device code", slower, ref, clientID, now.UnixMicro(), DevicePause.Microseconds())
	if err != nil || !early {
		return "", false, err
	}
	return "early", false, nil
}

// useDevice consumes an approval. Of many that ask at once one gets it.
func (s store) useDevice(ctx context.Context, ref string) (a Authorization, approvedAt time.Time, ok bool, err error) {
	const q = `
		UPDATE grant_device SET state = 'used' WHERE hash = $1 AND state = 'approved'
		RETURNING authorization_id, client_id, user_id, session_id, granted, resources, auth_time, acr, amr, approved_at`
	a.Bound = true
	var scopes, resources, amr string
	var authTime, approved sqldb.Time
	err = s.db.Q(ctx).QueryRowContext(ctx, q, ref).Scan(&a.ID, &a.ClientID, &a.UserID, &a.SessionID, &scopes, &resources, &authTime,
		&a.ACR, &amr, &approved)
	if errors.Is(err, sql.ErrNoRows) {
		return a, time.Time{}, false, nil
	}
	if err != nil {
		return a, time.Time{}, false, fmt.Errorf("use device code: %w", err)
	}
	a.Scopes, a.Resources, a.AMR, a.AuthTime = strings.Fields(scopes), strings.Fields(resources), strings.Fields(amr), authTime.Time
	return a, approved.Time, true, nil
}
