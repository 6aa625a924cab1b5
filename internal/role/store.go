package role

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

type store struct{ db *sqldb.DB }

// lock makes every other change of rights wait for the end of the transaction.
func (s store) lock(ctx context.Context) error {
	return s.exec(ctx, "lock the roles", `UPDATE role_lock SET changes = changes + 1 WHERE id = 1`)
}

const selectAssignments = `SELECT id, user_id, role_id, reason, created_by, created_at, expires_at, ended_at, ended_by FROM role_assignment `

// assignments returns those of a user, the newest first; history adds those
// that were ended.
func (s store) assignments(ctx context.Context, userID string, history bool) ([]Assignment, error) {
	const q = selectAssignments + `WHERE user_id = $1 AND (ended_at IS NULL OR $2) ORDER BY id DESC`
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, userID, history)
	if err != nil {
		return nil, fmt.Errorf("read role assignments: %w", err)
	}
	defer rows.Close()
	var out []Assignment
	for rows.Next() {
		var a Assignment
		var at, expires, ended sqldb.Time
		if err := rows.Scan(&a.ID, &a.UserID, &a.RoleID, &a.Reason, &a.By, &at, &expires, &ended, &a.EndedBy); err != nil {
			return nil, fmt.Errorf("read role assignments: %w", err)
		}
		a.At, a.ExpiresAt, a.EndedAt = at.Time, expires.Time, ended.Time
		out = append(out, a)
	}
	return out, rows.Err()
}

// assign adds a, unless the user has the role.
func (s store) assign(ctx context.Context, a Assignment) (bool, error) {
	const q = `INSERT INTO role_assignment (id, user_id, role_id, reason, created_by, created_at, expires_at, ended_at, ended_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, '') ON CONFLICT DO NOTHING`
	return s.changed(ctx, "assign a role", q, a.ID, a.UserID, a.RoleID, a.Reason, a.By, a.At.UnixMicro(), sqldb.TimeArg(a.ExpiresAt))
}

func (s store) endAssignment(ctx context.Context, userID, assignmentID, by string, now time.Time) (bool, error) {
	const q = `UPDATE role_assignment SET ended_at = $4, ended_by = $3 WHERE user_id = $1 AND id = $2 AND ended_at IS NULL`
	return s.changed(ctx, "end a role assignment", q, userID, assignmentID, by, now.UnixMicro())
}

const selectOverrides = `SELECT id, user_id, permission, effect, reason, created_by, created_at, expires_at, ended_at, ended_by FROM role_override `

func (s store) overrides(ctx context.Context, userID string, history bool) ([]Override, error) {
	const q = selectOverrides + `WHERE user_id = $1 AND (ended_at IS NULL OR $2) ORDER BY id DESC`
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, userID, history)
	if err != nil {
		return nil, fmt.Errorf("read overrides: %w", err)
	}
	defer rows.Close()
	var out []Override
	for rows.Next() {
		var o Override
		var at, expires, ended sqldb.Time
		if err := rows.Scan(&o.ID, &o.UserID, &o.Permission, &o.Effect, &o.Reason, &o.By, &at, &expires, &ended, &o.EndedBy); err != nil {
			return nil, fmt.Errorf("read overrides: %w", err)
		}
		o.At, o.ExpiresAt, o.EndedAt = at.Time, expires.Time, ended.Time
		out = append(out, o)
	}
	return out, rows.Err()
}

func (s store) override(ctx context.Context, o Override) (bool, error) {
	const q = `INSERT INTO role_override (id, user_id, permission, effect, reason, created_by, created_at, expires_at, ended_at, ended_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL, '') ON CONFLICT DO NOTHING`
	return s.changed(ctx, "override a permission", q, o.ID, o.UserID, string(o.Permission), string(o.Effect), o.Reason, o.By, o.At.UnixMicro(), sqldb.TimeArg(o.ExpiresAt))
}

