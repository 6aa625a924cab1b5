package credit

import (
	"cmp"
	"context"
	"maps"
	"slices"
)

// leaseKey names a lease.
type leaseKey struct{ lane, grant int64 }

// checkGrants compares every grant with the sums of its transfers and leases
// (V3), the leases with the open holds (V4), and all grants together with the
// system accounts (V2).
func (v *verifier) checkGrants(ctx context.Context) error {
	held := map[leaseKey]int64{}
	for _, h := range v.open {
		held[leaseKey{h.lane, h.grant}] += h.amount
	}
	grants, leases := grantCursor{store: v.store}, leaseCursor{store: v.store}
	remaining := int64(0)
	for {
		g, ok, err := grants.next(ctx)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		v.summary.Grants++
		var sum leaseRow
		for {
			l, ok, err := leases.peek(ctx)
			if err != nil {
				return err
			}
			if !ok || l.grant > g.id {
				break
			}
			leases.skip()
			v.checkLease(g, l, held)
			if l.grant == g.id {
				sum.amount, sum.held, sum.spent = sum.amount+l.amount, sum.held+l.held, sum.spent+l.spent
			}
		}
		v.checkGrant(g, sum)
		remaining += g.credited - g.debited - sum.spent
	}
	for l, ok, err := leases.peek(ctx); ok || err != nil; l, ok, err = leases.peek(ctx) {
		if err != nil {
			return err
		}
		leases.skip()
		v.checkLease(grantRead{}, l, held)
	}
	for _, key := range slices.SortedFunc(maps.Keys(held), compareLeases) {
		v.report("V4", "", "grant %s: open holds of %s in lane %d have no lease", GrantID(key.grant), micro(held[key]), key.lane)
	}
	for _, id := range slices.Sorted(maps.Keys(v.grants)) {
		v.report("V3", "", "grant %s is in lane %d seq %d but does not exist", GrantID(id), v.grants[id].lane, v.grants[id].seq)
	}
	v.checkTotals(remaining)
	return nil
}

func compareLeases(a, b leaseKey) int {
	return cmp.Or(cmp.Compare(a.grant, b.grant), cmp.Compare(a.lane, b.lane))
}

// checkLease takes what the lease must hold out of held.
func (v *verifier) checkLease(g grantRead, l leaseRow, held map[leaseKey]int64) {
	key := leaseKey{l.lane, l.grant}
	if l.grant != g.id {
		v.report("V3", "", "the lease of grant %s in lane %d is of no grant", GrantID(l.grant), l.lane)
	}
	if l.held < 0 || l.spent < 0 || l.amount < 0 || l.held+l.spent > l.amount {
		v.report("V3", g.user, "grant %s user %s: its lease in lane %d of %s holds %s and has spent %s", GrantID(l.grant), g.user, l.lane, micro(l.amount), micro(l.held), micro(l.spent))
	}
	if want := held[key]; l.held != want {
		v.report("V4", g.user, "grant %s user %s: its lease in lane %d holds %s, its open holds are %s", GrantID(l.grant), g.user, l.lane, micro(l.held), micro(want))
	}
	delete(held, key)
}

