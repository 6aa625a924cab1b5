package authn

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/apikey"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/role"
	"github.com/rephlo/rephlo/internal/web"
)

// Faults of tokens; those of API keys are in package apikey, those of accounts
// in package account.
var (
	ErrInvalidToken = fault.New(fault.Unauthenticated, "invalid_token", "The access token is not valid. Sign in again to get a new one.")
	ErrTokenExpired = fault.New(fault.Unauthenticated, "token_expired", "The access token has expired. Get a new one with the refresh token, or sign in again.")

	errTwo     = ErrInvalidToken.Saying("The request has two different credentials. Send one.")
	errInURL   = ErrInvalidToken.Saying("The address has a credential in it, where logs can see it. Send it in the Authorization header, and replace it: it may be known.")
	errTooMany = fault.New(fault.RateLimited, "too_many_attempts", "Too many credentials from this address were wrong. Check the key or token, wait a minute and try again.")
)

// Bounds of the tokens that are remembered.
const (
	maxTokens = 100_000
	tokenLife = time.Minute
)

// Revocations knows which tokens were revoked; it must answer from memory.
type Revocations interface {
	Revoked(c oauth.Claims) bool
}

// Needs is what a Service works with.
type Needs struct {
	Keys        *apikey.Service
	Accounts    *account.Service
	Roles       *role.Service // nil: nobody has one
	Tokens      *oauth.Verifier
	Revocations Revocations
	Now         func() time.Time
	// Resource is the public address under which proofs are made.
	Resource string
	// NonceKey is what the nonces of proofs are made with, and Once remembers
	// the proofs that were used, on all servers.
	NonceKey []byte
	Once     oauth.Once
}

// Service authenticates requests. It is safe for concurrent use.
type Service struct {
	keys        *apikey.Service
	accounts    *account.Service
	roles       *role.Service
	tokens      *oauth.Verifier
	revocations Revocations
	now         func() time.Time
	verified    *otter.Cache[[sha256.Size]byte, *verified]
	failures    *failures
	resource    string
	proofs      *oauth.Proofs
}

// verified is an access token whose signature and content were checked.
type verified struct {
	claims oauth.Claims
	actor  access.Actor
	until  time.Time // then it is checked again
}

// New returns a Service.
func New(n Needs) *Service {
	used := &used{once: n.Once, now: n.Now, seen: map[string]time.Time{}}
	return &Service{
		resource: n.Resource, proofs: oauth.NewProofs(n.NonceKey, used.first, n.Now),
		keys: n.Keys, accounts: n.Accounts, roles: n.Roles, tokens: n.Tokens, revocations: n.Revocations, now: n.Now,
		verified: otter.Must(&otter.Options[[sha256.Size]byte, *verified]{MaximumSize: maxTokens}),
		failures: newFailures(),
	}
}

// Authenticate returns who sent r. It reads the head of the request only. The
// Actor's Scopes are shared: do not change them.
func (s *Service) Authenticate(r *http.Request) (access.Actor, error) {
	credential, bound, err := presented(r)
	if err != nil {
		return access.Actor{}, err
	}
	if apikey.Prefixed(credential) && !bound {
		return s.byKey(r, credential)
	}
	if strings.Count(credential, ".") != 2 && !strings.HasPrefix(credential, oauth.PrefixAccess) { // no JWT; likely another service's key
		return access.Actor{}, s.failed(r, apikey.ErrInvalid)
	}
	return s.byToken(r, credential, bound)
}

func (s *Service) byKey(r *http.Request, text string) (access.Actor, error) {
	k, decided, err := s.keys.Cached(text)
	if !decided {
		if err := s.failures.check(r, s.now()); err != nil {
			return access.Actor{}, err
		}
		k, err = s.keys.Lookup(r.Context(), text)
	}
	if err != nil {
		if errors.Is(err, apikey.ErrInvalid) {
			err = s.failed(r, err)
		}
		return access.Actor{}, err
	}
	a := access.Actor{UserID: k.UserID, KeyID: k.ID, Test: k.Mode == apikey.ModeTest, Key: k.Policy, Scopes: k.Scopes}
	return s.allowed(r.Context(), a, apikey.ErrInvalid)
}

func (s *Service) byToken(r *http.Request, text string, bound bool) (access.Actor, error) {
	hash := sha256.Sum256([]byte(text))
	now := s.now()
	v, ok := s.verified.GetIfPresent(hash)
	if !ok || !now.Before(v.until) {
		if err := s.failures.check(r, now); err != nil {
			return access.Actor{}, err
		}
		var err error
		if v, err = s.verify(text, now); err != nil {
			return access.Actor{}, s.failed(r, err)
		}
		s.verified.Set(hash, v)
	}
	if s.revocations.Revoked(v.claims) {
		return access.Actor{}, ErrInvalidToken
	}
	if bound != (v.claims.JKT != "") { // a stolen token must not do without its key
		return access.Actor{}, s.failed(r, errScheme)
	}
	if bound {
		if err := s.prove(r, text, v.claims.JKT); err != nil {
			return access.Actor{}, err
		}
	}
	return s.allowed(r.Context(), v.actor, ErrInvalidToken)
}

