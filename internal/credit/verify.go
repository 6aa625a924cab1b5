package credit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/rephlo/rephlo/internal/money"
)

// VerifyOptions narrow a verification. The zero value checks everything.
type VerifyOptions struct {
	// User limits the findings about grants and calls to one user. Chains and
	// sums are always checked.
	User string
}

// Finding is one thing that is not as it must be.
type Finding struct {
	Check string // V1 (chain), V2 (sums), V3 (grants), V4 (holds), V6 (usage records)
	User  string // empty when it concerns no user
	Text  string
}

func (f Finding) String() string { return f.Check + " " + f.Text }

// Summary says what was read.
type Summary struct {
	Transfers, Lanes, Grants, OpenHolds, Findings int64
	Head                                          string // of the lane that wrote last: its hash in hex
}

// Verify recomputes the ledger from its transfers, in one ordered pass over
// one snapshot, beside a running service. It calls found for everything that
// differs and changes nothing. An error means that it could not read to the
// end, not that something is wrong.
func (s *Service) Verify(ctx context.Context, o VerifyOptions, found func(Finding)) (Summary, error) {
	v := &verifier{
		store: s.store, records: s.records, options: o, found: found,
		grants: map[int64]*grantSums{}, open: map[holdPart]heldPart{}, refs: map[string]*openRef{},
	}
	err := s.db.ReadTx(ctx, v.run)
	if err != nil {
		return v.summary, fmt.Errorf("verify the ledger: %w", err)
	}
	return v.summary, nil
}

// verifier carries what one pass has seen. Its memory grows with the grants
// and the open holds, not with the transfers.
type verifier struct {
	store   store
	records Records
	options VerifyOptions
	found   func(Finding)
	summary Summary

	hash    hasher
	grants  map[int64]*grantSums
	open    map[holdPart]heldPart
	refs    map[string]*openRef // of the open parts
	issued  int64
	rolled  int64 // rollover_out - rollover_in
	byLane  int64 // issued, as the lanes say
	charges tally // of the transfers
	usage   tally // of the records
	running charged
}

// grantSums is what the transfers say about a grant.
type grantSums struct {
	in, out, held int64
	lane, seq     int64 // the last transfer
}

type holdPart struct {
	ref  string
	part int64
}

type heldPart struct {
	grant, amount int64
	lane          int64
}

type openRef struct {
	amount, lane int64
	parts        int
}

// charged sums the parts of one call while they follow one another.
type charged struct {
	ref, user string
	amount    int64
}

func (v *verifier) report(check, user, format string, args ...any) {
	if v.options.User != "" && user != "" && user != v.options.User {
		return
	}
	v.summary.Findings++
	v.found(Finding{Check: check, User: user, Text: fmt.Sprintf(format, args...)})
}

func (v *verifier) run(ctx context.Context) error {
	lanes, err := v.store.lanesIssued(ctx)
	if err != nil {
		return err
	}
	var latest int64
	for _, l := range lanes {
		v.byLane += l.issued
		last, err := v.lane(ctx, l)
		if err != nil {
			return err
		}
		if last >= latest {
			latest, v.summary.Head = last, fmt.Sprintf("%x", l.head.hash)
		}
	}
	v.summary.Lanes = int64(len(lanes))
	if n, err := v.store.strayTransfers(ctx); err != nil {
		return err
	} else if n > 0 {
		v.report("V1", "", "%d transfers are in no lane", n)
	}
	v.flushCharge()
	v.sums()
	if err := v.checkGrants(ctx); err != nil {
		return err
	}
	if err := v.checkHolds(ctx); err != nil {
		return err
	}
	return v.checkUsage(ctx)
}

// lane walks one lane's batches and transfers side by side and returns when it
// wrote last.
func (v *verifier) lane(ctx context.Context, l laneIssued) (at int64, err error) {
	var (
		batches   = batchCursor{store: v.store, lane: l.lane}
		transfers = transferCursor{store: v.store, lane: l.lane}
		end       head
		buf       []transfer
	)
	for {
		b, ok, err := batches.next(ctx)
		if err != nil {
			return 0, err
		}
		if !ok {
			break
		}
		at = b.at
		if b.head.batch <= end.batch || b.head.first != end.last+1 || b.head.prev != end.hash {
			v.report("V1", "", "lane %d batch %d does not follow batch %d (seq %d to %d after %d)", l.lane, b.head.batch, end.batch, b.head.first, b.head.last, end.last)
		}
		buf = buf[:0]
		for {
			t, ok, err := transfers.peek(ctx)
			if err != nil {
				return 0, err
			}
			if !ok || t.seq > b.head.last {
				break
			}
			transfers.skip()
			buf = append(buf, t)
			v.transfer(&t)
			if len(buf) > maxBatchRead {
				break
			}
		}
		v.batch(l.lane, b.head, buf)
		end = b.head
	}
	for {
		t, ok, err := transfers.peek(ctx)
		if err != nil {
			return 0, err
		}
		if !ok {
			break
		}
		transfers.skip()
		v.report("V1", t.user, "lane %d seq %d is in no batch", l.lane, t.seq)
		v.transfer(&t)
	}
	if end.hash != l.head.hash || end.last != l.head.last || end.batch > l.head.batch {
		v.report("V1", "", "lane %d: its head is at seq %d, hash %x; its last batch ends at seq %d, hash %x", l.lane, l.head.last, l.head.hash[:6], end.last, end.hash[:6])
	}
	return at, nil
}

// maxBatchRead bounds the memory that a batch with a wrong end can take.
const maxBatchRead = 1 << 20

