package sso

import (
	"context"

	"github.com/rephlo/rephlo/internal/personal"
)

// Export implements personal.Part.
func (s *Service) Export(ctx context.Context, p personal.Person, to personal.Sheets) error {
	return personal.Export(ctx, s.store.db, p, to,
		personal.Table{Name: "sessions", Query: `SELECT id, acr AS assurance, amr AS ways, keep AS stays, address AS ip, agent, created_at, auth_time AS signed_in_at, last_seen_at, ended_at FROM sso_session WHERE user_id = $1 ORDER BY created_at, id`},
		personal.Table{Name: "devices", Query: `SELECT last_seen_at FROM sso_device WHERE user_id = $1 ORDER BY last_seen_at, hash`},
		personal.Table{Name: "trusted devices", Query: `SELECT id, address AS ip, agent, created_at, used_at, expires_at FROM sso_trusted WHERE user_id = $1 ORDER BY created_at, id`},
	)
}

// Erase implements personal.Part.
func (s *Service) Erase(ctx context.Context, p personal.Person) error {
	return personal.Erase(ctx, s.store.db, p,
		`DELETE FROM sso_session WHERE user_id = $1`,
		`DELETE FROM sso_device WHERE user_id = $1`,
		`DELETE FROM sso_trusted WHERE user_id = $1`,
	)
}
