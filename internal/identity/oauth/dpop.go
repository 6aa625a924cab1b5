package oauth

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	jsonv2 "github.com/go-json-experiment/json"

	"github.com/rephlo/rephlo/internal/fault"
)

// Refusals of DPoP proofs (RFC 9449 sections 5 and 8).
var (
	ErrProof    = fault.New(fault.Invalid, "invalid_dpop_proof", "The DPoP proof is wrong.")
	ErrUseNonce = fault.New(fault.Invalid, "use_dpop_nonce", "The DPoP proof must have the nonce of the DPoP-Nonce header. Make another one with it.")
)

// Limits of a proof's age.
const (
	proofAge   = 60 * time.Second
	proofAhead = 10 * time.Second
	nonceSlot  = 5 * time.Minute
)

// Once remembers a value of a kind until a time. It is false for one that is
// remembered already.
type Once func(ctx context.Context, kind, value string, until time.Time) (first bool, err error)

// Proofs checks DPoP proofs. It is safe for concurrent use.
type Proofs struct {
	key  []byte
	once Once
	now  func() time.Time
}

// NewProofs returns a Proofs. Servers with the same key accept each other's
// nonces; once must be shared by all that accept a proof for the same address.
func NewProofs(key []byte, once Once, now func() time.Time) *Proofs {
	return &Proofs{key: key, once: once, now: now}
}

// ProofRules are what a proof must fulfil.
type ProofRules struct {
	Method string
	URL    string // without query and fragment
	// AccessToken is the token that comes with the proof, at a resource.
	AccessToken string
	// NeedNonce refuses a proof without our nonce.
	NeedNonce bool
}

// proofClaims are those of RFC 9449 section 4.2.
type proofClaims struct {
	JTI       string   `json:"jti"`
	Method    string   `json:"htm"`
	URL       string   `json:"htu"`
	IssuedAt  *float64 `json:"iat"`
	Expiry    *float64 `json:"exp"`
	NotBefore *float64 `json:"nbf"`
	ATHash    string   `json:"ath"`
	Nonce     string   `json:"nonce"`
}

// Check verifies a proof (RFC 9449 section 4.3) and uses it up: it is good
// once. It returns the thumbprint of its key. Refusals are ErrProof and
// ErrUseNonce.
func (p *Proofs) Check(ctx context.Context, proof string, r ProofRules) (jkt string, err error) {
	jkt, c, err := readProof(proof)
	if err == nil {
		err = c.check(p.now(), r)
	}
	if err != nil {
		return "", ErrProof.Saying("The DPoP proof is wrong: %s.", err)
	}
	if c.Nonce == "" && r.NeedNonce || c.Nonce != "" && !p.acceptsNonce(c.Nonce) {
		return "", ErrUseNonce
	}
	first, err := p.once(ctx, "dpop", jkt+" "+c.JTI, p.now().Add(proofAge+proofAhead+time.Second))
	if err != nil {
		return "", err
	}
	if !first {
		return "", ErrProof.Saying("The DPoP proof is wrong: its jti was used before.")
	}
	return jkt, nil
}

// readProof verifies the signature of a proof by the key in it.
func readProof(proof string) (jkt string, c proofClaims, err error) {
	h, err := readHeader(proof)
	if err != nil {
		return "", c, err
	}
	switch {
	case h.Typ != "dpop+jwt":
		return "", c, errors.New("typ must be dpop+jwt")
	case h.JWK == nil || secretMembers(h.JWK):
		return "", c, errors.New("jwk must be a public key")
	}
	var k jose.JSONWebKey
	if json.Unmarshal(h.JWK, &k) != nil || algOf(k) == nil {
		return "", c, errors.New("jwk must be a key for one of " + strings.Join(StrictAlgs(), ", "))
	}
	k.KeyID = ""
	h.Kid = ""
	payload, err := verifyForeign(proof, h, KeySet{[]jose.JSONWebKey{k}}, StrictAlgs())
	if err != nil {
		return "", c, err
	}
	if jsonv2.Unmarshal(payload, &c) != nil {
		return "", c, errors.New("its claims cannot be read")
	}
	sum, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", c, errors.New("jwk has no thumbprint")
	}
	return base64.RawURLEncoding.EncodeToString(sum), c, nil
}

func (c proofClaims) check(now time.Time, r ProofRules) error {
	issued, ok := at(c.IssuedAt)
	switch {
	case c.JTI == "" || len(c.JTI) > maxJTI:
		return errors.New("jti is missing or too long")
	case c.Method != r.Method:
		return errors.New("htm must be " + r.Method)
	case !sameTarget(c.URL, r.URL):
		return errors.New("htu must be " + r.URL)
	case !ok || issued.Before(now.Add(-proofAge)) || issued.After(now.Add(proofAhead)):
		return errors.New("iat must be within the last minute")
	case r.AccessToken != "" && !sameHash(c.ATHash, r.AccessToken):
		return errors.New("ath must be the hash of the access token")
	}
	if end, ok := at(c.Expiry); c.Expiry != nil && (!ok || !end.After(now)) {
		return errors.New("exp is over")
	}
	if from, ok := at(c.NotBefore); c.NotBefore != nil && (!ok || from.After(now.Add(proofAhead))) {
		return errors.New("nbf is ahead")
	}
	return nil
}

func sameHash(ath, token string) bool {
	sum := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare([]byte(ath), []byte(base64.RawURLEncoding.EncodeToString(sum[:]))) == 1
}

// sameTarget compares addresses as RFC 9449 section 4.3 wants it: without
// query and fragment, after syntax- and scheme-based normalisation.
func sameTarget(a, b string) bool {
	x, ok := target(a)
	if !ok {
		return false
	}
	y, ok := target(b)
	return ok && x == y
}

func target(address string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || len(address) > MaxParameter {
		return "", false
	}
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	default:
		return "", false
	}
	path := u.Path // decoded, so that ways to write one path are the same
	if path == "" {
		path = "/"
	}
	return u.Scheme + "://" + host + path, true
}

// Nonce returns what new proofs must have in them. It changes every five
// minutes; nothing is stored.
func (p *Proofs) Nonce() string { return p.nonce(p.now()) }

func (p *Proofs) nonce(at time.Time) string {
	var slot [8]byte
	binary.BigEndian.PutUint64(slot[:], uint64(at.Unix()/int64(nonceSlot/time.Second))) //nolint:gosec // a time after 1970
	m := hmac.New(sha256.New, p.key)
	m.Write(slot[:])
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil)[:18])
}

// acceptsNonce takes the present nonce and the one before.
func (p *Proofs) acceptsNonce(nonce string) bool {
	now := p.now()
	return hmac.Equal([]byte(nonce), []byte(p.nonce(now))) || hmac.Equal([]byte(nonce), []byte(p.nonce(now.Add(-nonceSlot))))
}

// IsThumbprint reports whether s has the form of a dpop_jkt (RFC 9449 section
// 10).
func IsThumbprint(s string) bool { return len(s) == 43 && strings.Trim(s, base64URL) == "" }
