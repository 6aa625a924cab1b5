package webhook

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/sqldb"
)

func (s store) addEvent(ctx context.Context, id, user, kind string, body []byte, now time.Time) error {
	const q = `INSERT INTO webhook_event (id, user_id, type, body, created_at) VALUES ($1, $2, $3, $4, $5)`
	return s.exec(ctx, "add event", q, id, user, kind, string(body), now.UnixMicro())
}

func (s store) body(ctx context.Context, event string) ([]byte, error) {
	var body string
	err := s.db.Q(ctx).QueryRowContext(ctx, `SELECT body FROM webhook_event WHERE id = $1`, event).Scan(&body)
	return []byte(body), wrap("read event", err)
}

func (s store) addDelivery(ctx context.Context, d Delivery) error {
	const q = `
		INSERT INTO webhook_delivery (id, event_id, endpoint_id, user_id, type, state, due_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	return s.exec(ctx, "add delivery", q, d.ID, d.EventID, d.EndpointID, d.UserID, d.Type, string(d.State), d.NextAttemptAt.UnixMicro(), d.CreatedAt.UnixMicro())
}

// claim takes the delivery to the endpoint that has been due for longest. The
// guard stands twice: without the outer one two processes on PostgreSQL would
// claim the same.
func (s store) claim(ctx context.Context, endpoint, claim string, now, until time.Time) error {
	const q = `
		UPDATE webhook_delivery SET claim = $2, claimed_until = $4
		WHERE state = 'waiting' AND claimed_until < $3 AND id =
			(SELECT id FROM webhook_delivery WHERE endpoint_id = $1 AND state = 'waiting' AND due_at <= $3 AND claimed_until < $3
			ORDER BY due_at, id LIMIT 1)`
	return s.exec(ctx, "claim delivery", q, endpoint, claim, now.UnixMicro(), until.UnixMicro())
}

// claimed returns what a claim took; errNothing when that was nothing.
func (s store) claimed(ctx context.Context, claim string) (parcel, error) {
	const q = `SELECT ` + deliveryColumns + ` FROM webhook_delivery WHERE claim = $1`
	d, err := scanDelivery(s.db.Q(ctx).QueryRowContext(ctx, q, claim))
	if errors.Is(err, sql.ErrNoRows) {
		return parcel{}, errNothing
	}
	p := parcel{Delivery: d, claim: claim}
	if err == nil {
		p.endpoint, err = s.byID(ctx, d.EndpointID)
	}
	if err == nil {
		p.body, err = s.body(ctx, d.EventID)
	}
	return p, wrap("read delivery", err)
}

// giveBack ends a claim without an attempt.
func (s store) giveBack(ctx context.Context, p parcel) error {
	const q = `UPDATE webhook_delivery SET claim = '', claimed_until = 0 WHERE id = $1 AND claim = $2`
	return s.exec(ctx, "give delivery back", q, p.ID, p.claim)
}

// settle says how an attempt ended, unless another process has the delivery.
func (s store) settle(ctx context.Context, p parcel, state State, due time.Time) error {
	const q = `
		UPDATE webhook_delivery SET state = $3, due_at = COALESCE($4, due_at), tries = tries + 1, claim = '', claimed_until = 0
		WHERE id = $1 AND claim = $2`
	return s.exec(ctx, "settle delivery", q, p.ID, p.claim, string(state), sqldb.TimeArg(due))
}

func (s store) addAttempt(ctx context.Context, delivery string, a Attempt) error {
	const q = `
		INSERT INTO webhook_attempt (delivery_id, number, at, status, latency_us, response)
		SELECT $1, COUNT(*) + 1, CAST($2 AS BIGINT), CAST($3 AS BIGINT), CAST($4 AS BIGINT), $5 FROM webhook_attempt WHERE delivery_id = $1`
	return s.exec(ctx, "note an attempt", q, delivery, a.At.UnixMicro(), a.Status, a.Latency.Microseconds(), a.Response)
}

func (s store) attempts(ctx context.Context, delivery string) ([]Attempt, error) {
	const q = `SELECT at, status, latency_us, response FROM webhook_attempt WHERE delivery_id = $1 ORDER BY number`
	return sqldb.All(ctx, s.db, "list attempts", func(r sqldb.Row) (Attempt, error) {
		var a Attempt
		var at sqldb.Time
		var latency int64
		err := r.Scan(&at, &a.Status, &latency, &a.Response)
		a.At, a.Latency = at.Time, time.Duration(latency)*time.Microsecond
		return a, err
	}, q, delivery)
}

const deliveryColumns = `id, event_id, endpoint_id, user_id, type, state, due_at, created_at, tries,
	(SELECT COUNT(*) FROM webhook_attempt a WHERE a.delivery_id = webhook_delivery.id)`

func scanDelivery(r sqldb.Row) (Delivery, error) {
	var d Delivery
	var state string
	var due, created sqldb.Time
	err := r.Scan(&d.ID, &d.EventID, &d.EndpointID, &d.UserID, &d.Type, &state, &due, &created, &d.tries, &d.Attempts)
	d.State, d.CreatedAt = State(state), created.Time
	if d.State == Waiting {
		d.NextAttemptAt = due.Time
	}
	return d, err
}

func (s store) delivery(ctx context.Context, id string) (Delivery, error) {
	const q = `SELECT ` + deliveryColumns + ` FROM webhook_delivery WHERE id = $1`
	d, err := scanDelivery(s.db.Q(ctx).QueryRowContext(ctx, q, id))
	if errors.Is(err, sql.ErrNoRows) {
		return d, fault.ErrNotFound
	}
	return d, wrap("read delivery", err)
}

func (s store) deliveries(ctx context.Context, f Filter, limit int) ([]Delivery, error) {
	var w sqldb.Where
	w.Is("user_id", f.User)
	w.Is("endpoint_id", f.Endpoint)
	w.Is("state", f.State)
	if f.State != "" && f.State != string(Succeeded) {
		w.And("state <> 'succeeded'") // the others are rare, and have an index
	}
	w.Is("type", f.Type)
	w.Below("id", f.Before)
	q := `SELECT ` + deliveryColumns + ` FROM webhook_delivery` + w.String() + ` ORDER BY id DESC LIMIT ` + w.Arg(limit)
	return sqldb.All(ctx, s.db, "list deliveries", scanDelivery, q, w.Args()...)
}

func (s store) replay(ctx context.Context, id string, now time.Time) error {
	const q = `UPDATE webhook_delivery SET state = 'waiting', tries = 0, due_at = $2 WHERE id = $1`
	return s.exec(ctx, "replay delivery", q, id, now.UnixMicro())
}

func (s store) replayFailed(ctx context.Context, endpoint string, since, now time.Time) (int64, error) {
	const q = `
		UPDATE webhook_delivery SET state = 'waiting', tries = 0, due_at = $3
		WHERE endpoint_id = $1 AND state = 'failed' AND created_at >= $2`
	return s.affected(ctx, "replay deliveries", q, endpoint, since.UnixMicro(), now.UnixMicro())
}

// late returns the endpoints with a delivery that has been due since before and
// that nobody has claimed.
func (s store) late(ctx context.Context, now, before time.Time) ([]string, error) {
	const q = `
		SELECT DISTINCT endpoint_id FROM webhook_delivery
		WHERE state = 'waiting' AND due_at <= $2 AND claimed_until < $1 ORDER BY endpoint_id LIMIT 1000`
	return sqldb.All(ctx, s.db, "look for late deliveries", sqldb.Value[string], q, now.UnixMicro(), before.UnixMicro())
}

// sweep forgets what ended before a time, in portions.
func (s store) sweep(ctx context.Context, before time.Time) error {
	const portion = 1000
	for {
		n, err := s.forget(ctx, before, portion)
		if err != nil || n < portion {
			return err
		}
	}
}

// forget deletes one portion and returns its size.
func (s store) forget(ctx context.Context, before time.Time, portion int) (int64, error) {
	const old = `(SELECT id FROM webhook_delivery WHERE state <> 'waiting' AND created_at < $1 ORDER BY created_at, id LIMIT $2)`
	const orphans = `
		(SELECT id FROM webhook_event WHERE created_at < $1 AND NOT EXISTS
			(SELECT 1 FROM webhook_delivery d WHERE d.event_id = webhook_event.id)
		ORDER BY created_at, id LIMIT $2)`
	deleted := int64(0)
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		for _, q := range []string{
			`DELETE FROM webhook_attempt WHERE delivery_id IN ` + old,
			`DELETE FROM webhook_delivery WHERE id IN ` + old,
			`DELETE FROM webhook_event WHERE id IN ` + orphans,
		} {
			n, err := s.affected(ctx, "forget deliveries", q, before.UnixMicro(), portion)
			if err != nil {
				return err
			}
			if !strings.Contains(q, "webhook_attempt") { // a delivery may have more attempts than a portion has rows
				deleted = max(deleted, n)
			}
		}
		return nil
	})
	return deleted, err
}
