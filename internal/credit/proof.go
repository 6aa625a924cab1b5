package credit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/money"
)

// Hash is a SHA-256 value; as text it is hex.
type Hash [sha256.Size]byte

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// String returns the hash as text.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText implements encoding.TextMarshaler.
func (id GrantID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// Proof shows where the transfers of a call are in the ledger: each is a leaf
// of the tree of its batch, the batches of a lane are a chain, and a signed
// root names the end of the chain. Check it with nothing but itself.
type Proof struct {
	Transfers []Proven    `json:"transfers"`
	Chains    []LaneProof `json:"chains"` // one for each lane that they are in
}

// Proven is one transfer with its place.
type Proven struct {
	Lane   int64         `json:"lane"`
	Seq    int64         `json:"seq"`
	Kind   string        `json:"kind"`
	User   string        `json:"user"`
	Grant  GrantID       `json:"grant"`
	Amount money.Credits `json:"amount"`
	Ref    string        `json:"ref"`
	Part   int64         `json:"part"`
	Cause  string        `json:"cause"`
	Actor  string        `json:"actor"`
	At     time.Time     `json:"at"`
	Batch  int64         `json:"batch"`
	// Path are the hashes beside the way from the leaf to the root of the batch
	// (RFC 6962 section 2.1.1), the nearest first.
	Path []Hash `json:"path"`
}

// Link is one batch of a chain.
type Link struct {
	Batch int64 `json:"batch"`
	First int64 `json:"firstSeq"`
	Last  int64 `json:"lastSeq"`
	Root  Hash  `json:"root"`
}

// LaneProof is the chain of one lane, from the first batch that the proof needs
// to the one that a signed root names, or to the head of the lane while the day
// of the last one has no root yet.
type LaneProof struct {
	Lane   int64  `json:"lane"`
	Prev   Hash   `json:"prev"` // the hash before the first link
	Links  []Link `json:"links"`
	Head   Hash   `json:"head"`   // the hash of the last link
	Signed *Root  `json:"signed"` // nil: not yet
	Index  int    `json:"index"`  // of the lane among the heads of the root
	Path   []Hash `json:"path"`   // from that head to the root
}

// errProof says that a proof shows nothing.
var errProof = errors.New("the proof does not hold")

// transfer returns what was hashed.
func (p *Proven) transfer() transfer {
	return transfer{
		lane: p.Lane, seq: p.Seq, kind: kind(p.Kind), user: p.User, grant: int64(p.Grant), amount: int64(p.Amount),
		ref: p.Ref, part: p.Part, cause: p.Cause, actor: p.Actor, at: p.At.UnixMicro(),
	}
}

// Check computes the proof from its transfers to the signatures. Its error says
// where it breaks. Whether the key of a signature is ours is for the reader to
// know.
func (p Proof) Check() error {
	lanes := map[int64]*LaneProof{}
	for i := range p.Chains {
		c := &p.Chains[i]
		if err := c.check(); err != nil {
			return err
		}
		lanes[c.Lane] = c
	}
	var h hasher
	for i := range p.Transfers {
		t := &p.Transfers[i]
		c := lanes[t.Lane]
		if c == nil {
			return fmt.Errorf("%w: lane %d seq %d has no chain", errProof, t.Lane, t.Seq)
		}
		l, ok := c.link(t.Batch)
		if !ok || t.Seq < l.First || t.Seq > l.Last {
			return fmt.Errorf("%w: lane %d seq %d is not in batch %d", errProof, t.Lane, t.Seq, t.Batch)
		}
		leaf := t.transfer()
		if root, ok := climb(t.Seq-l.First, l.Last-l.First+1, h.leaf(&leaf), t.Path); !ok || root != digest(l.Root) {
			return fmt.Errorf("%w: lane %d seq %d does not lead to the root of batch %d", errProof, t.Lane, t.Seq, t.Batch)
		}
	}
	return nil
}

func (c *LaneProof) link(batch int64) (Link, bool) {
	for _, l := range c.Links {
		if l.Batch == batch {
			return l, true
		}
	}
	return Link{}, false
}

func (c *LaneProof) check() error {
	if len(c.Links) == 0 {
		return fmt.Errorf("%w: lane %d has no batch", errProof, c.Lane)
	}
	var h hasher
	hash := digest(c.Prev)
	for i, l := range c.Links {
		if i > 0 && (l.First != c.Links[i-1].Last+1 || l.Batch <= c.Links[i-1].Batch) {
			return fmt.Errorf("%w: lane %d batch %d does not follow batch %d", errProof, c.Lane, l.Batch, c.Links[i-1].Batch)
		}
		hash = h.link(c.Lane, head{batch: l.Batch, first: l.First, last: l.Last, prev: hash, root: digest(l.Root)})
	}
	last := c.Links[len(c.Links)-1]
	if hash != digest(c.Head) {
		return fmt.Errorf("%w: lane %d: the chain to batch %d ends at %x, not at %x", errProof, c.Lane, last.Batch, hash[:6], c.Head[:6])
	}
	if c.Signed == nil {
		return nil
	}
	r := c.Signed
	end := RootHead{Lane: c.Lane, Batch: last.Batch, Hash: hash}
	root, ok := climb(int64(c.Index), int64(len(r.Heads)), end.leaf(), c.Path)
	if !ok || root != r.Root || !r.Holds() {
		return fmt.Errorf("%w: lane %d batch %d does not lead to the signed root of %s", errProof, c.Lane, last.Batch, r.Day.Format(time.DateOnly))
	}
	return nil
}

// auditPath returns the hashes beside the way from leaf m to the root, as RFC
// 6962 section 2.1.1 defines it.
func auditPath(m int, leaves []digest) []Hash {
	if len(leaves) <= 1 {
		return []Hash{}
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	if m < k {
		return append(auditPath(m, leaves[:k]), Hash(treeRoot(leaves[k:])))
	}
	return append(auditPath(m-k, leaves[k:]), Hash(treeRoot(leaves[:k])))
}

func treeRoot(leaves []digest) digest {
	var t tree
	for _, l := range leaves {
		t.add(l)
	}
	return t.root()
}

// climb returns the root that a path leads to from the leaf with this index,
// of so many (RFC 9162 section 2.1.3.2).
func climb(index, size int64, leaf digest, path []Hash) (digest, bool) {
	if index < 0 || index >= size {
		return digest{}, false
	}
	at, last := index, size-1
	for _, beside := range path {
		if last == 0 {
			return digest{}, false
		}
		other := digest(beside)
		if at&1 == 1 || at == last {
			leaf = join(&other, &leaf)
			for at&1 == 0 && at != 0 {
				at, last = at>>1, last>>1
			}
		} else {
			leaf = join(&leaf, &other)
		}
		at, last = at>>1, last>>1
	}
	return leaf, last == 0
}
