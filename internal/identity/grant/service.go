package grant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Needs is what a Service is made of.
type Needs struct {
	DB  *sqldb.DB
	Bus *bus.Bus
	Box *seal.Box
	Log *slog.Logger
	Now func() time.Time
	// Reused is called in the transaction that ends an authorization because a
	// refresh token of it was used twice: its user is told there.
	Reused func(ctx context.Context, a Authorization) error
}

// Service issues and redeems codes and refresh tokens, keeps consents, and
// knows what is revoked. It is safe for concurrent use.
type Service struct {
	db     *sqldb.DB
	store  store
	bus    *bus.Bus
	log    *slog.Logger
	now    func() time.Time
	tagKey []byte
	// userKey makes the hash of a user code, which is too short for one without.
	userKey []byte
	reused  func(context.Context, Authorization) error

	epochs  epochs
	budgets budgets
	cancel  context.CancelFunc
	done    sync.WaitGroup
}

// New returns a Service; Start it before it checks tokens.
func New(n Needs) *Service {
	s := &Service{
		db: n.DB, store: store{n.DB}, bus: n.Bus, log: n.Log, now: n.Now,
		tagKey: n.Box.Subkey("refresh/v1"), userKey: n.Box.Subkey("user code/v1"), reused: n.Reused,
		epochs: epochs{at: map[epochKey]epoch{}}, budgets: budgets{of: map[string]budget{}},
	}
	if s.reused == nil {
		s.reused = func(context.Context, Authorization) error { return nil }
	}
	n.Bus.Subscribe(busKind, s.heard)
	n.Bus.Subscribe(busBudget, s.heardBudget)
	return s
}

// IssueCode records what a user allowed and returns the code that a client
// exchanges for it within CodeLife.
func (s *Service) IssueCode(ctx context.Context, c Code) (string, error) {
	value, now := oauth.NewSecret(oauth.PrefixCode), s.now()
	row := code{Code: c, authorizationID: id.New("gnt", now), issuedAt: now, expiresAt: now.Add(CodeLife)}
	if err := s.store.addCode(ctx, oauth.Hash(value), row); err != nil {
		return "", err
	}
	return value, nil
}

// Redemption is a code with what proves the right to redeem it.
type Redemption struct {
	Code     string
	ClientID string
	// RedirectURI is compared when it was sent; empty when it was not.
	RedirectURI string
	Verifier    string
	JKT         string // the key that the request has proven to hold
}

// RedeemCode consumes a code and hands what it stands for to issue, all in one
// transaction: issue must write with the context it is given. When issue fails
// for a reason of ours, nothing is consumed; when it refuses, the code is
// burnt, as it is by a wrong client, redirect URI or verifier. The second use
// of a code takes back everything the first one gave (RFC 6749 section
// 4.1.2). Every refusal of the code itself is oauth.ErrInvalidGrant.
func (s *Service) RedeemCode(ctx context.Context, r Redemption, issue func(context.Context, Authorization) error) error {
	if !oauth.IsSecret(oauth.PrefixCode, r.Code) {
		return oauth.ErrInvalidGrant
	}
	return s.consume(ctx, func(ctx context.Context) error { return s.redeem(ctx, r, issue) })
}

