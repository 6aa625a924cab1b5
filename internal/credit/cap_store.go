package credit

import (
	"context"
	"fmt"
	"slices"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// The statements of caps. A cut is guarded by the limit as the call knows it.
const (
	addCapSQL = `INSERT INTO credit_cap (owner, window_start) VALUES ($1, $2) ON CONFLICT (owner, window_start) DO NOTHING`
	capSQL    = `SELECT c.used, c.leased, CAST(COALESCE(SUM(CASE WHEN l.lane = $3 THEN l.amount ELSE 0 END), 0) AS BIGINT),
			CAST(COALESCE(SUM(CASE WHEN l.lane <> $3 THEN l.amount - l.spent - l.held ELSE 0 END), 0) AS BIGINT),
			CAST(COALESCE(SUM(CASE WHEN l.lane <> $3 THEN l.held ELSE 0 END), 0) AS BIGINT)
		FROM credit_cap c LEFT JOIN credit_cap_lease l ON l.owner = c.owner AND l.window_start = c.window_start
		WHERE c.owner = $1 AND c.window_start = $2 GROUP BY c.used, c.leased`
	cutCapSQL   = `UPDATE credit_cap SET leased = leased + $3 WHERE owner = $1 AND window_start = $2 AND used + leased + $3 <= $4`
	capLeaseSQL = `INSERT INTO credit_cap_lease (lane, owner, window_start, amount) VALUES ($1, $2, $3, $4)
		ON CONFLICT (lane, owner, window_start) DO UPDATE SET amount = credit_cap_lease.amount + excluded.amount`
	// What was spent is what the return knew of: an ending after it in the same
	// batch spends more, which stays in the lease as it does in memory.
	giveCapSQL      = `UPDATE credit_cap SET used = used + $4, leased = leased - $4 - $3 WHERE owner = $1 AND window_start = $2`
	giveCapLeaseSQL = `UPDATE credit_cap_lease SET amount = amount - $5 - $4, spent = spent - $5 WHERE lane = $1 AND owner = $2 AND window_start = $3`
	dropCapLeaseSQL = `DELETE FROM credit_cap_lease WHERE lane = $1 AND owner = $2 AND window_start = $3 AND amount = 0`
	foldCapSQL      = `UPDATE credit_cap SET used = used + l.spent, leased = leased - l.amount + l.held
		FROM credit_cap_lease l WHERE l.lane = $1 AND l.owner = credit_cap.owner AND l.window_start = credit_cap.window_start`
	foldCapLeaseSQL  = `UPDATE credit_cap_lease SET amount = held, spent = 0 WHERE lane = $1`
	dropCapLeasesSQL = `DELETE FROM credit_cap_lease WHERE lane = $1 AND amount = 0`
)

// capMove is the sum of what a batch does to one lease of a cap.
type capMove struct {
	key         capKey
	held, spent int64
}

var capMoveRows = &rows{
	head: `WITH v (owner, window_start, held, spent) AS (VALUES `,
	row:  `(CAST({1} AS TEXT), CAST({2} AS BIGINT), CAST({3} AS BIGINT), CAST({4} AS BIGINT))`,
	tail: `) UPDATE credit_cap_lease SET held = credit_cap_lease.held + v.held, spent = credit_cap_lease.spent + v.spent
		FROM v WHERE credit_cap_lease.lane = $1 AND credit_cap_lease.owner = v.owner AND credit_cap_lease.window_start = v.window_start`,
	single: `UPDATE credit_cap_lease SET held = held + $4, spent = spent + $5 WHERE lane = $1 AND owner = $2 AND window_start = $3`,
	shared: 1, width: 4,
}

// moveCaps adds to what is held and spent of the caps' leases.
func (s store) moveCaps(ctx context.Context, lane int64, ms []capMove) error {
	return s.exec(ctx, capMoveRows, len(ms), only(lane), func(args []any, i int) []any {
		return append(args, ms[i].key.owner, ms[i].key.window, ms[i].held, ms[i].spent)
	})
}

// leaseCaps does what the batch does to caps, in their order: processes that
// change the same caps then wait for each other in one order.
func (s store) leaseCaps(ctx context.Context, lane int64, p *plan) error {
	type change struct {
		key capKey
		do  func() error
	}
	var all []change
	for _, r := range p.cuts {
		for i := range r.capCuts {
			c := &r.capCuts[i]
			all = append(all, change{c.allowance.key, func() error { return s.cutCap(ctx, lane, c) }})
		}
	}
	for _, r := range p.returns {
		for _, g := range r.capGives {
			all = append(all, change{g.key, func() error { return s.giveCap(ctx, lane, g) }})
		}
	}
	slices.SortStableFunc(all, func(a, b change) int { return compareCaps(a.key, b.key) })
	for _, c := range all {
		if err := c.do(); err != nil {
			return err
		}
	}
	return nil
}

// cutCap leases of a cap what c asks for, or nothing when there is too little
// or somebody else was quicker.
func (s store) cutCap(ctx context.Context, lane int64, c *capCut) error {
	k := c.allowance.key
	if _, err := s.db.Q(ctx).ExecContext(ctx, addCapSQL, k.owner, k.window); err != nil {
		return err
	}
	var used, leased, own int64
	c.amount = 0
	if err := s.db.Q(ctx).QueryRowContext(ctx, capSQL, k.owner, k.window, lane).Scan(&used, &leased, &own, &c.away, &c.heldAway); err != nil {
		return err
	}
	c.others = used + leased - own
	if c.divide(c.limit - used - leased); c.amount == 0 {
		return nil
	}
	res, err := s.db.Q(ctx).ExecContext(ctx, cutCapSQL, k.owner, k.window, c.amount, c.limit)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n == 0 {
		c.amount = 0
		return nil
	}
	return s.one(ctx, capLeaseSQL, lane, k.owner, k.window, c.amount)
}

// giveCap takes g out of the lease and counts what that had spent as used.
func (s store) giveCap(ctx context.Context, lane int64, g capGive) error {
	if err := s.one(ctx, giveCapSQL, g.key.owner, g.key.window, g.amount, g.spent); err != nil {
		return err
	}
	if err := s.one(ctx, giveCapLeaseSQL, lane, g.key.owner, g.key.window, g.amount, g.spent); err != nil {
		return err
	}
	_, err := s.db.Q(ctx).ExecContext(ctx, dropCapLeaseSQL, lane, g.key.owner, g.key.window)
	return err
}

// foldCaps is giveCap for everything that is not held of the lane's leases.
func (s store) foldCaps(ctx context.Context, lane int64) error {
	if s.db.Engine() != sqldb.SQLite {
		const lock = `SELECT c.owner FROM credit_cap c JOIN credit_cap_lease l ON l.owner = c.owner AND l.window_start = c.window_start
			WHERE l.lane = $1 ORDER BY c.owner, c.window_start FOR NO KEY UPDATE OF c`
		if _, err := s.db.Q(ctx).ExecContext(ctx, lock, lane); err != nil {
			return err
		}
	}
	for _, q := range []string{foldCapSQL, foldCapLeaseSQL, dropCapLeasesSQL} {
		if _, err := s.db.Q(ctx).ExecContext(ctx, q, lane); err != nil {
			return err
		}
	}
	return nil
}

// dropCaps forgets the caps of windows that began before a time and of which
// nothing is leased.
func (s store) dropCaps(ctx context.Context, before int64) error {
	const q = `DELETE FROM credit_cap WHERE window_start > 0 AND window_start < $1 AND leased = 0
		AND NOT EXISTS (SELECT 1 FROM credit_cap_lease l WHERE l.owner = credit_cap.owner AND l.window_start = credit_cap.window_start)`
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, before); err != nil {
		return fmt.Errorf("forget old caps: %w", err)
	}
	return nil
}

// capUsed returns what the owner of a cap has used of it, with what open calls
// hold.
func (s store) capUsed(ctx context.Context, k capKey) (int64, error) {
	const q = `SELECT CAST(COALESCE((SELECT used FROM credit_cap WHERE owner = $1 AND window_start = $2), 0)
		+ COALESCE((SELECT SUM(held + spent) FROM credit_cap_lease WHERE owner = $1 AND window_start = $2), 0) AS BIGINT)`
	var used int64
	if err := s.db.Q(ctx).QueryRowContext(ctx, q, k.owner, k.window).Scan(&used); err != nil {
		return 0, fmt.Errorf("read a cap: %w", err)
	}
	return used, nil
}
