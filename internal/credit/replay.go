package credit

import (
	"context"
	"errors"
	"fmt"

	"github.com/rephlo/rephlo/internal/spool"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// openSpool opens the file and reads the endings that an earlier process left
// there.
func (s *Service) openSpool() error {
	if s.spoolPath == "" {
		return nil
	}
	f, records, err := spool.Open(s.spoolPath, int64(s.policy.Spool))
	if errors.Is(err, spool.ErrDamaged) {
		return damagedSpool(err)
	}
	if err != nil {
		return err
	}
	s.replay = make(map[string]spooled, len(records))
	for i, b := range records {
		r, err := decodeSpooled(b)
		if err != nil {
			return errors.Join(damagedSpool(fmt.Errorf("record %d of %s: %w", i, s.spoolPath, err)), f.Close())
		}
		s.replay[r.Ref] = r
	}
	s.spool = newSpooler(s, f, s.db.Engine() == sqldb.SQLite)
	go s.spool.run()
	return nil
}

func damagedSpool(err error) error {
	return fmt.Errorf("%w: %w. It holds endings of calls that the database has not taken. Restore it with the rest of the data folder; "+
		"or move it away: then those calls are charged what their last progress report says", ErrDamaged, err)
}

// replayEnd gives an open hold the ending that the spool kept. Only a start
// calls it.
func (s *Service) replayEnd(h *Hold, r spooled) (*ending, error) {
	o, err := s.outcome(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	delete(s.replay, r.Ref)
	s.stats.replayed.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.queueEnd(o, false)
}

// settleReplayed drops the endings of the spool that are in the database
// already, and empties it. Where another node has resolved the hold at less,
// the difference is noted, once.
func (s *Service) settleReplayed(ctx context.Context) error {
	if s.spool == nil {
		return nil
	}
	for ref, r := range s.replay {
		done, err := s.settleLate(ctx, ref, late{r.User, r.Price})
		if err != nil {
			return err
		}
		if !done { // another node is about to resolve it
			s.shared.addLate(ref, r.User, r.Price)
		}
	}
	if n := s.stats.replayed.Load(); n > 0 {
		s.log.WarnContext(ctx, "settled calls from the spool", "calls", n)
	}
	s.replay = nil
	return s.spool.clear()
}

// clear empties the file at a start.
func (s *spooler) clear() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file.Used() == 0 {
		return nil
	}
	return s.file.Reset()
}
