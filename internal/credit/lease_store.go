package credit

import (
	"context"
	"slices"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// The statements that move credits between grants and leases, for many users at
// once: where calls are few and users many, most calls begin with a cut.
var (
	// What other lanes have leased and not spent: free in theirs, and held.
	usableRows = &rows{
		head: `WITH u (name) AS (VALUES `,
		row:  `(CAST({1} AS TEXT))`,
		tail: `) SELECT g.user_id, g.id, g.expires_at, g.credited - g.debited - g.leased,
				CAST(COALESCE(SUM(l.amount - l.spent - l.held), 0) AS BIGINT), CAST(COALESCE(SUM(l.held), 0) AS BIGINT)
			FROM u JOIN credit_grant g ON g.user_id = u.name LEFT JOIN credit_lease l ON l.grant_id = g.id AND l.lane <> $1
			WHERE g.frozen = 0 AND g.expires_at > $2
			GROUP BY g.user_id, g.id, g.expires_at, g.credited, g.debited, g.leased, g.priority, g.granted_at
			ORDER BY g.user_id, g.expires_at, g.priority, g.granted_at, g.id`,
		shared: 2, width: 1,
	}
	cutRows = &rows{
		head: `WITH v (grant_id, cut) AS (VALUES `,
		row:  `(CAST({1} AS BIGINT), CAST({2} AS BIGINT))`,
		tail: `) UPDATE credit_grant SET leased = leased + v.cut FROM v
			WHERE id = v.grant_id AND frozen = 0 AND expires_at > $1 AND debited + leased + v.cut <= credited RETURNING id`,
		shared: 1, width: 2,
	}
	leaseRows = &rows{
		head: `INSERT INTO credit_lease (lane, grant_id, amount) VALUES `,
		row:  `($1, {1}, {2})`,
		tail: ` ON CONFLICT (lane, grant_id) DO UPDATE SET amount = credit_lease.amount + excluded.amount`, shared: 1, width: 2,
	}
	// What is held stays leased; what was spent becomes a debit of the grant.
	giveGrantRows = &rows{
		head: `WITH v (grant_id, back) AS (VALUES `,
		row:  `(CAST({1} AS BIGINT), CAST({2} AS BIGINT))`,
		tail: `) UPDATE credit_grant SET debited = debited + l.spent, leased = leased - l.spent - v.back
			FROM v JOIN credit_lease l ON l.grant_id = v.grant_id WHERE l.lane = $1 AND credit_grant.id = v.grant_id`,
		shared: 1, width: 2,
	}
	giveLeaseRows = &rows{
		head: `WITH v (id, back) AS (VALUES `,
		row:  `(CAST({1} AS BIGINT), CAST({2} AS BIGINT))`,
		tail: `) UPDATE credit_lease SET amount = amount - spent - v.back, spent = 0
			FROM v WHERE lane = $1 AND grant_id = v.id`,
		shared: 1, width: 2,
	}
	dropLeaseRows = &rows{
		head: `DELETE FROM credit_lease WHERE lane = $1 AND amount = 0 AND grant_id IN (`, row: `{1}`, tail: `)`, shared: 1, width: 1,
	}
	lockGrantRows = &rows{
		head: `SELECT id FROM credit_grant WHERE id IN (`, row: `{1}`, tail: `) ORDER BY id FOR NO KEY UPDATE`, width: 1,
	}
)

// What a hold returns to an expired grant expires with it.
const (
	expireGrantSQL = `UPDATE credit_grant SET leased = leased - $2, debited = debited + $2 WHERE id = $1`
	expireLeaseSQL = `UPDATE credit_lease SET amount = amount - $3 WHERE lane = $1 AND grant_id = $2`
)

// moveGrants does what the batch does to grants.
func (s store) moveGrants(ctx context.Context, lane int64, p *plan) error {
	if err := s.divide(ctx, lane, p); err != nil {
		return err
	}
	var cuts []*found
	for _, r := range p.cuts {
		for i := range r.found {
			if r.found[i].amount > 0 {
				cuts = append(cuts, &r.found[i])
			}
		}
	}
	var gives []give
	for _, r := range p.returns {
		gives = append(gives, r.gives...)
	}
	if err := s.lockGrants(ctx, cuts, gives, p.expiries); err != nil {
		return err
	}
	for _, e := range p.expiries {
		if err := s.expireLeased(ctx, lane, e); err != nil {
			return err
		}
	}
	if err := s.cut(ctx, lane, cuts, p.at); err != nil {
		return err
	}
	return s.giveBack(ctx, lane, gives)
}

// divide reads the usable grants of the users for whom the batch cuts, and
// decides how much is leased of each.
func (s store) divide(ctx context.Context, lane int64, p *plan) error {
	first := make(map[string]*round, len(p.cuts))
	var users []string
	for _, r := range p.cuts {
		r.found = nil
		if first[r.purse.user] == nil {
			first[r.purse.user] = r
			users = append(users, r.purse.user)
		}
	}
	shared := func(args []any, _ int) []any { return append(args, lane, p.at) }
	row := func(args []any, i int) []any { return append(args, users[i]) }
	err := s.collect(ctx, usableRows, len(users), shared, row, func(row sqldb.Row) error {
		var (
			f    found
			user string
		)
		if err := row.Scan(&user, &f.grant, &f.expires, &f.left, &f.away, &f.heldAway); err != nil {
			return err
		}
		r := first[user]
		r.found = append(r.found, f)
		return nil
	})
	for _, r := range p.cuts {
		if one := first[r.purse.user]; one != r { // a second cut of a user takes nothing, and comes again
			r.found = slices.Clone(one.found)
		}
	}
	for _, r := range first {
		r.divide(r.found)
	}
	return err
}

// lockGrants locks the grants that the batch changes, in the order of their
// ids: processes that change the same ones then wait for each other in one
// order. SQLite has one writer and needs no locks.
func (s store) lockGrants(ctx context.Context, cuts []*found, gives []give, expiries []expiry) error {
	if s.db.Engine() == sqldb.SQLite || len(cuts)+len(gives)+len(expiries) < 2 {
		return nil
	}
	ids := make([]int64, 0, len(cuts)+len(gives)+len(expiries))
	for _, f := range cuts {
		ids = append(ids, f.grant)
	}
	for _, g := range gives {
		ids = append(ids, g.grant)
	}
	for _, e := range expiries {
		ids = append(ids, e.grant)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	return s.touch(ctx, lockGrantRows, len(ids), none, func(args []any, i int) []any { return append(args, ids[i]) })
}

// cut leases what was decided of each grant, or nothing when somebody else was
// quicker.
func (s store) cut(ctx context.Context, lane int64, cuts []*found, now int64) error {
	done := make(map[int64]bool, len(cuts))
	shared := func(args []any, _ int) []any { return append(args, now) }
	row := func(args []any, i int) []any { return append(args, cuts[i].grant, cuts[i].amount) }
	err := s.collect(ctx, cutRows, len(cuts), shared, row, func(row sqldb.Row) error {
		id, err := sqldb.Value[int64](row)
		done[id] = true
		return err
	})
	if err != nil {
		return err
	}
	leased := make([]*found, 0, len(cuts))
	for _, f := range cuts {
		if done[f.grant] {
			leased = append(leased, f)
			continue
		}
		f.left += f.amount
		f.amount = 0
	}
	return s.exec(ctx, leaseRows, len(leased), only(lane), func(args []any, i int) []any {
		return append(args, leased[i].grant, leased[i].amount)
	})
}

// giveBack takes gives out of the leases and folds what those spent into the
// grants. Of a grant of which nothing was ever leased there is nothing to give.
func (s store) giveBack(ctx context.Context, lane int64, gives []give) error {
	var some, none []give
	for _, g := range gives {
		if g.amount > 0 {
			some = append(some, g)
		} else {
			none = append(none, g)
		}
	}
	for _, r := range []*rows{giveGrantRows, giveLeaseRows} {
		if err := s.exec(ctx, r, len(some), only(lane), givesOf(some)); err != nil {
			return err
		}
		if err := s.touch(ctx, r, len(none), only(lane), givesOf(none)); err != nil {
			return err
		}
	}
	return s.touch(ctx, dropLeaseRows, len(gives), only(lane), func(args []any, i int) []any { return append(args, gives[i].grant) })
}

func givesOf(gives []give) func(args []any, i int) []any {
	return func(args []any, i int) []any { return append(args, gives[i].grant, gives[i].amount) }
}

func (s store) expireLeased(ctx context.Context, lane int64, e expiry) error {
	if err := s.db.Queue(ctx, just(expireGrantSQL, 1), expireGrantSQL, e.grant, e.amount); err != nil {
		return err
	}
	return s.db.Queue(ctx, just(expireLeaseSQL, 1), expireLeaseSQL, lane, e.grant, e.amount)
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
