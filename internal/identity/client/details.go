package client

import (
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/rephlo/rephlo/internal/identity/oauth"
)

// Details are what people are told of a client besides its name.
type Details struct {
	// Logo is the address of its picture. It is shown for clients that somebody
	// here vouches for, and fetched by us.
	Logo string `json:"logo_uri,omitempty"`
	// Policy and Terms are the addresses of its privacy policy and its terms.
	Policy string `json:"policy_uri,omitempty"`
	Terms  string `json:"tos_uri,omitempty"`
	// Contacts are how to reach the people who make it.
	Contacts []string `json:"contacts,omitempty"`
	// Owner is who answers for it here; administrators are told, and nobody else.
	Owner string `json:"owner,omitempty"`
}

// Limits are what an administrator allows a client less of, or adds to its
// tokens.
type Limits struct {
	// AllowedRoles are the roles of those who may use the client: one is enough;
	// empty lets everybody.
	AllowedRoles []string `json:"allowed_roles,omitempty"`
	// DefaultResource is the audience of its tokens where a request names neither
	// a resource nor a scope of one; "" is the issuer.
	DefaultResource string `json:"default_resource,omitempty"`
	// MinimumACR is how sure its sign-ins are at least; "" is any.
	MinimumACR string `json:"minimum_acr,omitempty"`
	// ExtraClaims are claims of ID tokens and userinfo: their names, and the claim
	// that they are a copy of.
	ExtraClaims map[string]string `json:"extra_claims,omitempty"`
	// The lives of its tokens in seconds, at most as long as everybody's; 0 is as
	// long as everybody's.
	AccessSeconds  int64 `json:"access_seconds,omitempty"`
	IDSeconds      int64 `json:"id_seconds,omitempty"`
	RefreshSeconds int64 `json:"refresh_seconds,omitempty"`
}

// The longest lives of a client's tokens, which are those of the installation.
const (
	MaxAccess  = time.Hour
	MaxID      = time.Hour
	MaxRefresh = 60 * 24 * time.Hour
)

const (
	maxAddress  = 2048 // bytes
	maxContacts = 10
	maxText     = 120 // bytes
	maxClaims   = 20
)

// sources are the claims that can be copied under another name.
func sources() []string {
	return []string{"name", "given_name", "family_name", "preferred_username", "locale", "zoneinfo", "email", "email_verified", "roles"}
}

// Life returns the shorter of a client's life and everybody's.
func Life(seconds int64, usual time.Duration) time.Duration {
	if seconds == 0 {
		return usual
	}
	return min(usual, time.Duration(seconds)*time.Second)
}

// Admits reports whether somebody with these roles may use the client.
func (l Limits) Admits(roles []string) bool {
	return len(l.AllowedRoles) == 0 || slices.ContainsFunc(l.AllowedRoles, func(r string) bool { return slices.Contains(roles, r) })
}

// AddClaims adds the extra claims about a user to others. They are not a matter
// of scopes: an administrator has given them to the client.
func (l Limits) AddClaims(to map[string]any, user oauth.Profile) {
	if len(l.ExtraClaims) == 0 {
		return
	}
	all := oauth.UserClaims(user, oauth.Scopes())
	for name, source := range l.ExtraClaims {
		if v, ok := all[source]; ok {
			to[name] = v
		}
	}
}

// Shows reports whether people see the client's logo.
func (c Client) Shows() bool { return c.Logo != "" && (c.Verified || c.FirstParty) }

func (d Details) check() error {
	for field, address := range map[string]string{"logo": d.Logo, "policy": d.Policy, "terms": d.Terms} {
		if address != "" && !IsHTTPS(address) {
			return ErrInvalid.Saying("The addresses of the logo, the policy and the terms must begin with https.").At(field)
		}
	}
	switch {
	case len(d.Contacts) > maxContacts || !all(d.Contacts, plain):
		return ErrInvalid.Saying("Contacts are at most %d texts of 1 to %d bytes.", maxContacts, maxText).At("contacts")
	case d.Owner != "" && !plain(d.Owner):
		return ErrInvalid.Saying("The owner is a text of at most %d bytes.", maxText).At("owner")
	}
	return nil
}

func (l Limits) check() error {
	within := func(seconds int64, most time.Duration) bool {
		return seconds >= 0 && seconds <= int64(most/time.Second)
	}
	switch {
	case len(l.AllowedRoles) > maxClaims || !all(l.AllowedRoles, plain):
		return ErrInvalid.Saying("The allowed roles are the names of roles.").At("allowedRoles")
	case l.DefaultResource != "" && !oauth.CheckResource(l.DefaultResource):
		return ErrInvalid.Saying("The default resource must be an absolute address without a fragment.").At("defaultResource")
	case l.MinimumACR != "" && !oauth.IsACR(l.MinimumACR):
		return ErrInvalid.Saying("The minimum of sureness must be single, mfa or phr.").At("minimumAcr")
	case !within(l.AccessSeconds, MaxAccess) || !within(l.IDSeconds, MaxID) || !within(l.RefreshSeconds, MaxRefresh):
		return ErrInvalid.Saying("The lives of tokens are at most an hour, and 60 days for refresh tokens.").At("accessTokenLife")
	case len(l.ExtraClaims) > maxClaims:
		return ErrInvalid.Saying("There can be %d extra claims.", maxClaims).At("extraClaims")
	}
	for name, source := range l.ExtraClaims {
		if strings.Trim(name, idAlphabet+":/") != "" || name == "" || len(name) > maxText || slices.Contains(oauth.ClaimNames(), name) {
			return ErrInvalid.Saying("%q cannot be the name of an extra claim: it has a meaning already, or other signs than letters, digits and ._-:/.", name).At("extraClaims")
		}
		if !slices.Contains(sources(), source) {
			return ErrInvalid.Saying("An extra claim is a copy of one of: %s.", strings.Join(sources(), ", ")).At("extraClaims")
		}
	}
	return nil
}

// plain reports whether a text can be shown as it is: it is short, and nothing
// in it hides or reverses text.
func plain(s string) bool {
	return s != "" && len(s) <= maxText && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) || r == unicode.ReplacementChar
	})
}

// IsHTTPS reports whether people can be led to the address, and pictures
// fetched from it.
func IsHTTPS(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && len(address) <= maxAddress
}
