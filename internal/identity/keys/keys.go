package keys

import (
	"crypto"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Times in the life of a key.
const (
	pending = 24 * time.Hour      // published before it signs
	active  = 90 * 24 * time.Hour // signs
	// retired is how long it then verifies: the longest access token's life
	// and an hour.
	retired = 25 * time.Hour
	// ahead is how long before its end a key gets a successor. It is longer
	// than pending by more than the pause between two calls of Maintain.
	ahead = pending + 3*time.Hour
)

// key is a stored key.
type key struct {
	kid         string
	alg         string
	generation  int64 // among those of its algorithm
	public      crypto.PublicKey
	private     crypto.Signer // nil once it has retired
	publishedAt time.Time
	activeFrom  time.Time
	retireAt    time.Time
	removeAt    time.Time
}

// newKey makes a key for alg that signs from the given time.
func newKey(alg string, generation int64, now, from time.Time) (key, error) {
	private, err := generate(alg)
	if err != nil {
		return key{}, fmt.Errorf("make signing key: %w", err)
	}
	k := key{
		alg: alg, generation: generation, private: private, public: private.Public(),
		publishedAt: now, activeFrom: from, retireAt: from.Add(active), removeAt: from.Add(active + retired),
	}
	j, err := k.jwk()
	if err != nil {
		return key{}, err
	}
	k.kid = j.thumbprint()
	return k, nil
}

// ring is all keys that exist, oldest first within their algorithm, with what
// is made from them. It does not change; a new one takes its place.
type ring struct {
	keys  []key
	byKid map[string]key
	jwks  []byte
}

func newRing(list []key, now time.Time) (*ring, error) {
	r := &ring{byKid: map[string]key{}}
	document := struct {
		Keys []jwk `json:"keys"`
	}{[]jwk{}}
	for _, k := range list {
		if !k.removeAt.After(now) {
			continue
		}
		j, err := k.jwk()
		if err != nil {
			return nil, err
		}
		document.Keys = append(document.Keys, j)
		r.keys, r.byKid[k.kid] = append(r.keys, k), k
	}
	var err error
	r.jwks, err = json.Marshal(document)
	return r, err
}

// of returns the keys for alg, oldest first.
func (r *ring) of(alg string) []key { return ofAlg(r.keys, alg) }

func ofAlg(list []key, alg string) []key {
	return slices.DeleteFunc(slices.Clone(list), func(k key) bool { return k.alg != alg })
}

// signer returns the key that signs with alg at the time: the newest that is
// active.
func (r *ring) signer(alg string, now time.Time) (key, bool) {
	for _, k := range slices.Backward(r.keys) {
		if k.alg == alg && k.private != nil && !k.activeFrom.After(now) && k.retireAt.After(now) {
			return k, true
		}
	}
	return key{}, false
}

// due returns when a successor for alg must begin to sign; false while none is
// needed.
func (r *ring) due(alg string, now time.Time) (from time.Time, yes bool) {
	list := r.of(alg)
	if len(list) == 0 {
		return now, true
	}
	last := list[len(list)-1]
	if !last.retireAt.After(now) { // this program was off for months
		return now, true
	}
	return last.retireAt, last.retireAt.Sub(now) <= ahead
}

// nextGeneration is that of a key that follows those of list, which are of one
// algorithm.
func nextGeneration(list []key) int64 {
	if len(list) == 0 {
		return 1
	}
	return list[len(list)-1].generation + 1
}
