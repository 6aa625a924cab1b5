package passkey_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"testing"
)

// key is an authenticator with one passkey (WebAuthn level 3 section 6).
type key struct {
	private    *ecdsa.PrivateKey
	id         []byte
	user, rp   string
	count      uint32
	unverified bool
}

func newKey(user string) *key {
	private, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	id := make([]byte, 16)
	_, _ = rand.Read(id)
	return &key{private: private, id: id, user: user, rp: "id.test"}
}

func (k *key) with(edit func(*key)) *key {
	c := *k
	edit(&c)
	return &c
}

var b64 = base64.RawURLEncoding

func clientData(t *testing.T, kind, origin, challenge string) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": false})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// data is the authenticator data; attested is what a registration adds.
func (k *key) data(attested []byte) []byte {
	rp := sha256.Sum256([]byte(k.rp))
	flags := byte(0x01 | 0x04) // present, verified
	if k.unverified {
		flags = 0x01
	}
	if attested != nil {
		flags |= 0x40
	}
	out := append(rp[:], flags)
	out = binary.BigEndian.AppendUint32(out, k.count)
	return append(out, attested...)
}

// register answers a registration without attestation.
func (k *key) register(t *testing.T, challenge string) []byte {
	t.Helper()
	point, err := k.private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	// A COSE key: kty EC2, alg ES256, crv P-256, x, y.
	cose := []byte{0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20}
	cose = append(cose, point[1:33]...)
	cose = append(append(cose, 0x22, 0x58, 0x20), point[33:]...)
	attested := append(make([]byte, 16), 0, byte(len(k.id)))
	attested = append(append(attested, k.id...), cose...)
	data := k.data(attested)
	object := append([]byte{0xa3, 0x63}, "fmt"...)
	object = append(append(object, 0x64), "none"...)
	object = append(append(object, 0x67), "attStmt"...)
	object = append(append(object, 0xa0, 0x68), "authData"...)
	object = append(object, 0x59, byte(len(data)>>8), byte(len(data)))
	object = append(object, data...)
	return k.response(t, map[string]string{
		"clientDataJSON": b64.EncodeToString(clientData(t, "webauthn.create", origin, challenge)), "attestationObject": b64.EncodeToString(object),
	})
}

// answer signs a challenge.
func (k *key) answer(t *testing.T, origin, challenge string) []byte {
	t.Helper()
	if k.count > 0 {
		k.count++
	}
	data, client := k.data(nil), clientData(t, "webauthn.get", origin, challenge)
	hash := sha256.Sum256(client)
	signed := sha256.Sum256(bytes.Join([][]byte{data, hash[:]}, nil))
	signature, err := ecdsa.SignASN1(rand.Reader, k.private, signed[:])
	if err != nil {
		t.Fatal(err)
	}
	return k.response(t, map[string]string{
		"clientDataJSON": b64.EncodeToString(client), "authenticatorData": b64.EncodeToString(data),
		"signature": b64.EncodeToString(signature), "userHandle": b64.EncodeToString([]byte(k.user)),
	})
}

func (k *key) response(t *testing.T, response map[string]string) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{
		"id": b64.EncodeToString(k.id), "rawId": b64.EncodeToString(k.id), "type": "public-key", "response": response,
		"clientExtensionResults": map[string]any{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
