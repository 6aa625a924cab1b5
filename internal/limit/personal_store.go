package limit

import (
	"context"

	"github.com/rephlo/rephlo/internal/personal"
)

// Export implements personal.Part.
func (s *Service) Export(ctx context.Context, p personal.Person, to personal.Sheets) error {
	return personal.Export(ctx, s.store.db, p, to,
		personal.Table{Name: "limits", Query: `SELECT requests_per_minute, tokens_per_minute, concurrent_requests, credits_per_day AS credits_per_day_micro, reason, created_at, expires_at
			FROM limit_override WHERE user_id = $1`},
	)
}

// Erase implements personal.Part.
func (s *Service) Erase(ctx context.Context, p personal.Person) error {
	return personal.Erase(ctx, s.store.db, p, `DELETE FROM limit_override WHERE user_id = $1`)
}
