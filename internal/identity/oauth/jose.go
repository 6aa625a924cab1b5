package oauth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	jsonv2 "github.com/go-json-experiment/json"
)

// Algorithms with which others may sign what they send us (RFC 7518 section
// 3.1, RFC 8037). RS256 is not among those of a high-security profile.
const (
	AlgPS256 = "PS256"
	AlgEdDSA = "EdDSA"
	AlgRS256 = "RS256"
)

// Algs lists the algorithms that we sign with, the usual one first.
func Algs() []string { return []string{AlgES256, AlgRS256, AlgEdDSA} }

// ClientAlgs lists the algorithms of client assertions and request objects.
func ClientAlgs() []string { return []string{AlgES256, AlgEdDSA, AlgPS256, AlgRS256} }

// StrictAlgs are ClientAlgs without RS256 (FAPI 2.0 Security Profile section
// 5.4); DPoP proofs take these only.
func StrictAlgs() []string { return []string{AlgES256, AlgEdDSA, AlgPS256} }

// Bounds of a client's keys.
const (
	MaxKeySet  = 64 << 10 // bytes
	maxKeys    = 20
	minRSABits = 2048
	maxRSABits = 4096 // a larger key makes its owner's every request expensive for us
)

// KeySet is the public keys of somebody else. The zero value has none. It is
// safe for concurrent use.
type KeySet struct{ keys []jose.JSONWebKey }

// Len returns how many usable keys there are.
func (s KeySet) Len() int { return len(s.keys) }

// Has reports whether some key has the id.
func (s KeySet) Has(kid string) bool {
	return slices.ContainsFunc(s.keys, func(k jose.JSONWebKey) bool { return k.KeyID == kid })
}

var errKeySet = errors.New("key set: not a JSON object with 1 to 20 public keys (P-256, Ed25519, or RSA of 2048 to 4096 bits)")

// ParseKeySet reads a JWK Set (RFC 7517 section 5). Keys of kinds that we do
// not verify are left out; a private or symmetric one refuses the whole set,
// because its owner has published a secret.
func ParseKeySet(raw []byte) (KeySet, error) {
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if len(raw) > MaxKeySet || json.Unmarshal(raw, &document) != nil || len(document.Keys) > maxKeys {
		return KeySet{}, errKeySet
	}
	var out KeySet
	for _, one := range document.Keys {
		if secretMembers(one) {
			return KeySet{}, errors.New("key set: a private or symmetric key must not be sent to anybody; replace it")
		}
		var k jose.JSONWebKey
		if err := json.Unmarshal(one, &k); err != nil || algOf(k) == nil || k.Use != "" && k.Use != "sig" {
			continue
		}
		out.keys = append(out.keys, k)
	}
	if len(out.keys) == 0 {
		return KeySet{}, errKeySet
	}
	return out, nil
}

// secretMembers reports whether a JWK has a part that only its owner may have.
func secretMembers(raw []byte) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return false
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, ok := members[name]; ok {
			return true
		}
	}
	return false
}

// algOf returns the algorithms that a key is good for; nil means none of ours.
func algOf(k jose.JSONWebKey) []string {
	var algs []string
	switch p := k.Key.(type) {
	case *ecdsa.PublicKey:
		if p.Curve == elliptic.P256() {
			algs = []string{AlgES256}
		}
	case ed25519.PublicKey:
		algs = []string{AlgEdDSA}
	case *rsa.PublicKey:
		if bits := p.N.BitLen(); bits >= minRSABits && bits <= maxRSABits && p.E >= 3 {
			algs = []string{AlgPS256, AlgRS256}
		}
	}
	if k.Algorithm == "" {
		return algs
	}
	if slices.Contains(algs, k.Algorithm) {
		return []string{k.Algorithm}
	}
	return nil
}

// foreignHeader is the protected header of a JWS that somebody else made.
type foreignHeader struct {
	Alg  string          `json:"alg"`
	Kid  string          `json:"kid"`
	Typ  string          `json:"typ"`
	JWK  json.RawMessage `json:"jwk"`
	Crit json.RawMessage `json:"crit"`
	// A member that leads to a key is refused rather than followed.
	JKU json.RawMessage `json:"jku"`
	X5U json.RawMessage `json:"x5u"`
	B64 json.RawMessage `json:"b64"`
}

// readHeader reads the header of a compact JWS without trusting it.
func readHeader(token string) (foreignHeader, error) {
	var h foreignHeader
	if len(token) > MaxToken || strings.Count(token, ".") != 2 || strings.ContainsAny(token, "\r\n") {
		return h, errors.New("it is not a compact JWS")
	}
	head, _, _ := strings.Cut(token, ".")
	raw, err := strict.DecodeString(head)
	if err != nil || jsonv2.Unmarshal(raw, &h) != nil { // which refuses doubled members
		return h, errors.New("its header cannot be read")
	}
	if h.Crit != nil || h.JKU != nil || h.X5U != nil || h.B64 != nil {
		return h, errors.New("its header has a member that is not supported")
	}
	return h, nil
}

// verifyForeign returns the payload of a compact JWS that one of the keys
// signed with one of the algorithms. The key decides what it is good for.
func verifyForeign(token string, h foreignHeader, keys KeySet, algs []string) ([]byte, error) {
	if !slices.Contains(algs, h.Alg) {
		return nil, fmt.Errorf("its algorithm must be one of %s", strings.Join(algs, ", "))
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(h.Alg)})
	if err != nil {
		return nil, errors.New("it is not a compact JWS")
	}
	for _, k := range keys.keys {
		if h.Kid != "" && k.KeyID != "" && k.KeyID != h.Kid || !slices.Contains(algOf(k), h.Alg) {
			continue
		}
		if payload, err := signed.Verify(k.Key); err == nil {
			return payload, nil
		}
	}
	return nil, errors.New("no key of the client verifies it")
}

// audience is an aud claim: one text or several.
type audience struct {
	values []string
	single bool // written as a text
}

// UnmarshalJSON reads both forms.
func (a *audience) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*a = audience{[]string{one}, true}
		return nil
	}
	a.single = false
	return json.Unmarshal(raw, &a.values)
}

// foreignClaims are those that every JWT of somebody else is checked for.
type foreignClaims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  audience `json:"aud"`
	Expiry    *float64 `json:"exp"`
	IssuedAt  *float64 `json:"iat"`
	NotBefore *float64 `json:"nbf"`
	JTI       string   `json:"jti"`
}

// at returns the time of a NumericDate; an absurd one is false.
func at(seconds *float64) (time.Time, bool) {
	if seconds == nil || *seconds < 0 || *seconds > 1<<40 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(*seconds * 1000)), true
}

// times checks exp, iat and nbf: exp must be there, not over, and at most life
// ahead; iat and nbf, if they are there, at most ahead in the future.
func (c foreignClaims) times(now time.Time, life, ahead time.Duration) error {
	expiry, ok := at(c.Expiry)
	switch {
	case !ok:
		return errors.New("exp is missing or no time")
	case !now.Add(-Skew).Before(expiry):
		return errors.New("exp is over")
	case expiry.After(now.Add(life + ahead)):
		return fmt.Errorf("exp must be at most %s ahead", life)
	}
	for name, value := range map[string]*float64{"iat": c.IssuedAt, "nbf": c.NotBefore} {
		if value == nil {
			continue
		}
		if when, ok := at(value); !ok || when.After(now.Add(ahead)) {
			return fmt.Errorf("%s is more than %s ahead", name, ahead)
		}
	}
	return nil
}
