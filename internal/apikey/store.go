package apikey

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// store holds this package's SQL.
type store struct{ db *sqldb.DB }

// columns are of apikey_key k; now is the text of the parameter with the time.
func columns(now string) string {
	return `k.id, k.user_id, COALESCE(k.root_id, k.id), COALESCE(k.replaced_by, ''), k.name, k.mode, k.prefix, k.scopes, k.models, k.limits, k.cached, k.captured, k.created_at, k.expires_at, k.paused_at, k.revoked_at, k.last_used_at,
		(SELECT COUNT(DISTINCT COALESCE(o.root_id, o.id)) FROM apikey_key o
			WHERE o.user_id = k.user_id AND o.mode = k.mode AND COALESCE(o.root_id, o.id) < COALESCE(k.root_id, k.id)
			AND o.revoked_at IS NULL AND (o.expires_at IS NULL OR o.expires_at > ` + now + `))`
}

var (
	byHashSQL = `SELECT ` + columns("$2") + ` FROM apikey_key k WHERE k.hash = $1`
	byIDSQL   = `SELECT ` + columns("$3") + ` FROM apikey_key k WHERE k.id = $1 AND k.user_id = $2`
)

// namedSQL finds keys of anybody.
var namedSQL = `SELECT ` + columns("$4") + ` FROM apikey_key k WHERE k.id = $1 OR k.prefix = $2 ORDER BY k.id DESC LIMIT $3`

// named returns the key with this id, or those with its first characters.
func (s store) named(ctx context.Context, name string, limit int, now time.Time) ([]Key, error) {
	return sqldb.All(ctx, s.db, "find api keys", func(r sqldb.Row) (Key, error) { return scan(r) }, namedSQL, name, name[:min(len(name), shownLen)], limit, now.UnixMicro())
}

func scan(row interface{ Scan(dest ...any) error }) (Key, error) {
	var k Key
	var scopes, models, limits string
	var created, expires, paused, revoked, used sqldb.Time
	err := row.Scan(&k.ID, &k.UserID, &k.Root, &k.ReplacedBy, &k.Name, &k.Mode, &k.Prefix, &scopes, &models, &limits, &k.Cache, &k.Capture, &created, &expires, &paused, &revoked, &used, &k.Older)
	if err != nil {
		return k, err
	}
	k.Scopes = strings.Fields(scopes)
	if models != "" {
		k.Models = strings.Fields(models)
	}
	k.CreatedAt, k.ExpiresAt, k.PausedAt, k.RevokedAt, k.LastUsedAt = created.Time, expires.Time, paused.Time, revoked.Time, used.Time
	if err := json.Unmarshal([]byte(limits), &k.Limits); err != nil {
		return k, fmt.Errorf("limits of api key %s: %w", k.ID, err)
	}
	k.Policy = k.policy()
	return k, nil
}

// lockOwner makes others who create a key for the user wait until this
// transaction ends.
func (s store) lockOwner(ctx context.Context, userID string, now time.Time) error {
	const q = `
		INSERT INTO apikey_owner (user_id, changed_at) VALUES ($1, $2)
		ON CONFLICT (user_id) DO UPDATE SET changed_at = $2`
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, userID, now.UnixMicro()); err != nil {
		return fmt.Errorf("lock owner of api keys: %w", err)
	}
	return nil
}

// count returns how many keys of a mode the user has, those that replaced each
// other as one, and how many of both modes each for itself.
func (s store) count(ctx context.Context, userID string, mode Mode, now time.Time) (of, all int, err error) {
	const q = `
		SELECT COUNT(DISTINCT CASE WHEN mode = $2 THEN COALESCE(root_id, id) END), COUNT(*) FROM apikey_key
		WHERE user_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)`
	if err := s.db.Q(ctx).QueryRowContext(ctx, q, userID, mode, now.UnixMicro()).Scan(&of, &all); err != nil {
		return 0, 0, fmt.Errorf("count api keys: %w", err)
	}
	return of, all, nil
}

// later returns the hashes of the user's keys that are younger than those of a
// root.
func (s store) later(ctx context.Context, userID, root string) ([][]byte, error) {
	const q = `SELECT hash FROM apikey_key WHERE user_id = $1 AND COALESCE(root_id, id) > $2 AND revoked_at IS NULL ORDER BY id`
	return sqldb.All(ctx, s.db, "list later api keys", sqldb.Value[[]byte], q, userID, root)
}

func (s store) add(ctx context.Context, k Key, h hash) error {
	const q = `
		INSERT INTO apikey_key (id, user_id, name, mode, prefix, hash, scopes, models, limits, created_at, expires_at, cached, captured, paused_at, root_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`
	limits, err := json.Marshal(k.Limits)
	if err != nil {
		return err
	}
	_, err = s.db.Q(ctx).ExecContext(ctx, q, k.ID, k.UserID, k.Name, k.Mode, k.Prefix, h[:],
		strings.Join(k.Scopes, " "), strings.Join(k.Models, " "), string(limits), sqldb.TimeArg(k.CreatedAt), sqldb.TimeArg(k.ExpiresAt), k.Cache, k.Capture, sqldb.TimeArg(k.PausedAt), k.Root)
	if err != nil {
		return fmt.Errorf("add api key: %w", err)
	}
	return nil
}

