package credit

import (
	"context"
	"time"
)

const (
	// healEvery is how often a database that does not take batches is probed,
	// probeTimeout how long it may take to answer.
	healEvery    = 250 * time.Millisecond
	probeTimeout = time.Second
	// slowAfter is how long a batch may take before somebody looks why.
	slowAfter = time.Second
	// lookTimeout bounds one look at what other processes do.
	lookTimeout = 5 * time.Second
)

// heal notices that a database on the network is there again, until Stop. What
// was sent before may never be answered, so the lanes then try at once, on new
// connections. It is a commit whose answer was lost, and handled as one.
func (s *Service) heal() {
	tick := time.NewTicker(healEvery)
	defer tick.Stop()
	gone := false
	for {
		select {
		case <-s.stopping:
			return
		case <-tick.C:
		}
		if !s.slow() {
			gone = false
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
		err := s.db.Probe(ctx)
		cancel()
		if err != nil {
			if !gone {
				s.log.Warn("the database does not answer", "err", err)
			}
			gone = true
			continue
		}
		if !gone {
			continue // it is slow
		}
		s.log.Info("the database answers again")
		gone = false
		s.db.Refresh()
		for _, l := range s.owned() {
			l.retry()
		}
	}
}

// slow reports whether a batch takes long.
func (s *Service) slow() bool {
	now := s.now().UnixMicro()
	for _, l := range s.owned() {
		if since := l.since.Load(); since != 0 && now-since > slowAfter.Microseconds() {
			return true
		}
	}
	return false
}

// retry ends the attempt that waits for an answer, or the pause before the next
// one.
func (l *lane) retry() {
	select {
	case l.again <- struct{}{}:
	default:
	}
	if cancel := l.cancel.Load(); cancel != nil {
		(*cancel)()
	}
}

// soon calls f with a context that ends after a while: a look that hangs must
// not keep the next one from happening.
func soon(ctx context.Context, f func(ctx context.Context)) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	f(ctx)
}