func (s *Service) verify(text string, now time.Time) (*verified, error) {
	c, err := s.tokens.Verify(text)
	switch {
	case errors.Is(err, oauth.ErrExpired):
		return nil, ErrTokenExpired.Because(err)
	case errors.Is(err, oauth.ErrInvalidToken):
		return nil, ErrInvalidToken.Because(err)
	case err != nil:
		return nil, err
	}
	v := &verified{claims: c, until: now.Add(tokenLife)}
	if end := c.Expiry.Add(oauth.Skew); end.Before(v.until) { // what is over is not remembered
		v.until = end
	}
	v.actor = access.Actor{UserID: c.Subject, ClientID: c.ClientID, Session: c.SessionID, Scopes: c.Scopes, AuthTime: c.AuthTime, Factor: oauth.MeetsACR(c.ACR, []string{"mfa"})}
	if id.Is(impersonation, c.GrantID) {
		v.actor.By, v.actor.AuthTime, v.actor.Factor = actingFor(c), time.Time{}, false
	}
	return v, nil
}

// impersonation begins the authorizations of administrators who look as
// somebody.
const impersonation = "imp"

// actingFor returns the first who acted for the subject of a token: whoever it
// was handed on to acts for them.
func actingFor(c oauth.Claims) string {
	by := c.Act
	for by != nil && by.Act != nil {
		by = by.Act
	}
	if by == nil {
		return c.Subject
	}
	return by.Subject
}

// mayLook returns nil when the administrator who looks as u may still do so.
func (s *Service) mayLook(ctx context.Context, by string, u account.User) error {
	admin, err := s.accounts.Snapshot(ctx, by)
	if errors.Is(err, account.ErrUnknown) {
		return ErrInvalidToken
	}
	if err != nil {
		return fault.ErrUnavailable.Because(err)
	}
	if u.Staff || s.roles == nil || account.Usable(admin, s.now()) != nil {
		return ErrInvalidToken
	}
	held, err := s.roles.Of(ctx, by)
	if err != nil {
		return fault.ErrUnavailable.Because(err)
	}
	if held.Rights == nil || !held.Rights.Has(access.Impersonate) {
		return ErrInvalidToken
	}
	return nil
}

// allowed completes a with how its account stands now. unknown answers for a
// user that is gone.
func (s *Service) allowed(ctx context.Context, a access.Actor, unknown error) (access.Actor, error) {
	u, err := s.accounts.Snapshot(ctx, a.UserID)
	switch {
	case errors.Is(err, account.ErrUnknown):
		return access.Actor{}, unknown
	case err != nil: // not knowing is no reason to say that they may not
		return access.Actor{}, fault.ErrUnavailable.Because(err)
	}
	switch u.State {
	case account.StateActive:
	case account.StateSuspended:
		if u.Until.IsZero() || s.now().Before(u.Until) {
			return access.Actor{}, suspended(u)
		}
	case account.StateBanned:
		return access.Actor{}, account.ErrBanned
	default: // deleted
		return access.Actor{}, unknown
	}
	if a.By != "" {
		if err := s.mayLook(ctx, a.By, u); err != nil {
			return access.Actor{}, err
		}
	}
	a.Verified = u.Verified
	if !slices.Contains(a.Scopes, access.ScopeAdmin) {
		return a, nil
	}
	if u.Staff && s.roles != nil {
		held, err := s.roles.Of(ctx, a.UserID)
		if err != nil {
			return access.Actor{}, fault.ErrUnavailable.Because(err)
		}
		a.Roles, a.Rights = held.Roles, held.Rights
	}
	if len(a.Roles) == 0 { // the roles decide now, not when the token was made
		a.Scopes = slices.DeleteFunc(slices.Clone(a.Scopes), func(scope string) bool { return scope == access.ScopeAdmin })
	}
	return a, nil
}

func suspended(u account.User) error {
	if u.Until.IsZero() {
		return account.ErrSuspended
	}
	until := u.Until.UTC().Format(time.RFC3339)
	return account.ErrSuspended.Saying("This account is suspended until %s. Ask the operator of this service.", until).With("until", until)
}

// failed counts a wrong credential and returns what to answer.
func (s *Service) failed(r *http.Request, err error) error {
	if limit := s.failures.add(r, s.now()); limit != nil {
		return limit
	}
	return err
}

// Middleware puts the outcome of Authenticate into the request's context, for
// access.Needs. It refuses nothing by itself, so public routes can use it.
func (s *Service) Middleware() web.Middleware {
	return func(next web.Handler) web.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			a, err := s.Authenticate(r)
			if r.Header["Dpop"] != nil {
				w.Header().Set("DPoP-Nonce", s.proofs.Nonce())
			}
			return next(w, r.WithContext(access.With(r.Context(), a, err)))
		}
	}
}
