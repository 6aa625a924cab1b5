package account

import (
	"context"
	"sync"
	"time"
)

const (
	maxSnapshots = 50_000 // users that are kept in memory
	loadTime     = 5 * time.Second
)

// snapshots are users as they were read last.
type snapshots struct {
	mu      sync.Mutex
	users   map[string]User // guarded by mu
	changes uint64          // guarded by mu: how many announcements there were
}

// Snapshot is ByID from memory. A change in this process shows at once, one in
// another when the bus has brought it. It is for the request path.
func (s *Service) Snapshot(_ context.Context, userID string) (User, error) {
	s.users.mu.Lock()
	u, ok := s.users.users[userID]
	s.users.mu.Unlock()
	if ok {
		return u, nil
	}
	v, err, _ := s.flight.Do(userID, func() (any, error) {
		// Not the caller's context: its end must not fail those who wait with it,
		// and its transaction must not show what may never be committed.
		ctx, cancel := context.WithTimeout(context.Background(), loadTime)
		defer cancel()
		return s.load(ctx, userID)
	})
	if err != nil {
		return User{}, err
	}
	u, _ = v.(User)
	return u, nil
}

// load reads a user and keeps it, unless something changed meanwhile.
func (s *Service) load(ctx context.Context, userID string) (User, error) {
	s.users.mu.Lock()
	before := s.users.changes
	s.users.mu.Unlock()
	u, err := s.ByID(ctx, userID)
	if err != nil {
		return User{}, err
	}
	s.users.mu.Lock()
	defer s.users.mu.Unlock()
	if s.users.changes == before {
		if len(s.users.users) >= maxSnapshots {
			clear(s.users.users)
		}
		s.users.users[userID] = u
	}
	return u, nil
}

// changed forgets a user; a read that is under way is not shared any more.
func (s *Service) changed(userID string) {
	s.users.mu.Lock()
	defer s.users.mu.Unlock()
	s.users.changes++
	delete(s.users.users, userID)
	s.flight.Forget(userID)
}
