package apikey

import (
	"context"

	"github.com/rephlo/rephlo/internal/personal"
)

// Export implements personal.Part.
func (s *Service) Export(ctx context.Context, p personal.Person, to personal.Sheets) error {
	return personal.Export(ctx, s.store.db, p, to,
		personal.Table{Name: "api-keys", Query: `SELECT id, name, mode, prefix, scopes, models, limits AS limits_json, created_at, expires_at, paused_at, revoked_at, last_used_at, root_id, replaced_by
			FROM apikey_key WHERE user_id = $1 ORDER BY id`},
	)
}

// Erase implements personal.Part.
func (s *Service) Erase(ctx context.Context, p personal.Person) error {
	return personal.Erase(ctx, s.store.db, p,
		`DELETE FROM apikey_key WHERE user_id = $1`,
		`DELETE FROM apikey_owner WHERE user_id = $1`,
	)
}
