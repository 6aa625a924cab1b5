package keys

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/identity/oauth"
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
	generation  int64
	public      *ecdsa.PublicKey
	private     *ecdsa.PrivateKey // nil once it has retired
	publishedAt time.Time
	activeFrom  time.Time
	retireAt    time.Time
	removeAt    time.Time
}

// newKey makes an ES256 key that signs from the given time.
func newKey(generation int64, now, from time.Time) (key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return key{}, fmt.Errorf("make signing key: %w", err)
	}
	k := key{
		generation: generation, private: private, public: &private.PublicKey,
		publishedAt: now, activeFrom: from, retireAt: from.Add(active), removeAt: from.Add(active + retired),
	}
	j, err := k.jwk()
	if err != nil {
		return key{}, err
	}
	k.kid = j.thumbprint()
	return k, nil
}

// jwk is a public key as JSON (RFC 7517, RFC 7518 section 6.2).
type jwk struct {
	Kty string `json:"kty"`
	Crv string `json:"crv"`
	X   string `json:"x"`
	Y   string `json:"y"`
	Kid string `json:"kid"`
	Alg string `json:"alg"`
	Use string `json:"use"`
}

func (k key) jwk() (jwk, error) {
	point, err := k.public.Bytes() // 4, x, y
	if err != nil {
		return jwk{}, fmt.Errorf("encode public key: %w", err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	return jwk{Kty: "EC", Crv: "P-256", X: enc(point[1:33]), Y: enc(point[33:]), Kid: k.kid, Alg: oauth.AlgES256, Use: "sig"}, nil
}

// thumbprint names a key by its content (RFC 7638): the required members in
// lexical order.
func (j jwk) thumbprint() string {
	sum := sha256.Sum256([]byte(`{"crv":"` + j.Crv + `","kty":"` + j.Kty + `","x":"` + j.X + `","y":"` + j.Y + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ring is all keys that exist, oldest first, with what is made from them.
// It does not change; a new one takes its place.
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

// signer returns the key that signs at the time: the newest that is active.
func (r *ring) signer(now time.Time) (key, bool) {
	for _, k := range slices.Backward(r.keys) {
		if k.private != nil && !k.activeFrom.After(now) && k.retireAt.After(now) {
			return k, true
		}
	}
	return key{}, false
}

// due returns when a successor must begin to sign; false while none is needed.
func (r *ring) due(now time.Time) (from time.Time, yes bool) {
	if len(r.keys) == 0 {
		return now, true
	}
	last := r.keys[len(r.keys)-1]
	if !last.retireAt.After(now) { // this program was off for months
		return now, true
	}
	return last.retireAt, last.retireAt.Sub(now) <= ahead
}
