package oauth

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// Types of the JWTs that we sign (their typ header). A verifier takes exactly
// the one it expects, so that no token passes for another.
const (
	TypeAccess = "at+jwt" // RFC 9068
	TypeID     = "JWT"
	TypeUser   = "userinfo+jwt" // what the userinfo endpoint signs; no other endpoint takes it
	TypeLogout = "logout+jwt"   // OpenID Connect Back-Channel Logout section 2.4
)

// AccessToken is the content of an access token (RFC 9068 section 2.2).
type AccessToken struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  string   `json:"aud"`
	ClientID  string   `json:"client_id"`
	Expiry    int64    `json:"exp"`
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf,omitempty"`
	JTI       string   `json:"jti"`
	Scope     string   `json:"scope"`
	AuthTime  int64    `json:"auth_time,omitempty"`
	ACR       string   `json:"acr,omitempty"`
	AMR       []string `json:"amr,omitempty"`
	GrantID   string   `json:"gid,omitempty"`
	SessionID string   `json:"sid,omitempty"`
	// Act says who uses the token for its subject (RFC 8693 section 4.1).
	Act *Actor `json:"act,omitempty"`
	// Confirmation binds the token to a key (RFC 7800).
	Confirmation *Confirmation `json:"cnf,omitempty"`
}

// Actor is who acts for somebody, and for whom that one acted before.
type Actor struct {
	Subject string `json:"sub"`
	Act     *Actor `json:"act,omitempty"`
}

// Depth returns how many actors there are.
func (a *Actor) Depth() int {
	n := 0
	for ; a != nil; a = a.Act {
		n++
	}
	return n
}

// Confirmation names the key whose holder alone may use a token (RFC 9449
// section 6.1).
type Confirmation struct {
	JKT string `json:"jkt"`
}

// Bound returns the confirmation of a key's thumbprint; none for "".
func Bound(jkt string) *Confirmation {
	if jkt == "" {
		return nil
	}
	return &Confirmation{JKT: jkt}
}

// TokenType returns how a token bound to jkt, or to no key, is presented.
func TokenType(jkt string) string {
	if jkt == "" {
		return "Bearer"
	}
	return "DPoP"
}

// IDToken is the content of an ID token (OpenID Connect Core section 2).
type IDToken struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  string   `json:"aud"`
	Expiry    int64    `json:"exp"`
	IssuedAt  int64    `json:"iat"`
	AuthTime  int64    `json:"auth_time"`
	Nonce     string   `json:"nonce,omitempty"`
	ACR       string   `json:"acr,omitempty"`
	AMR       []string `json:"amr,omitempty"`
	SessionID string   `json:"sid,omitempty"`
	ATHash    string   `json:"at_hash,omitempty"`
	// Extra are claims about the user.
	Extra map[string]any `json:"-"`
}

// MarshalJSON writes Extra among the other members, which it cannot replace.
func (t IDToken) MarshalJSON() ([]byte, error) {
	type plain IDToken
	raw, err := json.Marshal(plain(t))
	if err != nil || len(t.Extra) == 0 {
		return raw, err
	}
	all := map[string]any{}
	maps.Copy(all, t.Extra)
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, err
	}
	return json.Marshal(all)
}

// Claims is what a verified access token says.
type Claims struct {
	Subject   string // the user, or the client for itself
	ClientID  string
	Audience  string
	Scopes    []string
	SessionID string // empty when signing out does not end the token
	GrantID   string // the authorization it came from
	JTI       string
	AuthTime  time.Time
	ACR       string
	AMR       []string
	IssuedAt  time.Time
	Expiry    time.Time
	Act       *Actor // who acts for the subject; nil for itself
	JKT       string // the key it is bound to; empty for a bearer token
}

// OfClient reports whether the token is a client's own, of no user.
func (c Claims) OfClient() bool { return c.Subject == c.ClientID }

// Has reports whether the token has the scope.
func (c Claims) Has(scope string) bool { return slices.Contains(c.Scopes, scope) }

// ATHash returns the at_hash of an access token: half of the hash that the
// signature of the ID token uses (OpenID Connect Core section 3.1.3.6). For
// Ed25519 that is SHA-512.
func ATHash(alg, accessToken string) string {
	if alg == AlgEdDSA {
		sum := sha512.Sum512([]byte(accessToken))
		return base64.RawURLEncoding.EncodeToString(sum[:32])
	}
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// The alphabet of package id.
var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// IssuedMilli returns the Unix milliseconds that a jti made by package id
// begins with, or 0: such a token is older than any revocation.
func IssuedMilli(jti string) int64 {
	_, value, _ := strings.Cut(jti, "_")
	var b [16]byte
	if len(value) != 26 {
		return 0
	}
	if _, err := idEncoding.Decode(b[:], []byte(value)); err != nil {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b[:8]) >> 16)
}
