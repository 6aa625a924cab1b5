package webhook

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// store holds the SQL of endpoints.
type store struct{ db *sqldb.DB }

// lockOwner has other changes of the user's endpoints wait for this
// transaction.
func (s store) lockOwner(ctx context.Context, user string, now time.Time) error {
	const q = `INSERT INTO webhook_owner (user_id, touched_at) VALUES ($1, $2) ON CONFLICT (user_id) DO UPDATE SET touched_at = $2`
	return s.exec(ctx, "lock webhooks", q, user, now.UnixMicro())
}

func (s store) count(ctx context.Context, user string, enabled bool) (n int, err error) {
	const q = `SELECT COUNT(*) FROM webhook_endpoint WHERE user_id = $1 AND (enabled OR NOT $2)`
	err = s.db.Q(ctx).QueryRowContext(ctx, q, user, enabled).Scan(&n)
	return n, wrap("count webhooks", err)
}

func (s store) add(ctx context.Context, e Endpoint) error {
	const q = `
		INSERT INTO webhook_endpoint (id, user_id, url, description, events, enabled, disabled_reason, secret, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	return s.exec(ctx, "add webhook", q, e.ID, e.UserID, e.URL, e.Description, strings.Join(e.Events, " "), e.Enabled, e.DisabledReason, e.secret, e.CreatedAt.UnixMicro())
}

// save writes all that a change may alter.
func (s store) save(ctx context.Context, e Endpoint) error {
	const q = `
		UPDATE webhook_endpoint SET url = $2, description = $3, events = $4, enabled = $5, disabled_reason = $6,
			failing_since = $7, secret = $8, old_secret = $9, old_until = $10
		WHERE id = $1`
	return s.exec(ctx, "change webhook", q, e.ID, e.URL, e.Description, strings.Join(e.Events, " "), e.Enabled, e.DisabledReason,
		sqldb.TimeArg(e.FailingSince), e.secret, e.oldSecret, sqldb.TimeArg(e.oldUntil))
}

const endpointColumns = `id, user_id, url, description, events, enabled, disabled_reason, failing_since, last_success_at, created_at, secret, old_secret, old_until`

func scanEndpoint(r sqldb.Row) (Endpoint, error) {
	var e Endpoint
	var events string
	var failing, success, created, old sqldb.Time
	err := r.Scan(&e.ID, &e.UserID, &e.URL, &e.Description, &events, &e.Enabled, &e.DisabledReason, &failing, &success, &created, &e.secret, &e.oldSecret, &old)
	e.Events = strings.Fields(events)
	e.FailingSince, e.LastSuccessAt, e.CreatedAt, e.oldUntil = failing.Time, success.Time, created.Time, old.Time
	return e, err
}

func (s store) byID(ctx context.Context, id string) (Endpoint, error) {
	const q = `SELECT ` + endpointColumns + ` FROM webhook_endpoint WHERE id = $1`
	e, err := scanEndpoint(s.db.Q(ctx).QueryRowContext(ctx, q, id))
	if errors.Is(err, sql.ErrNoRows) {
		return e, fault.ErrNotFound
	}
	return e, wrap("read webhook", err)
}

func (s store) list(ctx context.Context, user, before string, limit int) ([]Endpoint, error) {
	var w sqldb.Where
	w.Is("user_id", user)
	w.Below("id", before)
	q := `SELECT ` + endpointColumns + ` FROM webhook_endpoint` + w.String() + ` ORDER BY id DESC LIMIT ` + w.Arg(limit)
	return sqldb.All(ctx, s.db, "list webhooks", scanEndpoint, q, w.Args()...)
}

// listening returns the user's endpoints that are switched on.
func (s store) listening(ctx context.Context, user string) ([]Endpoint, error) {
	const q = `SELECT ` + endpointColumns + ` FROM webhook_endpoint WHERE user_id = $1 AND enabled ORDER BY id`
	return sqldb.All(ctx, s.db, "list webhooks", scanEndpoint, q, user)
}

// remove deletes an endpoint with its log.
func (s store) remove(ctx context.Context, id string) error {
	for _, q := range []string{
		`DELETE FROM webhook_attempt WHERE delivery_id IN (SELECT id FROM webhook_delivery WHERE endpoint_id = $1)`,
		`DELETE FROM webhook_delivery WHERE endpoint_id = $1`,
		`DELETE FROM webhook_endpoint WHERE id = $1`,
	} {
		if err := s.exec(ctx, "delete webhook", q, id); err != nil {
			return err
		}
	}
	return nil
}

// fit switches off all but the oldest endpoints.
func (s store) fit(ctx context.Context, user string, limit int) error {
	const q = `
		UPDATE webhook_endpoint SET enabled = FALSE, disabled_reason = 'plan' WHERE id IN
			(SELECT id FROM webhook_endpoint WHERE user_id = $1 AND enabled ORDER BY created_at, id LIMIT 1000 OFFSET $2)`
	return s.exec(ctx, "fit webhooks to the plan", q, user, limit)
}

func (s store) succeeded(ctx context.Context, id string, at time.Time) error {
	const q = `UPDATE webhook_endpoint SET last_success_at = $2, failing_since = NULL WHERE id = $1`
	return s.exec(ctx, "note a delivery", q, id, at.UnixMicro())
}

// failing notes that an endpoint fails and returns since when.
func (s store) failing(ctx context.Context, id string, at time.Time) (time.Time, error) {
	const q = `UPDATE webhook_endpoint SET failing_since = COALESCE(failing_since, $2) WHERE id = $1`
	if err := s.exec(ctx, "note a failure", q, id, at.UnixMicro()); err != nil {
		return time.Time{}, err
	}
	e, err := s.byID(ctx, id)
	return e.FailingSince, err
}

// switchOff reports whether it did.
func (s store) switchOff(ctx context.Context, id, reason string) (bool, error) {
	const q = `UPDATE webhook_endpoint SET enabled = FALSE, disabled_reason = $2 WHERE id = $1 AND enabled`
	n, err := s.affected(ctx, "switch webhook off", q, id, reason)
	return n == 1, err
}

func (s store) exec(ctx context.Context, what, q string, args ...any) error {
	_, err := s.db.Q(ctx).ExecContext(ctx, q, args...)
	return wrap(what, err)
}

func (s store) affected(ctx context.Context, what, q string, args ...any) (int64, error) {
	res, err := s.db.Q(ctx).ExecContext(ctx, q, args...)
	if err != nil {
		return 0, wrap(what, err)
	}
	return res.RowsAffected()
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
