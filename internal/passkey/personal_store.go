package passkey

import (
	"context"

	"github.com/rephlo/rephlo/internal/personal"
)

// Export implements personal.Part.
func (s *Service) Export(ctx context.Context, p personal.Person, to personal.Sheets) error {
	return personal.Export(ctx, s.store.db, p, to,
		personal.Table{Name: "passkeys", Query: `SELECT id, name, host, suspect AS suspect_flag, created_at, last_used_at FROM passkey_credential WHERE user_id = $1 ORDER BY created_at, id`},
	)
}

// Erase implements personal.Part.
func (s *Service) Erase(ctx context.Context, p personal.Person) error {
	return personal.Erase(ctx, s.store.db, p,
		`DELETE FROM passkey_credential WHERE user_id = $1`,
		`DELETE FROM passkey_ceremony WHERE holder = $1`,
	)
}
