package credit

import (
	"hash/maphash"
	"strings"
)

// grantSums is what the transfers say about a grant.
type grantSums struct {
	in, out   int64
	lane, seq int64  // the last transfer
	user, ref uint64 // hashes: of the first transfer's user, and of what first put something in
	others    bool   // a transfer names another user

	usedAt, usedLane, usedSeq int64 // the last hold
	overAt                    int64 // the first end of life, or 0
}

// totals are the balances of the system accounts, in µcr.
type totals struct{ issued, used, expired, adjusted, clawed, reversed, rolledOut, rolledIn int64 }

type holdPart struct {
	ref  string
	part int64
}

type heldPart struct {
	grant, amount int64
	lane, seq     int64
	user          string
}

type ended struct {
	heldPart
	kind kind
}

// verifySeed is of the hashes that are compared within one process.
var verifySeed = maphash.MakeSeed()

func hashOf(s string) uint64 { return maphash.String(verifySeed, s) }

// expireSlack is how far two nodes' clocks may be apart.
const expireSlack = 2_000_000

// transfer adds one line to the sums.
func (v *verifier) transfer(t *transfer) {
	v.summary.Transfers++
	g := v.grants[t.grant]
	if g == nil {
		g = &grantSums{user: hashOf(t.user)}
		v.grants[t.grant] = g
	}
	if v.since != nil {
		v.since.users[t.user] = struct{}{}
	}
	g.lane, g.seq = t.lane, t.seq
	g.others = g.others || g.user != hashOf(t.user)
	switch t.kind {
	case kindGrant, kindRolloverIn, kindReversal:
		v.credit(t, g)
	case kindHold:
		v.hold(t, g)
	case kindCharge, kindRelease:
		v.ending(t, g)
	case kindExpire, kindRolloverOut, kindAdjust, kindClawback:
		v.debit(t, g)
	default:
		v.report("V4", t.user, "lane %d seq %d has the unknown kind %q", t.lane, t.seq, t.kind)
	}
}

func (v *verifier) credit(t *transfer, g *grantSums) {
	if g.in == 0 {
		g.ref = hashOf(t.ref)
	}
	g.in += t.amount
	switch t.kind { //nolint:exhaustive // the kinds that credit a grant
	case kindGrant:
		v.total.issued += t.amount
	case kindRolloverIn:
		v.total.rolledIn += t.amount
	case kindReversal:
		v.total.reversed += t.amount
	}
	if strings.HasPrefix(t.ref, reversalPrefix) {
		v.undone = append(v.undone, *t)
	} else if t.kind == kindReversal {
		v.report("V5", t.user, "lane %d seq %d is a reversal but names nothing that was reversed", t.lane, t.seq)
	}
}

// reversalPrefix stands before the reference of what a reversal gives back.
const reversalPrefix = "rev:"

func (v *verifier) debit(t *transfer, g *grantSums) {
	g.out += t.amount
	switch t.kind { //nolint:exhaustive // the kinds that debit a grant
	case kindExpire:
		v.total.expired += t.amount
		// Rollover that is trimmed is no end of life.
		if strings.HasPrefix(t.ref, "expire:") && (g.overAt == 0 || t.at < g.overAt) {
			g.overAt = t.at
		}
	case kindRolloverOut:
		v.total.rolledOut += t.amount
	case kindAdjust:
		v.total.adjusted += t.amount
	case kindClawback:
		v.total.clawed += t.amount
	}
}

func (v *verifier) hold(t *transfer, g *grantSums) {
	if t.at >= g.usedAt {
		g.usedAt, g.usedLane, g.usedSeq = t.at, t.lane, t.seq
	}
	key := holdPart{t.ref, t.part}
	h := heldPart{grant: t.grant, amount: t.amount, lane: t.lane, seq: t.seq, user: t.user}
	if e, ok := v.ends[key]; ok { // another process ended it, in an earlier lane
		delete(v.ends, key)
		v.pair(t.ref, h, e)
		return
	}
	v.open[key] = h
}

func (v *verifier) ending(t *transfer, g *grantSums) {
	key := holdPart{t.ref, t.part - 1}
	e := ended{heldPart{grant: t.grant, amount: t.amount, lane: t.lane, seq: t.seq, user: t.user}, t.kind}
	if h, ok := v.open[key]; ok {
		delete(v.open, key)
		v.pair(t.ref, h, e)
	} else {
		v.ends[key] = e
	}
	if t.kind == kindCharge {
		g.out += t.amount
		v.total.used += t.amount
		v.charged(t)
	}
}

// pair checks the ending of one part of a hold (V4).
func (v *verifier) pair(ref string, h heldPart, e ended) {
	switch {
	case h.grant != e.grant || h.user != e.user:
		v.report("V4", e.user, "call %s: the %s of lane %d seq %d names another grant or user than its hold, lane %d seq %d", ref, e.kind, e.lane, e.seq, h.lane, h.seq)
	case e.amount > h.amount:
		v.report("V4", e.user, "call %s: charge %s above its hold of %s (lane %d, seq %d)", ref, micro(e.amount), micro(h.amount), e.lane, e.seq)
	case e.kind == kindRelease && e.amount != h.amount:
		v.report("V4", e.user, "call %s: release %s of a hold of %s (lane %d, seq %d)", ref, micro(e.amount), micro(h.amount), e.lane, e.seq)
	}
}

// checkEnds reports the endings that no hold was seen of (V4).
func (v *verifier) checkEnds() {
	for key, e := range v.ends {
		v.report("V4", e.user, "call %s: the %s of lane %d seq %d has no hold", key.ref, e.kind, e.lane, e.seq)
	}
}

// tally is a set of (call, amount) in a form that does not depend on its order
// nor on how the amount of a call is parted: sums of amount times the hashes of
// the call, in buckets so that a difference is found in a few of them. The
// hashes have random seeds: nobody can make two sets agree.
type tally struct {
	buckets [tallyBuckets][4]uint64
	seeds   [4]maphash.Seed
	n       int64 // of additions
}

const tallyBuckets = 1024

func newTally() *tally {
	y := &tally{}
	for i := range y.seeds {
		y.seeds[i] = maphash.MakeSeed()
	}
	return y
}

func (y *tally) bucket(ref string) int { return int(hashOf(ref) % tallyBuckets) }

func (y *tally) add(ref string, amount int64) {
	b := &y.buckets[y.bucket(ref)]
	for i := range b {
		b[i] += maphash.String(y.seeds[i], ref) * uint64(amount) //nolint:gosec // modulo 2^64
	}
	y.n++
}

// differing returns the buckets in which y and other, of the same seeds, are
// not the same.
func (y *tally) differing(other *tally) []int {
	var out []int
	for i := range y.buckets {
		if y.buckets[i] != other.buckets[i] {
			out = append(out, i)
		}
	}
	return out
}
