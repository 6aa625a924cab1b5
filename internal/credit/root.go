package credit

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Root is where all lanes stood at the end of a day, signed. Each root names
// the one of the day before. A root that was printed or exported proves later
// that nothing before it was changed, also to those who trust no database.
type Root struct {
	Day        time.Time // its midnight, UTC
	Heads      []RootHead
	Prev, Root [32]byte // Prev is zero for the first
	Key        RootKey
	Signature  []byte // Ed25519
}

// RootHead is the last batch of one lane.
type RootHead struct {
	Lane, Batch int64
	Hash        [32]byte
}

// RootKey is a key that signs roots. The key before it vouches for it; the
// first one vouches for itself.
type RootKey struct {
	ID     string // from Public
	No     int64  // 1, 2, 3 and so on
	Public []byte // Ed25519
	// Signature is by the key before it, over its number and itself.
	Signature []byte
}

// keyID names a public key.
func keyID(public []byte) string {
	sum := sha256.Sum256(public)
	return "lrk_" + hex.EncodeToString(sum[:10])
}

// vouched is what the key before one signs.
func (k RootKey) vouched() []byte {
	return append(appendInts([]byte("rephlo-ledger-key/1"), k.No), k.Public...)
}

// signed is what is signed of a root.
func (r Root) signed() []byte {
	b := appendInts([]byte("rephlo-ledger-root/1"), dayNumber(r.Day))
	b = append(b, r.Prev[:]...)
	return append(b, r.Root[:]...)
}

// Holds reports whether the root is that of its heads and the signature its
// key's. Whether the key is ours is for the reader to know.
func (r Root) Holds() bool {
	return r.Root == rootOf(r.Heads) && validSignature(r.Key.Public, r.signed(), r.Signature)
}

func validSignature(public, message, signature []byte) bool {
	return len(public) == ed25519.PublicKeySize && ed25519.Verify(public, message, signature)
}

func (h RootHead) leaf() digest {
	b := appendInts([]byte{0}, h.Lane, h.Batch)
	return sha256.Sum256(append(b, h.Hash[:]...))
}

// rootOf returns the Merkle root over heads.
func rootOf(heads []RootHead) digest {
	var t tree
	for _, h := range heads {
		t.add(h.leaf())
	}
	return t.root()
}

const daySeconds = 24 * 60 * 60

// dayNumber counts the days from 1970-01-01 to that of t.
func dayNumber(t time.Time) int64 {
	s := t.Unix()
	if s < 0 {
		s -= daySeconds - 1
	}
	return s / daySeconds
}

func dayTime(n int64) time.Time { return time.Unix(n*daySeconds, 0).UTC() }

type storedHead struct {
	Lane  int64  `json:"lane"`
	Batch int64  `json:"batch"`
	Hash  string `json:"hash"`
}

// encodeHeads returns heads as the database keeps them.
func encodeHeads(heads []RootHead) string {
	out := make([]storedHead, len(heads))
	for i, h := range heads {
		out[i] = storedHead{h.Lane, h.Batch, hex.EncodeToString(h.Hash[:])}
	}
	b, _ := json.Marshal(out) // numbers and hex always encode
	return string(b)
}

var errHeads = errors.New("not the heads of lanes")

// decodeHeads reads what encodeHeads wrote, to the byte. The lanes must rise.
func decodeHeads(text string) ([]RootHead, error) {
	var in []storedHead
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		return nil, fmt.Errorf("%w: %w", errHeads, err)
	}
	heads := make([]RootHead, len(in))
	for i, h := range in {
		hash, err := hex.DecodeString(h.Hash)
		if err != nil || len(hash) != sha256.Size {
			return nil, fmt.Errorf("%w: the hash of lane %d", errHeads, h.Lane)
		}
		if i > 0 && h.Lane <= in[i-1].Lane {
			return nil, fmt.Errorf("%w: lane %d after lane %d", errHeads, h.Lane, in[i-1].Lane)
		}
		heads[i] = RootHead{Lane: h.Lane, Batch: h.Batch, Hash: digest(hash)}
	}
	if encodeHeads(heads) != text {
		return nil, fmt.Errorf("%w: written in another way", errHeads)
	}
	return heads, nil
}

type rootJSON struct {
	Day       string       `json:"day"`
	Root      string       `json:"root"`
	Prev      string       `json:"prev"`
	Heads     []storedHead `json:"heads"`
	Key       keyJSON      `json:"key"`
	Signature []byte       `json:"signature"`
}

type keyJSON struct {
	ID        string `json:"id"`
	No        int64  `json:"no"`
	Public    []byte `json:"public"`
	Signature []byte `json:"signature"`
}

// MarshalJSON returns everything that is needed to check the signature:
// hashes in hex, keys and signatures in base64.
func (r Root) MarshalJSON() ([]byte, error) {
	out := rootJSON{
		Day: r.Day.Format(time.DateOnly), Root: hex.EncodeToString(r.Root[:]), Prev: hex.EncodeToString(r.Prev[:]),
		Heads: []storedHead{}, Key: keyJSON(r.Key), Signature: r.Signature,
	}
	for _, h := range r.Heads {
		out.Heads = append(out.Heads, storedHead{h.Lane, h.Batch, hex.EncodeToString(h.Hash[:])})
	}
	return json.Marshal(out)
}
