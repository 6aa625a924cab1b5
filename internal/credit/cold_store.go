package credit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
)

// byGrant returns the amounts above zero in the order in which rows are locked.
func byGrant(gs []give) []give {
	gs = slices.DeleteFunc(slices.Clone(gs), func(g give) bool { return g.amount == 0 })
	slices.SortFunc(gs, func(a, b give) int { return compare(a.grant, b.grant) })
	return gs
}

func gives(amounts map[int64]int64) []give {
	out := make([]give, 0, len(amounts))
	for grant, amount := range amounts {
		out = append(out, give{grant, amount})
	}
	return out
}

// grant returns a grant, or ErrNoGrant.
func (s store) grant(ctx context.Context, id int64) (grantRow, error) {
	const q = `SELECT user_id, source, granted_at, expires_at FROM credit_grant WHERE id = $1`
	g := grantRow{id: GrantID(id)}
	err := s.db.Q(ctx).QueryRowContext(ctx, q, id).Scan(&g.user, &g.source, &g.granted, &g.expires)
	if errors.Is(err, sql.ErrNoRows) {
		return g, ErrNoGrant
	}
	if err != nil {
		return g, fmt.Errorf("read grant: %w", err)
	}
	return g, nil
}

// effects returns the transfers with this reference, in the order of their
// parts.
func (s store) effects(ctx context.Context, ref string) ([]transfer, error) {
	return s.transfers(ctx, `SELECT `+transferColumns+` FROM credit_transfer WHERE ref = $1 ORDER BY part`, ref)
}

// debitsIn returns what a call was charged or a Taking took.
func (s store) debitsIn(ctx context.Context, ref string) ([]transfer, error) {
	return s.transfers(ctx, `SELECT `+transferColumns+` FROM credit_transfer
		WHERE ref = $1 AND kind IN ('charge', 'clawback', 'adjust') ORDER BY part`, ref)
}

