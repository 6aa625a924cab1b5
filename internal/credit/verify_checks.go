package credit

import (
	"context"
	"slices"

	"github.com/rephlo/rephlo/internal/money"
)

// checkGrants compares every grant with the sums of its transfers and leases
// (V3), and the leases with the open holds (V4).
func (v *verifier) checkGrants(ctx context.Context) error {
	cursor := grantCursor{store: v.store}
	for {
		g, ok, err := cursor.next(ctx)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		v.summary.Grants++
		v.checkGrant(g)
		delete(v.grants, g.id)
	}
	for id, sums := range v.grants {
		v.report("V3", "", "grant %s is in lane %d seq %d but does not exist", GrantID(id), sums.lane, sums.seq)
	}
	return nil
}

func (v *verifier) checkGrant(g grantLeases) {
	sums := v.grants[g.id]
	if sums == nil {
		sums = &grantSums{}
	}
	id := GrantID(g.id)
	if g.credited != sums.in {
		v.report("V3", g.user, "grant %s user %s: credited %s, transfers say %s (lane %d, seq %d is the last)", id, g.user, money.Credits(g.credited), money.Credits(sums.in), sums.lane, sums.seq)
	}
	if g.debited+g.spent != sums.out {
		v.report("V3", g.user, "grant %s user %s: debited %s, transfers say %s (lane %d, seq %d is the last)", id, g.user, money.Credits(g.debited+g.spent), money.Credits(sums.out), sums.lane, sums.seq)
	}
	if g.leased != g.amount {
		v.report("V3", g.user, "grant %s user %s: leased %s, its leases say %s", id, g.user, money.Credits(g.leased), money.Credits(g.amount))
	}
	if g.debited < 0 || g.leased < 0 || g.debited+g.leased > g.credited || g.held < 0 || g.spent < 0 || g.held+g.spent > g.amount {
		v.report("V3", g.user, "grant %s user %s: an amount is negative or above what covers it", id, g.user)
	}
	if g.held != sums.held {
		v.report("V4", g.user, "grant %s user %s: its leases hold %s, its open holds are %s", id, g.user, money.Credits(g.held), money.Credits(sums.held))
	}
}

// checkHolds compares the open rows with the holds that no transfer ends.
func (v *verifier) checkHolds(ctx context.Context) error {
	cursor := holdCursor{store: v.store}
	for {
		h, ok, err := cursor.next(ctx)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		v.summary.OpenHolds++
		r := v.refs[h.ref]
		switch {
		case r == nil:
			v.report("V4", h.user, "call %s has an open row but no open hold", h.ref)
		case r.amount != h.amount || r.lane != h.lane:
			v.report("V4", h.user, "call %s: its open row says %s in lane %d, its holds %s in lane %d", h.ref, money.Credits(h.amount), h.lane, money.Credits(r.amount), r.lane)
		}
		delete(v.refs, h.ref)
	}
	for ref, r := range v.refs {
		v.report("V4", "", "call %s: a hold of %s in lane %d has neither an ending nor an open row", ref, money.Credits(r.amount), r.lane)
	}
	return nil
}

// checkUsage compares the charges with the usage records (V6). Only where the
// sums differ are the calls looked at one by one.
func (v *verifier) checkUsage(ctx context.Context) error {
	err := v.records.Charges(ctx, func(call string, amount money.Credits) error {
		v.usage.add(call, int64(amount))
		return nil
	})
	if err != nil {
		return err
	}
	wrong := v.charges.differing(&v.usage)
	if len(wrong) == 0 {
		return nil
	}
	diff := map[string]*[2]int64{} // charged, recorded
	at := func(ref string) *[2]int64 {
		if diff[ref] == nil {
			diff[ref] = new([2]int64)
		}
		return diff[ref]
	}
	cursor := chargeCursor{store: v.store}
	for {
		c, ok, err := cursor.next(ctx)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if wrong[bucketOf(c.ref)] {
			at(c.ref)[0] += c.amount
		}
	}
	err = v.records.Charges(ctx, func(call string, amount money.Credits) error {
		if wrong[bucketOf(call)] {
			at(call)[1] += int64(amount)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var calls []string
	for ref, d := range diff {
		if d[0] != d[1] {
			calls = append(calls, ref)
		}
	}
	slices.Sort(calls)
	for _, ref := range calls {
		v.report("V6", "", "call %s: charged %s, its usage record says %s", ref, money.Credits(diff[ref][0]), money.Credits(diff[ref][1]))
	}
	if len(calls) == 0 {
		v.report("V6", "", "the charges and the usage records differ in their number of records for a call")
	}
	return nil
}
