package credit

import (
	"context"
	"maps"
)

// late is a settlement of a call whose lane was taken over before it was
// written.
type late struct {
	user  string
	price int64
}

// addLate keeps what such a call would have cost. The first price counts.
func (s *sharing) addLate(ref, user string, price int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.lates[ref]; !ok {
		s.lates[ref] = late{user, price}
	}
}

// settleLates notes what the calls cost more than their holds were resolved
// at, by whoever took the lane over.
func (s *Service) settleLates(ctx context.Context) {
	s.shared.mu.Lock()
	waiting := maps.Clone(s.shared.lates)
	s.shared.mu.Unlock()
	for ref, l := range waiting {
		done, err := s.settleLate(ctx, ref, l)
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "late settlement not noted; trying again", "call", ref, "err", err)
		}
		if done {
			s.shared.mu.Lock()
			delete(s.shared.lates, ref)
			s.shared.mu.Unlock()
		}
	}
}

func (s *Service) settleLate(ctx context.Context, ref string, l late) (done bool, err error) {
	state, charged, err := s.store.outcomeOf(ctx, ref)
	if err != nil || state == callOpen {
		return false, err
	}
	over := min(l.price-charged, maxTransfer)
	if state == callUnknown || over <= 0 { // its hold was never written, or nothing is missing
		return true, nil
	}
	if err := s.store.addLate(ctx, ref, l.user, over, s.now().UnixMicro()); err != nil {
		return false, err
	}
	s.meters.uncollected.add(causeLate, over)
	s.log.WarnContext(ctx, "a settlement came after its call was resolved", "call", ref, "uncollected", over)
	return true, nil
}
