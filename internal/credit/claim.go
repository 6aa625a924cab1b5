package credit

import (
	"context"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// coldLane is the one lane that has no owner: grants and other transactions of
// services append to it, from any process, each holding its row until the end
// of its transaction. Lanes from 1 on belong to the process that serves.
const coldLane = 0

// claimRounds bounds how often the claim begins again because somebody else
// claimed in the meantime.
const claimRounds = 5

// claim makes every hot lane of the database ours. Lanes of this node, free
// ones, and on SQLite any, are taken at once. Those of another node are watched
// first: if anything moves there, that node serves, and we may not.
func (s *Service) claim(ctx context.Context) ([]laneRow, error) {
	for range claimRounds {
		seen, err := s.watch(ctx)
		if err != nil {
			return nil, err
		}
		claimed, err := s.takeAll(ctx, seen)
		if err != nil || claimed != nil {
			return claimed, err
		}
	}
	return nil, fmt.Errorf("%w, or several start at once; start one", ErrLocked)
}

// watch returns the hot lanes, after it has seen those of other nodes stand
// still for long enough.
func (s *Service) watch(ctx context.Context) ([]laneRow, error) {
	before, err := s.hotLanes(ctx)
	if err != nil {
		return nil, err
	}
	foreign := false
	for _, r := range before {
		foreign = foreign || s.foreign(r)
	}
	if !foreign {
		return before, nil
	}
	end := time.NewTimer(s.policy.Watch)
	defer end.Stop()
	tick := time.NewTicker(max(s.policy.Watch/25, time.Millisecond))
	defer tick.Stop()
	for last := false; !last; {
		select {
		case <-tick.C:
		case <-end.C:
			last = true
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		now, err := s.hotLanes(ctx)
		if err != nil {
			return nil, err
		}
		if r := s.moved(before, now); r != nil {
			return nil, fmt.Errorf("%w: it is called %q and writes lane %d; stop it first", ErrLocked, r.node, r.lane)
		}
	}
	return before, nil
}

func (s *Service) hotLanes(ctx context.Context) ([]laneRow, error) {
	rows, err := s.store.lanes(ctx)
	if len(rows) > 0 && rows[0].lane == coldLane {
		rows = rows[1:]
	}
	return rows, err
}

func (s *Service) foreign(r laneRow) bool {
	return r.node != "" && r.node != s.node && s.db.Engine() != sqldb.SQLite
}

// moved returns a lane of another node that is not as it was before.
func (s *Service) moved(before, now []laneRow) *laneRow {
	was := map[int64]laneRow{}
	for _, r := range before {
		was[r.lane] = r
	}
	for i, r := range now {
		if b, ok := was[r.lane]; s.foreign(r) && (!ok || b.epoch != r.epoch || b.beat != r.beat) {
			return &now[i]
		}
	}
	return nil
}

// takeAll claims the lanes that were seen, in one transaction, and makes more
// up to the number wanted. It returns nil when they are no longer as seen.
func (s *Service) takeAll(ctx context.Context, seen []laneRow) (claimed []laneRow, err error) {
	err = s.db.InTx(ctx, func(ctx context.Context) error {
		// Claims follow one another, so that of two processes that start at
		// once the second sees the lanes of the first.
		if err := s.store.lockCold(ctx); err != nil {
			return err
		}
		all, err := s.store.lanes(ctx)
		if err != nil {
			return err
		}
		hot := all[1:]
		if s.moved(seen, hot) != nil {
			return nil
		}
		for _, r := range all {
			if err := s.intact(ctx, r); err != nil {
				return err
			}
		}
		for next := all[len(all)-1].lane + 1; len(hot) < s.policy.Lanes; next++ {
			if err := s.store.addLane(ctx, next, ""); err != nil {
				return err
			}
			hot = append(hot, laneRow{lane: next, epoch: 1})
		}
		for i := range hot {
			if err := s.store.takeLane(ctx, hot[i], s.node); err != nil {
				return err
			}
			hot[i].epoch++
		}
		claimed = hot
		return nil
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// intact compares a lane's head with what it wrote last.
func (s *Service) intact(ctx context.Context, r laneRow) error {
	h, seq, err := s.store.lastWritten(ctx, r.lane)
	if err != nil {
		return err
	}
	if h.hash != r.head.hash || h.last != r.head.last || seq != r.head.last || h.batch > r.head.batch {
		return fmt.Errorf("lane %d: %w: its head does not match its last batch; restore a backup", r.lane, ErrDamaged)
	}
	return nil
}
