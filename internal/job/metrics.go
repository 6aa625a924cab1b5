package job

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/obs"
)

// Observe shows in m how far behind each kind is and what failed. The queue is
// read when somebody asks, for at most a second.
func (s *Service) Observe(m *obs.Metrics) {
	m.Gauge("jobs_lag_seconds", "How long the oldest due task of a kind has waited.", []string{"kind"}, func(emit obs.Emit) {
		for kind, t := range s.tallies() {
			emit(t.Lag.Seconds(), kind)
		}
	})
	m.Gauge("jobs_dead", "Tasks that failed for good and wait for an administrator.", []string{"kind"}, func(emit obs.Emit) {
		for kind, t := range s.tallies() {
			emit(float64(t.Dead), kind)
		}
	})
	m.Counter("jobs_failed_attempts_total", "Attempts that failed in this process.", []string{"kind"}, func(emit obs.Emit) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for kind, n := range s.failed {
			emit(float64(n), kind)
		}
	})
}

// tallies counts the tasks of the kinds that this process handles, as far as
// the database answers.
func (s *Service) tallies() map[string]Tally {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	found, err := s.store.tally(ctx, s.now())
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.tally = found
	}
	out := map[string]Tally{}
	for name := range s.kinds {
		out[name] = s.tally[name]
	}
	return out
}
