package grant

import (
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/money"
)

// Lives of what this package hands out, and how long it remembers.
const (
	CodeLife    = 60 * time.Second
	codeMemory  = 24 * time.Hour // in which the reuse of a code is noticed
	RefreshLife = 60 * 24 * time.Hour
	// Grace is how long a used refresh token still gives the same successor.
	Grace = 10 * time.Second
	// MaxAccessLife bounds every access token's life: how long a revocation
	// must be remembered.
	MaxAccessLife = 24 * time.Hour
)

// Code is what a user allowed a client, to be exchanged for tokens.
type Code struct {
	ClientID    string
	UserID      string
	SessionID   string // the browser session in which it was allowed
	RedirectURI string
	Challenge   string // S256 (RFC 7636)
	Nonce       string
	Scopes      []string
	Resources   []string
	AuthTime    time.Time // when the user signed in
	ACR         string
	AMR         []string
	Claims      []string // that the ID token is to have itself
	JKT         string   // the key whose holder alone may redeem it; empty for anybody
}

// Authorization is what tokens are made from.
type Authorization struct {
	ID        string // gid
	ClientID  string
	UserID    string
	SessionID string // the browser session in which it was allowed
	Bound     bool   // signing out of that session ends it
	Nonce     string // of the code; empty at a refresh
	Scopes    []string
	Resources []string
	AuthTime  time.Time
	ACR       string
	AMR       []string
	Claims    []string // that ID tokens are to have themselves
	// JKT is the key that refresh tokens of it are bound to; empty for none.
	JKT string
}

// Consent is what a user has agreed to let a client do.
type Consent struct {
	UserID    string
	ClientID  string
	Scopes    []string
	Resources []string
	CreatedAt time.Time
	UpdatedAt time.Time
	// CreditsPerMonth is what the client may spend of the user's credits in a
	// calendar month (UTC); 0: no limit. SaveConsent does not change it.
	CreditsPerMonth money.Credits
}

// Covers reports whether c includes all scopes and resources, so that nothing
// needs to be asked.
func (c Consent) Covers(scopes, resources []string) bool {
	return len(missing(c.Scopes, scopes)) == 0 && len(missing(c.Resources, resources)) == 0
}

// Added returns the scopes that c does not include yet.
func (c Consent) Added(scopes []string) []string { return missing(c.Scopes, scopes) }

func missing(have, want []string) []string {
	var out []string
	for _, w := range want {
		if !slices.Contains(have, w) {
			out = append(out, w)
		}
	}
	return out
}
