package webhook

import (
	"context"

	"github.com/rephlo/rephlo/internal/personal"
)

// Export implements personal.Part.
func (s *Service) Export(ctx context.Context, p personal.Person, to personal.Sheets) error {
	return personal.Export(ctx, s.store.db, p, to,
		personal.Table{Name: "webhook-endpoints", Query: `SELECT id, url, description, events, enabled AS enabled_flag, disabled_reason, failing_since AS failing_since_at, last_success_at, created_at
			FROM webhook_endpoint WHERE user_id = $1 ORDER BY created_at, id`},
		personal.Table{Name: "webhook-deliveries", Query: `SELECT d.id, d.endpoint_id, d.type, d.state AS status, e.body AS event_json, d.created_at
			FROM webhook_delivery d LEFT JOIN webhook_event e ON e.id = d.event_id WHERE d.user_id = $1 ORDER BY d.id`},
	)
}

// Erase implements personal.Part.
func (s *Service) Erase(ctx context.Context, p personal.Person) error {
	return personal.Erase(ctx, s.store.db, p,
		`DELETE FROM webhook_attempt WHERE delivery_id IN (SELECT id FROM webhook_delivery WHERE user_id = $1)`,
		`DELETE FROM webhook_delivery WHERE user_id = $1`,
		`DELETE FROM webhook_event WHERE user_id = $1`,
		`DELETE FROM webhook_endpoint WHERE user_id = $1`,
		`DELETE FROM webhook_owner WHERE user_id = $1`,
	)
}
