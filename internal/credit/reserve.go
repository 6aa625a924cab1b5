package credit

import (
	"context"
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
// while this process has lease enough; else it waits for a cut, and, where the
// database is shared and others have the credits, up to Policy.Answer for these
// to come home. After an error nothing is held: *Shortage wraps ErrInsufficient
// (402) or ErrReserved (429); ErrOverloaded, ErrUnavailable, ErrStorageFull
// (503). That c.Ref was used before shows in Hold.Durable, as ErrConflict.
// Never call it inside a transaction.
func (s *Service) Reserve(ctx context.Context, c Call) (*Hold, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	lanes := s.admitting()
	if lanes == nil {
		return nil, ErrUnavailable
	}
	began := monotonic()
	defer func() { s.meters.admit.Seconds(monotonic() - began) }()
	now := s.now()
	h, err := s.purses.get(c.User, lanes, now).reserve(c, now)
	if h != nil || err != nil {
		return h, err
	}
	w := &waiter{s: s, call: c}
	defer w.leave()
	return w.wait(ctx)
}

// reserve takes c.Need if it is there; else it returns nothing.
func (p *purse) reserve(c Call, now time.Time) (*Hold, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return nil, nil
	}
	p.used = now
	return p.serve(c, now)
}

// serve is reserve with p.mu held.
func (p *purse) serve(c Call, now time.Time) (*Hold, error) {
	micros, need := now.UnixMicro(), int64(c.Need)
	free, _ := p.room(micros)
	if !p.cut || free < need || !p.fits(c.Caps, need) { // not cut: a grant may come before those of the leases
		return nil, nil
	}
	if err := p.lane.refusal(micros); err != nil {
		return nil, err
	}
	h, err := p.hold(c, now)
	if err == nil {
		p.need = need
		p.taken += need
		p.refill(free-need, c.Caps, now)
	}
	return h, err
}

// refill cuts beside the calls when little is left of the last cut, of the
// credits or of a cap, and there is more. p.mu is held.
func (p *purse) refill(free int64, caps []Cap, now time.Time) {
	if p.lane.shared.listener == nil || p.direct || p.round != nil {
		return
	}
	low := p.lowOn(caps)
	if !low && free < p.size/4 {
		home, _ := p.beyond(now.UnixMicro())
		low = home > 2*p.need
	}
	if low {
		p.startCut(0, caps, now, p.lane.shared)
	}
}

// hold makes the Hold and queues it. p.mu is held.
func (p *purse) hold(c Call, now time.Time) (*Hold, error) {
	h := &Hold{lane: p.lane, purse: p, ref: c.Ref, amount: int64(c.Need), journal: c.Journal, renewed: now}
	h.parts = h.inline[:0]
	// The writer may see the hold at once, so its parts come first.
	p.take(h, h.amount, now.UnixMicro())
	p.takeCaps(h, c.Caps)
	if h.begun = p.lane.queue.put(op{kind: opHold, hold: h}); h.begun != nil {
		return h, nil
	}
	for _, t := range h.parts {
		l := p.lease(t.grant, t.expires)
		l.held -= t.amount
		l.free += t.amount
	}
	h.moveCaps(-h.amount, 0)
	if p.lane.queue.ended() {
		return nil, ErrUnavailable
	}
	return nil, ErrOverloaded
}

// Room is the most that Reserve would give now, from memory or one read: a
// hint for the default output maximum. While no lane takes holds it says why.
// Of the caps it knows what this process has leased.
func (s *Service) Room(ctx context.Context, user string, caps []Cap) (money.Credits, error) {
	if err := s.refusal(); err != nil {
		return 0, err
	}
	most := (&purse{}).capRoom(caps, maxTransfer)
	if p := s.purses.find(user); p != nil {
		p.mu.Lock()
		known, room := p.cut && p.round == nil, p.remaining(s.now().UnixMicro())
		most = p.capRoom(caps, most)
		p.mu.Unlock()
		if known {
			return min(room, money.Credits(most)), nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, cutTimeout)
	defer cancel()
	b, err := s.Balance(ctx, user)
	return min(b.Available, money.Credits(most)), err
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
