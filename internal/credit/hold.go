package credit

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rephlo/rephlo/internal/money"
)

// Hold is credits set aside for one call. Its methods are safe for concurrent
// use. Every Hold ends with Settle or Release; one that is dropped is resolved
// from its journal after five minutes without Progress.
type Hold struct {
	lane   *lane
	purse  *purse
	ref    string
	amount int64
	parts  []part
	inline [2]part // what parts points to, as a rule
	begun  *group  // commits the hold

	caps       []*allowance // whose numbers the purse guards
	inlineCaps [maxCaps]*allowance

	// The queue's list of open holds, guarded by its mutex.
	prev, next *Hold
	linked     bool

	// Owned by the lane's writer.
	written bool  // its row is in the database
	planned int64 // the plan that contains its ending
	refused error // why it was not committed; read after begun.done

	mu       sync.Mutex
	progress int64     // guarded by mu: price of what was delivered so far
	journal  []byte    // guarded by mu
	dirty    bool      // guarded by mu: an opProgress waits
	renewed  time.Time // guarded by mu
	dropped  error     // guarded by mu: it was not committed and has no ending
	ending   *ending   // guarded by mu
	late     *ending   // guarded by mu: a Settle after it was forgotten
	first    ending    // what ending points to, as a rule
}

// part is one grant's share in a hold.
type part struct {
	grant, expires, amount int64
	charged                int64 // set with the ending
	expired                bool  // what is not charged expires; set with the ending
}

// ending is the one way in which a hold ended.
type ending struct {
	group               *group
	price, charge, over int64
	cause               Ending
	record              Record
	remaining           money.Credits
	forgotten           bool        // not by its caller
	err                 error       // why it failed; read after group.done
	spooled             bool        // in the spool; guarded by the spooler's mu
	saved               atomic.Bool // durable there
}

// Ref returns the call id.
func (h *Hold) Ref() string { return h.ref }

// Amount returns how much is set aside.
func (h *Hold) Amount() money.Credits { return money.Credits(h.amount) }

// Durable is gate A: it returns when the hold is committed. After an error
// nothing may be sent to the client, and the Hold must still be released. When
// ctx ends first the error is ErrNotDurable, with why holds are refused if
// they are.
func (h *Hold) Durable(ctx context.Context) error {
	select {
	case <-h.begun.done:
		h.lane.meters.gateA.Observe(0)
		return h.refused
	default:
	}
	began := monotonic()
	defer func() { h.lane.meters.gateA.Seconds(monotonic() - began) }()
	select {
	case <-h.begun.done:
		return h.refused
	case <-ctx.Done():
		if err := h.lane.refusal(h.lane.now().UnixMicro()); err != nil {
			return fmt.Errorf("hold %s: %w: %w", h.ref, ErrNotDurable, err)
		}
		return fmt.Errorf("hold %s: %w", h.ref, ErrNotDurable)
	}
}

// Committed reports whether gate A is open: the hold is in the database.
func (h *Hold) Committed() bool {
	if h.begun == nil {
		return false
	}
	select {
	case <-h.begun.done:
		return h.refused == nil
	default:
		return false
	}
}

// Progress journals that the call has cost at least delivered so far and
// renews the hold. It never blocks: a newer value replaces an unwritten one, a
// lower one is ignored, one above the hold counts as the hold. A nil journal
// leaves the last one.
func (h *Hold) Progress(delivered money.Credits, journal []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ending != nil || h.dropped != nil {
		return
	}
	h.renewed = h.lane.now()
	if d := min(int64(delivered), h.amount); d >= h.progress {
		h.progress = d
		if journal != nil && len(journal) <= maxJournal {
			h.journal = journal
		}
	}
	if !h.dirty {
		h.dirty = h.lane.queue.put(op{kind: opProgress, hold: h}) != nil
	}
}

// Settle charges min(o.Price, hold), writes o.Record in the same transaction
// and is gate B: it returns when that is durable, or ErrNotDurable when ctx
// ends first (the settlement goes on). Again with the same price it gives the
// same receipt, with another ErrConflict. After the hold was resolved without
// its caller nothing more is charged; what is missing to the price is noted.
func (h *Hold) Settle(ctx context.Context, o Outcome) (Receipt, error) {
	if o.Price < 0 {
		return Receipt{}, fmt.Errorf("settle %s: %w", h.ref, ErrInvalid)
	}
	e, err := h.end(o)
	if err != nil {
		return Receipt{}, err
	}
	began := monotonic()
	err = h.wait(ctx, e)
	h.lane.meters.gateB.Seconds(monotonic() - began)
	if err != nil {
		return Receipt{}, fmt.Errorf("settle %s: %w", h.ref, err)
	}
	return h.receipt(e), nil
}

