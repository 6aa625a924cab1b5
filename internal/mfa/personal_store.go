package mfa

import (
	"context"

	"github.com/rephlo/rephlo/internal/personal"
)

// Export implements personal.Part.
func (s *Service) Export(ctx context.Context, p personal.Person, to personal.Sheets) error {
	return personal.Export(ctx, s.store.db, p, to,
		personal.Table{Name: "authenticator-apps", Query: `SELECT created_at FROM mfa_totp WHERE user_id = $1`},
		personal.Table{Name: "recovery-codes", Query: `SELECT used_at IS NOT NULL AS used_flag, used_at FROM mfa_recovery WHERE user_id = $1 ORDER BY selector`},
	)
}

// Erase implements personal.Part.
func (s *Service) Erase(ctx context.Context, p personal.Person) error {
	return personal.Erase(ctx, s.store.db, p,
		`DELETE FROM mfa_totp WHERE user_id = $1`,
		`DELETE FROM mfa_setup WHERE user_id = $1`,
		`DELETE FROM mfa_recovery WHERE user_id = $1`,
	)
}
