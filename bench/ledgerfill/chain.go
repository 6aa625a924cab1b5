package ledgerfill

import (
	"crypto/sha256"
	"encoding/binary"
)

type transfer struct {
	lane, seq     int64
	kind, user    string
	grant, amount int64
	ref           string
	part          int64
	cause, actor  string
	at            int64
}

// leaf is SHA-256 over a zero byte and the fields in column order: integers
// big-endian in 8 bytes, strings behind their length in 4.
func (t *transfer) leaf(b []byte) ([32]byte, []byte) {
	b = append(b[:0], 0)
	number := func(n int64) { b = binary.BigEndian.AppendUint64(b, uint64(n)) }
	text := func(s string) { b = append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...) }
	number(t.lane)
	number(t.seq)
	text(t.kind)
	text(t.user)
	number(t.grant)
	number(t.amount)
	text(t.ref)
	number(t.part)
	text(t.cause)
	text(t.actor)
	number(t.at)
	return sha256.Sum256(b), b
}

// root is the Merkle tree hash of RFC 6962, by its definition.
func root(leaves [][32]byte) [32]byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	var b [65]byte
	b[0] = 1
	left, right := root(leaves[:k]), root(leaves[k:])
	copy(b[1:], left[:])
	copy(b[33:], right[:])
	return sha256.Sum256(b[:])
}

// batch is what is stored of one.
type batch struct {
	lane, no, first, last int64
	prev, root, hash      [32]byte
	at                    int64
}

// lane is a chain that grows.
type lane struct {
	no, seq, batch, issued int64
	hash                   [32]byte
	buf                    []byte
	leaves                 [][32]byte
}

// add numbers ts, puts them into the next batch and returns it.
func (l *lane) add(ts []transfer, at int64) batch {
	l.batch++
	b := batch{lane: l.no, no: l.batch, first: l.seq + 1, last: l.seq + int64(len(ts)), prev: l.hash, at: at}
	l.leaves = l.leaves[:0]
	for i := range ts {
		l.seq++
		ts[i].lane, ts[i].seq, ts[i].at = l.no, l.seq, at
		var h [32]byte
		h, l.buf = ts[i].leaf(l.buf)
		l.leaves = append(l.leaves, h)
		if ts[i].kind == "grant" {
			l.issued += ts[i].amount
		}
	}
	b.root = root(l.leaves)
	m := append(l.buf[:0], b.prev[:]...)
	for _, n := range []int64{b.lane, b.no, b.first, b.last} {
		m = binary.BigEndian.AppendUint64(m, uint64(n))
	}
	b.hash = sha256.Sum256(append(m, b.root[:]...))
	l.hash = b.hash
	return b
}
