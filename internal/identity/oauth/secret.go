package oauth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// Prefixes of the values that we hand out.
const (
	PrefixCode         = "rph_ac_"
	PrefixRefresh      = "rph_rt_"
	PrefixDevice       = "rph_dc_"
	PrefixSecret       = "rph_cs_"
	PrefixRegistration = "rph_rg_"
)

// NewSecret returns prefix and 256 random bits as 43 characters.
func NewSecret(prefix string) string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// IsSecret reports whether s has the form that NewSecret gives for prefix.
func IsSecret(prefix, s string) bool {
	rest, ok := strings.CutPrefix(s, prefix)
	return ok && len(rest) == 43 && strings.Trim(rest, base64URL) == ""
}

// Hash returns what is stored of a value that may be presented. Its 256 random
// bits need no slow hash.
func Hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// VerifierMatches reports whether verifier is the one behind an S256
// challenge: 43 to 128 unreserved characters (RFC 7636 section 4.1).
func VerifierMatches(challenge, verifier string) bool {
	if len(verifier) < 43 || len(verifier) > 128 || strings.Trim(verifier, base64URL+".~") != "" {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	want := base64.RawURLEncoding.EncodeToString(sum[:])
	return subtle.ConstantTimeCompare([]byte(want), []byte(challenge)) == 1
}
