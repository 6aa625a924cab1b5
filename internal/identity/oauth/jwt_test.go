package oauth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/identity/oauth"
)

func hashChallenge(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

var (
	noon      = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	signer, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
)

// ring has one published key, "k1".
type ring struct{}

func (ring) Public(kid string) (crypto.PublicKey, string, bool) {
	return &signer.PublicKey, "ES256", kid == "k1"
}

type object = map[string]any

func changed(o, changes object) object {
	out := maps.Clone(o)
	for k, v := range changes {
		out[k] = v
		if v == nil {
			delete(out, k)
		}
	}
	return out
}

var (
	goodHeader = object{"alg": "ES256", "kid": "k1", "typ": "at+jwt"}
	goodClaims = object{
		"iss": "https://id.test", "aud": "https://api.test", "sub": "usr_1", "client_id": "desktop", "scope": "openid llm.inference",
		"iat": noon.Unix(), "exp": noon.Add(time.Hour).Unix(), "jti": id.New("at", noon), "gid": "gnt_1", "sid": "ses_1", "auth_time": noon.Unix(),
	}
)

func unsigned(header, claims object) string {
	part := func(o object) string {
		b, _ := json.Marshal(o)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return part(header) + "." + part(claims)
}

func signed(header, claims object) string { return sign(unsigned(header, claims)) }

func sign(text string) string {
	digest := sha256.Sum256([]byte(text))
	r, s, _ := ecdsa.Sign(rand.Reader, signer, digest[:])
	var b [64]byte
	r.FillBytes(b[:32])
	s.FillBytes(b[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(b[:])
}

// next is the base64url character whose last bit differs, which in the last
// place of a signature means nothing.
func next(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)^1])
}

func newVerifier() *oauth.Verifier {
	return oauth.NewVerifier(ring{}, "https://id.test", "https://api.test", func() time.Time { return noon })
}

func TestVerifyReadsClaims(t *testing.T) {
	t.Parallel()
	c, err := newVerifier().Verify(signed(goodHeader, goodClaims))
	if err != nil {
		t.Fatal(err)
	}
	if c.Subject != "usr_1" || c.ClientID != "desktop" || !c.Has("llm.inference") || c.Has("llm") || c.SessionID != "ses_1" ||
		c.GrantID != "gnt_1" || !c.Expiry.Equal(noon.Add(time.Hour)) || !c.AuthTime.Equal(noon) {
		t.Errorf("claims %+v", c)
	}
	if got := oauth.IssuedMilli(c.JTI); got != noon.UnixMilli() {
		t.Errorf("jti was made at %d, want %d", got, noon.UnixMilli())
	}
}

// O13 to O16, and what RFC 8725 warns of.
func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	good := signed(goodHeader, goodClaims)
	point, _ := signer.PublicKey.Bytes()
	hs := func() string {
		text := unsigned(changed(goodHeader, object{"alg": "HS256"}), goodClaims)
		m := hmac.New(sha256.New, point)
		m.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
	}
	head := func(changes object) string { return signed(changed(goodHeader, changes), goodClaims) }
	claim := func(changes object) string { return signed(goodHeader, changed(goodClaims, changes)) }
	raw := func(header, payload string) string {
		enc := base64.RawURLEncoding.EncodeToString
		return sign(enc([]byte(header)) + "." + enc([]byte(payload)))
	}
	payload, _ := json.Marshal(goodClaims)
	for name, token := range map[string]string{
		"empty":                  "",
		"junk":                   "junk",
		"two parts":              unsigned(goodHeader, goodClaims),
		"four parts":             good + ".x",
		"no signature":           unsigned(goodHeader, goodClaims) + ".",
		"padding":                good + "=",
		"line end":               good + "\n",
		"unused bits set":        good[:len(good)-1] + next(good[len(good)-1]),
		"another signature":      good[:len(good)-10] + "AAAAAAAAAA",
		"changed payload":        strings.Replace(good, ".e", ".f", 1),
		"alg none":               unsigned(changed(goodHeader, object{"alg": "none"}), goodClaims) + ".",
		"alg none, signed":       head(object{"alg": "none"}),
		"HS256 by public key":    hs(),
		"RS256":                  head(object{"alg": "RS256"}),
		"lower-case alg":         head(object{"alg": "es256"}),
		"unknown kid":            head(object{"kid": "k2"}),
		"no kid":                 head(object{"kid": nil}),
		"path in kid":            head(object{"kid": "../../k1"}),
		"own key":                head(object{"kid": "k2", "jwk": object{"kty": "EC"}}),
		"address of a key":       head(object{"kid": "k2", "jku": "https://evil.test/jwks"}),
		"critical extension":     head(object{"crit": []string{"exp"}}),
		"ID token":               head(object{"typ": "JWT"}),
		"logout token":           head(object{"typ": "logout+jwt"}),
		"no type":                head(object{"typ": nil}),
		"type in another case":   head(object{"typ": "AT+JWT"}),
		"long type":              head(object{"typ": "application/at+jwt"}),
		"alg twice":              raw(`{"alg":"ES256","alg":"ES256","kid":"k1","typ":"at+jwt"}`, string(payload)),
		"subject twice":          raw(`{"alg":"ES256","kid":"k1","typ":"at+jwt"}`, strings.Replace(string(payload), "{", `{"sub":"usr_2",`, 1)),
		"array":                  raw(`{"alg":"ES256","kid":"k1","typ":"at+jwt"}`, `[]`),
		"another issuer":         claim(object{"iss": "https://id.test/"}),
		"another audience":       claim(object{"aud": "https://other.test"}),
		"issuer's audience":      claim(object{"aud": "https://id.test"}),
		"several audiences":      claim(object{"aud": []string{"https://api.test", "https://other.test"}}),
		"no subject":             claim(object{"sub": nil}),
		"no client":              claim(object{"client_id": nil}),
		"no jti":                 claim(object{"jti": nil}),
		"no exp":                 claim(object{"exp": nil}),
		"no iat":                 claim(object{"iat": nil}),
		"expired":                claim(object{"exp": noon.Add(-61 * time.Second).Unix()}),
		"not valid yet":          claim(object{"nbf": noon.Add(61 * time.Second).Unix()}),
		"issued in the future":   claim(object{"iat": noon.Add(61 * time.Second).Unix()}),
		"longer than a token is": good + strings.Repeat("x", 17<<10),
	} {
		if _, err := newVerifier().Verify(token); !errors.Is(err, oauth.ErrInvalidToken) {
			t.Errorf("%s: %v, want invalid_token", name, err)
		}
	}
	for name, token := range map[string]string{
		"just expired":      claim(object{"exp": noon.Add(-30 * time.Second).Unix()}),
		"valid soon":        claim(object{"nbf": noon.Add(30 * time.Second).Unix()}),
		"unknown claims":    claim(object{"x": object{"y": 1}}),
		"header with a key": head(object{"jku": "https://evil.test/jwks"}),
	} {
		if _, err := newVerifier().Verify(token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// O14: a hint is an ID token of ours, expired or not, and never an access
// token.
func TestHint(t *testing.T) {
	t.Parallel()
	idToken := changed(goodHeader, object{"typ": "JWT"})
	old := changed(goodClaims, object{"aud": "desktop", "iat": noon.Add(-48 * time.Hour).Unix(), "exp": noon.Add(-47 * time.Hour).Unix()})
	if h, err := newVerifier().Hint(signed(idToken, old)); err != nil || h.Audience != "desktop" || h.SessionID != "ses_1" {
		t.Errorf("hint %+v, %v", h, err)
	}
	for name, token := range map[string]string{
		"access token": signed(goodHeader, goodClaims),
		"unsigned":     unsigned(changed(idToken, object{"alg": "none"}), old) + ".",
		"foreign":      signed(idToken, changed(old, object{"iss": "https://evil.test"})),
		"none":         "",
	} {
		if _, err := newVerifier().Hint(token); !errors.Is(err, oauth.ErrInvalidToken) {
			t.Errorf("%s: %v, want invalid_token", name, err)
		}
	}
}

func TestUserClaimsFollowScopes(t *testing.T) {
	t.Parallel()
	p := oauth.Profile{
		ID: "usr_1", Active: true, Email: "ada@test", EmailVerified: true, Username: "ada", FirstName: "Ada", LastName: "Lovelace",
		Roles: []string{"super_admin"}, CreatedAt: noon,
	}
	for _, tt := range []struct {
		scopes string
		want   int
	}{{"openid", 1}, {"openid email", 3}, {"openid profile", 5}, {"openid user.info", 3}, {"openid admin", 2}} {
		got := oauth.UserClaims(p, strings.Fields(tt.scopes))
		if len(got) != tt.want || got["sub"] != "usr_1" {
			t.Errorf("%s: %v, want %d claims", tt.scopes, got, tt.want)
		}
		for name := range got {
			if !strings.Contains(" "+strings.Join(oauth.ClaimNames(), " ")+" ", " "+name+" ") {
				t.Errorf("the claim %s is not announced", name)
			}
		}
	}
}
