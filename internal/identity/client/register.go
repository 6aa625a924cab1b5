package client

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"time"

	"github.com/rephlo/rephlo/internal/identity/oauth"
)

const (
	// DynamicPrefix begins the ids of clients that registered themselves.
	DynamicPrefix = "dyn_"

	unusedLife = 90 * 24 * time.Hour
	maxUnused  = 10_000 // never used, at once
	useStep    = 24 * time.Hour
)

// Registration is what a client that registered itself is told once.
type Registration struct {
	Client Client
	Secret string // empty for a public client, and when it has not changed
	Token  string // changes the client from now on
}

// Register stores a client that asked for itself, under a new id. Settings
// that break a rule are ErrInvalid.
func (s *Service) Register(ctx context.Context, c Client) (Registration, error) {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	c.ID, c.Dynamic, c.FirstParty, c.SkipConsent = DynamicPrefix+base64.RawURLEncoding.EncodeToString(b[:]), true, false, false
	c.CreatedAt = s.now().Truncate(time.Microsecond)
	r := Registration{Client: c, Token: oauth.NewSecret(oauth.PrefixRegistration)}
	if r.Client.readKeys(); c.hasSecret() {
		shown, kept := newSecret()
		r.Secret, r.Client.secrets = shown, []secretHash{kept}
	}
	if err := r.Client.check(); err != nil {
		return Registration{}, err
	}
	if err := s.Prepare(ctx, c.chosen()); err != nil {
		return Registration{}, err
	}
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		added, err := s.store.add(ctx, r.Client, oauth.Hash(r.Token), s.now())
		if err != nil {
			return err
		}
		if !added {
			return ErrExists
		}
		return s.bus.Publish(ctx, busKind, c.ID)
	})
	return r, err
}

// Registered returns the client that a registration token is for, or
// oauth.ErrInvalidToken.
func (s *Service) Registered(ctx context.Context, id, token string) (Client, error) {
	c, err := s.ByID(ctx, id)
	if err != nil || !c.Dynamic || !oauth.IsSecret(oauth.PrefixRegistration, token) {
		return Client{}, oauth.ErrInvalidToken
	}
	ok, err := s.store.registered(ctx, id, oauth.Hash(token))
	switch {
	case err != nil:
		return Client{}, err
	case !ok:
		return Client{}, oauth.ErrInvalidToken
	}
	return c, nil
}

// Replace gives a client that registered itself other settings and another
// registration token; the old token is void. It keeps the id, and the secret
// unless it has none yet.
func (s *Service) Replace(ctx context.Context, id, token string, c Client) (Registration, error) {
	old, err := s.Registered(ctx, id, token)
	if err != nil {
		return Registration{}, err
	}
	c.ID, c.Dynamic, c.FirstParty, c.SkipConsent, c.CreatedAt = id, true, false, false, old.CreatedAt
	c.readKeys()
	r := Registration{Token: oauth.NewSecret(oauth.PrefixRegistration)}
	switch {
	case !c.hasSecret():
	case len(old.secrets) > 0:
		c.secrets = old.secrets
	default:
		shown, kept := newSecret()
		r.Secret, c.secrets = shown, []secretHash{kept}
	}
	if err := c.check(); err != nil {
		return Registration{}, err
	}
	if err := s.Prepare(ctx, c.chosen()); err != nil {
		return Registration{}, err
	}
	r.Client = c
	return r, s.db.InTx(ctx, func(ctx context.Context) error {
		changed, err := s.store.replace(ctx, c, oauth.Hash(token), oauth.Hash(r.Token), s.now())
		if err != nil {
			return err
		}
		if !changed { // another request was faster
			return oauth.ErrInvalidToken
		}
		return s.bus.Publish(ctx, busKind, id)
	})
}

// Unregister removes a client that registered itself. end ends its tokens in
// the same transaction.
func (s *Service) Unregister(ctx context.Context, id, token string, end func(ctx context.Context) error) error {
	if _, err := s.Registered(ctx, id, token); err != nil {
		return err
	}
	return s.db.InTx(ctx, func(ctx context.Context) error {
		removed, err := s.store.unregister(ctx, id, oauth.Hash(token))
		if err != nil {
			return err
		}
		if !removed {
			return oauth.ErrInvalidToken
		}
		if err := end(ctx); err != nil {
			return err
		}
		return s.bus.Publish(ctx, busKind, id)
	})
}

// Used notes that c got a token, once a day. A failure costs nothing but a
// chance that the client counts as unused.
func (s *Service) Used(ctx context.Context, c Client) {
	now := s.now()
	if !c.Dynamic || now.Sub(c.usedAt) < useStep {
		return
	}
	err := s.store.used(ctx, c.ID, now)
	if err == nil {
		err = s.bus.Publish(ctx, busKind, c.ID)
	}
	if err != nil {
		s.log.WarnContext(ctx, "use of a client not noted", "client", c.ID, "err", err)
	}
}

// Sweep removes clients that registered themselves and got no token for 90
// days, which is longer than any refresh token lives, and the oldest of more
// than 10,000 that never got one.
func (s *Service) Sweep(ctx context.Context) error {
	return s.db.InTx(ctx, func(ctx context.Context) error {
		gone, err := s.store.removeUnused(ctx, s.now().Add(-unusedLife), maxUnused)
		if err != nil || len(gone) == 0 {
			return err
		}
		s.log.InfoContext(ctx, "removed unused clients that had registered themselves", "clients", len(gone))
		return s.bus.Publish(ctx, busKind, "")
	})
}
