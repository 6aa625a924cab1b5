package credit

import (
	"context"
	"fmt"
	"slices"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// The statements that move credits between grants and leases.
const (
	// What other lanes have leased and not spent: free in theirs, and held.
	usableSQL = `SELECT g.id, g.expires_at, g.credited - g.debited - g.leased,
			CAST(COALESCE(SUM(l.amount - l.spent - l.held), 0) AS BIGINT), CAST(COALESCE(SUM(l.held), 0) AS BIGINT)
		FROM credit_grant g LEFT JOIN credit_lease l ON l.grant_id = g.id AND l.lane <> $3
		WHERE g.user_id = $1 AND g.frozen = 0 AND g.expires_at > $2
		GROUP BY g.id, g.expires_at, g.credited, g.debited, g.leased, g.priority, g.granted_at
		ORDER BY g.expires_at, g.priority, g.granted_at, g.id`
	cutSQL = `UPDATE credit_grant SET leased = leased + $2
		WHERE id = $1 AND frozen = 0 AND expires_at > $3 AND debited + leased + $2 <= credited`
	// What is held stays leased; what was spent becomes a debit of the grant.
	giveGrantSQL = `UPDATE credit_grant SET debited = debited + l.spent, leased = leased - l.spent - $3
		FROM credit_lease l WHERE l.lane = $1 AND l.grant_id = $2 AND credit_grant.id = $2`
	giveLeaseSQL = `UPDATE credit_lease SET amount = amount - spent - $3, spent = 0 WHERE lane = $1 AND grant_id = $2`
	dropLeaseSQL = `DELETE FROM credit_lease WHERE lane = $1 AND grant_id = $2 AND amount = 0`
	// What a hold returns to an expired grant expires with it.
	expireGrantSQL = `UPDATE credit_grant SET leased = leased - $2, debited = debited + $2 WHERE id = $1`
	expireLeaseSQL = `UPDATE credit_lease SET amount = amount - $3 WHERE lane = $1 AND grant_id = $2`
)

// grantMove is one change of a grant's row in a batch.
type grantMove struct {
	grant int64
	do    func(ctx context.Context) error
}

// moveGrants does what the batch does to grants, in the order of their ids:
// processes that change the same grants then wait for each other in one order.
func (s store) moveGrants(ctx context.Context, lane int64, p *plan) error {
	var moves []grantMove
	add := func(grant int64, do func(ctx context.Context) error) { moves = append(moves, grantMove{grant, do}) }
	for _, e := range p.expiries {
		add(e.grant, func(ctx context.Context) error { return s.expireLeased(ctx, lane, e) })
	}
	for _, r := range p.cuts {
		found, err := s.usable(ctx, lane, r.purse.user, p.at)
		if err != nil {
			return err
		}
		r.divide(found)
		r.found = found
		for i := range found {
			if f := &found[i]; f.amount > 0 {
				add(f.grant, func(ctx context.Context) error { return s.cut(ctx, lane, f, p.at) })
			}
		}
	}
	for _, r := range p.returns {
		for _, g := range r.gives {
			add(g.grant, func(ctx context.Context) error { return s.giveBack(ctx, lane, g) })
		}
	}
	slices.SortStableFunc(moves, func(a, b grantMove) int { return compare(a.grant, b.grant) })
	for _, m := range moves {
		if err := m.do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// usable returns the user's grants that can be spent from, in burn order, with
// what is free of each.
func (s store) usable(ctx context.Context, lane int64, user string, now int64) ([]found, error) {
	rows, err := s.db.Q(ctx).QueryContext(ctx, usableSQL, user, now, lane)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []found
	for rows.Next() {
		var f found
		if err := rows.Scan(&f.grant, &f.expires, &f.left, &f.away, &f.heldAway); err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, rows.Err()
}

// cut leases f.amount of a grant, or nothing when somebody else was quicker.
func (s store) cut(ctx context.Context, lane int64, f *found, now int64) error {
	res, err := s.db.Q(ctx).ExecContext(ctx, cutSQL, f.grant, f.amount, now)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n == 0 {
		f.left += f.amount
		f.amount = 0
		return nil
	}
	return s.one(ctx, leaseSQL, lane, f.grant, f.amount)
}

// giveBack takes g out of the lease and folds what that spent into the grant.
func (s store) giveBack(ctx context.Context, lane int64, g give) error {
	res, err := s.db.Q(ctx).ExecContext(ctx, giveGrantSQL, lane, g.grant, g.amount)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n == 0 && g.amount == 0 {
		return nil // nothing was ever leased of it
	}
	if n == 0 {
		return fmt.Errorf("%w: return without a lease", errGuard)
	}
	if err := s.one(ctx, giveLeaseSQL, lane, g.grant, g.amount); err != nil {
		return err
	}
	_, err = s.db.Q(ctx).ExecContext(ctx, dropLeaseSQL, lane, g.grant)
	return err
}

func (s store) expireLeased(ctx context.Context, lane int64, e expiry) error {
	if err := s.one(ctx, expireGrantSQL, e.grant, e.amount); err != nil {
		return err
	}
	return s.one(ctx, expireLeaseSQL, lane, e.grant, e.amount)
}

// lockLeased locks the grants that the lane has leases on, in the order of
// their ids. SQLite has one writer and needs no locks.
func (s store) lockLeased(ctx context.Context, lane int64) error {
	if s.db.Engine() == sqldb.SQLite {
		return nil
	}
	const q = `SELECT id FROM credit_grant WHERE id IN (SELECT grant_id FROM credit_lease WHERE lane = $1) ORDER BY id FOR NO KEY UPDATE`
	_, err := s.db.Q(ctx).ExecContext(ctx, q, lane)
	return err
}
