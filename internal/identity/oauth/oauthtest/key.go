// Package oauthtest makes what clients sign: assertions, DPoP proofs and signed
// requests. It is for tests.
package oauthtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Claims are those of a JWT.
type Claims = map[string]any

// Key signs with one algorithm.
type Key struct {
	Alg string
	Kid string

	t       testing.TB
	private any
}

// NewKey makes a key for ES256, EdDSA, PS256 or RS256.
func NewKey(t testing.TB, alg string) *Key {
	t.Helper()
	k := &Key{Alg: alg, t: t}
	var err error
	switch alg {
	case "ES256":
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, k.private, err = ed25519.GenerateKey(rand.Reader)
	default:
		k.private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	k.Kid = k.Thumbprint()[:8]
	return k
}

func (k *Key) public() jose.JSONWebKey {
	private := jose.JSONWebKey{Key: k.private, KeyID: k.Kid, Algorithm: k.Alg, Use: "sig"}
	return private.Public()
}

// Thumbprint is the key's name of RFC 7638.
func (k *Key) Thumbprint() string {
	p := k.public()
	sum, err := p.Thumbprint(crypto.SHA256)
	if err != nil {
		k.t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// JWKS is the set with the public key alone.
func (k *Key) JWKS() []byte {
	raw, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{k.public()}})
	if err != nil {
		k.t.Fatal(err)
	}
	return raw
}

// JWK is the public key as proofs have it.
func (k *Key) JWK() Claims {
	p := k.public()
	p.KeyID, p.Algorithm, p.Use = "", "", ""
	raw, err := p.MarshalJSON()
	var out Claims
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	if err != nil {
		k.t.Fatal(err)
	}
	return out
}

// Sign returns a compact JWS whose header has these members besides alg. A nil
// value takes a member away.
func (k *Key) Sign(header, claims Claims) string {
	k.t.Helper()
	h := Claims{"alg": k.Alg, "kid": k.Kid}
	maps.Copy(h, header)
	for _, m := range []Claims{h, claims} {
		maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	}
	signed := part(k.t, h) + "." + part(k.t, claims)
	digest := sha256.Sum256([]byte(signed))
	var signature []byte
	var err error
	switch private := k.private.(type) {
	case *ecdsa.PrivateKey:
		r, s, e := ecdsa.Sign(rand.Reader, private, digest[:])
		if err = e; err == nil {
			signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}
	case ed25519.PrivateKey:
		signature = ed25519.Sign(private, []byte(signed))
	case *rsa.PrivateKey:
		if k.Alg == "RS256" {
			signature, err = rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest[:])
		} else {
			signature, err = rsa.SignPSS(rand.Reader, private, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
	}
	if err != nil {
		k.t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func part(t testing.TB, v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Assertion is a client assertion (RFC 7523) of clientID for audience; change
// edits it first.
func (k *Key) Assertion(clientID, audience string, now time.Time, change ...func(header, claims Claims)) string {
	header := Claims{}
	claims := Claims{
		"iss": clientID, "sub": clientID, "aud": audience, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}
	for _, f := range change {
		f(header, claims)
	}
	return k.Sign(header, claims)
}

// Proof is a DPoP proof (RFC 9449) for a request; token is the access token
// that comes with it, if there is one.
func (k *Key) Proof(method, address, token string, now time.Time, change ...func(header, claims Claims)) string {
	header := Claims{"typ": "dpop+jwt", "kid": nil, "jwk": k.JWK()}
	claims := Claims{"jti": rand.Text(), "htm": method, "htu": address, "iat": now.Unix()}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	for _, f := range change {
		f(header, claims)
	}
	return k.Sign(header, claims)
}

// With returns a change of one claim; nil takes it away.
func With(name string, value any) func(header, claims Claims) {
	return func(_, claims Claims) { claims[name] = value }
}

// Header returns a change of one member of the header.
func Header(name string, value any) func(header, claims Claims) {
	return func(header, _ Claims) { header[name] = value }
}
