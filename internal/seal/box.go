package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// KeySize is the length of the master key in bytes.
const KeySize = 32

// version is the first byte of every sealed value.
const version = 1

// ErrSealed says that a sealed value is damaged, was moved, or was sealed
// under another master key.
var ErrSealed = errors.New("sealed value cannot be opened: wrong master key, or damaged")

// Box seals and opens. It is safe for concurrent use.
type Box struct {
	master []byte
	aead   cipher.AEAD
}

// NewBox returns a Box under master, which has KeySize bytes.
func NewBox(master []byte) (*Box, error) {
	if len(master) != KeySize {
		return nil, fmt.Errorf("the master key has %d bytes; it must have %d", len(master), KeySize)
	}
	b := &Box{master: master}
	block, err := aes.NewCipher(b.Subkey("secrets/v1"))
	if err != nil {
		return nil, err
	}
	b.aead, err = cipher.NewGCM(block)
	return b, err
}

// Subkey derives a key of KeySize bytes for one purpose (HKDF-SHA256).
func (b *Box) Subkey(label string) []byte {
	key, err := hkdf.Key(sha256.New, b.master, nil, "rephlo "+label, KeySize)
	if err != nil {
		return nil // only for lengths that KeySize is not
	}
	return key
}

// Seal encrypts plain for the place that ad names.
func (b *Box) Seal(plain []byte, ad string) ([]byte, error) {
	out := make([]byte, 1+b.aead.NonceSize(), 1+b.aead.NonceSize()+len(plain)+b.aead.Overhead())
	out[0] = version
	if _, err := rand.Read(out[1:]); err != nil {
		return nil, err
	}
	return b.aead.Seal(out, out[1:], plain, []byte(ad)), nil //nolint:gosec // the nonce is random
}

// Open decrypts what Seal made for the same ad; anything else is ErrSealed.
func (b *Box) Open(sealed []byte, ad string) ([]byte, error) {
	n := 1 + b.aead.NonceSize()
	if len(sealed) < n || sealed[0] != version {
		return nil, ErrSealed
	}
	plain, err := b.aead.Open(nil, sealed[1:n], sealed[n:], []byte(ad))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}