// batch recomputes one batch from its transfers.
func (v *verifier) batch(lane int64, b head, ts []transfer) {
	for i := range ts {
		if want := b.first + int64(i); ts[i].seq != want {
			v.report("V1", "", "lane %d batch %d: seq %d is missing", lane, b.batch, want)
			return
		}
	}
	if int64(len(ts)) != b.last-b.first+1 {
		v.report("V1", "", "lane %d batch %d: seq %d is missing", lane, b.batch, b.first+int64(len(ts)))
		return
	}
	if root := v.hash.root(ts); root != b.root {
		v.report("V1", "", "lane %d batch %d (seq %d to %d): a transfer was changed, root %x instead of %x", lane, b.batch, b.first, b.last, root[:6], b.root[:6])
	}
	if hash := v.hash.link(lane, b); hash != b.hash {
		v.report("V1", "", "lane %d batch %d: its hash is %x, computed %x", lane, b.batch, b.hash[:6], hash[:6])
	}
}

// transfer adds one line to the sums.
func (v *verifier) transfer(t *transfer) {
	v.summary.Transfers++
	g := v.grants[t.grant]
	if g == nil {
		g = &grantSums{}
		v.grants[t.grant] = g
	}
	g.lane, g.seq = t.lane, t.seq
	switch t.kind {
	case kindGrant:
		g.in += t.amount
		v.issued += t.amount
	case kindRolloverIn, kindReversal:
		g.in += t.amount
		if t.kind == kindRolloverIn {
			v.rolled -= t.amount
		}
	case kindHold:
		v.hold(t, g)
	case kindCharge, kindRelease:
		v.ending(t, g)
	case kindExpire, kindRolloverOut, kindAdjust, kindClawback:
		g.out += t.amount
		if t.kind == kindRolloverOut {
			v.rolled += t.amount
		}
	default:
		v.report("V4", t.user, "lane %d seq %d has the unknown kind %q", t.lane, t.seq, t.kind)
	}
}

func (v *verifier) hold(t *transfer, g *grantSums) {
	key := holdPart{t.ref, t.part}
	if _, ok := v.open[key]; ok {
		v.report("V4", t.user, "call %s part %d is held twice", t.ref, t.part)
	}
	v.open[key] = heldPart{grant: t.grant, amount: t.amount, lane: t.lane}
	g.held += t.amount
	r := v.refs[t.ref]
	if r == nil {
		r = &openRef{lane: t.lane}
		v.refs[t.ref] = r
	}
	r.amount += t.amount
	r.parts++
}

func (v *verifier) ending(t *transfer, g *grantSums) {
	key := holdPart{t.ref, t.part - 1}
	h, ok := v.open[key]
	switch {
	case !ok:
		v.report("V4", t.user, "call %s: the %s of lane %d seq %d has no open hold", t.ref, t.kind, t.lane, t.seq)
	case h.grant != t.grant || h.lane != t.lane:
		v.report("V4", t.user, "call %s: the %s of lane %d seq %d names another grant or lane than its hold", t.ref, t.kind, t.lane, t.seq)
	case t.amount > h.amount:
		v.report("V4", t.user, "call %s: charge %s above its hold of %s (lane %d, seq %d)", t.ref, money.Credits(t.amount), money.Credits(h.amount), t.lane, t.seq)
	case t.kind == kindRelease && t.amount != h.amount:
		v.report("V4", t.user, "call %s: release %s of a hold of %s (lane %d, seq %d)", t.ref, money.Credits(t.amount), money.Credits(h.amount), t.lane, t.seq)
	}
	if ok {
		delete(v.open, key)
		if held := v.grants[h.grant]; held != nil {
			held.held -= h.amount
		}
		if r := v.refs[t.ref]; r != nil {
			r.amount -= h.amount
			if r.parts--; r.parts == 0 {
				delete(v.refs, t.ref)
			}
		}
	}
	if t.kind == kindCharge {
		g.out += t.amount
		if v.running.ref != t.ref {
			v.flushCharge()
			v.running = charged{ref: t.ref, user: t.user}
		}
		v.running.amount += t.amount
	}
}

func (v *verifier) flushCharge() {
	if v.running.ref != "" {
		v.charges.add(v.running.ref, v.running.amount)
	}
	v.running = charged{}
}

func (v *verifier) sums() {
	if v.issued != v.byLane {
		v.report("V2", "", "the lanes say that %s was issued, the transfers %s", money.Credits(v.byLane), money.Credits(v.issued))
	}
	if v.rolled != 0 {
		v.report("V2", "", "rollover does not balance: %s went out and did not come in", money.Credits(v.rolled))
	}
}

// tally is a set of (call, amount) in a form that does not depend on its order:
// sums of hashes, in buckets so that a difference is found in a few of them.
type tally struct {
	buckets [tallyBuckets][4]uint64
}

const tallyBuckets = 1024

func (y *tally) add(ref string, amount int64) {
	h := tallyHash(ref, amount)
	b := &y.buckets[bucketOf(ref)]
	for i := range b {
		b[i] += binary.LittleEndian.Uint64(h[8*i:])
	}
}

func tallyHash(ref string, amount int64) digest {
	return sha256.Sum256(appendString(appendInts(make([]byte, 0, 64), amount), ref))
}

func bucketOf(ref string) int {
	h := sha256.Sum256([]byte(ref))
	return int(binary.LittleEndian.Uint16(h[:]) % tallyBuckets)
}

// differing returns the buckets in which y and other are not the same.
func (y *tally) differing(other *tally) map[int]bool {
	out := map[int]bool{}
	for i := range y.buckets {
		if !slices.Equal(y.buckets[i][:], other.buckets[i][:]) {
			out[i] = true
		}
	}
	return out
}
