package account

import (
	"context"

	"github.com/rephlo/rephlo/internal/personal"
)

// Export implements personal.Part.
func (s *Service) Export(ctx context.Context, p personal.Person, to personal.Sheets) error {
	return personal.Export(ctx, s.store.db, p, to,
		personal.Table{Name: "profile", Query: `SELECT id, email, verified AS email_verified_flag, username, first_name, last_name, locale, timezone, password <> '' AS has_password_flag, password_at AS password_changed_at,
			state AS status, state_reason AS status_reason, state_until AS status_until_at, terms_at AS terms_accepted_at, signed_out_at, created_at, last_login_at FROM account_user WHERE id = $1`},
		personal.Table{Name: "preferences", Query: `SELECT model_id AS default_model_id, stream AS enable_streaming_flag, max_tokens, temperature AS temperature_thousandths, mails AS email_notifications_flag,
			alerts AS usage_alerts_flag, metadata AS metadata_json, updated_at FROM account_preference WHERE user_id = $1`},
		personal.Table{Name: "account-states", Query: `SELECT from_state, to_state, reason, created_at, until AS until_at, lifted_at FROM account_state WHERE user_id = $1 ORDER BY id`},
	)
}

// Erase implements personal.Part. A row without anything in it stays, so that the
// id is never given again.
func (s *Service) Erase(ctx context.Context, p personal.Person) error {
	return personal.Erase(ctx, s.store.db, p,
		`DELETE FROM account_preference WHERE user_id = $1`,
		`DELETE FROM account_state WHERE user_id = $1`,
		`DELETE FROM account_token WHERE user_id = $1`,
		`UPDATE account_user SET email = '', email_key = 'gone:' || id, verified = FALSE, username = '', username_key = 'gone:' || id, first_name = '', last_name = '',
			locale = '', timezone = '', password = '', staff = FALSE, state = 'deleted', state_reason = '', state_until = NULL, last_login_at = NULL WHERE id = $1`,
	)
}
