package branding

import (
	"context"

	"github.com/rephlo/rephlo/internal/personal"
)

// Export implements personal.Part.
func (s *Service) Export(ctx context.Context, p personal.Person, to personal.Sheets) error {
	return personal.Export(ctx, s.store.db, p, to,
		personal.Table{Name: "feedback", Query: `SELECT id, message, email, status, created_at, replied_at FROM branding_feedback
			WHERE user_id = $1 OR (email <> '' AND LOWER(email) = LOWER($2)) ORDER BY id`, Args: []any{p.Email}},
		personal.Table{Name: "diagnostics", Query: `SELECT id, note, kind, size, sha256, created_at, expires_at FROM branding_diagnostic WHERE user_id = $1 ORDER BY id`},
	)
}

// Erase implements personal.Part.
func (s *Service) Erase(ctx context.Context, p personal.Person) error {
	if _, err := s.store.db.Change(ctx, "forget a person", `DELETE FROM branding_feedback WHERE email <> '' AND LOWER(email) = LOWER($1)`, p.Email); err != nil {
		return err
	}
	return personal.Erase(ctx, s.store.db, p,
		`DELETE FROM branding_feedback WHERE user_id = $1`,
		`DELETE FROM branding_file WHERE diagnostic_id IN (SELECT id FROM branding_diagnostic WHERE user_id = $1)`,
		`DELETE FROM branding_diagnostic WHERE user_id = $1`,
	)
}
