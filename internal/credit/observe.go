package credit

import (
	"context"
	"fmt"
	"time"
)

// watch is what a process has seen of the beats of others.
type watch struct {
	last  time.Duration // the last look, on our own clock; 0: none
	lanes map[int64]sighting
}

// sighting is a lane's beat and since when it stands there.
type sighting struct {
	epoch, beat int64
	since       time.Duration
}

// observe looks at the beats of the other processes and takes the lanes over
// whose beat has stood still for too long. It judges by the time that this
// process itself has seen pass. After a gap between two looks, as when the
// database was away for everybody, it begins to watch anew.
func (s *Service) observe(ctx context.Context, w *watch) {
	var rows []laneRow
	var err error
	soon(ctx, func(ctx context.Context) { rows, err = s.hotLanes(ctx) })
	if err != nil {
		return // the gap restarts the watch
	}
	now := monotonic()
	if now-w.last > s.policy.Unseen {
		clear(w.lanes)
	}
	w.last = now
	nodes := map[string]bool{}
	for _, r := range rows {
		if r.node == "" || s.owns(r.lane) {
			delete(w.lanes, r.lane)
			continue
		}
		was, known := w.lanes[r.lane]
		if !known || was.epoch != r.epoch || was.beat != r.beat {
			w.lanes[r.lane] = sighting{r.epoch, r.beat, now}
			nodes[r.node] = true
			continue
		}
		if now-was.since < s.policy.TakeOver {
			nodes[r.node] = true
			continue
		}
		delete(w.lanes, r.lane)
		if err := s.takeOver(ctx, r); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "could not take over the lane of a silent process", "lane", r.lane, "node", r.node, "err", err)
		}
	}
	s.shared.live.Store(int64(len(nodes)) + 1)
}

func (s *Service) owns(lane int64) bool {
	for _, l := range s.owned() {
		if l.no == lane {
			return true
		}
	}
	return false
}

// takeOver fences the lane of a process that is silent, resolves its open
// holds, returns its leases and frees it. When this process dies half-way,
// the rest is taken over from it in the same way.
func (s *Service) takeOver(ctx context.Context, r laneRow) error {
	err := s.db.InSteadyTx(ctx, func(ctx context.Context) error {
		if err := s.store.seizeLane(ctx, r, s.node); err != nil {
			return err
		}
		all, err := s.store.lanes(ctx)
		if err != nil {
			return err
		}
		for _, now := range all {
			if now.lane == r.lane {
				r = now
			}
		}
		return s.intact(ctx, r)
	})
	if err != nil {
		return fmt.Errorf("take over: %w", err)
	}
	s.log.WarnContext(ctx, "taking over the lane of a silent process", "lane", r.lane)
	l := s.runLane(ctx, r)
	if err := s.recover(ctx, []*lane{l}); err != nil {
		l.abandon()
		<-l.stopped
		return err
	}
	return s.close(ctx, l)
}
