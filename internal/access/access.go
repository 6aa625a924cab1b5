// Package access knows who is asking: the Actor that a credential stands for,
// carried by the request's context, and the scopes a route demands. It knows
// users by id only.
package access

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/money"
)

// Scopes of the Resource API.
const (
	ScopeInference     = "llm.inference"
	ScopeModels        = "models.read"
	ScopeUser          = "user.info"
	ScopeAccountManage = "account.manage"
	ScopeCredits       = "credits.read"
	ScopeKeys          = "keys.manage"
	ScopeBilling       = "billing.manage"
	ScopeWebhooks      = "webhooks.manage"
	ScopeAdmin         = "admin"
)

// Actor is who sent a request.
type Actor struct {
	UserID   string
	ClientID string  // the OAuth client, when the credential is an access token
	Session  string  // the browser's sign-in behind the token; "" when it outlives that
	KeyID    string  // the API key, when it is one
	Test     bool    // an API key that may only use the test models, for free
	Key      *Policy // what the API key may do; nil is anything
	Verified bool    // the user's e-mail address is proven
	Scopes   []string
	Roles    []string  // of an administrator
	Rights   *Rights   // of an administrator; nil: what the roles of the system hold
	AuthTime time.Time // when the user signed in; zero for an API key
	Factor   bool      // a second factor was used at the sign-in
	// By is the administrator who looks as the user; "" for the user.
	By string
}

// Policy bounds what an API key may do beyond its scopes. It is immutable.
type Policy struct {
	// Purse is whose counters the limits below use: the first of the keys that
	// replaced each other. "" is the key itself.
	Purse  string
	Models []string // ids of those it may call; empty is all
	// Calls and tokens in a minute, calls at once; 0 is no bound.
	RequestsPerMinute, TokensPerMinute, ConcurrentRequests int64
	// Credits in a UTC day, in a UTC month and in all; 0 is no bound.
	CreditsPerDay, CreditsPerMonth, CreditsTotal money.Credits
	// Cache says that whole answers may be kept for a while and given again.
	Cache bool
	// Capture says that what is asked and answered may be kept for its owner.
	Capture bool
}

// Purse is what the limits of a's API key are counted by.
func (a Actor) Purse() string {
	if a.Key != nil && a.Key.Purse != "" {
		return a.Key.Purse
	}
	return a.KeyID
}

// SpendsUpTo reports whether there is a bound on what may be spent.
func (p *Policy) SpendsUpTo() bool {
	return p != nil && (p.CreditsPerDay > 0 || p.CreditsPerMonth > 0 || p.CreditsTotal > 0)
}

// MayCall reports whether the model with this id may be called.
func (p *Policy) MayCall(model string) bool {
	return p == nil || len(p.Models) == 0 || slices.Contains(p.Models, model)
}

// Has reports whether a may do what scope allows. account.manage includes
// user.info; admin includes nothing else.
func (a Actor) Has(scope string) bool {
	return slices.Contains(a.Scopes, scope) || scope == ScopeUser && slices.Contains(a.Scopes, ScopeAccountManage)
}

// Faults of a request without the right to do what it asks.
var (
	ErrNoCredential = fault.New(fault.Unauthenticated, "unauthorized", "Send an access token or an API key in the Authorization header, as Bearer.")
	ErrScope        = fault.New(fault.Forbidden, "insufficient_scope", "The credential does not allow this.")
	ErrSignInAgain  = fault.New(fault.Unauthenticated, "reauthentication_required", "This needs a sign-in of the last few minutes. Sign in again and repeat it.")
	ErrNotByKey     = fault.New(fault.Forbidden, "forbidden", "An API key cannot do this. Sign in and use an access token.")
)

// Check returns nil when a has all scopes, else ErrScope with all that are
// needed in details.scopes.
func Check(a Actor, scopes ...string) error {
	for _, s := range scopes {
		if !a.Has(s) {
			return ErrScope.Saying("This needs the scope %s, which the credential does not have.", strings.Join(scopes, " ")).With("scopes", scopes)
		}
	}
	return nil
}

// CheckRecent returns nil when the person that ctx carries signed in no longer
// than d ago.
func CheckRecent(ctx context.Context, d time.Duration, now time.Time) error {
	a, err := From(ctx)
	if err != nil {
		return err
	}
	if a.KeyID != "" {
		return ErrNotByKey
	}
	if now.Sub(a.AuthTime) > d {
		return ErrSignInAgain.With("maxAgeSeconds", int(d.Seconds()))
	}
	return nil
}

type key struct{}

type result struct {
	actor Actor
	err   error
}

// With returns a context that carries the outcome of authentication: an Actor,
// or why there is none.
func With(ctx context.Context, a Actor, err error) context.Context {
	return context.WithValue(ctx, key{}, result{a, err})
}

// From returns the Actor that ctx carries, or why there is none.
func From(ctx context.Context) (Actor, error) {
	r, ok := ctx.Value(key{}).(result)
	if !ok {
		return Actor{}, ErrNoCredential
	}
	return r.actor, r.err
}
