package credit

import (
	"crypto/sha256"
	"encoding/binary"
)

// kind is what a transfer does; it fixes both sides of it.
type kind string

const (
	kindGrant       kind = "grant"
	kindHold        kind = "hold"
	kindCharge      kind = "charge"
	kindRelease     kind = "release"
	kindExpire      kind = "expire"
	kindRolloverOut kind = "rollover_out"
	kindRolloverIn  kind = "rollover_in"
	kindAdjust      kind = "adjust"
	kindClawback    kind = "clawback"
	kindReversal    kind = "reversal"
)

// transfer is one line of the ledger.
type transfer struct {
	lane, seq     int64
	kind          kind
	user          string
	grant, amount int64
	ref           string
	part          int64
	cause, actor  string
	at            int64
}

// digest is a SHA-256 value.
type digest = [sha256.Size]byte

// canonical appends what is hashed of t: its fields in column order, integers
// with 8 bytes big-endian, strings after their length in 4 bytes.
func (t *transfer) canonical(b []byte) []byte {
	b = appendInts(b, t.lane, t.seq)
	b = appendString(b, string(t.kind))
	b = appendString(b, t.user)
	b = appendInts(b, t.grant, t.amount)
	b = appendString(b, t.ref)
	b = appendInts(b, t.part)
	b = appendString(b, t.cause)
	b = appendString(b, t.actor)
	return appendInts(b, t.at)
}

func appendInts(b []byte, values ...int64) []byte {
	for _, v := range values {
		b = binary.BigEndian.AppendUint64(b, uint64(v)) //nolint:gosec // the bits are hashed, whatever their sign
	}
	return b
}

func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s))) //nolint:gosec // our strings are short
	return append(b, s...)
}

// hasher computes the hashes of batches; it keeps its buffers.
type hasher struct {
	buf    []byte
	leaves []digest
}

// root returns the Merkle root of ts as RFC 6962 section 2.1 defines it.
func (h *hasher) root(ts []transfer) digest {
	h.leaves = h.leaves[:0]
	for i := range ts {
		h.leaves = append(h.leaves, h.leaf(&ts[i]))
	}
	return merkle(h.leaves)
}

// leaf returns the hash of one transfer.
func (h *hasher) leaf(t *transfer) digest {
	h.buf = t.canonical(append(h.buf[:0], 0))
	return sha256.Sum256(h.buf)
}

// join returns the hash of a node over two others.
func join(left, right *digest) digest {
	var pair [1 + 2*sha256.Size]byte
	pair[0] = 1
	copy(pair[1:], left[:])
	copy(pair[1+sha256.Size:], right[:])
	return sha256.Sum256(pair[:])
}

// merkle reduces leaves, which it overwrites. Joining neighbours and carrying
// an odd last node up gives the tree of RFC 6962.
func merkle(nodes []digest) digest {
	if len(nodes) == 0 {
		return sha256.Sum256(nil)
	}
	for len(nodes) > 1 {
		n := 0
		for i := 0; i+1 < len(nodes); i += 2 {
			nodes[n] = join(&nodes[i], &nodes[i+1])
			n++
		}
		if len(nodes)%2 == 1 {
			nodes[n] = nodes[len(nodes)-1]
			n++
		}
		nodes = nodes[:n]
	}
	return nodes[0]
}

// head is the last batch of a lane.
type head struct {
	batch, first, last int64
	prev, root, hash   digest
}

// link returns the hash that chains a batch to the one before it.
func (h *hasher) link(lane int64, b head) digest {
	h.buf = append(h.buf[:0], b.prev[:]...)
	h.buf = appendInts(h.buf, lane, b.batch, b.first, b.last)
	h.buf = append(h.buf, b.root[:]...)
	return sha256.Sum256(h.buf)
}