func (s store) endOverride(ctx context.Context, overrideID, by string, now time.Time) error {
	return s.exec(ctx, "end an override", `UPDATE role_override SET ended_at = $3, ended_by = $2 WHERE id = $1 AND ended_at IS NULL`, overrideID, by, now.UnixMicro())
}

func (s store) endRevokes(ctx context.Context, userID, by string, now time.Time) error {
	const q = `UPDATE role_override SET ended_at = $3, ended_by = $2 WHERE user_id = $1 AND effect = 'revoke' AND ended_at IS NULL`
	return s.exec(ctx, "end overrides", q, userID, by, now.UnixMicro())
}

func (s store) endExpired(ctx context.Context, userID, by string, now time.Time) error {
	const (
		roles     = `UPDATE role_assignment SET ended_at = expires_at, ended_by = $2 WHERE user_id = $1 AND ended_at IS NULL AND expires_at <= $3`
		overrides = `UPDATE role_override SET ended_at = expires_at, ended_by = $2 WHERE user_id = $1 AND ended_at IS NULL AND expires_at <= $3`
	)
	if err := s.exec(ctx, "end expired roles", roles, userID, by, now.UnixMicro()); err != nil {
		return err
	}
	return s.exec(ctx, "end expired overrides", overrides, userID, by, now.UnixMicro())
}

// expired returns the users of whom something has expired and was not ended.
func (s store) expired(ctx context.Context, now time.Time) ([]string, error) {
	const q = `SELECT user_id FROM role_assignment WHERE ended_at IS NULL AND expires_at <= $1
		UNION SELECT user_id FROM role_override WHERE ended_at IS NULL AND expires_at <= $1 ORDER BY 1`
	return s.ids(ctx, q, now.UnixMicro())
}

// superAdmins returns who has super_admin for good, without a revoked right.
func (s store) superAdmins(ctx context.Context) ([]string, error) {
	const q = `SELECT a.user_id FROM role_assignment a WHERE a.role_id = 'super_admin' AND a.ended_at IS NULL AND a.expires_at IS NULL
		AND NOT EXISTS (SELECT 1 FROM role_override o WHERE o.user_id = a.user_id AND o.effect = 'revoke' AND o.ended_at IS NULL) ORDER BY a.user_id`
	return s.ids(ctx, q)
}

