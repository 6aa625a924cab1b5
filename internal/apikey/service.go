package apikey

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"

	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/secret"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// changed is the bus kind that says "read this key again".
const changed = "apikey.changed"

// Needs is what a Service works with.
type Needs struct {
	DB  *sqldb.DB
	Bus *bus.Bus
	Log *slog.Logger
	Now func() time.Time
	// Plan returns how many keys of a mode a user's plan allows, from memory; nil:
	// as many as there may be.
	Plan func(userID string, mode Mode) int
	// Happened is told of keys that were made, and of those that were revoked,
	// in the transaction that does it; nil: nobody is.
	Happened func(ctx context.Context, k Key, revoked bool) error
}

// Service makes, finds and revokes keys. It is safe for concurrent use.
type Service struct {
	store store
	bus   *bus.Bus
	log   *slog.Logger
	now   func() time.Time

	happened func(ctx context.Context, k Key, revoked bool) error
	plan     func(userID string, mode Mode) int

	cache *cache
	uses  *uses
}

// New returns a Service. Lookup works before Start; what Start adds is writing
// down when keys were used.
func New(n Needs) *Service {
	s := &Service{store: store{n.DB}, bus: n.Bus, log: n.Log, now: n.Now, happened: n.Happened, plan: n.Plan, cache: newCache(), uses: newUses()}
	if s.plan == nil {
		s.plan = func(string, Mode) int { return MaxKeys }
	}
	n.Bus.Subscribe(changed, s.cache.forget)
	return s
}

// Create makes a key. The text is its secret and cannot be had again. Fields
// that break a rule are validation_error; a user with MaxKeys keys gets
// ErrTooMany, one with as many as the plan allows ErrPlan.
func (s *Service) Create(ctx context.Context, n NewKey) (Key, secret.String, error) {
	now := s.now()
	if err := n.complete(now); err != nil {
		return Key{}, secret.String{}, err
	}
	text := generate(n.Mode)
	h, _ := parse(text) // we made it
	keyID := id.New("key", now)
	k := Key{
		ID: keyID, Root: keyID, UserID: n.UserID, Name: n.Name, Prefix: text[:shownLen], Mode: n.Mode, Scopes: n.Scopes, Models: n.Models, Limits: n.Limits, Cache: n.Cache, Capture: n.Capture,
		CreatedAt: now.UTC().Truncate(time.Microsecond), ExpiresAt: n.ExpiresAt.UTC().Truncate(time.Microsecond),
	}
	k.Policy = k.policy()
	err := s.store.db.InTx(ctx, func(ctx context.Context) error {
		if err := s.store.lockOwner(ctx, n.UserID, now); err != nil {
			return err
		}
		of, all, err := s.store.count(ctx, n.UserID, n.Mode, now)
		if err != nil {
			return err
		}
		if all >= MaxKeys {
			return ErrTooMany
		}
		if allowed := s.plan(n.UserID, n.Mode); of >= allowed {
			return ErrPlan.Saying("Your plan allows %d %s API keys. Revoke one that you no longer need, or choose a higher plan.", allowed, n.Mode)
		}
		k.Older = of
		if err := s.store.add(ctx, k, h); err != nil {
			return err
		}
		if err := s.tell(ctx, k, false); err != nil {
			return err
		}
		// Somebody may have tried the key's text, however unlikely.
		return s.bus.Publish(ctx, changed, hex.EncodeToString(h[:]))
	})
	if err != nil {
		return Key{}, secret.String{}, unavailable(err)
	}
	return k, secret.New(text), nil
}

// ByID returns the user's key; somebody else's is fault.ErrNotFound.
func (s *Service) ByID(ctx context.Context, userID, keyID string) (Key, error) {
	k, err := s.store.byID(ctx, userID, keyID, s.now())
	return k, unavailable(err)
}

// Filter narrows a list of keys; empty fields do not.
type Filter struct {
	UserID string // of their owner
	Prefix string // their first characters
	Mode   Mode
	Status Status
	// Before is the id of the last key of the page before.
	Before string
}

// List returns up to limit of the user's keys, newest first.
func (s *Service) List(ctx context.Context, userID string, f Filter, limit int) ([]Key, error) {
	f.UserID = userID
	keys, err := s.store.list(ctx, f, limit, s.now())
	return keys, unavailable(err)
}

// Everybodys returns up to limit keys of anybody, newest first.
func (s *Service) Everybodys(ctx context.Context, f Filter, limit int) ([]Key, error) {
	f.Prefix = f.Prefix[:min(len(f.Prefix), shownLen)]
	keys, err := s.store.list(ctx, f, limit, s.now())
	return keys, unavailable(err)
}

// Named returns up to limit keys of anybody: the one with this id, or those whose
// text begins with the first 12 characters of name, newest first.
func (s *Service) Named(ctx context.Context, name string, limit int) ([]Key, error) {
	keys, err := s.store.named(ctx, name, limit, s.now())
	return keys, unavailable(err)
}

