package oauth

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// PrefixAccess begins access tokens that say nothing to who reads them.
const PrefixAccess = "rph_at_"

// Sealer makes and opens opaque access tokens: what a JWT says in the clear is
// sealed, so that a token needs no row and a copy of the database has none.
// After the prefix come the sealed facts and a checksum, by which typing errors
// and scanners for leaks know a token without a key. It is safe for concurrent
// use.
type Sealer struct{ aead cipher.AEAD }

// NewSealer returns a Sealer with a key of 32 bytes.
func NewSealer(key []byte) (*Sealer, error) {
	aead, err := chacha20poly1305.NewX(key) // its nonces may be random
	if err != nil {
		return nil, fmt.Errorf("token seal: %w", err)
	}
	return &Sealer{aead}, nil
}

// sealVersion names the key; it is authenticated with the prefix.
const sealVersion = 1

// Seal returns t as an opaque token. The issuer is ours and is left out.
func (s *Sealer) Seal(t AccessToken) (string, error) {
	t.Issuer = ""
	facts, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("seal access token: %w", err)
	}
	out := make([]byte, 1+s.aead.NonceSize(), 1+s.aead.NonceSize()+len(facts)+s.aead.Overhead())
	out[0] = sealVersion
	_, _ = rand.Read(out[1:])                                     // never fails (crypto/rand)
	out = s.aead.Seal(out, out[1:], facts, sealData(sealVersion)) //nolint:gosec // the nonce is random
	value := PrefixAccess + base64.RawURLEncoding.EncodeToString(out)
	return value + "_" + checksum(value), nil
}

func sealData(version byte) []byte { return append([]byte(PrefixAccess), version) }

// open returns the facts of an opaque token of ours.
func (s *Sealer) open(token string) ([]byte, error) {
	value, sum, ok := cutLast(token, '_')
	if !ok || len(token) > MaxToken || sum != checksum(value) {
		return nil, bad("checksum")
	}
	raw, err := strict.DecodeString(strings.TrimPrefix(value, PrefixAccess))
	if err != nil || len(raw) < 1+s.aead.NonceSize() || strings.ContainsAny(token, "\r\n") {
		return nil, bad("not a sealed token")
	}
	n := 1 + s.aead.NonceSize()
	facts, err := s.aead.Open(nil, raw[1:n], raw[n:], sealData(raw[0]))
	if err != nil {
		return nil, bad("seal")
	}
	return facts, nil
}

func cutLast(s string, sep byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// checksum returns the CRC-32 of s as 6 characters.
func checksum(s string) string {
	sum := crc32.ChecksumIEEE([]byte(s))
	out := make([]byte, 6)
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = base62[sum%62]
		sum /= 62
	}
	return string(out)
}