// consume runs use in a transaction, which a refusal does not undo: what was
// used up stays so. A failure of ours undoes it.
func (s *Service) consume(ctx context.Context, use func(context.Context) error) error {
	var refused error
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		err := use(ctx)
		if f, ok := errors.AsType[*fault.Error](err); ok && f.Kind.Status() < 500 {
			refused = err
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	return refused
}

func (s *Service) redeem(ctx context.Context, r Redemption, issue func(context.Context, Authorization) error) error {
	hash, now := oauth.Hash(r.Code), s.now()
	c, ok, err := s.store.useCode(ctx, hash, now)
	if err != nil {
		return err
	}
	if !ok {
		return s.refuseCode(ctx, hash)
	}
	if c.ClientID != r.ClientID || r.RedirectURI != "" && r.RedirectURI != c.RedirectURI || !c.proven(r) {
		return oauth.ErrInvalidGrant
	}
	if c.JKT != "" && c.JKT != r.JKT {
		return oauth.ErrInvalidGrant.Saying("The code is bound to a key; send a DPoP proof with that key.")
	}
	a := Authorization{
		ID: c.authorizationID, ClientID: c.ClientID, UserID: c.UserID, SessionID: c.SessionID, Bound: true, Nonce: c.Nonce,
		Scopes: c.Scopes, Resources: c.Resources, AuthTime: c.AuthTime, ACR: c.ACR, AMR: c.AMR,
		Claims: c.Claims,
	}
	// The row, not this process's memory: a sign-out that another process has
	// just committed counts.
	revoked, err := s.store.revokedSince(ctx, a, c.issuedAt)
	if err != nil {
		return err
	}
	if revoked {
		return oauth.ErrInvalidGrant
	}
	return issue(ctx, a)
}

// proven reports whether r comes from where the request did: it has the
// verifier of the challenge. A code without one takes no verifier, which would
// hide a downgrade, but the redirect URI.
func (c code) proven(r Redemption) bool {
	if c.Challenge == "" {
		return r.Verifier == "" && r.RedirectURI != ""
	}
	return oauth.VerifierMatches(c.Challenge, r.Verifier)
}

// Login is a client that got tokens in a browser session.
type Login struct{ SessionID, ClientID, UserID string }

// loginMemory is how long a browser session can last, and a day.
const loginMemory = 31 * 24 * time.Hour

// NoteLogin records, in the transaction of the tokens, that a's client has to
// be told when the session ends.
func (s *Service) NoteLogin(ctx context.Context, a Authorization) error {
	return s.store.addLogin(ctx, a, s.now())
}

// TakeLogins returns the clients that are to be told that a session has ended,
// once.
func (s *Service) TakeLogins(ctx context.Context, sessionID string) ([]Login, error) {
	return s.store.takeLogins(ctx, sessionID)
}

// refuseCode answers a code that could not be used: unknown, expired, or used
// before, which takes back what it gave.
func (s *Service) refuseCode(ctx context.Context, hash string) error {
	authorizationID, used, err := s.store.usedCode(ctx, hash)
	if err != nil {
		return err
	}
	if used {
		s.log.WarnContext(ctx, "authorization code reused", "authorization", authorizationID)
		if err := s.Revoke(ctx, KindAuthorization, authorizationID); err != nil {
			return err
		}
	}
	return oauth.ErrInvalidGrant
}

// Once remembers a value of a kind until a time, on all servers. It is false
// when it is remembered already: then somebody has used it before. It is an
// oauth.Once.
func (s *Service) Once(ctx context.Context, kind, value string, until time.Time) (bool, error) {
	return s.store.once(ctx, oauth.Hash(kind+" "+value), until)
}

// Consent returns what a user has agreed to let a client do, and whether there
// is any such agreement.
func (s *Service) Consent(ctx context.Context, userID, clientID string) (Consent, bool, error) {
	return s.store.consent(ctx, userID, clientID)
}

// SaveConsent adds c's scopes and resources to what the user agreed to before.
func (s *Service) SaveConsent(ctx context.Context, c Consent) error {
	return s.db.InTx(ctx, func(ctx context.Context) error {
		old, _, err := s.store.consent(ctx, c.UserID, c.ClientID)
		if err != nil {
			return err
		}
		c.Scopes = append(old.Scopes, missing(old.Scopes, c.Scopes)...)
		c.Resources = append(old.Resources, missing(old.Resources, c.Resources)...)
		return s.store.saveConsent(ctx, c, s.now())
	})
}

// RemoveConsent forgets what a user agreed to and ends every token that the
// client has from it.
func (s *Service) RemoveConsent(ctx context.Context, userID, clientID string) error {
	return s.db.InTx(ctx, func(ctx context.Context) error {
		if err := s.store.removeConsent(ctx, userID, clientID); err != nil {
			return err
		}
		// Its limit went with it; who allows the app again begins without one.
		message, err := json.Marshal(budget{UserID: userID, ClientID: clientID, At: s.now().UnixMicro()})
		if err != nil {
			return fmt.Errorf("remove consent: %w", err)
		}
		if err := s.bus.Publish(ctx, busBudget, string(message)); err != nil {
			return err
		}
		return s.Revoke(ctx, KindConsent, ConsentSubject(userID, clientID))
	})
}
