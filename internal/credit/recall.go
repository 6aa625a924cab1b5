package credit

import (
	"context"
	"fmt"
	"time"
)

// recalls are the rows of credit_recall that a process has seen: their number,
// and when it first saw that.
type recalls map[string]recallSeen

type recallSeen struct {
	no    int64
	since time.Duration
}

// readRecalls does what hints do for those that did not arrive, and removes
// rows that everybody had time to see.
func (s *Service) readRecalls(ctx context.Context, seen recalls) {
	rows, err := s.store.recalls(ctx)
	if err != nil {
		return // the next look will do
	}
	now := monotonic()
	present := make(map[string]bool, len(rows))
	for _, r := range rows {
		present[r.user] = true
		was, known := seen[r.user]
		switch {
		case !known || was.no != r.no:
			seen[r.user] = recallSeen{r.no, now}
			s.hear(r.kind() + "|" + r.node + "|" + r.user)
		case now-was.since > recallKept:
			if err := s.store.forgetRecall(ctx, r); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "recall not removed", "err", err)
			}
		}
	}
	for user := range seen {
		if !present[user] {
			delete(seen, user)
		}
	}
}

// askFor asks the other processes to return what is free of their leases.
func (s *Service) askFor(ctx context.Context, user string, need int64) error {
	s.meters.recalls.Add(1)
	return s.db.InTx(ctx, func(ctx context.Context) error {
		if err := s.store.addRecall(ctx, recallRow{user: user, need: need, node: s.shared.self}); err != nil {
			return err
		}
		return s.store.hint(ctx, hintRecall, s.shared.self, user)
	})
}

// Recall brings the user's free leases home, also those of other processes, so
// that they can be taken, and so that the next Reserve sees all grants in their
// order. Open holds keep what is theirs. ErrBusy: another process does not
// return them. Never call it inside a transaction.
func (s *Service) Recall(ctx context.Context, user string) error {
	if err := s.recallHere(ctx, user); err != nil || !s.policy.Shared {
		return err
	}
	away, err := s.store.leasedAway(ctx, user, s.laneNumbers())
	if err != nil || away == 0 {
		return err
	}
	if err := s.askFor(ctx, user, away); err != nil {
		return err
	}
	end := time.NewTimer(s.policy.Deaf)
	defer end.Stop()
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-end.C:
			return fmt.Errorf("recall the leases of %s: %w", user, ErrBusy)
		case <-ctx.Done():
			return ctx.Err()
		}
		if away, err := s.store.leasedAway(ctx, user, s.laneNumbers()); err != nil || away == 0 {
			return err
		}
	}
}

func (s *Service) laneNumbers() map[int64]bool {
	out := map[int64]bool{}
	for _, l := range s.owned() {
		out[l.no] = true
	}
	return out
}

// recallHere is Recall for the leases of this process.
func (s *Service) recallHere(ctx context.Context, user string) error {
	p := s.purses.find(user)
	for p != nil {
		p.mu.Lock()
		r, own := p.round, false
		if r == nil && p.lent {
			r, own = p.startReturn(), true
			if r == nil {
				gone := p.gone
				p.mu.Unlock()
				if gone {
					return nil // what it had is resolved by whoever took its lane
				}
				return ErrUnavailable
			}
		}
		p.mu.Unlock()
		if r == nil {
			return nil
		}
		if err := r.wait(ctx); own || err != nil {
			return err
		}
	}
	return nil
}

// announceAway makes the other processes look at the user's grants anew, in the
// transaction that changes them.
func (s *Service) announceAway(ctx context.Context, user string) error {
	if !s.policy.Shared {
		return nil
	}
	if err := s.store.addRecall(ctx, recallRow{user: user, node: s.shared.self}); err != nil {
		return err
	}
	return s.store.hint(ctx, hintGrant, s.shared.self, user)
}

// granted adds a new grant to what this process knows; what is leased goes
// home, so that the next cut sees all grants in their order.
func (s *Service) granted(g grantRow) {
	p := s.purses.find(g.user)
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
	p.wake()
	l := lease{grant: int64(g.id), expires: g.expires, home: g.amount, usable: true}
	if p.round != nil {
		p.round.granted = append(p.round.granted, l)
	}
	if p.round == nil || !p.round.cut {
		p.leases = append(p.leases, l)
	}
	if p.round == nil && p.lent {
		p.startReturn()
	}
}
