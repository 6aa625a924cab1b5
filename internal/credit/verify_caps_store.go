package credit

import (
	"context"
	"database/sql"
)

// capLeaseKey names a lane's lease on a cap.
type capLeaseKey struct {
	lane int64
	capKey
}

// noteCaps adds what an open hold holds of its caps.
func (v *verifier) noteCaps(h openRow) {
	keys, err := decodeCaps(h.caps)
	if err != nil {
		v.report("V4", h.user, "call %s: the caps in its open row cannot be read", h.ref)
	}
	for _, k := range keys {
		v.capsHeld[capLeaseKey{h.lane, k}] += h.amount
	}
}

// checkCaps compares what is leased of each cap with its leases, and what these
// hold with the open holds (V4). What was used of a cap no transfer names.
func (v *verifier) checkCaps(ctx context.Context) error {
	err := v.store.each(ctx, "leases of caps", func(r *sql.Rows) error {
		var k capLeaseKey
		var held int64
		if err := r.Scan(&k.lane, &k.owner, &k.window, &held); err != nil {
			return err
		}
		if want := v.capsHeld[k]; held != want {
			v.report("V4", "", "the lease of cap %s from %d in lane %d holds %s, its open holds are %s", k.owner, k.window, k.lane, micro(held), micro(want))
		}
		delete(v.capsHeld, k)
		return nil
	}, `SELECT lane, owner, window_start, held FROM credit_cap_lease`)
	if err != nil {
		return err
	}
	for k, held := range v.capsHeld {
		v.report("V4", "", "open holds of %s in lane %d have no lease of cap %s from %d", micro(held), k.lane, k.owner, k.window)
	}
	const differs = `SELECT c.owner, c.window_start, c.leased, CAST(COALESCE(SUM(l.amount), 0) AS BIGINT)
		FROM credit_cap c LEFT JOIN credit_cap_lease l ON l.owner = c.owner AND l.window_start = c.window_start
		GROUP BY c.owner, c.window_start, c.leased HAVING c.leased <> COALESCE(SUM(l.amount), 0)`
	return v.store.each(ctx, "caps", func(r *sql.Rows) error {
		var k capKey
		var leased, sum int64
		if err := r.Scan(&k.owner, &k.window, &leased, &sum); err != nil {
			return err
		}
		v.report("V4", "", "cap %s from %d: leased %s, its leases say %s", k.owner, k.window, micro(leased), micro(sum))
		return nil
	}, differs)
}
