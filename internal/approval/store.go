package approval

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

type store struct{ db *sqldb.DB }

const selectRequests = `SELECT id, operation, permission, once, target_type, target_id, person, frozen, requested_by, requested_at, expires_at,
	status, decided_by, decided_at, outcome FROM approval_request `

func scan(row sqldb.Row) (r Request, err error) {
	var at, expires, decided sqldb.Time
	err = row.Scan(&r.ID, &r.Operation, &r.Permission, &r.once, &r.Type, &r.For, &r.Person, &r.frozen, &r.By, &at, &expires, &r.Status, &r.DecidedBy, &decided, &r.outcome)
	r.At, r.ExpiresAt, r.DecidedAt = at.Time, expires.Time, decided.Time
	return r, err
}

func (s store) one(ctx context.Context, q string, args ...any) (Request, error) {
	r, err := scan(s.db.Q(ctx).QueryRowContext(ctx, q, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return r, ErrUnknown
	}
	if err != nil {
		return r, fmt.Errorf("read an approval: %w", err)
	}
	return r, nil
}

func (s store) byID(ctx context.Context, requestID string) (Request, error) {
	return s.one(ctx, selectRequests+`WHERE id = $1`, requestID)
}

func (s store) byOnce(ctx context.Context, once string) (Request, error) {
	return s.one(ctx, selectRequests+`WHERE once = $1`, once)
}

// add keeps r, unless a wish of its name is kept.
func (s store) add(ctx context.Context, r Request, frozen []byte) (bool, error) {
	const q = `INSERT INTO approval_request (id, operation, permission, once, target_type, target_id, person, frozen, requested_by, requested_at, expires_at,
		status, decided_by, decided_at, outcome) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'pending', '', NULL, NULL) ON CONFLICT (once) DO NOTHING`
	return s.changed(ctx, "keep an approval", q,
		r.ID, r.Operation, string(r.Permission), r.once, r.Type, r.For, r.Person, frozen, r.By, r.At.UnixMicro(), r.ExpiresAt.UnixMicro())
}

// move brings r to its state, if it can still be decided at the time now.
func (s store) move(ctx context.Context, r Request, now time.Time) (bool, error) {
	const q = `UPDATE approval_request SET status = $2, decided_by = $3, decided_at = $4 WHERE id = $1 AND status = 'pending' AND expires_at > $4`
	return s.changed(ctx, "decide an approval", q, r.ID, string(r.Status), r.DecidedBy, now.UnixMicro())
}

func (s store) setOutcome(ctx context.Context, requestID string, sealed []byte) error {
	_, err := s.changed(ctx, "decide an approval", `UPDATE approval_request SET outcome = $2 WHERE id = $1`, requestID, sealed)
	return err
}

// list returns requests by their state at the time now.
func (s store) list(ctx context.Context, f Filter, now time.Time, limit int) ([]Request, error) {
	var w sqldb.Where
	w.Is("operation", f.Operation)
	switch f.Status {
	case Pending:
		w.And("status = 'pending' AND expires_at > ?", now.UnixMicro())
	case Expired: // some may not have been marked yet
		w.And("status IN ('expired', 'pending') AND expires_at <= ?", now.UnixMicro())
	default:
		w.Is("status", string(f.Status))
	}
	w.Below("id", f.Below)
	q := selectRequests + w.String() + ` ORDER BY id DESC LIMIT ` + w.Arg(limit)
	return sqldb.All(ctx, s.db, "list approvals", scan, q, w.Args()...)
}

// waiting returns what is pending at the time now.
func (s store) waiting(ctx context.Context, now time.Time) ([]Request, error) {
	const q = selectRequests + `WHERE status = 'pending' AND expires_at > $1 ORDER BY id LIMIT 1000`
	return sqldb.All(ctx, s.db, "list approvals", scan, q, now.UnixMicro())
}

// overdue returns what has expired and is pending still.
func (s store) overdue(ctx context.Context, now time.Time) ([]string, error) {
	const q = `SELECT id FROM approval_request WHERE status = 'pending' AND expires_at <= $1 ORDER BY id LIMIT 1000`
	return sqldb.All(ctx, s.db, "list approvals", sqldb.Value[string], q, now.UnixMicro())
}

func (s store) expire(ctx context.Context, requestID string, now time.Time) (bool, error) {
	const q = `UPDATE approval_request SET status = 'expired' WHERE id = $1 AND status = 'pending' AND expires_at <= $2`
	return s.changed(ctx, "expire an approval", q, requestID, now.UnixMicro())
}

func (s store) changed(ctx context.Context, what, q string, args ...any) (bool, error) {
	res, err := s.db.Q(ctx).ExecContext(ctx, q, args...)
	if err != nil {
		return false, fmt.Errorf("%s: %w", what, err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}
