package credit

import (
	"context"
	"fmt"
)

// coldLane is the one lane that has no owner: grants and other transactions of
// services append to it, from any process, each holding its row until the end
// of its transaction. Lanes from 1 on belong to a process that serves.
const coldLane = 0

// claim makes lanes ours: those of this node, which died since only one of its
// name runs; free ones, and new ones up to the number wanted. A process that
// does not share the database takes all there are.
func (s *Service) claim(ctx context.Context) (claimed []laneRow, err error) {
	err = s.db.InSteadyTx(ctx, func(ctx context.Context) error {
		claimed = nil
		// Claims follow one another, so that of two processes that start at
		// once the second sees the lanes of the first.
		if err := s.store.lockCold(ctx); err != nil {
			return err
		}
		all, err := s.store.lanes(ctx)
		if err != nil {
			return err
		}
		have := len(s.owned())
		for _, r := range all {
			ours := !s.policy.Shared || r.node == s.node || r.node == "" && have+len(claimed) < s.policy.Lanes
			if r.lane == coldLane || s.owns(r.lane) || !ours {
				continue
			}
			if err := s.intact(ctx, r); err != nil {
				return err
			}
			claimed = append(claimed, r)
		}
		for next := all[len(all)-1].lane + 1; have+len(claimed) < s.policy.Lanes; next++ {
			if err := s.store.addLane(ctx, next, ""); err != nil {
				return err
			}
			claimed = append(claimed, laneRow{lane: next, epoch: 1})
		}
		for i := range claimed {
			if err := s.store.takeLane(ctx, claimed[i], s.node); err != nil {
				return err
			}
			claimed[i].epoch++
		}
		return s.intact(ctx, all[0])
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

func (s *Service) hotLanes(ctx context.Context) ([]laneRow, error) {
	rows, err := s.store.lanes(ctx)
	if len(rows) > 0 && rows[0].lane == coldLane {
		rows = rows[1:]
	}
	return rows, err
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
