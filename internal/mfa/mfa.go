package mfa

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6238 with HMAC-SHA-1 is what authenticator apps implement
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
)

// Faults of second factors.
var (
	ErrCode      = fault.New(fault.Unauthenticated, "code_invalid", "The code is wrong or was used already. Wait for the next one and try again.")
	ErrTooMany   = fault.New(fault.RateLimited, "too_many_attempts", "Too many wrong codes. Wait before you try again.")
	ErrSetup     = fault.New(fault.Gone, "link_expired", "This set-up has expired. Begin again.")
	ErrNone      = fault.New(fault.Conflict, "invalid_state", "There is no authenticator on this account. Set one up first.")
	ErrMandatory = fault.New(fault.Forbidden, "forbidden", "Your role requires a second factor. Add another one before you remove this.")
)

// The methods of a second factor.
const (
	TOTP     = "totp"
	Recovery = "recovery_code"
)

// Status is what a person has.
type Status struct {
	Methods           []string // TOTP, Recovery
	RecoveryCodesLeft int
	Required          bool // by a role
}

// Enrolled reports whether there is an authenticator.
func (s Status) Enrolled() bool { return slices.Contains(s.Methods, TOTP) }

// Setup is an authenticator that waits for its first code.
type Setup struct {
	ID     string
	Secret string // base32, for typing
	URL    string // otpauth://…, for the QR code
}

// Parameters of TOTP (RFC 6238 section 4), those that every app knows.
const (
	stepSeconds = 30
	digits      = 6
	secretSize  = 20               // 160 bits (RFC 4226 section 4, R6)
	window      = 1                // steps that a clock may be off
	setupLife   = 10 * time.Minute // for the first code
)

var base32Secret = base32.StdEncoding.WithPadding(base32.NoPadding)

// step returns the number of the 30 seconds that t is in.
func step(t time.Time) int64 { return t.Unix() / stepSeconds }

// codeAt returns the code of a step (RFC 4226 section 5.3).
func codeAt(secret []byte, step int64) string {
	mac := hmac.New(sha1.New, secret)
	_ = binary.Write(mac, binary.BigEndian, step) // a hash takes everything
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	n := binary.BigEndian.Uint32(sum[at:]) & 0x7fffffff
	return fmt.Sprintf("%0*d", digits, n%1_000_000)
}

// matching returns the step within the window whose code this is. It looks at
// every step, so that its time tells nothing.
func matching(secret []byte, code string, now time.Time) (at int64, ok bool) {
	for d := int64(-window); d <= window; d++ {
		if subtle.ConstantTimeCompare([]byte(codeAt(secret, step(now)+d)), []byte(code)) == 1 {
			at, ok = step(now)+d, true
		}
	}
	return at, ok
}

// otpauth returns the address that authenticator apps read from a QR code.
func otpauth(issuer, account, secret string) string {
	label := url.PathEscape(issuer) + ":" + url.PathEscape(account)
	v := url.Values{"secret": {secret}, "issuer": {issuer}, "algorithm": {"SHA1"}, "digits": {"6"}, "period": {"30"}}
	return "otpauth://totp/" + label + "?" + strings.ReplaceAll(v.Encode(), "+", "%20")
}

// digitsOf returns a typed TOTP code without the spaces that people put in; ""
// when it cannot be one.
func digitsOf(typed string) string {
	code := strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' {
			return -1
		}
		return r
	}, strings.TrimSpace(typed))
	if len(code) != digits || strings.Trim(code, "0123456789") != "" {
		return ""
	}
	return code
}

// Recovery codes: ten of 80 bits, in Crockford's base 32, so that nobody has to
// tell O from 0.
const (
	recoveryCodes = 10
	recoveryChars = 16
	selectorChars = 2
	recoverySet   = "0123456789abcdefghjkmnpqrstvwxyz"
)

// newRecoveryCodes returns ten codes with different selectors.
func newRecoveryCodes() []string {
	var out []string
	taken := map[string]bool{}
	for len(out) < recoveryCodes {
		b := make([]byte, recoveryChars)
		_, _ = rand.Read(b) // never fails (crypto/rand)
		for i := range b {
			b[i] = recoverySet[b[i]%32]
		}
		if s := string(b[:selectorChars]); !taken[s] {
			taken[s] = true
			out = append(out, string(b))
		}
	}
	return out
}

// grouped returns a recovery code as people read it: xxxx-xxxx-xxxx-xxxx.
func grouped(code string) string {
	return code[:4] + "-" + code[4:8] + "-" + code[8:12] + "-" + code[12:]
}

// SameCode reports whether a person typed the recovery code: spaces, dashes and
// case do not count.
func SameCode(typed, code string) bool {
	want := recoveryOf(code)
	return want != "" && subtle.ConstantTimeCompare([]byte(recoveryOf(typed)), []byte(want)) == 1
}

// recoveryOf returns a typed recovery code as it was made; "" when it cannot be
// one.
func recoveryOf(typed string) string {
	code := strings.Map(func(r rune) rune {
		switch r {
		case ' ', '-':
			return -1
		case 'o':
			return '0'
		case 'i', 'l':
			return '1'
		}
		return r
	}, strings.ToLower(strings.TrimSpace(typed)))
	if len(code) != recoveryChars || strings.Trim(code, recoverySet) != "" {
		return ""
	}
	return code
}
