package trail

import (
	"context"

	"github.com/rephlo/rephlo/internal/personal"
)

// Export implements personal.Part.
func (s *Service) Export(ctx context.Context, p personal.Person, to personal.Sheets) error {
	return personal.Export(ctx, s.store.db, p, to,
		personal.Table{Name: "security-events", Query: `SELECT id, kind AS type, detail, address AS ip, agent, at AS created_at FROM trail_event WHERE user_id = $1 ORDER BY id`},
	)
}

// Erase implements personal.Part.
func (s *Service) Erase(ctx context.Context, p personal.Person) error {
	return personal.Erase(ctx, s.store.db, p,
		`DELETE FROM trail_event WHERE user_id = $1`,
	)
}