// wait returns when e is durable, in the database or in a spool that counts,
// or at once where gate B stands open.
func (h *Hold) wait(ctx context.Context, e *ending) error {
	for !h.lane.async {
		saved := *h.lane.saved.Load()
		if e.saved.Load() {
			return nil
		}
		select {
		case <-e.group.done:
			return e.err
		default:
		}
		select {
		case <-e.group.done:
		case <-saved:
		case <-ctx.Done():
			return ErrNotDurable
		}
	}
	return nil
}

// Release ends the hold without a charge, as Settle with price 0.
func (h *Hold) Release(ctx context.Context, o Outcome) (Receipt, error) {
	o.Price = 0
	return h.Settle(ctx, o)
}

// end queues the ending, once, and returns the one that stands.
func (h *Hold) end(o Outcome) (*ending, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dropped != nil {
		return nil, fmt.Errorf("settle %s: %w", h.ref, h.dropped)
	}
	if h.ending == nil {
		return h.queueEnd(o, false)
	}
	if h.ending.forgotten {
		return h.endLate(o)
	}
	if h.ending.price != int64(o.Price) {
		h.lane.log.Error("call settled twice with different prices", "call", h.ref, "first", h.ending.price, "second", int64(o.Price))
		return nil, fmt.Errorf("settle %s: %w", h.ref, ErrConflict)
	}
	return h.ending, nil
}

// queueEnd queues the first ending of h. h.mu is held.
func (h *Hold) queueEnd(o Outcome, forgotten bool) (*ending, error) {
	e := &h.first
	if e.group != nil {
		e = new(ending) // the first one was refused
	}
	*e = ending{price: int64(o.Price), cause: o.Ending, record: o.Record, forgotten: forgotten}
	e.charge = min(e.price, h.amount)
	e.over = e.price - e.charge
	now := h.lane.now().UnixMicro()

	p := h.purse
	p.mu.Lock()
	defer p.mu.Unlock()
	h.split(e.charge, now) // before the writer can see the ending
	e.group = h.lane.queue.put(op{kind: opEnd, hold: h, end: e})
	if e.group == nil && h.lane.lost.Load() {
		h.lane.shared.addLate(h.ref, p.user, e.price)
		return nil, fmt.Errorf("settle %s: %w", h.ref, ErrNotDurable)
	}
	if e.group == nil {
		return nil, fmt.Errorf("settle %s: %w", h.ref, ErrUnavailable)
	}
	h.ending = e
	p.refund(h)
	if p.direct {
		p.bring()
	}
	e.remaining = p.remaining(now)
	if h.lane.refusal(now) != nil {
		h.lane.spool.poke()
	}
	if e.over > 0 {
		h.lane.stats.overruns.Add(1)
		h.lane.log.Warn("call cost more than was held", "call", h.ref, "price", e.price, "held", h.amount)
	}
	return e, nil
}

// split distributes charge over the parts, front first, and says what of the
// rest expires instead of going back. The writer reads the other fields of the
// parts meanwhile.
func (h *Hold) split(charge, now int64) {
	for i := range h.parts {
		t := &h.parts[i]
		t.charged = min(charge, t.amount)
		charge -= t.charged
		t.expired = t.expires <= now && t.amount > t.charged
	}
}

// endLate notes what a settlement that came too late would have charged more.
// h.mu is held.
func (h *Hold) endLate(o Outcome) (*ending, error) {
	switch {
	case h.late != nil && h.late.price == int64(o.Price):
		return h.late, nil
	case h.late != nil:
		return nil, fmt.Errorf("settle %s: %w", h.ref, ErrConflict)
	}
	e := &ending{price: int64(o.Price), charge: h.ending.charge, remaining: h.ending.remaining, cause: o.Ending}
	e.over = max(e.price-e.charge, 0)
	if e.over == 0 {
		e.group = h.ending.group
	} else if e.group = h.lane.queue.put(op{kind: opLate, hold: h, end: e}); e.group == nil {
		return nil, fmt.Errorf("settle %s: %w", h.ref, ErrUnavailable)
	}
	h.late = e
	return e, nil
}

func (h *Hold) receipt(e *ending) Receipt {
	r := Receipt{
		Ref: h.ref, Held: money.Credits(h.amount), Charged: money.Credits(e.charge),
		Uncollected: money.Credits(e.over), Remaining: e.remaining, Parts: make([]Part, len(h.parts)),
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, t := range h.parts { // fixed since the ending is in the database
		r.Parts[i] = Part{Grant: GrantID(t.grant), Held: money.Credits(t.amount), Charged: money.Credits(t.charged)}
	}
	return r
}
