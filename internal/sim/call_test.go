package sim

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
)

// call is what a client knows of one call. It is guarded by the sim's mu.
type call struct {
	ref, user string
	need      money.Credits
	// most is what it can have been charged so far: its progress or the price
	// that was asked for, whichever is more.
	most    money.Credits
	durable bool            // gate A opened
	receipt *credit.Receipt // gate B opened
	price   money.Credits
}

// client makes one call on whatever process serves now, and does what a gateway
// does with it.
func (w *sim) client(n *node, c *call, r *rand.Rand) {
	p := n.now.Load()
	if p == nil {
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
	defer cancel()
	began := time.Now()
	w.add(c)
	h, err := p.credit.Reserve(ctx, credit.Call{User: c.user, Ref: c.ref, Need: c.need, Journal: []byte("{}")})
	w.note("%s reserve %s %d: %v", p.node.name, c.ref, c.need, err)
	if err != nil {
		w.refused(p, c, began, err)
		return
	}
	if err := h.Durable(ctx); err != nil {
		w.note("%s durable %s: %v", p.node.name, c.ref, err)
		if p.dead.Load() {
			return
		}
		w.finish(p, c, h, 0, true)
		return
	}
	w.change(func() { c.durable = true })
	for range r.IntN(4) {
		if d := money.Credits(r.Int64N(int64(c.need) + 1)); d > 0 {
			w.change(func() { c.most = max(c.most, d) })
			h.Progress(d, nil)
		}
		if !p.sleep(time.Duration(r.IntN(2000)) * time.Millisecond) {
			return
		}
	}
	if r.IntN(30) == 0 {
		w.note("%s forgets %s", p.node.name, c.ref)
		return
	}
	price := money.Credits(r.Int64N(int64(c.need) + 3))
	w.finish(p, c, h, price, r.IntN(6) == 0)
}

// sleep waits for d in the life of p.
func (p *process) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-p.ctx.Done():
		return false
	}
}

// finish settles or releases until it is told that this is durable, or that it
// cannot be any more.
func (w *sim) finish(p *process, c *call, h *credit.Hold, price money.Credits, release bool) {
	if release {
		price = 0
	}
	w.change(func() { c.most, c.price = max(c.most, min(price, c.need)), price })
	o := credit.Outcome{Price: price, Ending: credit.Finished, Record: record{c.ref, min(price, c.need)}}
	for range 20 {
		ctx, cancel := context.WithTimeout(p.ctx, 2*time.Second)
		got, err := h.Settle(ctx, o)
		cancel()
		w.note("%s settle %s at %d: %+v %v", p.node.name, c.ref, price, got.Charged, err)
		switch {
		case err == nil:
			w.change(func() { c.receipt = &got })
			if again, err := h.Settle(p.ctx, o); err == nil && again.Charged != got.Charged {
				w.errorf("%s settled again: charged %d, at first %d", c.ref, again.Charged, got.Charged)
			}
			return
		case !errors.Is(err, credit.ErrNotDurable) && !errors.Is(err, credit.ErrUnavailable):
			if c.durable {
				w.errorf("settle %s: %v", c.ref, err)
			}
			return
		}
		if !p.sleep(time.Second) {
			return
		}
	}
}

// refused checks that an answer of Reserve was one that it may give.
func (w *sim) refused(p *process, c *call, began time.Time, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case errors.Is(err, credit.ErrInsufficient):
		w.refusals++
		if least := w.least(c, began); least >= c.need {
			w.fail("%s was refused %d credits for %s by %s, who had at least %d: %v", c.user, c.need, c.ref, p.node.name, least, err)
		}
	case errors.Is(err, credit.ErrReserved), errors.Is(err, credit.ErrUnavailable), errors.Is(err, credit.ErrOverloaded),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	default:
		w.fail("reserve %s: %v", c.ref, err)
	}
	delete(w.calls, c.ref)
}

// least is the least balance that c's user can have had at any time since
// began: every grant that was there by then and has not ended, without what was
// taken and what any call may have been charged.
func (w *sim) least(c *call, began time.Time) (sum money.Credits) {
	for _, g := range w.grants {
		if g.user == c.user && g.acked && !g.at.After(began) && !g.frozen && (g.expires.IsZero() || g.expires.After(time.Now().Add(clockError))) {
			sum += g.amount
		}
	}
	for _, o := range w.calls {
		if o.user == c.user {
			sum -= o.most
		}
	}
	return sum - w.taken[c.user]
}
