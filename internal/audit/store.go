package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

type store struct{ db *sqldb.DB }

// next takes the next number and returns the hash of the row before it. Other
// writers wait until the transaction ends.
func (s store) next(ctx context.Context) (seq int64, prev string, err error) {
	const q = `UPDATE audit_head SET seq = seq + 1 WHERE id = 1 RETURNING seq, hash`
	err = s.db.Q(ctx).QueryRowContext(ctx, q).Scan(&seq, &prev)
	return seq, prev, wrap("take the next number", err)
}

func (s store) setHead(ctx context.Context, hash string) error {
	_, err := s.db.Q(ctx).ExecContext(ctx, `UPDATE audit_head SET hash = $1 WHERE id = 1`, hash)
	return wrap("write the head", err)
}

func (s store) head(ctx context.Context) (seq int64, hash string, err error) {
	err = s.db.Q(ctx).QueryRowContext(ctx, `SELECT seq, hash FROM audit_head WHERE id = 1`).Scan(&seq, &hash)
	return seq, hash, wrap("read the head", err)
}

const columns = `seq, at, actor, roles, action, resource_type, resource_id, outcome, reason, request_id, ip_tag, origin, changed, person, personal, hash`

func (s store) insert(ctx context.Context, r row) error {
	const q = `INSERT INTO audit_log (` + columns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`
	_, err := s.db.Q(ctx).ExecContext(ctx, q, r.seq, r.at, r.actor, r.roles, r.action, r.resource, r.id, r.outcome, r.reason,
		r.requestID, r.ipTag, r.origin, r.changed, r.person, r.personal, r.hash)
	return wrap("write a row", err)
}

func (r *row) scan(from interface{ Scan(...any) error }) error {
	return from.Scan(&r.seq, &r.at, &r.actor, &r.roles, &r.action, &r.resource, &r.id, &r.outcome, &r.reason,
		&r.requestID, &r.ipTag, &r.origin, &r.changed, &r.person, &r.personal, &r.hash)
}

// after returns up to limit rows from seq on, in order.
func (s store) after(ctx context.Context, seq, last int64, limit int) ([]row, error) {
	const q = `SELECT ` + columns + ` FROM audit_log WHERE seq >= $1 AND seq <= $2 ORDER BY seq LIMIT $3`
	return s.rows(ctx, q, seq, last, limit)
}

// span returns the first and last number between two times; 0 when there is
// none.
func (s store) span(ctx context.Context, from, to int64) (first, last int64, err error) {
	const q = `SELECT COALESCE(MIN(seq), 0), COALESCE(MAX(seq), 0) FROM audit_log WHERE at >= $1 AND at < $2`
	err = s.db.Q(ctx).QueryRowContext(ctx, q, from, to).Scan(&first, &last)
	return first, last, wrap("find the rows of a time", err)
}

// list returns the rows that f chooses, newest first.
func (s store) list(ctx context.Context, f Filter, limit int) ([]row, error) {
	var w sqldb.Where
	w.Is("request_id", f.RequestID)
	w.Is("resource_type", f.Type)
	w.Is("resource_id", f.ID)
	w.Is("ip_tag", f.ipTag)
	w.Is("actor", f.Actor)
	w.Is("action", f.Action)
	w.Is("outcome", string(f.Outcome))
	if f.Outcome != "" && f.Outcome != Done {
		w.And("outcome <> 'done'") // the others are rare, and have an index
	}
	if f.Below > 0 {
		w.And("seq < ?", f.Below)
	}
	if err := s.bound(ctx, f, &w); err != nil {
		return nil, err
	}
	return s.rows(ctx, `SELECT `+columns+` FROM audit_log`+w.String()+` ORDER BY seq DESC LIMIT `+w.Arg(limit), w.Args()...)
}

// skew is how far the clocks of writers may be apart.
const skew = 5 * time.Minute

// bound adds which numbers the rows of a time have: they rise with it, and all
// indices have them.
func (s store) bound(ctx context.Context, f Filter, w *sqldb.Where) error {
	const (
		first = `SELECT seq FROM audit_log WHERE at >= $1 ORDER BY at, seq LIMIT 1`
		last  = `SELECT seq FROM audit_log WHERE at < $1 ORDER BY at DESC, seq DESC LIMIT 1`
	)
	for _, end := range []struct {
		at              time.Time
		slack           time.Duration
		query, and, seq string
	}{{f.After, -skew, first, "at >= ?", "seq >= ?"}, {f.Before, skew, last, "at < ?", "seq <= ?"}} {
		if end.at.IsZero() {
			continue
		}
		w.And(end.and, end.at.UnixMicro())
		var seq int64
		err := s.db.Q(ctx).QueryRowContext(ctx, end.query, end.at.Add(end.slack).UnixMicro()).Scan(&seq)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return wrap("find the rows of a time", err)
		}
		if err == nil {
			w.And(end.seq, seq)
		}
	}
	return nil
}

func (s store) rows(ctx context.Context, q string, args ...any) ([]row, error) {
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, args...)
	if err != nil {
		return nil, wrap("read rows", err)
	}
	defer rows.Close()
	var out []row
	for rows.Next() {
		var r row
		if err := r.scan(rows); err != nil {
			return nil, wrap("read rows", err)
		}
		out = append(out, r)
	}
	return out, wrap("read rows", rows.Err())
}

// personKey returns a person's sealed key, or "".
func (s store) personKey(ctx context.Context, person string) (key string, err error) {
	err = s.db.Q(ctx).QueryRowContext(ctx, `SELECT key FROM audit_person WHERE user_id = $1`, person).Scan(&key)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return key, wrap("read a person's key", err)
}

func (s store) addPerson(ctx context.Context, person, key string) error {
	const q = `INSERT INTO audit_person (user_id, key) VALUES ($1, $2) ON CONFLICT (user_id) DO NOTHING`
	_, err := s.db.Q(ctx).ExecContext(ctx, q, person, key)
	return wrap("write a person's key", err)
}

func (s store) dropPerson(ctx context.Context, person string) error {
	_, err := s.db.Q(ctx).ExecContext(ctx, `DELETE FROM audit_person WHERE user_id = $1`, person)
	return wrap("destroy a person's key", err)
}

func wrap(what string, err error) error {
	if err != nil {
		return fmt.Errorf("audit: %s: %w", what, err)
	}
	return nil
}
