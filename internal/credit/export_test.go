package credit

import "testing"

// Crash ends the service as kill -9 would: what is queued is not written, and
// nothing is given back.
func (s *Service) Crash() {
	s.open.Store(nil)
	s.mu.Lock()
	lanes, old := s.lanes, s.state
	s.state = stateStopped
	s.mu.Unlock()
	if old == stateServing || old == stateFenced {
		close(s.stopping)
		s.sweeping.Wait()
	}
	for _, l := range lanes {
		l.abandon()
		<-l.stopped
	}
}

// Silence stops the lanes' writers without telling the service, which then is
// a process that hangs.
func (s *Service) Silence() {
	for _, l := range s.owned() {
		l.abandon()
		<-l.stopped
	}
}

// Sweep looks for idle leases and forgotten holds now.
func (s *Service) Sweep() {
	now := s.now()
	s.purses.each(func(p *purse) bool { return p.rest(now, s.policy.Idle) })
	for _, l := range s.owned() {
		s.resolveForgotten(l, now)
	}
}

// Purses returns how many users have a lease in memory.
func (s *Service) Purses() (n int) {
	s.purses.each(func(*purse) bool { n++; return false })
	return n
}

// SetChunkBits sets how many rows a statement takes, for benchmarks.
func (s *Service) SetChunkBits(_ testing.TB, bits int) { s.store.chunkBits = bits }

// Root returns the Merkle root over leaves.
func Root(leaves [][32]byte) [32]byte { return merkle(leaves) }

// Idle waits until the lanes have written everything that was queued.
func (s *Service) Idle() {
	for _, l := range s.owned() {
		r := &round{}
		if r.group = l.queue.put(op{kind: opReturn, round: r}); r.group != nil {
			<-r.group.done
		}
	}
}
