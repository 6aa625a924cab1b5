package subscription

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// store holds the SQL of subscriptions themselves.
type store struct{ db *sqldb.DB }

// errRaced says that somebody else changed the row since it was read.
var errRaced = errors.New("the subscription was changed meanwhile")

const columns = `id, user_id, tier, cycle, mode, state, anchor, allocated, plan_grant, period_anchor, period_at, paid,
	trial_end, ends_at, failed_at, attempts, cancel_at_end, next_tier, next_cycle, due_at, version, created_at, ended_at, paused_at`

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func scan(row interface{ Scan(...any) error }) (Subscription, error) {
	var (
		s                                                                Subscription
		anchor, period, trial, ends, failed, due, created, ended, paused int64
	)
	err := row.Scan(&s.ID, &s.UserID, &s.Tier, &s.Cycle, &s.Mode, &s.State, &anchor, &s.Allocated, (*int64)(&s.PlanGrant), &period, &s.PeriodAt, &s.Paid,
		&trial, &ends, &failed, &s.Attempts, &s.CancelAtEnd, &s.NextTier, &s.NextCycle, &due, &s.Version, &created, &ended, &paused)
	s.Anchor, s.PeriodAnchor, s.TrialEnd, s.EndsAt = fromMicros(anchor), fromMicros(period), fromMicros(trial), fromMicros(ends)
	s.FailedAt, s.DueAt, s.CreatedAt, s.EndedAt = fromMicros(failed), fromMicros(due), fromMicros(created), fromMicros(ended)
	s.PausedAt = fromMicros(paused)
	return s, err
}

