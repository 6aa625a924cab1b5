package passkey

import (
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/rephlo/rephlo/internal/fault"
)

// Faults of passkeys.
var (
	ErrRefused     = fault.New(fault.Unauthenticated, "passkey_refused", "The passkey was not accepted. Try again, or use another way to sign in.")
	ErrUnavailable = fault.New(fault.Conflict, "invalid_state", "Passkeys need a host name; this service runs at an address without one. Set idp_url to one with a name.")
	ErrTooMany     = fault.New(fault.Conflict, "too_many_passkeys", "You have 20 passkeys, which is the most. Remove one you do not use.")
	ErrUnknown     = fault.New(fault.NotFound, "not_found", "You have no such passkey.")
	ErrMandatory   = fault.New(fault.Forbidden, "forbidden", "Your role requires a second factor. Add another one before you remove this.")
	ErrOnlyWay     = fault.New(fault.Conflict, "invalid_state", "This passkey is the only way in which you sign in. Set a password first, by the link for a forgotten one, or add another passkey.")
	errName        = fault.New(fault.Unprocessable, "validation_error", "Use 1 to 60 characters for the name, without line breaks.").At("name")
)

// Bounds.
const (
	perUser      = 20
	ceremonyLife = 5 * time.Minute
	nameSize     = 60
	// maxResponse bounds what a browser sends, in bytes; attestations are not
	// asked for, so a key and its data are what there is.
	maxResponse = 16 << 10
)

// Passkey is a credential as its owner sees it.
type Passkey struct {
	ID         string // pky_…
	Name       string
	Host       string // that it is bound to
	Old        bool   // bound to another host than ours: it cannot be used
	Suspect    bool
	CreatedAt  time.Time
	LastUsedAt time.Time // zero if it was not used yet
}

// usableHost returns the host of an origin if passkeys can be bound to it.
func usableHost(origin string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return ""
	}
	host := u.Hostname()
	if _, err := netip.ParseAddr(host); err == nil || host == "" || u.Scheme != "https" && host != "localhost" {
		return ""
	}
	return strings.ToLower(host)
}

// covered returns the origins that a passkey of host may be used on: browsers
// allow the host and what is below it.
func covered(host string, origins []string) []string {
	var out []string
	for _, origin := range origins {
		if h := usableHost(origin); h != "" && (h == host || strings.HasSuffix(h, "."+host)) {
			out = append(out, origin)
		}
	}
	return out
}

// checkName returns a name as it is stored.
func checkName(name string) (string, error) {
	name = norm.NFC.String(strings.TrimSpace(name))
	bad := func(r rune) bool {
		return r == utf8.RuneError || unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
	}
	if n := utf8.RuneCountInString(name); n < 1 || n > nameSize || strings.ContainsFunc(name, bad) {
		return "", errName
	}
	return name, nil
}
