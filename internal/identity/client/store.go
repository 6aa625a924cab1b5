package client

import (
	"context"
	"encoding/json"
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
		c.secrets = []string{}
	}
	b, err := json.Marshal(c.secrets)
	if err != nil {
		return "", "", fmt.Errorf("encode client %s: %w", c.ID, err)
	}
	return string(a), string(b), nil
}

func (s store) upsert(ctx context.Context, c Client, now time.Time) error {
	settings, secrets, err := encode(c)
	if err != nil {
		return err
	}
	const q = `
		INSERT INTO client_client (id, name, settings, secrets, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, settings = excluded.settings, updated_at = excluded.updated_at
		WHERE client_client.name <> excluded.name OR client_client.settings <> excluded.settings`
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, c.ID, c.Name, settings, secrets, now.UnixMicro()); err != nil {
		return fmt.Errorf("store client %s: %w", c.ID, err)
	}
	return nil
}

func (s store) add(ctx context.Context, c Client, now time.Time) (bool, error) {
	settings, secrets, err := encode(c)
	if err != nil {
		return false, err
	}
	const q = `
		INSERT INTO client_client (id, name, settings, secrets, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)
		ON CONFLICT (id) DO NOTHING`
	res, err := s.db.Q(ctx).ExecContext(ctx, q, c.ID, c.Name, settings, secrets, now.UnixMicro())
	if err != nil {
		return false, fmt.Errorf("store client %s: %w", c.ID, err)
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

func (s store) list(ctx context.Context) ([]Client, error) {
	const q = `SELECT id, name, settings, secrets FROM client_client ORDER BY id`
	rows, err := s.db.Q(ctx).QueryContext(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("read clients: %w", err)
	}
	defer rows.Close()
	var out []Client
	for rows.Next() {
		var c Client
		var id, name, settings, secrets string
		if err := rows.Scan(&id, &name, &settings, &secrets); err != nil {
			return nil, fmt.Errorf("read clients: %w", err)
		}
		if err := json.Unmarshal([]byte(settings), &c); err != nil {
			return nil, fmt.Errorf("read client %s: %w", id, err)
		}
		if err := json.Unmarshal([]byte(secrets), &c.secrets); err != nil {
			return nil, fmt.Errorf("read secrets of client %s: %w", id, err)
		}
		c.ID, c.Name = id, name
		out = append(out, c)
	}
	return out, rows.Err()
}
