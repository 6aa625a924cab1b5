package grant

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// family is a stored refresh-token family.
type family struct {
	Authorization
	generation int64
	revoked    bool
	expiresAt  time.Time
}

func (s store) addFamily(ctx context.Context, t refreshToken, a Authorization, now, expires time.Time) error {
	const q = `
		INSERT INTO grant_family (id, authorization_id, client_id, user_id, session_id, bound, scopes, resources, auth_time, acr, amr,
			generation, current_hash, issued_at, used_at, expires_at, jkt, claims)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14, $15, $16, $17)`
	_, err := s.db.Q(ctx).ExecContext(ctx, q, t.family, a.ID, a.ClientID, a.UserID, a.SessionID, a.Bound, joined(a.Scopes), joined(a.Resources),
		a.AuthTime.UnixMicro(), a.ACR, joined(a.AMR), t.generation, oauth.Hash(t.value), now.UnixMicro(), expires.UnixMicro(), a.JKT, joined(a.Claims))
	if err != nil {
		return fmt.Errorf("store refresh family: %w", err)
	}
	return nil
}

// scannedFamily has the columns of a family that make its Authorization.
type scannedFamily struct {
	a                              Authorization
	scopes, resources, amr, claims string
	authTime                       sqldb.Time
}

func (f *scannedFamily) targets() []any {
	return []any{&f.a.ID, &f.a.ClientID, &f.a.UserID, &f.a.SessionID, &f.a.Bound, &f.scopes, &f.resources, &f.authTime, &f.a.ACR, &f.amr, &f.a.JKT, &f.claims}
}

func (f *scannedFamily) authorization() Authorization {
	f.a.Scopes, f.a.Resources, f.a.AMR = strings.Fields(f.scopes), strings.Fields(f.resources), strings.Fields(f.amr)
	f.a.Claims, f.a.AuthTime = strings.Fields(f.claims), f.authTime.Time
	return f.a
}

// by is who presents a refresh token.
type by struct{ clientID, jkt string }

// owns reports whether a token of a is theirs.
func (b by) owns(a Authorization) bool {
	return a.ClientID == b.clientID && (a.JKT == "" || a.JKT == b.jkt)
}

// rotate makes next the current token of the family if presented is. The test
// and the change are one statement, so a token has one successor.
func (s store) rotate(ctx context.Context, presented, next refreshToken, who by, now time.Time) (Authorization, bool, error) {
	const q = `
		UPDATE grant_family SET generation = generation + 1, current_hash = $3, used_at = $4
		WHERE id = $1 AND current_hash = $2 AND client_id = $5 AND (jkt = '' OR jkt = $6)
			AND revoked_at IS NULL AND expires_at > $4
		RETURNING authorization_id, client_id, user_id, session_id, bound, scopes, resources, auth_time, acr, amr, jkt, claims`
	var f scannedFamily
	err := s.db.Q(ctx).QueryRowContext(ctx, q, presented.family, oauth.Hash(presented.value), oauth.Hash(next.value),
		now.UnixMicro(), who.clientID, who.jkt).Scan(f.targets()...)
	if errors.Is(err, sql.ErrNoRows) {
		return Authorization{}, false, nil
	}
	if err != nil {
		return Authorization{}, false, fmt.Errorf("rotate refresh token: %w", err)
	}
	return f.authorization(), true, nil
}

// use notes the use of the current token of a family, which stays current.
func (s store) use(ctx context.Context, presented refreshToken, who by, now time.Time) (Authorization, bool, error) {
	const q = `
		UPDATE grant_family SET used_at = $3
		WHERE id = $1 AND current_hash = $2 AND client_id = $4 AND (jkt = '' OR jkt = $5) AND revoked_at IS NULL AND expires_at > $3
		RETURNING authorization_id, client_id, user_id, session_id, bound, scopes, resources, auth_time, acr, amr, jkt, claims`
	var f scannedFamily
	err := s.db.Q(ctx).QueryRowContext(ctx, q, presented.family, oauth.Hash(presented.value), now.UnixMicro(), who.clientID, who.jkt).Scan(f.targets()...)
	if errors.Is(err, sql.ErrNoRows) {
		return Authorization{}, false, nil
	}
	if err != nil {
		return Authorization{}, false, fmt.Errorf("use refresh token: %w", err)
	}
	return f.authorization(), true, nil
}

func (s store) family(ctx context.Context, id string) (family, bool, error) {
	const q = `
		SELECT authorization_id, client_id, user_id, session_id, bound, scopes, resources, auth_time, acr, amr, jkt, claims,
			generation, revoked_at IS NOT NULL, expires_at
		FROM grant_family WHERE id = $1`
	var f scannedFamily
	var out family
	var expires sqldb.Time
	err := s.db.Q(ctx).QueryRowContext(ctx, q, id).Scan(append(f.targets(), &out.generation, &out.revoked, &expires)...)
	if errors.Is(err, sql.ErrNoRows) {
		return family{}, false, nil
	}
	if err != nil {
		return family{}, false, fmt.Errorf("look up refresh family: %w", err)
	}
	out.Authorization, out.expiresAt = f.authorization(), expires.Time
	return out, true, nil
}

// rotation is the memory of a token that was used.
type rotation struct {
	successor []byte // sealed for who presents the used token
	usedAt    time.Time
}

func (s store) addRotation(ctx context.Context, used refreshToken, hash string, successor []byte, now time.Time) error {
	const q = `INSERT INTO grant_rotation (family_id, generation, hash, successor, used_at) VALUES ($1, $2, $3, $4, $5)`
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, used.family, used.generation, hash, successor, now.UnixMicro()); err != nil {
		return fmt.Errorf("remember used refresh token: %w", err)
	}
	return nil
}

func (s store) rotation(ctx context.Context, t refreshToken, hash string) (rotation, bool, error) {
	const q = `SELECT successor, used_at FROM grant_rotation WHERE family_id = $1 AND generation = $2 AND hash = $3`
	var r rotation
	var used sqldb.Time
	err := s.db.Q(ctx).QueryRowContext(ctx, q, t.family, t.generation, hash).Scan(&r.successor, &used)
	if errors.Is(err, sql.ErrNoRows) {
		return rotation{}, false, nil
	}
	if err != nil {
		return rotation{}, false, fmt.Errorf("look up used refresh token: %w", err)
	}
	r.usedAt = used.Time
	return r, true, nil
}
