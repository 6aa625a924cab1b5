package credit

import (
	"context"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/money"
)

// lookAgain is how often a call that waits for other processes cuts again
// without having heard anything.
const lookAgain = 25 * time.Millisecond

// waiter is a call that found too little leased.
type waiter struct {
	s     *Service
	call  Call
	purse *purse // that counts what the call lacks
	// rounds that this call has waited for. A cut that was under way when the
	// call came may have missed what was granted since.
	rounds int
	fresh  bool        // a cut that began after the call came has ended
	end    *time.Timer // of the time that others have to answer; nil: not asked
	over   bool        // it has ended
}

// next is what a call waits for: a round, or news from other processes.
type next struct {
	round *round
	own   bool // it began after the call came
	news  chan struct{}
	ask   bool
}

// wait returns when the call is served, or cannot be.
func (w *waiter) wait(ctx context.Context) (*Hold, error) {
	for {
		lanes := w.s.admitting()
		if lanes == nil {
			return nil, ErrUnavailable
		}
		now := w.s.now()
		p := w.s.purses.get(w.call.User, lanes, now)
		h, n, err := w.look(p, now)
		switch {
		case h != nil || err != nil:
			return h, err
		case n.round != nil:
			if err := n.round.wait(ctx); err != nil && !p.isGone() {
				return nil, fmt.Errorf("reserve for %s: %w", w.call.Ref, err)
			}
			w.fresh = n.round.cut && (n.own || w.rounds > 0)
			w.rounds++
		case n.news != nil:
			if err := w.listen(ctx, n); err != nil {
				return nil, err
			}
		}
	}
}

// look takes what the call needs if it is there. Else it says what to wait for,
// or why there is nothing to wait for. Nothing at all means that p is gone.
func (w *waiter) look(p *purse, now time.Time) (*Hold, next, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return nil, next{}, nil
	}
	p.used = now
	if w.purse != p { // the one before is gone, and with it what it counted
		w.purse = p
		p.waiting += int64(w.call.Need)
	}
	if h, err := p.serve(w.call, now); h != nil || err != nil {
		return h, next{}, err
	}
	if w.fresh && p.cut {
		n, err := w.judge(p, now)
		if err != nil || n.news != nil {
			return nil, n, err
		}
	}
	if err := p.lane.refusal(now.UnixMicro()); err != nil {
		return nil, next{}, err
	}
	if p.round != nil {
		return nil, next{round: p.round}, nil
	}
	r := p.startCut(int64(w.call.Need), w.call.Caps, now, w.sharing())
	if r == nil {
		return nil, next{}, ErrUnavailable
	}
	return nil, next{round: r, own: true}, nil
}

func (w *waiter) sharing() *sharing {
	if w.s.policy.Shared {
		return &w.s.shared
	}
	return nil
}

// judge says what a cut that brought too little means: a shortage, that other
// processes must be asked, or, with neither, that another cut may help. p.mu is
// held.
func (w *waiter) judge(p *purse, now time.Time) (next, error) {
	micros, need := now.UnixMicro(), int64(w.call.Need)
	free, held := p.room(micros)
	home, away := p.beyond(micros)
	available := free + home + away
	if free >= need {
		return w.judgeCaps(p, now)
	}
	if available < need || !w.s.policy.Shared || w.over {
		return next{}, newShortage(w.call.Need, money.Credits(max(available, 0)), money.Credits(held+p.heldAway))
	}
	if free+home >= need {
		return next{}, nil
	}
	return w.ask(p, now), nil
}

// judgeCaps is judge for a call that only its caps stop.
func (w *waiter) judgeCaps(p *purse, now time.Time) (next, error) {
	need := int64(w.call.Need)
	for i := range w.call.Caps {
		c := &w.call.Caps[i]
		a, limit := p.allowance(c.key()), int64(c.Limit)
		if a.free(limit) >= need {
			continue
		}
		room := limit - (a.others - a.away) - a.held - a.spent // if the others returned what they have free
		if room < need || !w.s.policy.Shared || w.over {
			return next{}, newCapShortage(c, need, room, a.held+a.heldAway, now)
		}
		if max(limit-a.others, 0)-a.held-a.spent < need {
			return w.ask(p, now), nil
		}
	}
	return next{}, nil // another cut may help
}

// ask has other processes asked for what they have leased, unless they were
// just now.
func (w *waiter) ask(p *purse, now time.Time) next {
	if p.news == nil {
		p.news = make(chan struct{})
	}
	n := next{news: p.news, ask: now.Sub(p.asked) >= w.s.policy.Answer/4}
	if n.ask {
		p.asked, p.direct = now, true
	}
	return n
}

// listen asks other processes for what they have leased and waits until one has
// returned something, or it is time to look again.
func (w *waiter) listen(ctx context.Context, n next) error {
	if w.end == nil {
		answer := w.s.policy.Answer
		if !w.s.shared.listener.Hearing() {
			answer = w.s.policy.Deaf
		}
		w.end = time.NewTimer(answer)
	}
	if n.ask {
		if err := w.s.askFor(ctx, w.call.User, int64(w.call.Need)); err != nil {
			return ErrUnavailable.Because(err)
		}
	}
	again := time.NewTimer(lookAgain)
	defer again.Stop()
	select {
	case <-n.news:
	case <-again.C:
	case <-w.end.C:
		w.over = true
	case <-ctx.Done():
		return fmt.Errorf("reserve for %s: %w", w.call.Ref, ctx.Err())
	}
	w.fresh, w.rounds = false, 1
	return nil
}

// leave ends the waiting.
func (w *waiter) leave() {
	if w.end != nil {
		w.end.Stop()
	}
	if p := w.purse; p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.waiting -= int64(w.call.Need)
	}
}

func (p *purse) isGone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone
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
