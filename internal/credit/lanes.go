package credit

import (
	"context"
	"fmt"
	"slices"
)

// openLanes claims lanes, starts their writers and resolves what was left in
// them.
func (s *Service) openLanes(ctx context.Context) ([]*lane, error) {
	rows, err := s.claim(ctx)
	if err != nil {
		return nil, err
	}
	lanes := make([]*lane, 0, len(rows))
	for _, r := range rows {
		lanes = append(lanes, s.runLane(ctx, r))
	}
	s.mu.Lock()
	s.lanes = append(s.lanes, lanes...)
	s.mu.Unlock()
	if err := s.recover(ctx, lanes); err != nil {
		giveUp(lanes)
		s.mu.Lock()
		s.lanes = slices.DeleteFunc(slices.Clone(s.lanes), func(l *lane) bool { return slices.Contains(lanes, l) })
		s.mu.Unlock()
		return nil, err
	}
	return lanes, nil
}

// giveUp ends lanes as a crash would.
func giveUp(lanes []*lane) {
	for _, l := range lanes {
		l.abandon()
		<-l.stopped
	}
}

// runLane starts the writer of a lane that is ours.
func (s *Service) runLane(ctx context.Context, r laneRow) *lane {
	l := &lane{
		store: s.store, records: s.records, log: s.log, now: s.now, beat: s.policy.Beat, stats: &s.stats, meters: s.meters, shared: &s.shared,
		queue: newQueue(s.policy.Queue, s.policy.Batch), fenced: s.fenced, no: r.lane, epoch: r.epoch, head: r.head,
		broken: s.breakDown, spool: s.spool, async: s.async, kill: make(chan struct{}), stopped: make(chan struct{}),
	}
	saved := make(chan struct{})
	l.saved.Store(&saved)
	l.wrote.Store(int64(monotonic()))
	go l.run(context.WithoutCancel(ctx))
	return l
}

// fenced ends the use of a lane that another process owns now. A process that
// shares the database claims another; else it stops admitting for good.
func (s *Service) fenced(l *lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.policy.Shared {
		s.open.Store(nil)
		s.state = stateFenced
		return
	}
	s.lanes = without(s.lanes, l)
	if open := s.open.Load(); open != nil {
		left := without(*open, l)
		s.open.Store(&left)
	}
	s.purses.each(func(p *purse) bool { return p.leave(l) })
	s.shared.wantLane()
}

func without(lanes []*lane, l *lane) []*lane {
	return slices.DeleteFunc(slices.Clone(lanes), func(x *lane) bool { return x == l })
}

// breakDown stops everything that writes: after a failed flush nothing in
// memory proves anything.
func (s *Service) breakDown(err error) {
	s.open.Store(nil)
	s.mu.Lock()
	if s.state != stateStopped {
		s.state = stateBroken
	}
	lanes := s.lanes
	s.mu.Unlock()
	for _, l := range lanes {
		l.abandon()
	}
	s.log.Error("the ledger cannot be written; this process must end", "err", err)
	select {
	case s.failed <- fmt.Errorf("%w: %w", ErrBroken, err):
	default: // it was said before
	}
}

// Failed gives ErrBroken, once, when nothing can be written any more: the
// process has to end, and its next start recovers.
func (s *Service) Failed() <-chan error { return s.failed }
