package gateway

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/relay"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/tier"
	"github.com/rephlo/rephlo/internal/usage"
	"github.com/rephlo/rephlo/internal/web"
)

// call is one model call. It belongs to the goroutine of its request, except
// where the pulse may look.
type call struct {
	prev, next *call // guarded by the registry's lock

	s  *Service
	op *operation
	w  http.ResponseWriter
	r  *http.Request

	actor   access.Actor
	tier    *tier.Tier
	quotas  quotas // what it has taken of the limits
	began   time.Time
	terms   money.Terms // of this call from its beginning on
	body    *buffer
	came    *buffer // the body as it came, when it had to be changed
	counted int64   // of the body budget
	scan    relay.Scan
	upload  *relay.Upload // of a transcription
	embeds  *relay.Embed  // of Google's requests for embeddings
	meter   meter
	array   bool  // a stream goes out as one JSON array
	seconds int64 // that its sound has, as far as we know
	model   *catalog.Model
	prices  *pricing.Prices // of the model's first route, which is charged
	chain   []fallback      // other models that may answer, in order
	factor  int64           // by which the bound of model is raised, in basis points
	in      pricing.Input   // what the input is taken to be for the hold
	input   int64           // and without its margin, for a count
	output  int64           // output limit per choice that is sent
	need    money.Credits
	hold    *credit.Hold // nil for a call that cannot cost anything
	heldAt  int64        // on the pulse's clock
	entry   usage.Entry
	traced  *traced  // nil for most
	copied  *copied  // nil for most
	keeping *keeping // nil for most

	ctx           context.Context //nolint:containedctx // of the vendor's work, which outlives the client of a call without stream
	cancel        context.CancelFunc
	route         *catalog.Route // that is being tried
	attempts      int            // of all models
	answering     bool           // the vendor has sent a head that says success
	content       bool           // output has gone out, or is about to
	last          source         // that is being relayed
	asked         *llm.Request   // the call in no dialect, once it was decoded
	askedEmbed    *llm.EmbedRequest
	warnings      []llm.Warning // of the model's constraints
	attached      attached
	firstByte     time.Duration
	waited        time.Duration // for vendors until then
	since         time.Time     // it waits; zero while it does not
	ended         bool          // settled, released or recorded
	reportedBytes int64

	mu      sync.Mutex // orders what is written to w
	done    bool       // guarded by mu: nothing can or may be written any more
	headOut bool       // guarded by mu: the head of a stream has gone out

	// What the pulse looks at.
	streams   bool         // the client asked for a stream; the scan itself may be made anew meanwhile
	state     atomic.Int64 // phase and since when
	lastWrite atomic.Int64
	reported  atomic.Int64
	beating   atomic.Bool // a heartbeat is being written
	slow      atomic.Bool // a write took too long
	started   atomic.Bool // the head of a stream has gone out
	stopped   atomic.Bool // by our shutdown
	unheld    atomic.Bool // gate A did not open in time
	drains    atomic.Bool // its vendor has begun to answer, and is read on when the client leaves
	// Guarded by the registry's lock.
	detached   bool
	detachedAt int64
}

// enter says what the call is doing from now on.
func (c *call) enter(p phase) {
	c.waits(p)
	c.state.Store(c.s.pulse.clock.Load()<<phaseBits | int64(p))
}

// phase returns what the call is doing.
func (c *call) phase() phase { return phase(c.state.Load() & (1<<phaseBits - 1)) }

// handler returns the handler of an operation.
func (s *Service) handler(op *operation) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error { return s.call(op, w, r) }
}

// call carries one call: its steps are in the order that decides which refusal
// comes first.
func (s *Service) call(op *operation, w http.ResponseWriter, r *http.Request) (err error) {
	s.begin.Do(s.startPulse)
	h := w.Header()
	h["Request-Id"] = h["X-Request-Id"]
	actor, err := s.needs.Auth.Authenticate(r)
	if err != nil {
		return err
	}
	if !actor.Has(access.ScopeInference) {
		return access.Check(actor, access.ScopeInference)
	}
	if !actor.Verified {
		return ErrUnverified
	}
	if !s.turns.Try() {
		if err := s.wait(r.Context(), actor); err != nil {
			return err
		}
	}
	defer s.turns.Leave()
	c := &call{s: s, op: op, w: w, r: r, actor: actor, began: s.needs.Now(), terms: s.needs.Terms()}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(r.Context()))
	defer c.cancel()
	now := s.pulse.clock.Load()
	c.lastWrite.Store(now)
	c.reported.Store(now)
	if !s.open.add(c) {
		return ErrShutdown
	}
	if t := s.needs.Tracer.Begin(r.Header["Traceparent"], c.began); t != nil {
		c.traced = &traced{Trace: t}
	}
	defer func() {
		s.timed.observe(c, err)
		s.tally.ended(c, err)
		if c.copied != nil {
			c.offer(err)
		}
	}()
	defer c.leave()
	if err := s.readBody(c, r); err != nil {
		return err
	}
	if err := c.admit(); err != nil {
		return err
	}
	c.streams = c.scan.Stream
	c.copies()
	if c.hit() {
		return c.replay()
	}
	if s.needs.HoldFirst {
		if err := c.held(); err != nil {
			return c.notHeld(err)
		}
	}
	if c.scan.Stream {
		// Who leaves a stream stops paying for it, so the vendor stops at once,
		// unless it would bill the rest all the same.
		defer context.AfterFunc(r.Context(), func() {
			if !c.drains.Load() {
				c.cancel()
			}
		})()
		return c.stream()
	}
	return c.answer()
}

// leave is the end of every call that was taken, whatever became of it: a hold
// that nothing else ended is settled here, also when a panic passes.
func (c *call) leave() {
	c.cancel()
	c.enter(phaseBusy)
	if !c.ended && c.model != nil && c.entry.ID != "" {
		c.abandon()
	}
	c.mu.Lock()
	c.done = true
	c.mu.Unlock()
	c.s.open.remove(c)
	c.endLimits()
	if c.copied != nil {
		c.copied.takeBody(c)
	}
	c.dropBody()
}

// dropBody gives the body's memory back when no further try needs it.
func (c *call) dropBody() {
	for _, b := range []**buffer{&c.body, &c.came} {
		if *b != nil {
			(*b).free()
			*b = nil
		}
	}
	c.s.bodies.give(c.counted)
	c.counted = 0
}

// record makes the record of a call that is admitted.
func (c *call) record() {
	c.entry = usage.Entry{
		ID: id.New("call", c.began), RequestID: web.RequestID(c.w), UserID: c.actor.UserID, KeyID: c.actor.KeyID, ClientID: c.actor.ClientID,
		ModelID: c.model.ID, VendorModel: c.model.Routes[0].VendorModel, Provider: c.model.Routes[0].Provider.Name,
		Operation: c.op.word, Stream: c.scan.Stream, Source: usage.None,
		Prices: *c.prices, Terms: c.terms, At: c.began,
	}
}
