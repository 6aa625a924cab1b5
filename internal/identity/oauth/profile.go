package oauth

import (
	"slices"
	"strings"
	"time"
)

// Profile is what the identity endpoints know of a user.
type Profile struct {
	ID            string
	Active        bool // false: suspended, banned or deleted
	Email         string
	EmailVerified bool
	Username      string
	FirstName     string
	LastName      string
	Locale        string
	Zone          string // an IANA name
	Roles         []string
	CreatedAt     time.Time
	LastLoginAt   time.Time
	UpdatedAt     time.Time
}

// UserClaims returns the claims about p that the scopes open (OpenID Connect
// Core section 5.4). What is unknown is left out.
func UserClaims(p Profile, scopes []string) map[string]any {
	c := map[string]any{"sub": p.ID}
	set := func(name, value string) {
		if value != "" {
			c[name] = value
		}
	}
	if slices.Contains(scopes, ScopeProfile) {
		set("name", strings.TrimSpace(p.FirstName+" "+p.LastName))
		set("given_name", p.FirstName)
		set("family_name", p.LastName)
		set("preferred_username", p.Username)
		set("locale", p.Locale)
		set("zoneinfo", p.Zone)
		if !p.UpdatedAt.IsZero() {
			c["updated_at"] = p.UpdatedAt.Unix()
		}
	}
	if slices.Contains(scopes, ScopeEmail) && p.Email != "" {
		c["email"], c["email_verified"] = p.Email, p.EmailVerified
	}
	if slices.Contains(scopes, ScopeUserInfo) {
		c["is_active"] = p.Active
		if !p.CreatedAt.IsZero() {
			c["created_at"] = p.CreatedAt.UTC().Format(time.RFC3339)
		}
		if !p.LastLoginAt.IsZero() {
			c["last_login_at"] = p.LastLoginAt.UTC().Format(time.RFC3339)
		}
	}
	if slices.Contains(scopes, ScopeAdmin) && len(p.Roles) > 0 {
		c["roles"] = p.Roles
	}
	return c
}

// ClaimNames lists every claim that tokens and userinfo can have.
func ClaimNames() []string {
	return []string{
		"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "at_hash", "name", "given_name", "family_name",
		"preferred_username", "locale", "zoneinfo", "updated_at", "email", "email_verified", "created_at", "last_login_at", "is_active", "roles",
	}
}