// Edit is what changes of a key; nil fields stay.
type Edit struct {
	Name      *string
	Scopes    *[]string
	Models    *[]string
	Limits    *Limits
	Cache     *bool
	Capture   *bool
	ExpiresAt *time.Time // zero: never
	Paused    *bool
}

// Change edits the user's key, in this process at once and in others within two
// seconds. Somebody else's key, and a revoked one, is fault.ErrNotFound.
func (s *Service) Change(ctx context.Context, userID, keyID string, e Edit) (Key, error) {
	var k Key
	err := s.store.db.InTx(ctx, func(ctx context.Context) (err error) {
		if err := s.store.lockOwner(ctx, userID, s.now()); err != nil {
			return err
		}
		if k, err = s.store.byID(ctx, userID, keyID, s.now()); err != nil {
			return err
		}
		if e.ExpiresAt != nil && k.outstays(*e.ExpiresAt) {
			return errField.Saying("This key was replaced: it can end sooner, but not later.").At("expiresAt")
		}
		if err := k.apply(e, s.now()); err != nil {
			return err
		}
		h, err := s.store.edit(ctx, k)
		if err != nil {
			return err
		}
		return s.publish(ctx, k, h)
	})
	return k, unavailable(err)
}

func (k *Key) apply(e Edit, now time.Time) error {
	if e.Name != nil {
		k.Name = *e.Name
	}
	if e.Scopes != nil {
		if len(*e.Scopes) == 0 {
			return errField.Saying("A key without a scope can do nothing. Revoke it instead.").At("scopes")
		}
		k.Scopes = *e.Scopes
	}
	if e.Models != nil {
		k.Models = *e.Models
	}
	if e.Limits != nil {
		k.Limits = *e.Limits
	}
	if e.Cache != nil {
		k.Cache = *e.Cache
	}
	if e.Capture != nil {
		k.Capture = *e.Capture
	}
	if e.ExpiresAt != nil {
		if k.ExpiresAt = e.ExpiresAt.UTC().Truncate(time.Microsecond); e.ExpiresAt.IsZero() {
			k.ExpiresAt = time.Time{}
		}
		if err := checkExpiry(k.ExpiresAt, now); err != nil {
			return err
		}
	}
	switch {
	case e.Paused == nil:
	case !*e.Paused:
		k.PausedAt = time.Time{}
	case k.PausedAt.IsZero():
		k.PausedAt = now.UTC().Truncate(time.Microsecond)
	}
	return k.tidy()
}

// Revoke ends the user's key, in this process at once and in others within two
// seconds. Revoking twice is no error; somebody else's key is
// fault.ErrNotFound.
func (s *Service) Revoke(ctx context.Context, userID, keyID string) error {
	err := s.store.db.InTx(ctx, func(ctx context.Context) error {
		if err := s.store.lockOwner(ctx, userID, s.now()); err != nil {
			return err
		}
		k, err := s.store.byID(ctx, userID, keyID, s.now())
		if err != nil {
			return err
		}
		h, err := s.store.revoke(ctx, userID, keyID, s.now())
		if err != nil {
			return err
		}
		if k.RevokedAt.IsZero() {
			if err := s.tell(ctx, k, true); err != nil {
				return err
			}
		}
		return s.publish(ctx, k, h)
	})
	return unavailable(err)
}

// publish tells every process of a changed key, and of those made after it,
// whose place among the user's keys may be another now.
func (s *Service) publish(ctx context.Context, k Key, h []byte) error {
	later, err := s.store.later(ctx, k.UserID, k.Root)
	if err != nil {
		return err
	}
	for _, h := range append(later, h) {
		if err := s.bus.Publish(ctx, changed, hex.EncodeToString(h)); err != nil {
			return err
		}
	}
	return nil
}

// Surplus reports whether k's owner has as many older keys as the plan allows,
// so that k rests until there are fewer or the plan allows more.
func (s *Service) Surplus(k Key) bool { return k.Older >= s.plan(k.UserID, k.Mode) }

// RevokeAny is Revoke for whoever's key it is, with what then does in the same
// transaction. It returns the key as it is after it.
func (s *Service) RevokeAny(ctx context.Context, keyID string, then func(ctx context.Context, k Key) error) (Key, error) {
	var k Key
	err := s.store.db.InTx(ctx, func(ctx context.Context) error {
		userID, err := s.store.ownerOf(ctx, keyID)
		if err != nil {
			return err
		}
		if err := s.Revoke(ctx, userID, keyID); err != nil {
			return err
		}
		if k, err = s.store.byID(ctx, userID, keyID, s.now()); err != nil {
			return err
		}
		return then(ctx, k)
	})
	return k, unavailable(err)
}

func (s *Service) tell(ctx context.Context, k Key, revoked bool) error {
	if s.happened == nil {
		return nil
	}
	return s.happened(ctx, k, revoked)
}

// unavailable turns "the database cannot be asked" into its fault.
func unavailable(err error) error {
	if sqldb.IsUnavailable(err) {
		return ErrUnavailable.Because(fmt.Errorf("api keys: %w", err))
	}
	return err
}
