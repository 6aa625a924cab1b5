package gateway

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// phase is what a call is doing, as far as it can take too long.
type phase int64

const (
	phaseBusy   phase = iota // computing, or waiting for the ledger
	phaseBody                // reading the client's body
	phaseVendor              // waiting for the vendor
	phaseWrite               // writing to the client
	phaseBits   = 3
)

// past is a deadline that makes a blocked read or write return at once.
var past = time.Unix(1, 0)

// pulse keeps time for all calls. Its clock moves in steps, so ages are only
// judged in steps: something is never cut early.
type pulse struct {
	clock    atomic.Int64 // since the pulse began, in nanoseconds
	deadline atomic.Pointer[epoch]
	epochs   []*epoch // that have not ended; only the pulse uses it
	stop     context.CancelFunc
	done     chan struct{}
	helpers  sync.WaitGroup // heartbeats that are being written
}

// epoch is a context that many calls share as their deadline at a gate.
type epoch struct {
	context.Context //nolint:containedctx // it is the deadline itself
	cancel          context.CancelFunc
	born            int64
}

func (p *pulse) init() { p.done = make(chan struct{}) }

// gate returns a context that ends after the limit of a gate, or up to two
// steps later, and with nothing else: what has been promised to the ledger
// does not end with a request.
func (p *pulse) gate() context.Context { return p.deadline.Load() }

// start begins the pulse; Drain ends it.
func (s *Service) startPulse() {
	ctx, cancel := context.WithCancel(context.Background())
	s.pulse.stop = cancel
	s.pulse.newEpoch(ctx)
	go s.beat(ctx, time.Now()) //nolint:forbidigo // the monotonic clock of deadlines, as connections have
}

func (p *pulse) newEpoch(ctx context.Context) {
	e := &epoch{born: p.clock.Load()}
	e.Context, e.cancel = context.WithCancel(ctx)
	p.epochs = append(p.epochs, e)
	p.deadline.Store(e)
}

func (s *Service) beat(ctx context.Context, began time.Time) {
	defer close(s.pulse.done)
	tick := time.NewTicker(s.limits.Resolution)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.pulse.helpers.Wait()
			return
		case <-tick.C:
		}
		now := int64(time.Since(began))
		late := time.Duration(now-s.pulse.clock.Load()) - s.limits.Resolution
		s.turns.Adapt(late, s.needs.InFlight())
		s.pulse.clock.Store(now)
		s.pulse.turn(ctx, now, int64(s.limits.Gate))
		s.open.each(func(c *call) { s.watch(c, now) })
	}
}

// turn gives the calls of the next step a deadline of their own and ends those
// that are due.
func (p *pulse) turn(ctx context.Context, now, limit int64) {
	p.newEpoch(ctx)
	for len(p.epochs) > 1 && now-p.epochs[0].born > limit {
		p.epochs[0].cancel()
		p.epochs[0] = nil
		p.epochs = p.epochs[1:]
	}
}

// watch looks at one call. It holds the lock of the open calls, so it never
// blocks.
func (s *Service) watch(c *call, now int64) {
	state := c.state.Load()
	since, age := state>>phaseBits, func(from int64) time.Duration { return time.Duration(now-from) - s.limits.Resolution }
	quiet := age(since)
	switch phase(state & (1<<phaseBits - 1)) { //nolint:exhaustive // being busy has its own bounds
	case phaseBody:
		if quiet > s.limits.BodyTime+time.Second*time.Duration(max(c.r.ContentLength, 0)>>16) {
			c.cutBody()
		}
	case phaseWrite:
		limit := s.limits.Write
		if c.stopped.Load() {
			limit = s.limits.Gate
		}
		if quiet > limit {
			c.slow.Store(true)
			_ = http.NewResponseController(c.w).SetWriteDeadline(past) // as in cutBody
		}
	case phaseVendor:
		s.watchVendor(c, now, age)
	}
}

// cutBody ends a read of the client's body.
func (c *call) cutBody() {
	_ = http.NewResponseController(c.w).SetReadDeadline(past) // it fails when the connection is gone
}

func (s *Service) watchVendor(c *call, now int64, age func(int64) time.Duration) {
	if c.hold != nil && age(c.heldAt) > s.limits.Gate && !c.hold.Committed() {
		c.unheld.Store(true)
		c.cancel()
		return
	}
	if c.hold != nil && age(c.reported.Load()) > s.limits.Renew {
		c.reported.Store(now)
		c.hold.Progress(0, nil)
	}
	if !c.streams || c.drains.Load() && c.r.Context().Err() != nil {
		s.watchDetached(c, now, age)
		return
	}
	wait := s.limits.Ping
	if !c.started.Load() {
		wait = s.limits.Head
	}
	if age(c.lastWrite.Load()) > wait && c.beating.CompareAndSwap(false, true) {
		s.pulse.helpers.Go(func() {
			c.heartbeat()
			c.beating.Store(false)
		})
	}
}

// watchDetached notices that the client of a call has left whose answer is read
// on for a while, because it will be billed.
func (s *Service) watchDetached(c *call, now int64, age func(int64) time.Duration) {
	switch {
	case c.r.Context().Err() == nil:
	case !c.detached:
		c.detached, c.detachedAt = true, now
		if s.open.detached++; s.open.detached > s.limits.Detached {
			c.cancel()
		}
	case age(c.detachedAt) > s.linger(c):
		c.cancel()
	}
}

// linger is how long the answer of c is read on.
func (s *Service) linger(c *call) time.Duration {
	if c.streams {
		return s.limits.Drain
	}
	return s.limits.Linger
}