func (s store) byHash(ctx context.Context, h hash, now time.Time) (Key, bool, error) {
	k, err := scan(s.db.Q(ctx).QueryRowContext(ctx, byHashSQL, h[:], now.UnixMicro()))
	if errors.Is(err, sql.ErrNoRows) {
		return Key{}, false, nil
	}
	return k, err == nil, err
}

func (s store) byID(ctx context.Context, userID, keyID string, now time.Time) (Key, error) {
	k, err := scan(s.db.Q(ctx).QueryRowContext(ctx, byIDSQL, keyID, userID, now.UnixMicro()))
	if errors.Is(err, sql.ErrNoRows) {
		return Key{}, fault.ErrNotFound
	}
	if err != nil {
		return Key{}, fmt.Errorf("read api key: %w", err)
	}
	return k, nil
}

// ownerOf returns whose key it is, or fault.ErrNotFound.
func (s store) ownerOf(ctx context.Context, keyID string) (userID string, err error) {
	err = s.db.Q(ctx).QueryRowContext(ctx, `SELECT user_id FROM apikey_key WHERE id = $1`, keyID).Scan(&userID)
	if errors.Is(err, sql.ErrNoRows) {
		return "", fault.ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("look for the owner of an api key: %w", err)
	}
	return userID, nil
}

// list returns keys with ids below f.Before; ids rise with time.
func (s store) list(ctx context.Context, f Filter, limit int, now time.Time) ([]Key, error) {
	var w sqldb.Where
	at := w.Arg(now.UnixMicro())
	w.Is("k.user_id", f.UserID)
	w.Is("k.prefix", f.Prefix)
	w.Is("k.mode", string(f.Mode))
	switch f.Status { // each but active has an index of the keys that may be it
	case StatusRevoked:
		w.And("k.revoked_at IS NOT NULL")
	case StatusExpired:
		w.And("k.expires_at IS NOT NULL AND k.revoked_at IS NULL AND k.expires_at <= " + at)
	case StatusPaused:
		w.And("k.paused_at IS NOT NULL AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > " + at + ")")
	case StatusActive:
		w.And("k.paused_at IS NULL AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > " + at + ")")
	}
	w.Below("k.id", f.Before)
	q := `SELECT ` + columns(at) + ` FROM apikey_key k` + w.String() + ` ORDER BY k.id DESC LIMIT ` + w.Arg(limit)
	return sqldb.All(ctx, s.db, "list api keys", func(r sqldb.Row) (Key, error) { return scan(r) }, q, w.Args()...)
}

// edit writes what can be changed of a key and returns its hash.
func (s store) edit(ctx context.Context, k Key) ([]byte, error) {
	const q = `
		UPDATE apikey_key SET name = $3, scopes = $4, models = $5, limits = $6, expires_at = $7, paused_at = $8, cached = $9, captured = $10
		WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL RETURNING hash`
	limits, err := json.Marshal(k.Limits)
	if err != nil {
		return nil, err
	}
	var h []byte
	err = s.db.Q(ctx).QueryRowContext(ctx, q, k.ID, k.UserID, k.Name, strings.Join(k.Scopes, " "), strings.Join(k.Models, " "), string(limits),
		sqldb.TimeArg(k.ExpiresAt), sqldb.TimeArg(k.PausedAt), k.Cache, k.Capture).Scan(&h)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("edit api key: %w", err)
	}
	return h, nil
}

// replace says which key takes the place of one that has none, and how long
// that one still works. It returns its hash.
func (s store) replace(ctx context.Context, k Key, now time.Time) ([]byte, error) {
	const q = `
		UPDATE apikey_key SET replaced_by = $3, expires_at = $4
		WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL AND replaced_by IS NULL AND (expires_at IS NULL OR expires_at > $5) RETURNING hash`
	var h []byte
	err := s.db.Q(ctx).QueryRowContext(ctx, q, k.ID, k.UserID, k.ReplacedBy, sqldb.TimeArg(k.ExpiresAt), now.UnixMicro()).Scan(&h)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrState
	}
	if err != nil {
		return nil, fmt.Errorf("replace api key: %w", err)
	}
	return h, nil
}

// revoke returns the hash of the key that is revoked now. The time of the
// first revocation stays.
func (s store) revoke(ctx context.Context, userID, keyID string, now time.Time) ([]byte, error) {
	const q = `
		UPDATE apikey_key SET revoked_at = COALESCE(revoked_at, $3)
		WHERE id = $1 AND user_id = $2 RETURNING hash`
	var h []byte
	err := s.db.Q(ctx).QueryRowContext(ctx, q, keyID, userID, now.UnixMicro()).Scan(&h)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("revoke api key: %w", err)
	}
	return h, nil
}

// used writes when keys were used last; a later time that another process
// wrote stays.
func (s store) used(ctx context.Context, at map[string]time.Time) error {
	const q = `
		UPDATE apikey_key SET last_used_at = $2
		WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)`
	return s.db.InTx(ctx, func(ctx context.Context) error {
		for keyID, t := range at {
			if _, err := s.db.Q(ctx).ExecContext(ctx, q, keyID, t.UnixMicro()); err != nil {
				return fmt.Errorf("write use of api key: %w", err)
			}
		}
		return nil
	})
}
