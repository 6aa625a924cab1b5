package credit

import (
	"context"
	"time"
)

// expected is what a signed root says about one batch.
type expected struct {
	batch int64
	hash  digest
	day   time.Time
}

// checkRoots checks the keys, the signatures and the chain of the roots (V1),
// and notes what they say about the lanes, for the pass over them.
func (v *verifier) checkRoots(ctx context.Context) error {
	keys, err := v.checkKeys(ctx)
	if err != nil {
		return err
	}
	rows, err := v.store.rootsFrom(ctx, noDay)
	if err != nil {
		return err
	}
	v.roots = map[int64][]expected{}
	var before rootRow
	last := map[int64]RootHead{}
	for i, row := range rows {
		day := dayTime(row.day).Format(time.DateOnly)
		if i > 0 && row.day != before.day+1 {
			v.report("V1", "", "the root of %s is missing", dayTime(before.day+1).Format(time.DateOnly))
		}
		if row.prev != before.root {
			v.report("V1", "", "root of %s: it does not follow the root before it", day)
		}
		before = row
		r, err := row.decoded(keys)
		if err != nil {
			v.report("V1", "", "root of %s: %v", day, err)
			continue
		}
		if root := rootOf(r.Heads); root != r.Root {
			v.report("V1", "", "root of %s: it is %x, computed %x", day, r.Root[:6], root[:6])
		}
		if r.Key.No == 0 {
			v.report("V1", "", "root of %s: its key %s does not exist", day, r.Key.ID)
		} else if !validSignature(r.Key.Public, r.signed(), r.Signature) {
			v.report("V1", "", "root of %s: its signature is not of the key %s", day, r.Key.ID)
		}
		now := map[int64]RootHead{}
		for _, h := range r.Heads {
			now[h.Lane] = h
			if was, ok := last[h.Lane]; !ok || was != h {
				v.roots[h.Lane] = append(v.roots[h.Lane], expected{h.Batch, h.Hash, r.Day})
			}
		}
		for lane, was := range last {
			if is, ok := now[lane]; !ok || is.Batch < was.Batch {
				v.report("V1", "", "root of %s: lane %d goes back behind batch %d", day, lane, was.Batch)
			}
		}
		last = now
	}
	return nil
}

// checkKeys checks that each key is vouched for by the one before it.
func (v *verifier) checkKeys(ctx context.Context) (map[string]RootKey, error) {
	list, err := v.store.rootKeys(ctx)
	if err != nil {
		return nil, err
	}
	keys := map[string]RootKey{}
	for i, k := range list {
		voucher := k
		if i > 0 {
			voucher = list[i-1]
		}
		switch {
		case k.No != int64(i+1):
			v.report("V1", "", "signing key %d is missing before key %s", i+1, k.ID)
		case k.ID != keyID(k.Public):
			v.report("V1", "", "signing key %d: its name is %s, computed %s", k.No, k.ID, keyID(k.Public))
		case !validSignature(voucher.Public, k.vouched(), k.Signature):
			v.report("V1", "", "signing key %d, %s: the key before it does not vouch for it", k.No, k.ID)
		}
		keys[k.ID] = k
	}
	return keys, nil
}

// signed compares a batch with the roots that name it.
func (w *laneWalk) signed(b head) {
	for ; len(w.roots) > 0 && w.roots[0].batch <= b.batch; w.roots = w.roots[1:] {
		r := w.roots[0]
		if r.batch < b.batch {
			w.v.report("V1", "", "lane %d: the root of %s names batch %d, which is missing", w.lane, r.day.Format(time.DateOnly), r.batch)
		} else if r.hash != b.hash {
			w.v.report("V1", "", "lane %d batch %d (seq %d to %d): its hash is %x, the root of %s says %x", w.lane, b.batch, b.first, b.last, b.hash[:6], r.day.Format(time.DateOnly), r.hash[:6])
		}
	}
}
