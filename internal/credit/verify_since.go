package credit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/id"
)

// ErrNoRoot says that a verification shall begin at a day that has no root.
var ErrNoRoot = errors.New("that day has no signed root")

// since is what a verification knows that begins at a signed root: what is
// older is believed, because the root names the hash that all of it leads to.
type since struct {
	heads map[int64]batchRow  // by lane: the batch that the root names
	users map[string]struct{} // whom newer transfers name
	// from is the first call id whose charge is certainly newer than the root.
	// The charges of calls before it that end after it are in early.
	from  string
	early map[string]int64
}

// sinceSlack is how much later than the root a call must have begun so that its
// charge cannot be older than it, whatever two clocks say.
const sinceSlack = 10 * time.Second

// beginAt prepares a verification from the root of day on. The root has been
// checked before.
func (v *verifier) beginAt(ctx context.Context, day time.Time) error {
	rows, err := v.store.rootsFrom(ctx, noDay)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(rows, func(r rootRow) bool { return r.day == dayNumber(day) })
	switch {
	case len(rows) == 0:
		return fmt.Errorf("%w: %s; the ledger has none yet, verify it whole", ErrNoRoot, day.Format(time.DateOnly))
	case at < 0:
		return fmt.Errorf("%w: %s; there are roots from %s to %s", ErrNoRoot, day.Format(time.DateOnly),
			dayTime(rows[0].day).Format(time.DateOnly), dayTime(rows[len(rows)-1].day).Format(time.DateOnly))
	}
	heads, err := decodeHeads(rows[at].heads)
	if err != nil {
		return fmt.Errorf("root of %s: %w", day.Format(time.DateOnly), err)
	}
	v.since = &since{
		heads: map[int64]batchRow{}, users: map[string]struct{}{}, early: map[string]int64{},
		from: id.First("call", dayTime(rows[at].day+1).Add(sinceSlack)),
	}
	for _, h := range heads {
		b, ok, err := v.store.batchAt(ctx, h.Lane, h.Batch)
		if err != nil {
			return err
		}
		if !ok || b.head.hash != h.Hash || v.hash.link(h.Lane, b.head) != h.Hash {
			v.report("V1", "", "lane %d batch %d is not what the root of %s says; the lane is verified whole", h.Lane, h.Batch, day.Format(time.DateOnly))
			continue
		}
		v.since.heads[h.Lane] = b
	}
	return nil
}

// start is where the walk over a lane begins: behind the batch that the root
// names, or at its beginning.
func (v *verifier) start(lane int64) batchRow {
	if v.since == nil {
		return batchRow{}
	}
	return v.since.heads[lane]
}

// charged puts a charge where it will be compared with its usage record.
func (v *verifier) charged(t *transfer) {
	if v.since != nil && t.ref < v.since.from {
		v.since.early[t.ref] += t.amount
		return
	}
	v.charges.add(t.ref, t.amount)
}

// complete reads of what is older than the root all that newer transfers and
// open rows refer to, and the sums of the grants that were touched in full.
func (v *verifier) complete(ctx context.Context) error {
	if v.since == nil {
		return nil
	}
	var refs []string
	for key := range v.ends {
		refs = append(refs, key.ref)
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
		refs = append(refs, h.ref)
	}
	slices.Sort(refs)
	for some := range slices.Chunk(slices.Compact(refs), lookup) {
		if err := v.completeHolds(ctx, some); err != nil {
			return err
		}
	}
	for some := range slices.Chunk(slices.Sorted(maps.Keys(v.since.users)), lookup) {
		sums, err := v.store.sumsOfUsers(ctx, some)
		if err != nil {
			return err
		}
		for grant, s := range sums {
			if g := v.grants[grant]; g != nil {
				g.in, g.out = s.in, s.out
			}
		}
	}
	return nil
}

// completeHolds adds the holds of some calls that are older than the root.
func (v *verifier) completeHolds(ctx context.Context, calls []string) error {
	ts, err := v.store.transfersOf(ctx, calls)
	if err != nil {
		return err
	}
	over := map[holdPart]bool{}
	for _, t := range ts {
		if t.kind == kindCharge || t.kind == kindRelease {
			over[holdPart{t.ref, t.part - 1}] = true
		}
	}
	for i := range ts {
		t := &ts[i]
		key := holdPart{t.ref, t.part}
		if t.kind != kindHold || t.seq > v.start(t.lane).head.last {
			continue // the walk has seen it
		}
		h := heldPart{grant: t.grant, amount: t.amount, lane: t.lane, seq: t.seq, user: t.user}
		if e, ok := v.ends[key]; ok {
			delete(v.ends, key)
			v.pair(t.ref, h, e)
		} else if !over[key] {
			v.open[key] = h
		}
	}
	return nil
}

// checkEarly compares the calls that began before the root and ended after it
// with their usage records (V6).
func (v *verifier) checkEarly(ctx context.Context, note func(Recorded)) error {
	if v.since == nil || len(v.since.early) == 0 {
		return nil
	}
	recorded := map[string]int64{}
	calls := slices.Sorted(maps.Keys(v.since.early))
	err := v.records.Charges(ctx, Which{Calls: calls}, func(r Recorded) error {
		note(r)
		recorded[r.Call] += int64(r.Charged)
		return nil
	})
	if err != nil {
		return err
	}
	for _, call := range calls {
		if was := v.since.early[call]; was != recorded[call] {
			v.report("V6", "", "call %s: charged %s, its usage record says %s", call, micro(was), micro(recorded[call]))
		}
	}
	return nil
}