func (s store) transfers(ctx context.Context, query string, args ...any) ([]transfer, error) {
	rows, err := s.db.Q(ctx).QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read transfers: %w", err)
	}
	defer rows.Close()
	var out []transfer
	for rows.Next() {
		var t transfer
		if err := scanTransfer(rows, &t); err != nil {
			return nil, fmt.Errorf("read transfers: %w", err)
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

// raise credits a grant with more.
func (s store) raise(ctx context.Context, id, amount int64) error {
	const q = `UPDATE credit_grant SET credited = credited + $2 WHERE id = $1 AND credited + $2 <= $3`
	err := s.one(ctx, q, id, amount, maxGrant)
	if errors.Is(err, errGuard) {
		return ErrInvalid.Saying("A grant cannot hold so much.")
	}
	return err
}

// debit takes from a grant what no lease has. ErrBusy: a lease was cut
// since the grant was read.
func (s store) debit(ctx context.Context, id, amount int64) error {
	const q = `UPDATE credit_grant SET debited = debited + $2 WHERE id = $1 AND debited + leased + $2 <= credited`
	err := s.one(ctx, q, id, amount)
	if errors.Is(err, errGuard) {
		return ErrBusy
	}
	return err
}

// coldGrant is what can be taken of a grant, what open holds keep of it, and
// what leases have besides.
type coldGrant struct{ id, free, held, leasedFree int64 }

const coldColumns = `g.id, g.credited - g.debited - g.leased, CAST(COALESCE(SUM(l.held), 0) AS BIGINT),
	CAST(COALESCE(SUM(l.amount - l.spent - l.held), 0) AS BIGINT)
	FROM credit_grant g LEFT JOIN credit_lease l ON l.grant_id = g.id`

const coldGroup = ` GROUP BY g.id, g.credited, g.debited, g.leased, g.expires_at, g.priority, g.granted_at`

// takeable returns the user's usable grants in burn order, or those of one
// payment, or one grant.
func (s store) takeable(ctx context.Context, user, payment string, grant, now int64) ([]coldGrant, error) {
	const q = `SELECT ` + coldColumns + ` WHERE g.user_id = $1
		AND (g.payment = $2 AND $2 <> '' OR g.id = $4 OR $2 = '' AND $4 = 0 AND g.frozen = 0 AND g.expires_at > $3)` + coldGroup + `
		ORDER BY g.expires_at, g.priority, g.granted_at, g.id`
	return s.coldGrants(ctx, q, user, payment, now, grant)
}

// rollable returns a plan grant and the user's rollover that has not expired,
// the oldest first.
func (s store) rollable(ctx context.Context, user string, plan, now int64) (p coldGrant, older []coldGrant, err error) {
	const (
		one = `SELECT ` + coldColumns + ` WHERE g.user_id = $1 AND g.id = $2 AND g.source = 'plan'` + coldGroup
		all = `SELECT ` + coldColumns + ` WHERE g.user_id = $1 AND g.source = 'rollover' AND g.expires_at > $2` + coldGroup + ` ORDER BY g.granted_at, g.id`
	)
	found, err := s.coldGrants(ctx, one, user, plan)
	if err == nil && len(found) == 0 {
		err = ErrNoGrant
	}
	if err != nil {
		return p, nil, err
	}
	older, err = s.coldGrants(ctx, all, user, now)
	return found[0], older, err
}

func (s store) coldGrants(ctx context.Context, query string, args ...any) ([]coldGrant, error) {
	rows, err := s.db.Q(ctx).QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read grants: %w", err)
	}
	defer rows.Close()
	var out []coldGrant
	for rows.Next() {
		var g coldGrant
		if err := rows.Scan(&g.id, &g.free, &g.held, &g.leasedFree); err != nil {
			return nil, fmt.Errorf("read grants: %w", err)
		}
		out = append(out, g)
	}
	return out, rows.Err()
}

// uncollected returns what a Taking could not take.
func (s store) uncollected(ctx context.Context, ref string) (sum int64, err error) {
	const q = `SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM credit_uncollected WHERE ref = $1 AND cause IN ('clawback', 'adjust')`
	if err := s.db.Q(ctx).QueryRowContext(ctx, q, ref).Scan(&sum); err != nil {
		return 0, fmt.Errorf("read uncollected: %w", err)
	}
	return sum, nil
}

func (s store) freeze(ctx context.Context, id, bit, now int64) error {
	const q = `UPDATE credit_grant SET frozen_at = CASE WHEN frozen = 0 THEN $3 ELSE frozen_at END, frozen = frozen + $2
		WHERE id = $1 AND (frozen / $2) % 2 = 0`
	_, err := s.db.Q(ctx).ExecContext(ctx, q, id, bit, now)
	return err
}

// thaw lifts a bit; the last one may add the frozen time to the grant's life.
func (s store) thaw(ctx context.Context, id, bit, now int64, addTime bool) error {
	extra := int64(0)
	if addTime {
		extra = 1
	}
	const q = `UPDATE credit_grant SET frozen = frozen - $2, expires_at = CASE
			WHEN frozen <> $2 OR $4 = 0 OR expires_at = 9223372036854775807 THEN expires_at
			ELSE expires_at + ($3 - frozen_at) END
		WHERE id = $1 AND (frozen / $2) % 2 = 1`
	_, err := s.db.Q(ctx).ExecContext(ctx, q, id, bit, now, extra)
	return err
}

// setExpiry moves the end of a grant that has not expired.
func (s store) setExpiry(ctx context.Context, id, at, now int64) error {
	const q = `UPDATE credit_grant SET expires_at = $2 WHERE id = $1 AND expires_at > $3`
	err := s.one(ctx, q, id, at, now)
	if errors.Is(err, errGuard) {
		return ErrInvalid.Saying("The grant has expired; make a new one.")
	}
	return err
}
