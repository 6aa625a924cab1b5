// Package id makes typed identifiers: a prefix that says what the thing is,
// then a value that rises with time, so rows are stored in the order in which
// they were made.
package id

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"time"
)

// The alphabet is lower-case and has no i, l, o or u (Crockford's base 32).
var encoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// New returns prefix, "_" and 26 characters: 48 bits of milliseconds since
// 1970 and 80 random bits. It is unique without coordination and not
// guessable, but it is a name, never a secret.
func New(prefix string, now time.Time) string {
	b := timed(now)
	_, _ = rand.Read(b[6:]) // never fails (crypto/rand)
	return encode(prefix, b)
}

// First returns what is not after any identifier that New makes at the time or
// later, and after every earlier one: a bound for ranges.
func First(prefix string, at time.Time) string { return encode(prefix, timed(at)) }

func timed(t time.Time) (b [16]byte) {
	binary.BigEndian.PutUint64(b[:8], uint64(t.UnixMilli())<<16)
	return b
}

func encode(prefix string, b [16]byte) string {
	out := make([]byte, len(prefix)+1+26)
	copy(out, prefix)
	out[len(prefix)] = '_'
	encoding.Encode(out[len(prefix)+1:], b[:])
	return string(out)
}

// Is reports whether s has the form that New gives for prefix.
func Is(prefix, s string) bool {
	rest, ok := strings.CutPrefix(s, prefix+"_")
	if !ok || len(rest) != 26 {
		return false
	}
	_, err := encoding.DecodeString(rest)
	return err == nil
}
