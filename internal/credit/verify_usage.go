package credit

import (
	"context"
	"maps"
	"slices"
)

const (
	// maxListed bounds how many calls of differing sums are looked at one by
	// one, and with them the memory.
	maxListed = 200_000
	// maxOdd bounds how many records with a price above their charge are kept.
	maxOdd = 100_000
)

// checkUsage compares the charges with the usage records, and the charge of
// each record with its price (V6).
func (v *verifier) checkUsage(ctx context.Context) error {
	if v.records == nil {
		return nil // this service writes none
	}
	var odd []Recorded
	left := 0
	note := func(r Recorded) {
		if r.Priced && r.Price != r.Charged {
			if len(odd) < maxOdd {
				odd = append(odd, r)
			} else {
				left++
			}
		}
	}
	which := v.recent()
	err := v.records.Charges(ctx, which, func(r Recorded) error {
		v.usage.add(r.Call, int64(r.Charged))
		note(r)
		return nil
	})
	if err != nil {
		return err
	}
	if err := v.checkEarly(ctx, note); err != nil {
		return err
	}
	if err := v.checkPrices(ctx, odd); err != nil {
		return err
	}
	if left > 0 {
		v.report("V6", "", "%d more usage records have another price than their charge", left)
	}
	wrong := v.charges.differing(v.usage)
	if len(wrong) == 0 {
		return nil
	}
	return v.listCharges(ctx, which, wrong)
}

// recent selects the records whose charges the walk has added up.
func (v *verifier) recent() Which {
	if v.since == nil {
		return Which{}
	}
	return Which{From: v.since.from}
}

// checkPrices looks at records whose price is not their charge: it may be above
// it when the hold was too small, and the rest was booked as uncollected.
func (v *verifier) checkPrices(ctx context.Context, odd []Recorded) error {
	for some := range slices.Chunk(odd, lookup) {
		calls := make([]string, len(some))
		for i, r := range some {
			calls[i] = r.Call
		}
		facts, err := v.store.callFacts(ctx, calls)
		if err != nil {
			return err
		}
		for _, r := range some {
			f := facts[r.Call]
			full := int64(r.Charged) == f.held && r.Price > r.Charged
			over := int64(r.Price - r.Charged)
			if full && (f.over == min(over, maxTransfer) || f.over == 0 && f.orphan) {
				continue
			}
			v.report("V6", f.user, "call %s: charged %s, by its usage record the price is %s and the hold was %s (lane %d, seq %d)",
				r.Call, micro(int64(r.Charged)), micro(int64(r.Price)), micro(f.held), f.lane, f.seq)
		}
	}
	return nil
}

// listCharges compares call by call in the buckets that differ.
func (v *verifier) listCharges(ctx context.Context, which Which, wrong []int) error {
	fit := max(1, int(maxListed*tallyBuckets/max(1, v.charges.n+v.usage.n)))
	if len(wrong) > fit {
		defer v.report("V6", "", "%d of %d groups of calls differ from their usage records; the calls of %d are listed", len(wrong), tallyBuckets, fit)
		wrong = wrong[:fit]
	}
	look := [tallyBuckets]bool{}
	for _, b := range wrong {
		look[b] = true
	}
	diff := map[string]*[2]int64{} // charged, recorded
	add := func(side int, ref string, amount int64) {
		if !look[v.charges.bucket(ref)] {
			return
		}
		if diff[ref] == nil {
			diff[ref] = new([2]int64)
		}
		diff[ref][side] += amount
	}
	err := v.store.walkCharges(ctx, which.From, func(ref string, amount int64) { add(0, ref, amount) })
	if err != nil {
		return err
	}
	err = v.records.Charges(ctx, which, func(r Recorded) error {
		add(1, r.Call, int64(r.Charged))
		return nil
	})
	if err != nil {
		return err
	}
	var calls []string
	for _, ref := range slices.Sorted(maps.Keys(diff)) {
		if d := diff[ref]; d[0] != d[1] {
			calls = append(calls, ref)
		}
	}
	for some := range slices.Chunk(calls, lookup) {
		facts, err := v.store.callFacts(ctx, some)
		if err != nil {
			return err
		}
		for _, ref := range some {
			f := facts[ref]
			v.report("V6", f.user, "call %s: charged %s, its usage record says %s (lane %d, seq %d)", ref, micro(diff[ref][0]), micro(diff[ref][1]), f.lane, f.seq)
		}
	}
	return nil
}
