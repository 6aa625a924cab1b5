package credit

import (
	"context"
	"fmt"
	"slices"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// The statements of caps, for many at once. A cut is guarded by the limit as
// the call knows it.
var (
	addCapRows = &rows{
		head: `INSERT INTO credit_cap (owner, window_start, leased) VALUES `,
		row:  `({1}, {2}, {3})`,
		tail: ` ON CONFLICT (owner, window_start) DO NOTHING RETURNING owner, window_start`, width: 3,
	}
	capRows = &rows{
		head: `WITH v (o, w) AS (VALUES `,
		row:  `(CAST({1} AS TEXT), CAST({2} AS BIGINT))`,
		tail: `) SELECT c.owner, c.window_start, c.used, c.leased,
				CAST(COALESCE(SUM(CASE WHEN l.lane = $1 THEN l.amount ELSE 0 END), 0) AS BIGINT),
				CAST(COALESCE(SUM(CASE WHEN l.lane <> $1 THEN l.amount - l.spent - l.held ELSE 0 END), 0) AS BIGINT),
				CAST(COALESCE(SUM(CASE WHEN l.lane <> $1 THEN l.held ELSE 0 END), 0) AS BIGINT)
			FROM v JOIN credit_cap c ON c.owner = v.o AND c.window_start = v.w
			LEFT JOIN credit_cap_lease l ON l.owner = c.owner AND l.window_start = c.window_start
			GROUP BY c.owner, c.window_start, c.used, c.leased`,
		shared: 1, width: 2,
	}
	cutCapRows = &rows{
		head: `WITH v (o, w, cut, most) AS (VALUES `,
		row:  `(CAST({1} AS TEXT), CAST({2} AS BIGINT), CAST({3} AS BIGINT), CAST({4} AS BIGINT))`,
		tail: `) UPDATE credit_cap SET leased = leased + v.cut FROM v
			WHERE owner = v.o AND window_start = v.w AND used + leased + v.cut <= v.most RETURNING owner, window_start`, width: 4,
	}
	capLeaseRows = &rows{
		head: `INSERT INTO credit_cap_lease (lane, owner, window_start, amount) VALUES `,
		row:  `($1, {1}, {2}, {3})`,
		tail: ` ON CONFLICT (lane, owner, window_start) DO UPDATE SET amount = credit_cap_lease.amount + excluded.amount`, shared: 1, width: 3,
	}
	// What was spent is what the return knew of: an ending after it in the same
	// batch spends more, which stays in the lease as it does in memory.
	giveCapRows = &rows{
		head: `WITH v (o, w, back, gone) AS (VALUES `,
		row:  `(CAST({1} AS TEXT), CAST({2} AS BIGINT), CAST({3} AS BIGINT), CAST({4} AS BIGINT))`,
		tail: `) UPDATE credit_cap SET used = used + v.gone, leased = leased - v.gone - v.back FROM v
			WHERE owner = v.o AND window_start = v.w`, width: 4,
	}
	giveCapLeaseRows = &rows{
		head: `WITH v (o, w, back, gone) AS (VALUES `,
		row:  `(CAST({1} AS TEXT), CAST({2} AS BIGINT), CAST({3} AS BIGINT), CAST({4} AS BIGINT))`,
		tail: `) UPDATE credit_cap_lease SET amount = amount - v.gone - v.back, spent = spent - v.gone FROM v
			WHERE lane = $1 AND owner = v.o AND window_start = v.w`, shared: 1, width: 4,
	}
	dropCapLeaseRows = &rows{
		head: `DELETE FROM credit_cap_lease WHERE lane = $1 AND amount = 0 AND (owner, window_start) IN (VALUES `,
		row:  `(CAST({1} AS TEXT), CAST({2} AS BIGINT))`, tail: `)`, shared: 1, width: 2,
	}
	lockCapRows = &rows{
		head: `SELECT owner FROM credit_cap WHERE (owner, window_start) IN (VALUES `,
		row:  `(CAST({1} AS TEXT), CAST({2} AS BIGINT))`,
		tail: `) ORDER BY owner COLLATE "C", window_start FOR NO KEY UPDATE`, width: 2,
	}
)

const (
	foldCapSQL = `UPDATE credit_cap SET used = used + l.spent, leased = leased - l.amount + l.held
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

// leaseCaps does what the batch does to caps.
func (s store) leaseCaps(ctx context.Context, lane int64, p *plan) error {
	var (
		fresh, known []*capCut
		gives        []capGive
		seen         = map[capKey]bool{}
	)
	for _, r := range p.cuts {
		for i := range r.capCuts {
			c := &r.capCuts[i]
			c.amount, c.others, c.away, c.heldAway = 0, 0, 0, 0
			switch k := c.allowance.key; {
			case seen[k]: // takes nothing, and comes again
			case c.known:
				known = append(known, c)
			default:
				fresh = append(fresh, c)
			}
			seen[c.allowance.key] = true
		}
	}
	for _, r := range p.returns {
		gives = append(gives, r.capGives...)
	}
	leased, there, err := s.addCaps(ctx, fresh)
	if err != nil {
		return err
	}
	known = append(known, there...)
	if err := s.lockCaps(ctx, known, gives); err != nil {
		return err
	}
	more, err := s.cutCaps(ctx, lane, known)
	if err != nil {
		return err
	}
	leased = append(leased, more...)
	err = s.exec(ctx, capLeaseRows, len(leased), only(lane), func(args []any, i int) []any {
		k := leased[i].allowance.key
		return append(args, k.owner, k.window, leased[i].amount)
	})
	if err != nil {
		return err
	}
	return s.giveCaps(ctx, lane, gives)
}

// addCaps leases of caps that nobody has used yet. It returns those of which it
// has leased, and those that are there already.
func (s store) addCaps(ctx context.Context, cuts []*capCut) (leased, there []*capCut, err error) {
	slices.SortFunc(cuts, func(a, b *capCut) int { return compareCaps(a.allowance.key, b.allowance.key) })
	added := make(map[capKey]bool, len(cuts))
	row := func(args []any, i int) []any {
		c := cuts[i]
		c.divide(c.limit)
		return append(args, c.allowance.key.owner, c.allowance.key.window, c.amount)
	}
	err = s.collect(ctx, addCapRows, len(cuts), none, row, func(row sqldb.Row) error {
		k, err := scanCap(row)
		added[k] = true
		return err
	})
	for _, c := range cuts {
		switch {
		case !added[c.allowance.key]:
			c.amount = 0
			there = append(there, c)
		case c.amount > 0:
			leased = append(leased, c)
		}
	}
	return leased, there, err
}

func scanCap(row sqldb.Row) (capKey, error) {
	var k capKey
	err := row.Scan(&k.owner, &k.window)
	return k, err
}

// lockCaps locks the caps that the batch changes, in one order, as lockGrants
// does.
func (s store) lockCaps(ctx context.Context, cuts []*capCut, gives []capGive) error {
	if s.db.Engine() == sqldb.SQLite || len(cuts)+len(gives) < 2 {
		return nil
	}
	keys := make([]capKey, 0, len(cuts)+len(gives))
	for _, c := range cuts {
		keys = append(keys, c.allowance.key)
	}
	for _, g := range gives {
		keys = append(keys, g.key)
	}
	slices.SortFunc(keys, compareCaps)
	keys = slices.Compact(keys)
	return s.touch(ctx, lockCapRows, len(keys), none, func(args []any, i int) []any { return append(args, keys[i].owner, keys[i].window) })
}

// cutCaps leases of caps that are there what each cut asks for, or nothing when
// there is too little or somebody else was quicker. It returns those of which
// it has leased.
func (s store) cutCaps(ctx context.Context, lane int64, cuts []*capCut) (leased []*capCut, err error) {
	byKey := make(map[capKey]*capCut, len(cuts))
	for _, c := range cuts {
		byKey[c.allowance.key] = c
	}
	key := func(args []any, i int) []any {
		return append(args, cuts[i].allowance.key.owner, cuts[i].allowance.key.window)
	}
	err = s.collect(ctx, capRows, len(cuts), only(lane), key, func(row sqldb.Row) error {
		var (
			k                 capKey
			used, leased, own int64
			away, heldAway    int64
		)
		if err := row.Scan(&k.owner, &k.window, &used, &leased, &own, &away, &heldAway); err != nil {
			return err
		}
		c := byKey[k]
		c.others, c.away, c.heldAway = used+leased-own, away, heldAway
		c.divide(c.limit - used - leased)
		return nil
	})
	if err != nil {
		return nil, err
	}
	wanted := slices.DeleteFunc(cuts, func(c *capCut) bool { return c.amount == 0 })
	done := make(map[capKey]bool, len(wanted))
	row := func(args []any, i int) []any {
		c := wanted[i]
		return append(args, c.allowance.key.owner, c.allowance.key.window, c.amount, c.limit)
	}
	err = s.collect(ctx, cutCapRows, len(wanted), none, row, func(row sqldb.Row) error {
		k, err := scanCap(row)
		done[k] = true
		return err
	})
	for _, c := range wanted {
		if !done[c.allowance.key] {
			c.amount = 0
			continue
		}
		leased = append(leased, c)
	}
	return leased, err
}

// giveCaps takes gives out of the leases and counts what those had spent as
// used.
func (s store) giveCaps(ctx context.Context, lane int64, gives []capGive) error {
	all := func(args []any, i int) []any {
		g := &gives[i]
		return append(args, g.key.owner, g.key.window, g.amount, g.spent)
	}
	if err := s.exec(ctx, giveCapRows, len(gives), none, all); err != nil {
		return err
	}
	if err := s.exec(ctx, giveCapLeaseRows, len(gives), only(lane), all); err != nil {
		return err
	}
	return s.touch(ctx, dropCapLeaseRows, len(gives), only(lane), func(args []any, i int) []any { return append(args, gives[i].key.owner, gives[i].key.window) })
}

// foldCaps is giveCaps for everything that is not held of the lane's leases.
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
