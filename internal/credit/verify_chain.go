package credit

import (
	"context"
	"crypto/sha256"
	"math"
)

// tree computes the root over leaves that arrive one by one, in little memory:
// nodes[i] covers 2^i leaves when that bit of n is set.
type tree struct {
	nodes [64]digest
	n     uint64
}

func (t *tree) reset() { t.n = 0 }

func (t *tree) add(leaf digest) {
	i := 0
	for ; t.n>>i&1 == 1; i++ {
		leaf = join(&t.nodes[i], &leaf)
	}
	t.nodes[i] = leaf
	t.n++
}

// root returns what merkle returns for the same leaves.
func (t *tree) root() digest {
	if t.n == 0 {
		return sha256.Sum256(nil)
	}
	var out digest
	first := true
	for i := range t.nodes {
		if t.n>>i&1 == 0 {
			continue
		}
		if first {
			out, first = t.nodes[i], false
		} else {
			out = join(&t.nodes[i], &out)
		}
	}
	return out
}

// laneWalk follows one lane's batches and transfers side by side (V1).
type laneWalk struct {
	v       *verifier
	lane    int64
	end     head       // the batch before
	at      int64      // when it was written
	waiting []batchRow // whose transfers come next
	leaves  tree       // of waiting[0]
	missing int64      // the first seq that waiting[0] lacks, or 0
	wrongAt int64      // the first seq whose time is not its batch's, or 0
	issued  int64
	roots   []expected // of the batches that follow, in order
}

// lane checks one lane's chain, adds its transfers to the sums and returns when
// it wrote last.
func (v *verifier) lane(ctx context.Context, l laneIssued) (at int64, err error) {
	from := v.start(l.lane)
	w := &laneWalk{v: v, lane: l.lane, roots: v.roots[l.lane], end: from.head, at: from.at}
	for len(w.roots) > 0 && w.roots[0].batch <= from.head.batch {
		w.roots = w.roots[1:]
	}
	err = v.store.walkLane(ctx, l.lane, from.head, func(c *laneChunk) {
		w.waiting = append(w.waiting, c.batches...)
		for i := range c.transfers {
			w.transfer(&c.transfers[i])
		}
	})
	if err != nil {
		return 0, err
	}
	for len(w.waiting) > 0 {
		w.finish()
	}
	w.signed(head{batch: math.MaxInt64})
	end := w.end
	if end.hash != l.head.hash || end.last != l.head.last || end.batch > l.head.batch {
		v.report("V1", "", "lane %d: its head is batch %d, seq %d, hash %x; its last batch is %d, ends at seq %d, hash %x",
			l.lane, l.head.batch, l.head.last, l.head.hash[:6], end.batch, end.last, end.hash[:6])
	}
	if v.since == nil && w.issued != l.issued {
		v.report("V2", "", "lane %d says that %s was issued, its transfers %s", l.lane, micro(l.issued), micro(w.issued))
	}
	return w.at, nil
}

// transfer puts t under its batch and into the sums.
func (w *laneWalk) transfer(t *transfer) {
	for len(w.waiting) > 0 && t.seq > w.waiting[0].head.last {
		w.finish()
	}
	if len(w.waiting) == 0 || t.seq < w.waiting[0].head.first {
		w.v.report("V1", t.user, "lane %d seq %d is in no batch", w.lane, t.seq)
	} else {
		b := &w.waiting[0]
		if want := b.head.first + int64(w.leaves.n); t.seq != want && w.missing == 0 { //nolint:gosec // a count of rows
			w.missing = want
		}
		if t.at != b.at && w.wrongAt == 0 {
			w.wrongAt = t.seq
		}
		w.leaves.add(w.v.hash.leaf(t))
	}
	if t.kind == kindGrant {
		w.issued += t.amount
	}
	w.v.transfer(t)
}

// finish checks the first batch that waits; all its transfers have been seen.
func (w *laneWalk) finish() {
	row := w.waiting[0]
	b := row.head
	v := w.v
	if b.batch <= w.end.batch || b.first != w.end.last+1 || b.prev != w.end.hash {
		v.report("V1", "", "lane %d batch %d (seq %d to %d) does not follow batch %d (to seq %d)", w.lane, b.batch, b.first, b.last, w.end.batch, w.end.last)
	}
	if n := int64(w.leaves.n); w.missing == 0 && n != b.last-b.first+1 { //nolint:gosec // a count of rows
		w.missing = b.first + n
	}
	if w.missing != 0 {
		v.report("V1", "", "lane %d batch %d (seq %d to %d): seq %d is missing", w.lane, b.batch, b.first, b.last, w.missing)
	} else if root := w.leaves.root(); root != b.root {
		v.report("V1", "", "lane %d batch %d (seq %d to %d): a transfer was changed, root %x instead of %x", w.lane, b.batch, b.first, b.last, root[:6], b.root[:6])
	}
	if w.wrongAt != 0 {
		v.report("V1", "", "lane %d batch %d (seq %d to %d): seq %d has another time than its batch", w.lane, b.batch, b.first, b.last, w.wrongAt)
	}
	if hash := v.hash.link(w.lane, b); hash != b.hash {
		v.report("V1", "", "lane %d batch %d (seq %d to %d): its hash is %x, computed %x", w.lane, b.batch, b.first, b.last, b.hash[:6], hash[:6])
	}
	w.signed(b)
	w.end, w.at = b, row.at
	w.waiting = w.waiting[1:]
	w.leaves.reset()
	w.missing, w.wrongAt = 0, 0
}