func (v *verifier) checkGrant(g grantRead, leased leaseRow) {
	sums, touched := v.grants[g.id]
	if !touched {
		sums = &grantSums{user: hashOf(g.user), ref: hashOf(g.ref)}
	}
	if !touched && v.since != nil {
		sums.in, sums.out = g.credited, g.debited+leased.spent // older than the root
	}
	delete(v.grants, g.id)
	id := GrantID(g.id)
	if g.credited != sums.in {
		v.report("V3", g.user, "grant %s user %s: credited %s, transfers say %s (lane %d, seq %d is the last)", id, g.user, micro(g.credited), micro(sums.in), sums.lane, sums.seq)
	}
	if out := g.debited + leased.spent; out != sums.out {
		v.report("V3", g.user, "grant %s user %s: debited %s, transfers say %s (lane %d, seq %d is the last)", id, g.user, micro(out), micro(sums.out), sums.lane, sums.seq)
	}
	if g.leased != leased.amount {
		v.report("V3", g.user, "grant %s user %s: leased %s, its leases say %s", id, g.user, micro(g.leased), micro(leased.amount))
	}
	if g.debited < 0 || g.leased < 0 || g.debited+g.leased > g.credited {
		v.report("V3", g.user, "grant %s user %s: an amount is negative or above what covers it", id, g.user)
	}
	if sums.others || sums.user != hashOf(g.user) {
		v.report("V3", g.user, "grant %s user %s: a transfer of it names another user (lane %d, seq %d is the last)", id, g.user, sums.lane, sums.seq)
	}
	if v.since == nil && sums.in > 0 && sums.ref != hashOf(g.ref) {
		v.report("V3", g.user, "grant %s user %s: its first transfer does not have its reference %s", id, g.user, g.ref)
	}
	// Somebody may have moved the end of an expired grant and given credits back.
	if sums.overAt != 0 && sums.usedAt > max(sums.overAt, g.expires)+expireSlack {
		v.report("V5", g.user, "grant %s user %s: it was held after it had expired (lane %d, seq %d)", id, g.user, sums.usedLane, sums.usedSeq)
	}
}

// checkTotals compares what all grants have left with the system accounts (V2).
func (v *verifier) checkTotals(remaining int64) {
	t := v.total
	if t.rolledOut != t.rolledIn {
		v.report("V2", "", "rollover does not balance: %s went out, %s came in", micro(t.rolledOut), micro(t.rolledIn))
	}
	system := t.issued + t.reversed - t.used - t.expired - t.adjusted - t.clawed + t.rolledIn - t.rolledOut
	if v.since == nil && system != remaining {
		v.report("V2", "", "the accounts do not sum to zero: the grants have %s left, by all transfers they must have %s", micro(remaining), micro(system))
	}
}

// openRef is the open parts of one call.
type openRef struct {
	amount, lane, seq int64
	user              string
}

// checkHolds compares the open rows with the holds that no transfer ends (V4).
func (v *verifier) checkHolds(ctx context.Context) error {
	refs := map[string]*openRef{}
	for key, h := range v.open {
		r := refs[key.ref]
		if r == nil {
			r = &openRef{lane: h.lane, seq: h.seq, user: h.user}
			refs[key.ref] = r
		}
		r.amount += h.amount
	}
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
		v.noteCaps(h)
		r := refs[h.ref]
		switch {
		case r == nil:
			v.report("V4", h.user, "call %s has an open row but no open hold", h.ref)
		case r.amount != h.amount || r.lane != h.lane || r.user != h.user:
			v.report("V4", h.user, "call %s: its open row says %s of user %s in lane %d, its holds %s of user %s in lane %d",
				h.ref, micro(h.amount), h.user, h.lane, micro(r.amount), r.user, r.lane)
		}
		delete(refs, h.ref)
	}
	for _, ref := range slices.Sorted(maps.Keys(refs)) {
		r := refs[ref]
		v.report("V4", r.user, "call %s: a hold of %s (lane %d, seq %d) has neither an ending nor an open row", ref, micro(r.amount), r.lane, r.seq)
	}
	return nil
}

// checkReversals compares each reversal with what it names (V5): the whole of
// it, once.
func (v *verifier) checkReversals(ctx context.Context) error {
	back := map[string]int64{}
	last := map[string]transfer{}
	for _, t := range v.undone {
		ref := t.ref[len(reversalPrefix):]
		back[ref] += t.amount
		last[ref] = t
	}
	for refs := range slices.Chunk(slices.Sorted(maps.Keys(back)), lookup) {
		was, err := v.store.debitsOf(ctx, refs)
		if err != nil {
			return err
		}
		for _, ref := range refs {
			if t := last[ref]; was[ref] != back[ref] {
				v.report("V5", t.user, "%s was reversed by %s, it took %s (lane %d, seq %d)", ref, micro(back[ref]), micro(was[ref]), t.lane, t.seq)
			}
		}
	}
	return nil
}
