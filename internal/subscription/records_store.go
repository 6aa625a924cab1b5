package subscription

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/sqldb"
)

func (s store) addEvent(ctx context.Context, e Event) error {
	const q = `INSERT INTO subscription_event (id, subscription_id, user_id, from_state, to_state, cause, actor, reason, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	_, err := s.db.Q(ctx).ExecContext(ctx, q, e.ID, e.SubscriptionID, e.UserID, e.From, e.To, e.Cause, e.Actor, e.Reason, e.At.UnixMicro())
	if err != nil {
		return fmt.Errorf("write subscription event: %w", err)
	}
	return nil
}

// events returns what happened to a user's subscriptions, or to one
// subscription, the newest first.
func (s store) events(ctx context.Context, user, subscription, before string, limit int) ([]Event, error) {
	const (
		head = `SELECT id, subscription_id, user_id, from_state, to_state, cause, actor, reason, at FROM subscription_event `
		tail = ` AND ($2 = '' OR id < $2) ORDER BY id DESC LIMIT $3`
		mine = head + `WHERE user_id = $1` + tail
		one  = head + `WHERE subscription_id = $1` + tail
	)
	query, subject := mine, user
	if subscription != "" {
		query, subject = one, subscription
	}
	rows, err := s.db.Q(ctx).QueryContext(ctx, query, subject, before, limit)
	if err != nil {
		return nil, fmt.Errorf("list subscription events: %w", err)
	}
	defer rows.Close()
	var out []Event
	for rows.Next() {
		var (
			e  Event
			us int64
		)
		if err := rows.Scan(&e.ID, &e.SubscriptionID, &e.UserID, &e.From, &e.To, &e.Cause, &e.Actor, &e.Reason, &us); err != nil {
			return nil, fmt.Errorf("list subscription events: %w", err)
		}
		e.At = fromMicros(us)
		out = append(out, e)
	}
	return out, rows.Err()
}

// Record is a change of plan that was made, with its arithmetic.
type Record struct {
	ID, SubscriptionID, UserID string
	FromTier, ToTier           string
	FromCycle, ToCycle         Cycle
	Proration
	Payment string // at the vendor; "" when no money moved
	At      time.Time
	// PeriodAnchor and PeriodAt are those of the subscription before the change.
	PeriodAnchor time.Time
	PeriodAt     int
	// Reverses is the change that this one takes back, whose Extra was taken, not
	// given; ReversedBy is the one that took this back. "" is none.
	Reverses, ReversedBy string
}

func (s store) addProration(ctx context.Context, r Record) error {
	const q = `INSERT INTO subscription_proration (id, subscription_id, user_id, from_tier, from_cycle, to_tier, to_cycle,
			seconds_left, seconds_total, paid, price, credit, charge, net, credit_left, credit_total, extra, renewed, payment, at, period_anchor, period_at, reverses)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)`
	reverses := sql.NullString{String: r.Reverses, Valid: r.Reverses != ""}
	_, err := s.db.Q(ctx).ExecContext(ctx, q, r.ID, r.SubscriptionID, r.UserID, r.FromTier, r.FromCycle, r.ToTier, r.ToCycle,
		r.Left, r.Total, r.Paid, r.Price, r.Credit, r.Charge, r.Net, r.CreditLeft, r.CreditTotal, int64(r.Extra), r.Renewed, r.Payment, r.At.UnixMicro(),
		micros(r.PeriodAnchor), r.PeriodAt, reverses)
	if err != nil {
		return fmt.Errorf("write proration: %w", err)
	}
	return nil
}

const selectProration = `SELECT id, subscription_id, user_id, from_tier, from_cycle, to_tier, to_cycle,
	seconds_left, seconds_total, paid, price, credit, charge, net, credit_left, credit_total, extra, renewed, payment, at, period_anchor, period_at,
	COALESCE(reverses, ''), COALESCE((SELECT m.id FROM subscription_proration m WHERE m.reverses = subscription_proration.id), '')
	FROM subscription_proration `

func scanProration(row sqldb.Row) (r Record, err error) {
	var us, anchor int64
	err = row.Scan(&r.ID, &r.SubscriptionID, &r.UserID, &r.FromTier, &r.FromCycle, &r.ToTier, &r.ToCycle, &r.Left, &r.Total, &r.Paid, &r.Price,
		&r.Credit, &r.Charge, &r.Net, &r.CreditLeft, &r.CreditTotal, (*int64)(&r.Extra), &r.Renewed, &r.Payment, &us, &anchor, &r.PeriodAt,
		&r.Reverses, &r.ReversedBy)
	r.At, r.PeriodAnchor = fromMicros(us), fromMicros(anchor)
	return r, err
}

// prorationByID returns one change of plan, or ErrUnknown.
func (s store) prorationByID(ctx context.Context, id string) (Record, error) {
	r, err := scanProration(s.db.Q(ctx).QueryRowContext(ctx, selectProration+`WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return r, ErrUnknown.Saying("There is no such change of plan.")
	}
	if err != nil {
		return r, fmt.Errorf("read proration: %w", err)
	}
	return r, nil
}

