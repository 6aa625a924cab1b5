package client

import (
	"crypto/subtle"
	"encoding/json"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/identity/oauth"
)

// Overlap is how long an old secret goes on working beside its successor, so
// that a client can change over without a pause.
const Overlap = 24 * time.Hour

// secretHash is a secret as it is kept. One without an end is stored as its
// bare hash.
type secretHash struct {
	Hash  string `json:"hash"`
	Until int64  `json:"until"` // microseconds; 0 has no end
}

func newSecret() (shown string, kept secretHash) {
	shown = oauth.NewSecret(oauth.PrefixSecret)
	return shown, secretHash{Hash: oauth.Hash(shown)}
}

func (h secretHash) live(now time.Time) bool { return h.Until == 0 || now.UnixMicro() < h.Until }

// MarshalJSON implements json.Marshaler.
func (h secretHash) MarshalJSON() ([]byte, error) {
	if h.Until == 0 {
		return json.Marshal(h.Hash)
	}
	type plain secretHash
	return json.Marshal(plain(h))
}

// UnmarshalJSON implements json.Unmarshaler.
func (h *secretHash) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*h = secretHash{}
		return json.Unmarshal(b, &h.Hash)
	}
	type plain secretHash
	return json.Unmarshal(b, (*plain)(h))
}

// proves reports whether secret is one of c's that still work. The time it
// takes does not tell how much of one is right.
func (c Client) proves(secret string, now time.Time) bool {
	presented, matched := []byte(oauth.Hash(secret)), 0
	for _, h := range c.secrets {
		if h.live(now) {
			matched |= subtle.ConstantTimeCompare(presented, []byte(h.Hash))
		}
	}
	return matched == 1
}

// followed returns the secrets that c has beside a new one: the newest before
// it, which ends with the overlap, or none.
func (c Client) followed(now time.Time, overlap time.Duration) []secretHash {
	live := slices.DeleteFunc(slices.Clone(c.secrets), func(h secretHash) bool { return !h.live(now) })
	if overlap <= 0 || len(live) == 0 {
		return nil
	}
	last := live[len(live)-1]
	last.Until = now.Add(overlap).UnixMicro()
	return []secretHash{last}
}
