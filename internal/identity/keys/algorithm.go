package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"

	"github.com/rephlo/rephlo/internal/identity/oauth"
)

// rsaBits is the size of a key for RS256. A larger one makes signing, which is
// the slowest of the three already, slower still.
const rsaBits = 2048

func unknown(alg string) error { return fmt.Errorf("signing algorithm %q is not one of ours", alg) }

// generate makes a private key for alg.
func generate(alg string) (crypto.Signer, error) {
	switch alg {
	case oauth.AlgES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case oauth.AlgRS256:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	case oauth.AlgEdDSA:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return nil, unknown(alg)
}

// encodePublic returns the bytes of k's public part for the table: a point, an
// Ed25519 key, or PKCS #1.
func (k key) encodePublic() ([]byte, error) {
	switch p := k.public.(type) {
	case *ecdsa.PublicKey:
		return p.Bytes() // 4, x, y
	case *rsa.PublicKey:
		return x509.MarshalPKCS1PublicKey(p), nil
	case ed25519.PublicKey:
		return p, nil
	}
	return nil, unknown(k.alg)
}

func decodePublic(alg string, raw []byte) (crypto.PublicKey, error) {
	switch {
	case alg == oauth.AlgES256:
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw)
	case alg == oauth.AlgRS256:
		return x509.ParsePKCS1PublicKey(raw)
	case alg == oauth.AlgEdDSA && len(raw) == ed25519.PublicKeySize:
		return ed25519.PublicKey(raw), nil
	}
	return nil, unknown(alg)
}

// encodePrivate is encodePublic for what is sealed.
func (k key) encodePrivate() ([]byte, error) {
	switch p := k.private.(type) {
	case *ecdsa.PrivateKey:
		return p.Bytes()
	case *rsa.PrivateKey:
		return x509.MarshalPKCS1PrivateKey(p), nil
	case ed25519.PrivateKey:
		return p.Seed(), nil
	}
	return nil, unknown(k.alg)
}

func decodePrivate(alg string, raw []byte) (crypto.Signer, error) {
	switch {
	case alg == oauth.AlgES256:
		return ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	case alg == oauth.AlgRS256:
		return x509.ParsePKCS1PrivateKey(raw)
	case alg == oauth.AlgEdDSA && len(raw) == ed25519.SeedSize:
		return ed25519.NewKeyFromSeed(raw), nil
	}
	return nil, unknown(alg)
}

// sign returns the signature of a JWS (RFC 7518 sections 3.3 and 3.4, RFC 8037
// section 3.1).
func (k key) sign(signed []byte) ([]byte, error) {
	digest := sha256.Sum256(signed)
	switch p := k.private.(type) {
	case *ecdsa.PrivateKey:
		r, v, err := ecdsa.Sign(rand.Reader, p, digest[:])
		if err != nil {
			return nil, err
		}
		signature := make([]byte, 64)
		r.FillBytes(signature[:32])
		v.FillBytes(signature[32:])
		return signature, nil
	case *rsa.PrivateKey:
		return rsa.SignPKCS1v15(rand.Reader, p, crypto.SHA256, digest[:])
	case ed25519.PrivateKey:
		return ed25519.Sign(p, signed), nil
	}
	return nil, unknown(k.alg)
}

// jwk is a public key as JSON (RFC 7517, RFC 7518 section 6, RFC 8037 section
// 2).
type jwk struct {
	Kty string `json:"kty"`
	Crv string `json:"crv,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
	Kid string `json:"kid"`
	Alg string `json:"alg"`
	Use string `json:"use"`
}

func (k key) jwk() (jwk, error) {
	enc := base64.RawURLEncoding.EncodeToString
	j := jwk{Kid: k.kid, Alg: k.alg, Use: "sig"}
	switch p := k.public.(type) {
	case *ecdsa.PublicKey:
		point, err := p.Bytes()
		if err != nil {
			return jwk{}, fmt.Errorf("encode public key: %w", err)
		}
		j.Kty, j.Crv, j.X, j.Y = "EC", "P-256", enc(point[1:33]), enc(point[33:])
	case *rsa.PublicKey:
		j.Kty, j.N, j.E = "RSA", enc(p.N.Bytes()), enc(big.NewInt(int64(p.E)).Bytes())
	case ed25519.PublicKey:
		j.Kty, j.Crv, j.X = "OKP", "Ed25519", enc(p)
	default:
		return jwk{}, unknown(k.alg)
	}
	return j, nil
}

// thumbprint names a key by its content (RFC 7638, RFC 8037 section 2): the
// required members in lexical order.
func (j jwk) thumbprint() string {
	var text string
	switch j.Kty {
	case "EC":
		text = `{"crv":"` + j.Crv + `","kty":"EC","x":"` + j.X + `","y":"` + j.Y + `"}`
	case "RSA":
		text = `{"e":"` + j.E + `","kty":"RSA","n":"` + j.N + `"}`
	default:
		text = `{"crv":"` + j.Crv + `","kty":"OKP","x":"` + j.X + `"}`
	}
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