// newestProration returns the id of the newest change of a subscription that was
// neither taken back nor takes another back; "" when there is none.
func (s store) newestProration(ctx context.Context, subscription string) (id string, err error) {
	const q = `SELECT COALESCE(MAX(p.id), '') FROM subscription_proration p WHERE p.subscription_id = $1 AND p.reverses IS NULL
		AND NOT EXISTS (SELECT 1 FROM subscription_proration m WHERE m.reverses = p.id)`
	if err := s.db.Q(ctx).QueryRowContext(ctx, q, subscription).Scan(&id); err != nil {
		return "", fmt.Errorf("find the newest proration: %w", err)
	}
	return id, nil
}

// prorations returns a user's changes of plan, or everybody's, the newest
// first.
func (s store) prorations(ctx context.Context, user, before string, limit int) ([]Record, error) {
	var w sqldb.Where
	w.Is("user_id", user)
	w.Below("id", before)
	q := selectProration + w.String() + ` ORDER BY id DESC LIMIT ` + w.Arg(limit)
	return sqldb.All(ctx, s.db, "list prorations", scanProration, q, w.Args()...)
}

// balance is the money that the user's next invoices use, in minor units.
func (s store) balance(ctx context.Context, user string) (sum int64, err error) {
	const q = `SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM subscription_balance WHERE user_id = $1`
	if err := s.db.Q(ctx).QueryRowContext(ctx, q, user).Scan(&sum); err != nil {
		return 0, fmt.Errorf("read billing balance: %w", err)
	}
	return sum, nil
}

// post adds to the balance, or takes from it. The same ref does it once. The
// row of the user's subscription, saved in the same transaction, keeps two from
// taking the same money.
func (s store) post(ctx context.Context, user, ref string, amount int64, now time.Time) error {
	if amount == 0 {
		return nil
	}
	const q = `INSERT INTO subscription_balance (ref, user_id, amount, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, ref, user, amount, now.UnixMicro()); err != nil {
		return fmt.Errorf("post to billing balance: %w", err)
	}
	return nil
}

// allocation is what one credit cycle was given; grant is 0 when it was nothing.
type allocation struct {
	cycle int
	grant credit.GrantID
	at    time.Time
}

// allocations returns the cycles of a subscription below one ("": all), the
// newest first.
func (s store) allocations(ctx context.Context, id, before string, limit int) ([]allocation, error) {
	const q = `SELECT cycle, grant_id, at FROM subscription_allocation WHERE subscription_id = $1 AND cycle < $2 ORDER BY cycle DESC LIMIT $3`
	below := int64(math.MaxInt64)
	if before != "" {
		n, err := strconv.ParseInt(before, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read a cursor: %w", err)
		}
		below = n
	}
	return sqldb.All(ctx, s.db, "list credit cycles", func(r sqldb.Row) (c allocation, err error) {
		var us int64
		err = r.Scan(&c.cycle, (*int64)(&c.grant), &us)
		c.at = fromMicros(us)
		return c, err
	}, q, id, below, limit)
}

// freeGrants returns the grants of cycles of free subscriptions.
func (s store) freeGrants(ctx context.Context, user string, since time.Time) (map[credit.GrantID]bool, error) {
	const q = `SELECT a.grant_id FROM subscription_plan p JOIN subscription_allocation a ON a.subscription_id = p.id
		WHERE p.user_id = $1 AND p.mode = 'free' AND a.at >= $2 ORDER BY a.grant_id`
	ids, err := sqldb.All(ctx, s.db, "list free grants", sqldb.Value[int64], q, user, since.UnixMicro())
	out := make(map[credit.GrantID]bool, len(ids))
	for _, id := range ids {
		out[credit.GrantID(id)] = true
	}
	return out, err
}
