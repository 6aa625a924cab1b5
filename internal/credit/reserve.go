package credit

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/rephlo/rephlo/internal/money"
)

// cutTimeout bounds how long Reserve waits for the database.
const cutTimeout = 5 * time.Second

// purses are the users that this process holds leases for.
type purses struct {
	seed   maphash.Seed
	shards [64]struct {
		mu sync.RWMutex
		m  map[string]*purse // guarded by mu
	}
}

func newPurses() *purses {
	ps := &purses{seed: maphash.MakeSeed()}
	for i := range ps.shards {
		ps.shards[i].m = map[string]*purse{}
	}
	return ps
}

// find returns the user's purse, or nil.
func (ps *purses) find(user string) *purse {
	s := &ps.shards[maphash.String(ps.seed, user)%uint64(len(ps.shards))]
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.m[user]
}

// get returns the user's purse and makes one on lanes if there is none.
func (ps *purses) get(user string, lanes []*lane, now time.Time) *purse {
	n := maphash.String(ps.seed, user)
	s := &ps.shards[n%uint64(len(ps.shards))]
	s.mu.RLock()
	p := s.m[user]
	s.mu.RUnlock()
	if p != nil {
		return p
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p = s.m[user]; p == nil {
		l := lanes[n>>32%uint64(len(lanes))]
		p = &purse{user: user, lane: l, used: now}
		s.m[user] = p
	}
	return p
}

// each calls f for every purse; f may remove it.
func (ps *purses) each(f func(p *purse) (remove bool)) {
	for i := range ps.shards {
		s := &ps.shards[i]
		s.mu.Lock()
		for user, p := range s.m {
			if f(p) {
				delete(s.m, user)
			}
		}
		s.mu.Unlock()
	}
}

// Reserve sets c.Need aside and returns before that is durable. It does no I/O
// while this process has lease enough; else it waits for a cut. After an error
// nothing is held: *Shortage wraps ErrInsufficient (402) or ErrReserved (429);
// ErrOverloaded, ErrUnavailable, ErrStorageFull (503). That c.Ref was used
// before shows in Hold.Durable, as ErrConflict. Never call it inside a
// transaction.
func (s *Service) Reserve(ctx context.Context, c Call) (*Hold, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	var fresh bool // a cut that began after this call has ended
	for first := true; ; first = false {
		lanes := s.admitting()
		if lanes == nil {
			return nil, ErrUnavailable
		}
		now := s.now()
		p := s.purses.get(c.User, lanes, now)
		h, r, err := p.reserve(c, now, fresh)
		if h != nil || err != nil {
			return h, err
		}
		if r == nil {
			continue // the purse has just been put away
		}
		// A cut that was under way when this call came may have missed what was
		// granted since.
		own := !first || !r.joined
		if err := r.wait(ctx); err != nil {
			return nil, fmt.Errorf("reserve for %s: %w", c.Ref, err)
		}
		fresh = r.cut && own
	}
}

// joining is a round that Reserve waits for, and whether it was already under
// way.
type joining struct {
	*round
	joined bool
}

func (r *round) wait(ctx context.Context) error {
	timeout := time.NewTimer(cutTimeout)
	defer timeout.Stop()
	select {
	case <-r.group.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	case <-timeout.C:
		return ErrUnavailable
	}
}

// reserve takes c.Need if it is there. Else it returns the round to wait for,
// or, when the leases are fresh, the shortage. Nothing at all means that p is
// gone.
func (p *purse) reserve(c Call, now time.Time, fresh bool) (*Hold, *joining, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return nil, nil, nil
	}
	p.used = now
	micros, need := now.UnixMicro(), int64(c.Need)
	free, held := p.room(micros)
	if p.cut && free >= need { // else a grant may come before those of the leases
		if err := p.lane.refusal(micros); err != nil {
			return nil, nil, err
		}
		h, err := p.hold(c, now)
		return h, nil, err
	}
	if fresh && p.cut {
		return nil, nil, newShortage(c.Need, money.Credits(max(free, 0)), money.Credits(held))
	}
	if err := p.lane.refusal(micros); err != nil {
		return nil, nil, err
	}
	if p.round != nil {
		return nil, &joining{p.round, true}, nil
	}
	r := p.startCut()
	if r == nil {
		return nil, nil, ErrUnavailable
	}
	return nil, &joining{r, false}, nil
}

// hold makes the Hold and queues it. p.mu is held.
func (p *purse) hold(c Call, now time.Time) (*Hold, error) {
	h := &Hold{lane: p.lane, purse: p, ref: c.Ref, amount: int64(c.Need), journal: c.Journal, renewed: now}
	h.parts = h.inline[:0]
	// The writer may see the hold at once, so its parts come first.
	p.take(h, h.amount, now.UnixMicro())
	if h.begun = p.lane.queue.put(op{kind: opHold, hold: h}); h.begun != nil {
		return h, nil
	}
	for _, t := range h.parts {
		l := p.lease(t.grant, t.expires)
		l.held -= t.amount
		l.free += t.amount
	}
	return nil, ErrOverloaded
}

// Room is the most that Reserve would give now, from memory or one read: a
// hint for the default output maximum. While no lane takes holds it says why.
func (s *Service) Room(ctx context.Context, user string) (money.Credits, error) {
	if err := s.refusal(); err != nil {
		return 0, err
	}
	if p := s.purses.find(user); p != nil {
		p.mu.Lock()
		known, room := p.cut && p.round == nil, p.remaining(s.now().UnixMicro())
		p.mu.Unlock()
		if known {
			return room, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, cutTimeout)
	defer cancel()
	b, err := s.Balance(ctx, user)
	return b.Available, err
}

// refusal returns why no lane takes holds, or nil when one does.
func (s *Service) refusal() (err error) {
	now := s.now().UnixMicro()
	for _, l := range s.admitting() {
		if err = l.refusal(now); err == nil {
			return nil
		}
	}
	return err
}

// Recall brings the user's free leases home, so that they can be taken, and so
// that the next Reserve sees all grants in their order. Open holds keep what
// is theirs. Never call it inside a transaction.
func (s *Service) Recall(ctx context.Context, user string) error {
	p := s.purses.find(user)
	for p != nil {
		p.mu.Lock()
		r, own := p.round, false
		if r == nil && p.lent {
			r, own = p.startReturn(), true
			if r == nil {
				p.mu.Unlock()
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

// granted is Recall without waiting, after a grant was added: what is leased
// goes home, so that the next cut sees all grants in their order.
func (s *Service) granted(g grantRow) {
	p := s.purses.find(g.user)
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
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
