package role

import (
	"context"

	"github.com/rephlo/rephlo/internal/personal"
)

// Export implements personal.Part.
func (s *Service) Export(ctx context.Context, p personal.Person, to personal.Sheets) error {
	return personal.Export(ctx, s.store.db, p, to,
		personal.Table{Name: "roles", Query: `SELECT role_id AS role, reason, created_at, expires_at, ended_at FROM role_assignment WHERE user_id = $1 ORDER BY id`},
		personal.Table{Name: "permissions", Query: `SELECT permission, effect, reason, created_at, expires_at, ended_at FROM role_override WHERE user_id = $1 ORDER BY id`},
		personal.Table{Name: "administration", Query: `SELECT signed_in_at * 1000000 AS signed_in_at, last_at AS last_used_at FROM role_visit WHERE user_id = $1 ORDER BY signed_in_at`},
	)
}

// Erase implements personal.Part. Who had which rights stays, as
// what others may answer for, without the words about it.
func (s *Service) Erase(ctx context.Context, p personal.Person) error {
	const end = `UPDATE role_assignment SET ended_at = $2, ended_by = 'system' WHERE user_id = $1 AND ended_at IS NULL`
	if _, err := s.store.db.Change(ctx, "end the roles of a person", end, p.ID, s.Now().UnixMicro()); err != nil {
		return err
	}
	return personal.Erase(ctx, s.store.db, p,
		`UPDATE role_assignment SET reason = '' WHERE user_id = $1`,
		`UPDATE role_override SET reason = '' WHERE user_id = $1`,
		`DELETE FROM role_visit WHERE user_id = $1`,
	)
}
