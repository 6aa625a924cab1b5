package oauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// AlgES256 is the usual algorithm of our signatures (RFC 7518 section 3.4).
const AlgES256 = "ES256"

// Skew is how far other clocks may be off.
const Skew = 60 * time.Second

// Keys finds the published key that kid names, with the one algorithm it is
// for. It never follows an address.
type Keys interface {
	Public(kid string) (key crypto.PublicKey, alg string, ok bool)
}

// Verifier checks tokens that we signed. It is safe for concurrent use and
// reads memory only.
type Verifier struct {
	keys     Keys
	issuer   string
	audience string
	now      func() time.Time
	sealer   *Sealer // nil: opaque tokens are refused
}

// NewVerifier returns a Verifier of access tokens for audience. An empty
// audience takes any: for an endpoint of the issuer itself.
func NewVerifier(keys Keys, issuer, audience string, now func() time.Time) *Verifier {
	return &Verifier{keys: keys, issuer: issuer, audience: audience, now: now}
}

// Opaque returns a Verifier that takes opaque tokens too.
func (v *Verifier) Opaque(s *Sealer) *Verifier {
	out := *v
	out.sealer = s
	return &out
}

// facts returns the verified content of an access token of either form.
func (v *Verifier) facts(token string) (t AccessToken, err error) {
	var payload []byte
	opaque := v.sealer != nil && strings.HasPrefix(token, PrefixAccess)
	if opaque {
		payload, err = v.sealer.open(token)
	} else {
		payload, err = v.open(token, TypeAccess)
	}
	if err != nil {
		return t, err
	}
	if err := json.Unmarshal(payload, &t); err != nil {
		return t, ErrInvalidToken.Because(fmt.Errorf("claims are not an object of the known shape"))
	}
	if opaque {
		t.Issuer = v.issuer // it was sealed with our key
	}
	return t, nil
}

// Verify checks an access token (RFC 9068 section 4): its signature by a
// published key with that key's algorithm, the type at+jwt, issuer, audience
// and times. It does not know revocations. Every refusal is ErrInvalidToken; that
// of a token which was good once has ErrExpired in its chain.
func (v *Verifier) Verify(token string) (Claims, error) {
	t, err := v.facts(token)
	if err != nil {
		return Claims{}, err
	}
	now := v.now()
	switch {
	case t.Issuer != v.issuer:
		return Claims{}, bad("issuer")
	case t.Subject == "" || t.ClientID == "" || t.JTI == "":
		return Claims{}, bad("claim missing")
	case v.audience != "" && t.Audience != v.audience:
		return Claims{}, bad("audience")
	case !now.Add(-Skew).Before(time.Unix(t.Expiry, 0)):
		return Claims{}, ErrInvalidToken.Because(ErrExpired)
	case t.IssuedAt == 0 || time.Unix(t.IssuedAt, 0).After(now.Add(Skew)) || time.Unix(t.NotBefore, 0).After(now.Add(Skew)):
		return Claims{}, bad("not yet valid")
	}
	c := Claims{
		Subject: t.Subject, ClientID: t.ClientID, Audience: t.Audience, Scopes: strings.Fields(t.Scope), SessionID: t.SessionID,
		GrantID: t.GrantID, JTI: t.JTI, ACR: t.ACR, AMR: t.AMR, Act: t.Act, IssuedAt: time.Unix(t.IssuedAt, 0), Expiry: time.Unix(t.Expiry, 0),
	}
	if t.AuthTime != 0 {
		c.AuthTime = time.Unix(t.AuthTime, 0)
	}
	if t.Confirmation != nil {
		c.JKT = t.Confirmation.JKT
		if c.JKT == "" { // bound to something that we do not know
			return Claims{}, bad("confirmation")
		}
	}
	return c, nil
}

// Hint reads an id_token_hint: an ID token that we signed, for any client. It
// may have expired (OpenID Connect RP-Initiated Logout section 4), but never
// has authority by itself.
func (v *Verifier) Hint(token string) (IDToken, error) {
	payload, err := v.open(token, TypeID)
	if err != nil {
		return IDToken{}, err
	}
	var t IDToken
	if err := json.Unmarshal(payload, &t); err != nil {
		return IDToken{}, ErrInvalidToken.Because(fmt.Errorf("claims are not an object of the known shape"))
	}
	if t.Issuer != v.issuer || t.Subject == "" || t.Audience == "" || t.IssuedAt == 0 || time.Unix(t.IssuedAt, 0).After(v.now().Add(Skew)) {
		return IDToken{}, bad("not an ID token of ours")
	}
	return t, nil
}

func bad(what string) error { return ErrInvalidToken.Because(fmt.Errorf("access token: %s", what)) }

// header is the protected header of a JWS. Members that could lead to a key
// (jwk, jku, x5u) are not even read.
type header struct {
	Alg  string   `json:"alg"`
	Kid  string   `json:"kid"`
	Typ  string   `json:"typ"`
	Crit []string `json:"crit"`
}

var strict = base64.RawURLEncoding.Strict()

// payloadOf returns the payload of a compact JWS, unverified.
func payloadOf(token string) ([]byte, error) {
	_, rest, _ := strings.Cut(token, ".")
	body, _, _ := strings.Cut(rest, ".")
	return strict.DecodeString(body)
}

// open returns the payload of a compact JWS (RFC 7515 section 7.1) whose type
// is exactly typ and whose signature is by one of our keys.
func (v *Verifier) open(token, typ string) ([]byte, error) {
	// encoding/base64 skips line ends, so they are refused here.
	if len(token) > MaxToken || strings.Count(token, ".") != 2 || strings.ContainsAny(token, "\r\n") {
		return nil, bad("not a compact JWS")
	}
	signed := token[:strings.LastIndexByte(token, '.')]
	head, body, _ := strings.Cut(signed, ".")
	var h header
	if raw, err := strict.DecodeString(head); err != nil || json.Unmarshal(raw, &h) != nil {
		return nil, bad("header")
	}
	if h.Typ != typ || h.Kid == "" || h.Crit != nil {
		return nil, bad("type")
	}
	key, alg, ok := v.keys.Public(h.Kid)
	if !ok || h.Alg != alg { // the key decides, never the header (RFC 8725 section 3.1)
		return nil, bad("key")
	}
	signature, err := strict.DecodeString(token[len(signed)+1:])
	if err != nil || !verify(alg, key, []byte(signed), signature) {
		return nil, bad("signature")
	}
	payload, err := strict.DecodeString(body)
	if err != nil {
		return nil, bad("payload")
	}
	return payload, nil
}

// verify checks a signature by a key of ours, which is for alg.
func verify(alg string, key crypto.PublicKey, signed, signature []byte) bool {
	switch alg {
	case AlgES256:
		return verifyES256(key, signed, signature)
	case AlgRS256:
		public, ok := key.(*rsa.PublicKey)
		digest := sha256.Sum256(signed)
		return ok && rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature) == nil
	case AlgEdDSA:
		public, ok := key.(ed25519.PublicKey)
		return ok && ed25519.Verify(public, signed, signature)
	}
	return false
}

// verifyES256 checks a signature of two 32-byte numbers (RFC 7518 section
// 3.4).
func verifyES256(key crypto.PublicKey, signed, signature []byte) bool {
	public, ok := key.(*ecdsa.PublicKey)
	if !ok || len(signature) != 64 {
		return false
	}
	digest := sha256.Sum256(signed)
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	return ecdsa.Verify(public, digest[:], r, s)
}
