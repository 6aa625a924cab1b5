package credit

import (
	"context"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// recover resolves what the process that had lanes before left open: each hold
// is settled at its journalled progress, or released when that is 0, and the
// leases go home. It goes through the lanes' writers like everything else.
func (s *Service) recover(ctx context.Context, lanes []*lane) error {
	for _, l := range lanes {
		orphans, err := s.store.orphans(ctx, l.no)
		if err != nil {
			return err
		}
		var ends []*ending
		for _, h := range orphans {
			h.lane, h.purse.lane = l, l
			e, err := s.resolve(ctx, h, Recovered)
			if err != nil {
				return err
			}
			ends = append(ends, e)
		}
		folded := &round{}
		folded.group = l.queue.put(op{kind: opFold, round: folded})
		if folded.group == nil {
			return ErrUnavailable
		}
		for _, e := range ends {
			if err := waitFor(ctx, e.group); err != nil {
				return err
			}
			if e.err != nil {
				return e.err
			}
		}
		if err := waitFor(ctx, folded.group); err != nil {
			return err
		}
		if folded.err != nil {
			return folded.err
		}
		if len(orphans) > 0 {
			s.stats.orphans.Add(int64(len(orphans)))
			s.log.WarnContext(ctx, "resolved the open holds of a process that ended", "lane", l.no, "holds", len(orphans))
		}
	}
	return nil
}

func waitFor(ctx context.Context, g *group) error {
	select {
	case <-g.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// resolve ends h without its caller: at its progress, with a record built from
// its journal. It returns nil when h has an ending already.
func (s *Service) resolve(ctx context.Context, h *Hold, why Ending) (*ending, error) {
	if r, ok := s.replay[h.ref]; ok {
		return s.replayEnd(h, r)
	}
	h.mu.Lock()
	o := Orphan{
		Ref: h.ref, User: h.purse.user, Journal: h.journal, Held: money.Credits(h.amount),
		Charged: money.Credits(h.progress), Ending: why, At: s.now(),
	}
	h.mu.Unlock()
	record, err := s.records.Recovered(ctx, o)
	if err != nil && (sqldb.IsUnavailable(err) || ctx.Err() != nil) {
		return nil, fmt.Errorf("recover call %s: %w", h.ref, err)
	}
	if err != nil {
		// The money must not wait for a record that nobody can build; verify
		// names the call.
		s.log.ErrorContext(ctx, "no usage record for a recovered call", "call", h.ref, "err", err)
		record = nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ending != nil || h.dropped != nil {
		return nil, nil
	}
	return h.queueEnd(Outcome{Price: o.Charged, Ending: why, Record: record}, why == Forgotten)
}

// sweep returns idle leases and resolves forgotten holds until Stop.
func (s *Service) sweep() {
	tick := time.NewTicker(s.policy.Sweep)
	defer tick.Stop()
	for {
		select {
		case <-s.stopping:
			return
		case <-tick.C:
		}
		now := s.now()
		s.purses.each(func(p *purse) bool { return p.rest(now, s.policy.Idle) })
		for _, l := range s.owned() {
			s.resolveForgotten(l, now)
		}
	}
}

// rest returns the leases of a user who has not called for idle, and then says
// that nothing is left to keep. Where others share the database it returns them
// before credits expire, too.
func (p *purse) rest(now time.Time, idle time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.round != nil {
		return false
	}
	if !p.direct && p.lane.shared.listener != nil && p.ending(now) {
		p.direct, p.cut = true, false
		p.bring()
		return false
	}
	if now.Sub(p.used) < idle {
		return false
	}
	for i := range p.leases {
		if p.leases[i].held != 0 {
			return false // the call decides when it ends
		}
	}
	if p.lent {
		p.startReturn()
		return false
	}
	p.gone = true
	return true
}

// resolveForgotten ends the holds that nobody has renewed. That is a bug of
// whoever holds them.
func (s *Service) resolveForgotten(l *lane, now time.Time) {
	for _, h := range l.queue.holds() {
		h.mu.Lock()
		old := h.ending == nil && h.dropped == nil && now.Sub(h.renewed) >= s.policy.Forget
		h.mu.Unlock()
		if !old {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), cutTimeout)
		e, err := s.resolve(ctx, h, Forgotten)
		cancel()
		if err != nil {
			s.log.Error("forgotten hold not resolved; trying again", "call", h.ref, "err", err)
		} else if e != nil {
			s.stats.forgotten.Add(1)
			s.log.Error("hold was forgotten and is resolved from its journal", "call", h.ref, "charged", e.charge)
		}
	}
}
