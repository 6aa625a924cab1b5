package credit

import (
	"context"

	"github.com/rephlo/rephlo/internal/personal"
)

// Export implements personal.Part.
func (s *Service) Export(ctx context.Context, p personal.Person, to personal.Sheets) error {
	return personal.Export(ctx, s.db, p, to,
		personal.Table{Name: "credit-grants", Query: `SELECT id, source, ref AS reference, credited AS granted_credits, debited AS used_credits, frozen <> 0 AS frozen_flag, granted_at AS created_at, expires_at
			FROM credit_grant WHERE user_id = $1 ORDER BY id`},
		personal.Table{Name: "ledger", Query: `SELECT lane, seq, kind AS type, grant_id, amount AS amount_credits, ref AS reference, at AS created_at
			FROM credit_transfer WHERE user_id = $1 AND kind <> 'hold' ORDER BY at, lane, seq`},
		personal.Table{Name: "uncollected", Query: `SELECT ref AS reference, cause, amount AS amount_credits, at AS created_at FROM credit_uncollected WHERE user_id = $1 ORDER BY at, ref, cause, part`},
	)
}

// Erase implements personal.Part. The ledger is never changed; it knows people by an
// id only, which names nobody once their account is gone.
func (*Service) Erase(context.Context, personal.Person) error {
	return nil
}
