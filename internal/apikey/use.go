package apikey

import (
	"context"
	"maps"
	"sync"
	"time"
)

const (
	noteEvery  = 60 // seconds between two notes of a key's use
	flushEvery = 10 * time.Second
	maxNotes   = 100_000 // keys that wait to be written; more are not noted
	batch      = 500     // rows in one transaction
)

// uses collects when keys were used and writes it down in the background.
type uses struct {
	mu      sync.Mutex
	waiting map[string]time.Time // by key id, guarded by mu
	cancel  context.CancelFunc
	done    chan struct{}
}

func newUses() *uses { return &uses{waiting: map[string]time.Time{}} }

func (u *uses) note(keyID string, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.waiting) < maxNotes {
		u.waiting[keyID] = at
	}
}

func (u *uses) take() map[string]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	taken := u.waiting
	u.waiting = map[string]time.Time{}
	return taken
}

// Start writes down when keys were used, every ten seconds until Stop.
func (s *Service) Start(ctx context.Context) {
	ctx, s.uses.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.uses.done = make(chan struct{})
	go func() {
		defer close(s.uses.done)
		tick := time.NewTicker(flushEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				s.flush(ctx)
			}
		}
	}()
}

// Stop ends what Start began and writes down the rest until ctx ends.
func (s *Service) Stop(ctx context.Context) {
	if s.uses.cancel != nil {
		s.uses.cancel()
		<-s.uses.done
	}
	s.flush(ctx)
}

// flush writes the notes. What cannot be written is kept for the next time.
func (s *Service) flush(ctx context.Context) {
	notes := s.uses.take()
	for len(notes) > 0 && ctx.Err() == nil {
		part := make(map[string]time.Time, batch)
		for keyID, at := range notes {
			if part[keyID] = at; len(part) == batch {
				break
			}
		}
		if err := s.store.used(ctx, part); err != nil {
			s.log.WarnContext(ctx, "uses of api keys not written", "keys", len(notes), "err", err)
			break
		}
		maps.DeleteFunc(notes, func(keyID string, _ time.Time) bool { _, ok := part[keyID]; return ok })
	}
	s.uses.mu.Lock()
	defer s.uses.mu.Unlock()
	for keyID, at := range notes {
		if _, newer := s.uses.waiting[keyID]; !newer && len(s.uses.waiting) < maxNotes {
			s.uses.waiting[keyID] = at
		}
	}
}
