package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// preferences returns those of a user without their locale and time zone.
func (s store) preferences(ctx context.Context, userID string) (Preferences, error) {
	const q = `SELECT model_id, model_at, stream, max_tokens, temperature, mails, alerts, metadata, updated_at
		FROM account_preference WHERE user_id = $1`
	var p Preferences
	var modelAt, updated sqldb.Time
	var tokens, temperature sql.NullInt64
	err := s.db.Q(ctx).QueryRowContext(ctx, q, userID).Scan(&p.ModelID, &modelAt, &p.Stream, &tokens, &temperature, &p.Mails, &p.Alerts, &p.Metadata, &updated)
	if errors.Is(err, sql.ErrNoRows) {
		return defaults(), nil
	}
	if err != nil {
		return p, fmt.Errorf("read preferences: %w", err)
	}
	p.ModelAt, p.UpdatedAt, p.MaxTokens = modelAt.Time, updated.Time, tokens.Int64
	if temperature.Valid {
		t := Milli(temperature.Int64)
		p.Temperature = &t
	}
	return p, nil
}

// touchPreferences makes the row of a user, with d, or takes its lock.
func (s store) touchPreferences(ctx context.Context, userID string, d Preferences, now time.Time) error {
	const q = `INSERT INTO account_preference (user_id, model_id, model_at, stream, max_tokens, temperature, mails, alerts, metadata, updated_at)
		VALUES ($1, '', NULL, $2, NULL, NULL, $3, $4, '', $5) ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id`
	return s.exec(ctx, "prepare preferences", q, userID, d.Stream, d.Mails, d.Alerts, now.UnixMicro())
}

func (s store) setPreferences(ctx context.Context, userID string, p Preferences) error {
	const (
		choices = `UPDATE account_preference SET model_id = $2, model_at = $3, stream = $4, max_tokens = $5, temperature = $6, mails = $7,
			alerts = $8, metadata = $9, updated_at = $10 WHERE user_id = $1`
		shown = `UPDATE account_user SET locale = $2, timezone = $3 WHERE id = $1`
	)
	tokens := sql.NullInt64{Int64: p.MaxTokens, Valid: p.MaxTokens > 0}
	var temperature sql.NullInt64
	if p.Temperature != nil {
		temperature = sql.NullInt64{Int64: int64(*p.Temperature), Valid: true}
	}
	return errors.Join(
		s.exec(ctx, "change preferences", choices, userID, p.ModelID, sqldb.TimeArg(p.ModelAt), p.Stream, tokens, temperature, p.Mails, p.Alerts, p.Metadata, p.UpdatedAt.UnixMicro()),
		s.exec(ctx, "change preferences", shown, userID, p.Locale, p.Timezone))
}