func (s store) ids(ctx context.Context, q string, args ...any) ([]string, error) {
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, args...)
	if err != nil {
		return nil, fmt.Errorf("list people with roles: %w", err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			return nil, fmt.Errorf("list people with roles: %w", err)
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

func (s store) assignedSince(ctx context.Context, by string, since time.Time) (int, error) {
	return s.count(ctx, `SELECT COUNT(*) FROM role_assignment WHERE created_by = $1 AND created_at > $2`, by, since.UnixMicro())
}

func (s store) overriddenSince(ctx context.Context, by string, since time.Time) (int, error) {
	return s.count(ctx, `SELECT COUNT(*) FROM role_override WHERE created_by = $1 AND created_at > $2`, by, since.UnixMicro())
}

func (s store) definedSince(ctx context.Context, by string, since time.Time) (int, error) {
	return s.count(ctx, `SELECT COUNT(*) FROM role_custom WHERE created_by = $1 AND created_at > $2`, by, since.UnixMicro())
}

func (s store) holders(ctx context.Context, roleID string, now time.Time) (int, error) {
	const q = `SELECT COUNT(*) FROM role_assignment WHERE role_id = $1 AND ended_at IS NULL AND (expires_at IS NULL OR expires_at > $2)`
	return s.count(ctx, q, roleID, now.UnixMicro())
}

func (s store) count(ctx context.Context, q string, args ...any) (n int, err error) {
	if err := s.db.Q(ctx).QueryRowContext(ctx, q, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("count changes of rights: %w", err)
	}
	return n, nil
}

const selectCustom = `SELECT id, name, description, permissions, version, updated_at FROM role_custom WHERE deleted_at IS NULL `

func scanCustom(row interface{ Scan(...any) error }) (r Role, err error) {
	var list string
	var updated sqldb.Time
	if err := row.Scan(&r.ID, &r.Name, &r.Description, &list, &r.Version, &updated); err != nil {
		return r, err
	}
	r.UpdatedAt = updated.Time
	return r, json.Unmarshal([]byte(list), &r.Permissions)
}

func (s store) custom(ctx context.Context, roleID string) (Role, error) {
	r, err := scanCustom(s.db.Q(ctx).QueryRowContext(ctx, selectCustom+`AND id = $1`, roleID))
	if errors.Is(err, sql.ErrNoRows) {
		return Role{}, ErrUnknown
	}
	if err != nil {
		return Role{}, fmt.Errorf("read role: %w", err)
	}
	return r, nil
}

func (s store) customs(ctx context.Context) ([]Role, error) {
	rows, err := s.db.Q(ctx).QueryContext(ctx, selectCustom+`ORDER BY name_key`)
	if err != nil {
		return nil, fmt.Errorf("list roles: %w", err)
	}
	defer rows.Close()
	var out []Role
	for rows.Next() {
		r, err := scanCustom(rows)
		if err != nil {
			return nil, fmt.Errorf("list roles: %w", err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// define adds r, unless its name is taken.
func (s store) define(ctx context.Context, r Role, by string) (bool, error) {
	list, err := json.Marshal(r.Permissions)
	if err != nil {
		return false, err
	}
	const q = `INSERT INTO role_custom (id, name, name_key, description, permissions, version, created_by, created_at, updated_at, deleted_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, NULL) ON CONFLICT DO NOTHING`
	return s.changed(ctx, "define a role", q, r.ID, r.Name, strings.ToLower(r.Name), r.Description, string(list), r.Version, by, r.UpdatedAt.UnixMicro())
}

// redefine changes r, unless its name is that of another.
func (s store) redefine(ctx context.Context, r Role) (taken bool, err error) {
	list, err := json.Marshal(r.Permissions)
	if err != nil {
		return false, err
	}
	const q = `UPDATE role_custom SET name = $2, name_key = $3, description = $4, permissions = $5, version = $6, updated_at = $7
		WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM role_custom o WHERE o.name_key = $3 AND o.id <> $1 AND o.deleted_at IS NULL)`
	done, err := s.changed(ctx, "change a role", q, r.ID, r.Name, strings.ToLower(r.Name), r.Description, string(list), r.Version, r.UpdatedAt.UnixMicro())
	return !done, err
}

func (s store) undefine(ctx context.Context, roleID string, now time.Time) error {
	return s.exec(ctx, "delete a role", `UPDATE role_custom SET deleted_at = $2 WHERE id = $1`, roleID, now.UnixMicro())
}

func (s store) exec(ctx context.Context, what, q string, args ...any) error {
	_, err := s.changed(ctx, what, q, args...)
	return err
}

func (s store) changed(ctx context.Context, what, q string, args ...any) (bool, error) {
	res, err := s.db.Q(ctx).ExecContext(ctx, q, args...)
	if err != nil {
		return false, fmt.Errorf("%s: %w", what, err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

func (s store) holderIDs(ctx context.Context, roleID string, now time.Time) ([]string, error) {
	const q = `SELECT user_id FROM role_assignment WHERE role_id = $1 AND ended_at IS NULL AND (expires_at IS NULL OR expires_at > $2) ORDER BY user_id`
	return s.ids(ctx, q, roleID, now.UnixMicro())
}

// assigned returns who has a role that was not taken away.
func (s store) assigned(ctx context.Context) ([]string, error) {
	return s.ids(ctx, `SELECT DISTINCT user_id FROM role_assignment WHERE ended_at IS NULL ORDER BY user_id`)
}
