package grant

import (
	"context"

	"github.com/rephlo/rephlo/internal/personal"
)

// Export implements personal.Part.
func (s *Service) Export(ctx context.Context, p personal.Person, to personal.Sheets) error {
	return personal.Export(ctx, s.store.db, p, to,
		personal.Table{Name: "consents", Query: `SELECT client_id, scopes, resources, credits_per_month, created_at, updated_at FROM grant_consent WHERE user_id = $1 ORDER BY client_id`},
		personal.Table{Name: "app-sign-ins", Query: `SELECT id, client_id, session_id, scopes, resources, acr AS assurance, amr AS ways, auth_time AS signed_in_at, issued_at, used_at AS last_used_at,
			expires_at, revoked_at FROM grant_family WHERE user_id = $1 ORDER BY issued_at, id`},
		personal.Table{Name: "device-sign-ins", Query: `SELECT client_id, scopes, address AS ip, agent, state, created_at, approved_at FROM grant_device WHERE user_id = $1 ORDER BY created_at, hash`},
	)
}

// Erase implements personal.Part. What says that tokens are void stays until the
// last of them has ended.
func (s *Service) Erase(ctx context.Context, p personal.Person) error {
	return personal.Erase(ctx, s.store.db, p,
		`DELETE FROM grant_family WHERE user_id = $1`,
		`DELETE FROM grant_consent WHERE user_id = $1`,
		`DELETE FROM grant_code WHERE user_id = $1`,
		`DELETE FROM grant_device WHERE user_id = $1`,
		`DELETE FROM grant_login WHERE user_id = $1`,
	)
}
