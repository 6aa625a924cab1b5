package client

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// writeResource stores r, a new one or the same with other settings, and what
// it has alone. It reports false when another resource has that.
func (s store) writeResource(ctx context.Context, r Resource, now time.Time) (bool, error) {
	settings, err := json.Marshal(r)
	if err != nil {
		return false, fmt.Errorf("encode resource: %w", err)
	}
	const q = `
		INSERT INTO client_resource (id, name, settings, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, settings = excluded.settings, updated_at = excluded.updated_at`
	if _, err := s.db.Change(ctx, "store resource", q, r.ID, r.Name, string(settings), now.UnixMicro()); err != nil {
		return false, err
	}
	if _, err := s.db.Change(ctx, "free names of resource", `DELETE FROM client_resource_claim WHERE resource_id = $1`, r.ID); err != nil {
		return false, err
	}
	for _, name := range r.claims() {
		const claim = `INSERT INTO client_resource_claim (name, resource_id) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`
		if ok, err := s.db.Change(ctx, "take name of resource", claim, name, r.ID); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (s store) removeResource(ctx context.Context, id string) (bool, error) {
	return s.db.Change(ctx, "remove resource", `DELETE FROM client_resource WHERE id = $1`, id)
}

const resourceColumns = `id, name, settings, created_at`

// resource reads one for a change, which others wait for. ErrNoResource.
func (s store) resource(ctx context.Context, id string) (Resource, error) {
	if _, err := s.db.Change(ctx, "lock resource", `UPDATE client_resource SET updated_at = updated_at WHERE id = $1`, id); err != nil {
		return Resource{}, err
	}
	r, err := scanResource(s.db.Q(ctx).QueryRowContext(ctx, `SELECT `+resourceColumns+` FROM client_resource WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return r, ErrNoResource
	}
	return r, err
}

func (s store) resources(ctx context.Context) ([]Resource, error) {
	rows, err := s.db.Q(ctx).QueryContext(ctx, `SELECT `+resourceColumns+` FROM client_resource ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("read resources: %w", err)
	}
	defer rows.Close()
	var out []Resource
	for rows.Next() {
		r, err := scanResource(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

func scanResource(from interface{ Scan(...any) error }) (Resource, error) {
	var r Resource
	var id, name, settings string
	var created sqldb.Time
	if err := from.Scan(&id, &name, &settings, &created); err != nil {
		return r, fmt.Errorf("read resource: %w", err)
	}
	if err := json.Unmarshal([]byte(settings), &r); err != nil {
		return r, fmt.Errorf("read resource %s: %w", id, err)
	}
	r.ID, r.Name, r.CreatedAt = id, name, created.Time
	return r, nil
}
