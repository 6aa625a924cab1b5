package credit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// grantRow is a new row of credit_grant.
type grantRow struct {
	id                GrantID
	user              string
	source            Source
	ref               string
	amount            int64
	granted, expires  int64
	payment, currency string
	paid              int64
}

// addGrant writes g unless its ref is there already. A number that another grant
// of the same millisecond has is replaced by the next free one. The caller has
// locked the cold lane.
func (s store) addGrant(ctx context.Context, g *grantRow) (added bool, err error) {
	const (
		q = `INSERT INTO credit_grant (id, user_id, source, priority, ref, granted_at, expires_at, credited, paid_minor, currency, payment)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING`
		known = `SELECT COUNT(*) FROM credit_grant WHERE ref = $1`
	)
	for {
		res, err := s.db.Q(ctx).ExecContext(ctx, q, int64(g.id), g.user, string(g.source), g.source.priority(), g.ref, g.granted, g.expires, g.amount,
			g.paid, g.currency, g.payment)
		if err != nil {
			return false, fmt.Errorf("write grant: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 1 {
			return n == 1, err
		}
		var same int
		if err := s.db.Q(ctx).QueryRowContext(ctx, known, g.ref).Scan(&same); err != nil {
			return false, fmt.Errorf("look for a grant: %w", err)
		}
		if same > 0 {
			return false, nil
		}
		g.id++
	}
}

// sameGrant returns the grant that has g's ref, or ErrConflict when it is
// another one.
func (s store) sameGrant(ctx context.Context, g grantRow) (GrantID, error) {
	const q = `SELECT g.id, g.user_id, g.source, t.amount FROM credit_grant g
		JOIN credit_transfer t ON t.ref = g.ref AND t.part = 0 WHERE g.ref = $1`
	var was grantRow
	err := s.db.Q(ctx).QueryRowContext(ctx, q, g.ref).Scan(&was.id, &was.user, &was.source, &was.amount)
	if err != nil {
		return 0, fmt.Errorf("read grant: %w", err)
	}
	if was.user != g.user || was.source != g.source || was.amount != g.amount {
		return 0, ErrConflict
	}
	return was.id, nil
}

// advance moves a lane on by one batch of n transfers that issue so much, and
// returns the new head without its hash. ErrIssueLimit: too much.
func (s store) advance(ctx context.Context, lane, n, issued int64) (head, error) {
	const q = `UPDATE credit_lane SET batch = batch + 1, seq = seq + $2, issued = issued + $3
		WHERE lane = $1 AND issued + $3 <= $4 RETURNING batch, seq, hash`
	var (
		h    head
		hash []byte
	)
	err := s.db.Q(ctx).QueryRowContext(ctx, q, lane, n, issued, maxIssued).Scan(&h.batch, &h.last, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return head{}, ErrIssueLimit
	}
	if err != nil {
		return head{}, fmt.Errorf("advance lane %d: %w", lane, err)
	}
	copy(h.prev[:], hash)
	h.first = h.last - n + 1
	return h, nil
}

func (s store) setHash(ctx context.Context, lane int64, hash digest) error {
	const q = `UPDATE credit_lane SET hash = $2 WHERE lane = $1`
	if err := s.one(ctx, q, lane, hash[:]); err != nil {
		return fmt.Errorf("set head of lane %d: %w", lane, err)
	}
	return nil
}

type dueGrant struct {
	id   int64
	user string
}

// dueGrants returns grants that have expired and still have something, those
// of one user together.
func (s store) dueGrants(ctx context.Context, now int64, limit int) ([]dueGrant, error) {
	const q = `SELECT id, user_id FROM (SELECT id, user_id FROM credit_grant
		WHERE expires_at <= $1 AND frozen = 0 AND debited < credited ORDER BY expires_at LIMIT $2) due ORDER BY user_id, id`
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, now, limit)
	if err != nil {
		return nil, fmt.Errorf("find expired grants: %w", err)
	}
	defer rows.Close()
	var out []dueGrant
	for rows.Next() {
		var g dueGrant
		if err := rows.Scan(&g.id, &g.user); err != nil {
			return nil, fmt.Errorf("find expired grants: %w", err)
		}
		out = append(out, g)
	}
	return out, rows.Err()
}

// takeLeft debits what is neither used nor leased of a grant. It returns how
// much that was and the next free part of the grant's expiry.
func (s store) takeLeft(ctx context.Context, grant int64) (left, part int64, err error) {
	const (
		read = `SELECT credited - debited - leased FROM credit_grant WHERE id = $1`
		take = `UPDATE credit_grant SET debited = debited + $2 WHERE id = $1 AND debited + leased + $2 <= credited`
		next = `SELECT COALESCE(MAX(part) + 1, 0) FROM credit_transfer WHERE ref = $1`
	)
	q := s.db.Q(ctx)
	if err := q.QueryRowContext(ctx, read, grant).Scan(&left); err != nil {
		return 0, 0, fmt.Errorf("read grant: %w", err)
	}
	if left == 0 {
		return 0, 0, nil
	}
	res, err := q.ExecContext(ctx, take, grant, left)
	if err != nil {
		return 0, 0, fmt.Errorf("take what is left: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return 0, 0, err // leased meanwhile; the next run takes it
	}
	if err := q.QueryRowContext(ctx, next, "expire:"+GrantID(grant).String()).Scan(&part); err != nil {
		return 0, 0, fmt.Errorf("find the part: %w", err)
	}
	return left, part, nil
}