// add writes a subscription. It reports false when the user has a live one and
// v would be the second.
func (s store) add(ctx context.Context, v Subscription) (bool, error) {
	const q = `INSERT INTO subscription_plan (` + columns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)
		ON CONFLICT DO NOTHING`
	_, v.DueAt = v.next()
	res, err := s.db.Q(ctx).ExecContext(ctx, q, v.ID, v.UserID, v.Tier, v.Cycle, v.Mode, v.State, micros(v.Anchor), v.Allocated, int64(v.PlanGrant),
		micros(v.PeriodAnchor), v.PeriodAt, v.Paid, micros(v.TrialEnd), micros(v.EndsAt), micros(v.FailedAt), v.Attempts, v.CancelAtEnd,
		v.NextTier, v.NextCycle, micros(v.DueAt), v.Version, micros(v.CreatedAt), micros(v.EndedAt), micros(v.PausedAt))
	if err != nil {
		return false, fmt.Errorf("add subscription: %w", err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// save writes v over the version that it was read as, or returns errRaced.
func (s store) save(ctx context.Context, v Subscription) error {
	const q = `UPDATE subscription_plan SET tier = $3, cycle = $4, mode = $5, state = $6, anchor = $7, allocated = $8, plan_grant = $9,
			period_anchor = $10, period_at = $11, paid = $12, trial_end = $13, ends_at = $14, failed_at = $15, attempts = $16,
			cancel_at_end = $17, next_tier = $18, next_cycle = $19, due_at = $20, ended_at = $21, paused_at = $22, version = version + 1
		WHERE id = $1 AND version = $2`
	_, v.DueAt = v.next()
	res, err := s.db.Q(ctx).ExecContext(ctx, q, v.ID, v.Version, v.Tier, v.Cycle, v.Mode, v.State, micros(v.Anchor), v.Allocated, int64(v.PlanGrant),
		micros(v.PeriodAnchor), v.PeriodAt, v.Paid, micros(v.TrialEnd), micros(v.EndsAt), micros(v.FailedAt), v.Attempts,
		v.CancelAtEnd, v.NextTier, v.NextCycle, micros(v.DueAt), micros(v.EndedAt), micros(v.PausedAt))
	if err != nil {
		return fmt.Errorf("save subscription: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return errRaced
}

// remove deletes a checkout that nobody paid.
func (s store) remove(ctx context.Context, id string) error {
	const q = `DELETE FROM subscription_plan WHERE id = $1 AND state = 'incomplete'`
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, id); err != nil {
		return fmt.Errorf("remove an unpaid checkout: %w", err)
	}
	return nil
}

func (s store) byID(ctx context.Context, id string) (Subscription, error) {
	return s.one(ctx, `SELECT `+columns+` FROM subscription_plan WHERE id = $1`, id)
}

// live returns the user's live subscription, or ErrUnknown.
func (s store) live(ctx context.Context, user string) (Subscription, error) {
	return s.one(ctx, `SELECT `+columns+` FROM subscription_plan
		WHERE user_id = $1 AND state IN ('trial', 'active', 'past_due', 'suspended')`, user)
}

func (s store) one(ctx context.Context, query string, args ...any) (Subscription, error) {
	v, err := scan(s.db.Q(ctx).QueryRowContext(ctx, query, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return v, ErrUnknown
	}
	if err != nil {
		return v, fmt.Errorf("read subscription: %w", err)
	}
	return v, nil
}

// tried reports whether the user was on a trial before.
func (s store) tried(ctx context.Context, user string) (yes bool, err error) {
	const q = `SELECT EXISTS (SELECT 1 FROM subscription_plan WHERE user_id = $1 AND trial_end > 0 AND state <> 'incomplete')`
	if err := s.db.Q(ctx).QueryRowContext(ctx, q, user).Scan(&yes); err != nil {
		return false, fmt.Errorf("look for a trial: %w", err)
	}
	return yes, nil
}

// due returns the ids of subscriptions that something has to happen to, those
// that wait longest first, after the position.
func (s store) due(ctx context.Context, now time.Time, after duePosition, limit int) ([]duePosition, error) {
	const q = `SELECT due_at, id FROM subscription_plan
		WHERE due_at > 0 AND due_at <= $1 AND (due_at, id) > ($2, $3) ORDER BY due_at, id LIMIT $4`
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, now.UnixMicro(), after.at, after.id, limit)
	if err != nil {
		return nil, fmt.Errorf("find due subscriptions: %w", err)
	}
	defer rows.Close()
	var out []duePosition
	for rows.Next() {
		var p duePosition
		if err := rows.Scan(&p.at, &p.id); err != nil {
			return nil, fmt.Errorf("find due subscriptions: %w", err)
		}
		out = append(out, p)
	}
	return out, rows.Err()
}

type duePosition struct {
	at int64
	id string
}

// Filter chooses subscriptions of an administrator's list. Empty is all.
type Filter struct {
	State, Tier, Cycle, Mode, User string
	Before                         string // an id: only older ones
}

// list returns subscriptions, the newest first.
func (s store) list(ctx context.Context, f Filter, limit int) ([]Subscription, error) {
	var w sqldb.Where
	w.Is("user_id", f.User)
	w.Is("state", f.State)
	w.Is("tier", f.Tier)
	w.Is("cycle", f.Cycle)
	if f.Cycle == string(Annual) { // rare, and with an index, as what is not free
		w.And("cycle = 'annual'")
	}
	w.Is("mode", f.Mode)
	if f.Mode != "" && f.Mode != string(ModeFree) {
		w.And("mode <> 'free'")
	}
	w.Below("id", f.Before)
	q := `SELECT ` + columns + ` FROM subscription_plan` + w.String() + ` ORDER BY id DESC LIMIT ` + w.Arg(limit)
	return sqldb.All(ctx, s.db, "list subscriptions", func(r sqldb.Row) (Subscription, error) { return scan(r) }, q, w.Args()...)
}

// allocate notes that a cycle was given its credits. It reports false when it
// was before.
func (s store) allocate(ctx context.Context, id string, cycle int, grant credit.GrantID, amount int64, now time.Time) (bool, error) {
	const q = `INSERT INTO subscription_allocation (subscription_id, cycle, grant_id, amount, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`
	res, err := s.db.Q(ctx).ExecContext(ctx, q, id, cycle, int64(grant), amount, now.UnixMicro())
	if err != nil {
		return false, fmt.Errorf("note an allocation: %w", err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}
