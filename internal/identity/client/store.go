package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// store holds this package's SQL.
type store struct{ db *sqldb.DB }

// encode returns c's settings and secrets as JSON texts.
func encode(c Client) (settings, secrets string, err error) {
	a, err := json.Marshal(c)
	if err != nil {
		return "", "", fmt.Errorf("encode client %s: %w", c.ID, err)
	}
	if c.secrets == nil {
		c.secrets = []secretHash{}
	}
	b, err := json.Marshal(c.secrets)
	if err != nil {
		return "", "", fmt.Errorf("encode client %s: %w", c.ID, err)
	}
	return string(a), string(b), nil
}

func (s store) add(ctx context.Context, c Client, registration string, now time.Time) (bool, error) {
	settings, secrets, err := encode(c)
	if err != nil {
		return false, err
	}
	const q = `
		INSERT INTO client_client (id, name, settings, secrets, registration, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6)
		ON CONFLICT (id) DO NOTHING`
	return s.changed(ctx, "store", c.ID, q, c.ID, c.Name, settings, secrets, registration, now.UnixMicro())
}

// replace changes a client whose registration token has the hash was, and
// gives it the next.
func (s store) replace(ctx context.Context, c Client, was, next string, now time.Time) (bool, error) {
	settings, secrets, err := encode(c)
	if err != nil {
		return false, err
	}
	const q = `
		UPDATE client_client SET name = $3, settings = $4, secrets = $5, registration = $6, updated_at = $7
		WHERE id = $1 AND registration = $2`
	return s.changed(ctx, "change", c.ID, q, c.ID, was, c.Name, settings, secrets, next, now.UnixMicro())
}

// unregister removes a client whose registration token has this hash.
func (s store) unregister(ctx context.Context, id, registration string) (bool, error) {
	const q = `DELETE FROM client_client WHERE id = $1 AND registration = $2`
	return s.changed(ctx, "remove", id, q, id, registration)
}

// registered reports whether the client's registration token has this hash.
func (s store) registered(ctx context.Context, id, registration string) (bool, error) {
	const q = `SELECT COUNT(*) FROM client_client WHERE id = $1 AND registration = $2`
	var n int
	if err := s.db.Q(ctx).QueryRowContext(ctx, q, id, registration).Scan(&n); err != nil {
		return false, fmt.Errorf("read client %s: %w", id, err)
	}
	return n == 1, nil
}

// used notes that a client got a token.
func (s store) used(ctx context.Context, id string, at time.Time) error {
	const q = `UPDATE client_client SET used_at = $2 WHERE id = $1 AND used_at < $2`
	_, err := s.changed(ctx, "note use of", id, q, id, at.UnixMicro())
	return err
}

// removeUnused removes dynamic clients that nobody has used since before, and
// of those that were never used all but the newest keep. It returns their ids.
func (s store) removeUnused(ctx context.Context, before time.Time, keep int) ([]string, error) {
	const q = `
		DELETE FROM client_client WHERE registration <> '' AND (
			used_at < $1 AND created_at < $1 OR
			id IN (SELECT id FROM client_client WHERE registration <> '' AND used_at = 0 ORDER BY created_at DESC, id LIMIT 1000000 OFFSET $2))
		RETURNING id`
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, before.UnixMicro(), keep)
	if err != nil {
		return nil, fmt.Errorf("remove unused clients: %w", err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("remove unused clients: %w", err)
		}
		out = append(out, id)
	}
	return out, rows.Err()
}

// changed runs a statement on one client and reports whether it changed it.
func (s store) changed(ctx context.Context, what, id, query string, args ...any) (bool, error) {
	res, err := s.db.Q(ctx).ExecContext(ctx, query, args...)
	if err != nil {
		return false, fmt.Errorf("%s client %s: %w", what, id, err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

func (s store) remove(ctx context.Context, id string) error {
	const q = `DELETE FROM client_client WHERE id = $1`
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, id); err != nil {
		return fmt.Errorf("remove client %s: %w", id, err)
	}
	return nil
}

const columns = `id, name, settings, secrets, edited, created_at, used_at`

func (s store) list(ctx context.Context) ([]Client, error) {
	rows, err := s.db.Q(ctx).QueryContext(ctx, `SELECT `+columns+` FROM client_client ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("read clients: %w", err)
	}
	defer rows.Close()
	var out []Client
	for rows.Next() {
		c, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

// scan reads a row of columns.
func scan(from interface{ Scan(...any) error }) (Client, error) {
	var c Client
	var id, name, settings, secrets, edited string
	var created, used sqldb.Time
	if err := from.Scan(&id, &name, &settings, &secrets, &edited, &created, &used); err != nil {
		return c, fmt.Errorf("read client: %w", err)
	}
	if err := json.Unmarshal([]byte(settings), &c); err != nil {
		return c, fmt.Errorf("read client %s: %w", id, err)
	}
	if err := errors.Join(json.Unmarshal([]byte(secrets), &c.secrets), json.Unmarshal([]byte(edited), &c.edited)); err != nil {
		return c, fmt.Errorf("read secrets of client %s: %w", id, err)
	}
	if c.Contacts == nil && c.Terms == "" && c.Policy == "" && len(c.About) > 0 { // where they once were
		if err := json.Unmarshal(c.About, &c.Details); err != nil {
			return c, fmt.Errorf("read client %s: %w", id, err)
		}
	}
	c.ID, c.Name, c.CreatedAt, c.usedAt = id, name, created.Time, used.Time
	return c, nil
}
