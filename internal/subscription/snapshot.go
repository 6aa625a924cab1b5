package subscription

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	maxSnapshots = 100_000 // users whose tier is kept in memory
	loadTime     = 5 * time.Second
)

// snapshots are tiers as they were read last, by user.
type snapshots struct {
	mu      sync.Mutex
	users   map[string]string // guarded by mu
	changes uint64            // guarded by mu
}

// TierOf returns the name of the user's tier from memory: that of the live
// subscription, or Default for those who pay nothing or have not paid for long.
// A change in this process shows at once, one in another when the bus has
// brought it. While the database does not answer, a user who is not in memory
// has Default; no call is admitted then anyway.
func (s *Service) TierOf(user string) string {
	s.tiers.mu.Lock()
	name, ok := s.tiers.users[user]
	before := s.tiers.changes
	s.tiers.mu.Unlock()
	if ok {
		return name
	}
	ctx, cancel := context.WithTimeout(context.Background(), loadTime)
	defer cancel()
	v, err := s.store.live(ctx, user)
	switch {
	case errors.Is(err, ErrUnknown):
		name = s.Default
	case err != nil:
		s.Log.WarnContext(ctx, "reading a tier failed", "user", user, "err", err)
		return s.Default
	default:
		name = s.tierOf(v)
	}
	s.tiers.mu.Lock()
	defer s.tiers.mu.Unlock()
	if s.tiers.changes == before {
		if len(s.tiers.users) >= maxSnapshots {
			clear(s.tiers.users)
		}
		s.tiers.users[user] = name
	}
	return name
}

// LiveTier returns the tier of the user's live subscription, as the transaction
// sees it that ctx carries; "" when there is none.
func (s *Service) LiveTier(ctx context.Context, user string) (string, error) {
	v, err := s.store.live(ctx, user)
	if errors.Is(err, ErrUnknown) {
		return "", nil
	}
	return v.Tier, err
}

// tierOf is the tier whose rights a subscription gives.
func (s *Service) tierOf(v Subscription) string {
	if v.Mode == ModeFree || v.State == Suspended || !v.Live() {
		return s.Default
	}
	return v.Tier
}

func (s *Service) forget(user string) {
	s.tiers.mu.Lock()
	defer s.tiers.mu.Unlock()
	s.tiers.changes++
	delete(s.tiers.users, user)
}
