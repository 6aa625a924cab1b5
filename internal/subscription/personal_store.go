package subscription

import (
	"context"

	"github.com/rephlo/rephlo/internal/personal"
)

// Export implements personal.Part.
func (s *Service) Export(ctx context.Context, p personal.Person, to personal.Sheets) error {
	return personal.Export(ctx, s.store.db, p, to,
		personal.Table{Name: "subscriptions", Query: `SELECT id, tier, cycle AS billing_cycle, mode AS billing_mode, state AS status, paid AS price, cancel_at_end AS cancel_at_period_end_flag, trial_end AS trial_ends_at,
			ends_at, created_at, ended_at FROM subscription_plan WHERE user_id = $1 ORDER BY id`},
		personal.Table{Name: "subscription-events", Query: `SELECT id, subscription_id, from_state, to_state, cause, reason, at AS created_at FROM subscription_event WHERE user_id = $1 ORDER BY id`},
		personal.Table{Name: "plan-changes", Query: `SELECT id, subscription_id, from_tier, from_cycle, to_tier, to_cycle, paid, price, credit, charge, net, extra AS extra_credits, payment, at AS created_at
			FROM subscription_proration WHERE user_id = $1 ORDER BY id`},
		personal.Table{Name: "account-balance", Query: `SELECT ref, amount, at AS created_at FROM subscription_balance WHERE user_id = $1 ORDER BY at, ref`},
	)
}

// Erase implements personal.Part. What was bought and paid stays, as the law
// asks of accounts, without the words that somebody wrote.
func (s *Service) Erase(ctx context.Context, p personal.Person) error {
	return personal.Erase(ctx, s.store.db, p,
		`UPDATE subscription_event SET reason = '' WHERE user_id = $1`,
	)
}
