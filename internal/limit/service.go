package limit

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/tier"
)

const (
	busKind = "limit.override"
)

// Needs are what a Service is made of.
type Needs struct {
	DB    *sqldb.DB
	Bus   *bus.Bus
	Audit *audit.Log
	Log   *slog.Logger
	Now   func() time.Time
}

// Service knows the overrides. It is safe for concurrent use.
type Service struct {
	Needs
	*bus.Follower // Load, Start and Stop
	store         store
	now           atomic.Pointer[map[string]Override] // by user; never changed
}

// New returns a Service that knows nothing before Load.
func New(n Needs) *Service {
	s := &Service{Needs: n, store: store{n.DB}}
	s.now.Store(&map[string]Override{})
	s.Follower = n.Bus.Follow(busKind, "the limits of people", s.read)
	return s
}

// read is what Load does.
func (s *Service) read(ctx context.Context) error {
	list, err := s.store.all(ctx)
	if err != nil {
		return unavailable(err)
	}
	byUser := make(map[string]Override, len(list))
	for _, o := range list {
		byUser[o.UserID] = o
	}
	s.now.Store(&byUser)
	return nil
}

// Of returns what somebody has in place of the limits of their tier now, from
// memory; false: nothing.
func (s *Service) Of(userID string) (Override, bool) {
	o, ok := (*s.now.Load())[userID]
	return o, ok && o.Active(s.Now())
}

// Own returns t with somebody's own limits, from memory. It may be t itself: do
// not change it.
func (s *Service) Own(userID string, t *tier.Tier) *tier.Tier {
	if o, ok := s.Of(userID); ok {
		return o.Over(t)
	}
	return t
}

// Set gives somebody limits of their own, in place of those they had.
// ErrNothing; ErrPast.
func (s *Service) Set(ctx context.Context, o Override) (Override, error) {
	now := s.Now().UTC().Truncate(time.Microsecond)
	if o.empty() {
		return o, ErrNothing
	}
	if !o.ExpiresAt.IsZero() && !o.ExpiresAt.After(now) {
		return o, ErrPast
	}
	actor, err := access.From(ctx)
	if err != nil {
		return o, err
	}
	o.Reason, o.By, o.At, o.ExpiresAt = strings.TrimSpace(o.Reason), actor.UserID, now, o.ExpiresAt.UTC().Truncate(time.Microsecond)
	return o, s.change(ctx, o.UserID, o.Reason, "users.set_limits", func(ctx context.Context) (Override, error) {
		return o, s.store.set(ctx, o)
	})
}

// Clear gives somebody the limits of their tier again. ErrUnknown when they have
// them.
func (s *Service) Clear(ctx context.Context, userID, reason string) error {
	return s.change(ctx, userID, reason, "users.clear_limits", func(ctx context.Context) (Override, error) {
		had, err := s.store.clear(ctx, userID)
		if err == nil && !had {
			err = ErrUnknown
		}
		return Override{}, err
	})
}

// change lets do alter somebody's override and remembers what it was and is.
func (s *Service) change(ctx context.Context, userID, reason, action string, do func(ctx context.Context) (Override, error)) error {
	return unavailable(s.DB.InTx(ctx, func(ctx context.Context) error {
		before, err := s.store.of(ctx, userID)
		if err != nil {
			return err
		}
		after, err := do(ctx)
		if err != nil {
			return err
		}
		if err := s.Audit.Write(ctx, audit.Change{Action: action, Type: "user", ID: userID, Reason: reason, Before: shown(before), After: shown(after)}); err != nil {
			return err
		}
		s.DB.AfterCommit(ctx, s.Refresh)
		return s.Bus.Publish(ctx, busKind, userID)
	}))
}

func shown(o Override) map[string]any {
	out := map[string]any{}
	for name, limit := range map[string]int64{
		"requestsPerMinute": o.RequestsPerMinute, "tokensPerMinute": o.TokensPerMinute, "concurrentRequests": o.ConcurrentRequests,
	} {
		if limit > 0 {
			out[name] = limit
		}
	}
	if o.CreditsPerDay > 0 {
		out["creditsPerDay"] = o.CreditsPerDay
	}
	if !o.ExpiresAt.IsZero() {
		out["expiresAt"] = o.ExpiresAt
	}
	return out
}

// Sweep removes what has expired. Run it once in a while.
func (s *Service) Sweep(ctx context.Context) error { return unavailable(s.store.sweep(ctx, s.Now())) }

func unavailable(err error) error {
	if sqldb.IsUnavailable(err) {
		return fault.ErrUnavailable.Because(err)
	}
	return err
}
