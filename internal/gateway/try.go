package gateway

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/gateway/route"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
)

const (
	maxTries     = 3 // of one model
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 2 * time.Second
	affinityText = 1 << 10 // bytes of a conversation that tell it from others
)

// try calls f with the reply of one deployment after the other until f
// succeeds, the failure is one that another cannot mend, or content has gone
// out. When the deployments of the model have failed, its fallbacks get their
// turn. It returns the last failure.
func (c *call) try(f func(llm.Reply) error) error {
	c.s.needs.Routes.Enter()
	defer c.s.needs.Routes.Leave()
	err := c.tryModel(f)
	for i := range c.chain {
		if err == nil || c.content || c.ctx.Err() != nil || c.scan.Stream && c.gone() || c.late() {
			break
		}
		if next := &c.chain[i]; next.After(causeOf(err)) && c.adapt(next.model) == nil {
			c.serveWith(next)
			c.s.tally.fallbacks.Add(1)
			err = c.tryModel(f)
		}
	}
	return err
}

// late reports whether it is too late for another try.
func (c *call) late() bool {
	return c.attempts > 0 && c.s.needs.Now().Sub(c.began) > c.s.limits.Retry
}

// tryModel is try for the deployments of c.model.
func (c *call) tryModel(f func(llm.Reply) error) error {
	var (
		room [4]route.Candidate
		last error
	)
	candidates, tried := c.candidates(room[:0])
	affinity := c.affinity(len(candidates))
	for n := range maxTries {
		i, try, err := c.choose(candidates, affinity, tried, n, last)
		if err != nil {
			return err
		}
		tried |= 1 << i
		last = c.tryAt(&c.model.Routes[i], try, n > 0, f)
		if last == nil || !c.another(last) {
			return last
		}
	}
	return last
}

// choose finds the deployment for the n-th try, the one before having ended
// with last. Without one it returns what the call ends with. From the second
// try on a place among the retries is taken with it.
func (c *call) choose(cs []route.Candidate, affinity uint64, tried route.Tried, n int, last error) (int, route.Try, error) {
	routes := c.s.needs.Routes
	if n > 0 && (c.late() || !routes.Retry()) {
		return 0, route.Try{}, last
	}
	i, try, refusal, ok := c.pick(cs, affinity, tried)
	if !ok && n > 0 && c.pause(n, len(cs), last) {
		i, try, refusal, ok = c.pick(cs, affinity, 0)
	}
	switch {
	case ok:
		return i, try, nil
	case n > 0:
		routes.DoneRetry()
		return 0, route.Try{}, last
	}
	return 0, route.Try{}, refused(refusal)
}

// refused is the failure of a call for which there is no deployment.
func refused(r route.Refusal) error {
	if r.Cooling == 0 {
		return llm.ErrUnavailable
	}
	f := llm.Fail(llm.Rate, nil)
	f.RetryAfter = r.Cooling
	return f
}

// candidates appends the deployments of c.model, with the indices of the
// model's routes, and marks those that cannot serve the call as tried.
func (c *call) candidates(to []route.Candidate) ([]route.Candidate, route.Tried) {
	var tried route.Tried
	for i := range min(len(c.model.Routes), route.MaxCandidates) {
		r := &c.model.Routes[i]
		if c.laneOf(r) == laneNone {
			tried |= 1 << i
		}
		to = append(to, route.Candidate{
			ID:       route.ID{Provider: r.Provider.Name, Model: r.VendorModel, Credential: r.Provider.Credential},
			Priority: r.Priority, Weight: r.Weight,
		})
	}
	return to, tried
}

// affinity is what keeps a conversation at one of n deployments, whose caches
// then know it.
func (c *call) affinity(n int) uint64 {
	if n < 2 {
		return 0
	}
	if v := c.r.Header["X-Rephlo-Affinity"]; len(v) == 1 && v[0] != "" {
		return route.Affinity([]byte(c.actor.UserID), []byte(v[0]))
	}
	text := c.body.b
	return route.Affinity([]byte(c.actor.UserID), []byte(c.model.ID), text[:min(len(text), affinityText)])
}

// tryAt makes one try and tells the table how it went; again says that it has a
// place among the retries.
func (c *call) tryAt(r *catalog.Route, try route.Try, again bool, f func(llm.Reply) error) (err error) {
	c.mu.Lock() // a heartbeat may be writing the head, which names them
	c.attempts++
	c.route, c.answering = r, false
	c.mu.Unlock()
	c.drains.Store(false)
	result := route.Result{Void: true}
	defer func() {
		c.vacate(r)
		try.End(result)
		if again {
			c.s.needs.Routes.DoneRetry()
		}
	}()
	var start time.Time
	if c.traced != nil {
		start = c.s.needs.Now()
	}
	err = c.send(f)
	c.s.tally.tried(r.Provider.Name, err)
	if c.traced != nil {
		c.traced.tried(c, start, err)
	}
	result = route.Result{
		Kind: llm.KindOf(err),
		// What the client or we ended says nothing of the deployment, nor does a
		// failure that the built-in vendor was told to show.
		Void: errors.Is(err, errGone) || errors.Is(err, errGate) || c.ctx.Err() != nil || c.stopped.Load() || r.Provider.Vendor == catalog.TestProvider,
	}
	if failure, ok := errors.AsType[*llm.Failure](err); ok {
		result.RetryAfter = failure.RetryAfter
	}
	return err
}

// another reports whether another deployment may answer instead.
func (c *call) another(err error) bool {
	return llm.KindOf(err).NextTarget() && c.ctx.Err() == nil && !c.content && (!c.scan.Stream || !c.gone())
}

// pause waits before the n-th try goes to a deployment that has failed already,
// because none of the others is left. It reports whether that is worth while.
func (c *call) pause(n, others int, last error) bool {
	failure, ok := errors.AsType[*llm.Failure](last)
	if !ok {
		return false
	}
	wait := failure.RetryAfter
	switch failure.Kind { //nolint:exhaustive // others do not get better by waiting
	case llm.Rate:
		if wait == 0 {
			return false
		}
	case llm.Connect, llm.Server:
		if wait == 0 && others > 1 {
			return false // they failed as well
		}
		if wait == 0 {
			wait = rand.N(min(firstBackoff<<n, lastBackoff)) //nolint:gosec // it only spreads the retries
		}
	default:
		return false
	}
	if wait > lastBackoff {
		return false
	}
	c.enter(phaseVendor)
	defer c.enter(phaseBusy)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return c.ctx.Err() == nil
	case <-c.ctx.Done():
		return false
	}
}

// fallback is another model that may answer.
type fallback struct {
	catalog.Fallback
	model  *catalog.Model
	prices *pricing.Prices
	terms  money.Terms
	factor int64 // of its bound
}

// fallbacks returns the models that may answer instead of c.model: those that
// can be called and take what the client asks for.
func (c *call) fallbacks() []fallback {
	if len(c.model.Fallbacks) == 0 || fallbackOff(c.r.Header) {
		return nil
	}
	out := make([]fallback, 0, len(c.model.Fallbacks))
	for _, f := range c.model.Fallbacks {
		m, err := c.s.needs.Models.Model(f.Model)
		if err != nil || c.permitted(m) != nil || c.scan.MaxTokens > m.MaxOutput || !c.fits(m) {
			continue
		}
		prices := m.Prices(c.began)
		if prices == nil {
			continue
		}
		if how, prices, err := c.tariff(prices); err == nil && how.kind == c.meter.kind {
			out = append(out, fallback{f, m, prices, c.termsOf(m), c.s.short.factor(m.ID)})
		}
	}
	return out
}

func fallbackOff(h http.Header) bool {
	v := h["X-Rephlo-Fallback"]
	return len(v) == 1 && v[0] == "off"
}

// free reports whether no model that may answer costs anything.
func (c *call) free() bool {
	for i := range c.chain {
		if !c.chain[i].prices.Free() {
			return false
		}
	}
	return c.prices.Free()
}

// serveWith makes f the model that answers, and whose price is charged.
func (c *call) serveWith(f *fallback) {
	c.mu.Lock() // as in tryAt
	defer c.mu.Unlock()
	c.model, c.factor, c.terms = f.model, f.factor, f.terms
	if !c.actor.Test {
		c.prices = f.prices
	}
	if c.scan.MaxTokens == 0 {
		c.output = min(c.output, f.model.MaxOutput)
	}
	c.entry.ModelID, c.entry.Prices, c.entry.Terms = f.model.ID, *c.prices, c.terms
}

// causeOf says what kind of failure err is for fallbacks; empty for those that
// no other model mends.
func causeOf(err error) catalog.Cause {
	switch failure, _ := errors.AsType[*llm.Failure](err); llm.KindOf(err) {
	case llm.Server:
		if failure.Status == http.StatusServiceUnavailable || failure.Status == statusOverloaded {
			return catalog.CauseOverloaded
		}
		return catalog.CauseServer
	case llm.Connect, llm.Protocol, llm.Cut, llm.Auth, llm.UnknownModel:
		return catalog.CauseServer
	case llm.Timeout:
		return catalog.CauseTimeout
	case llm.Rate, llm.Quota:
		return catalog.CauseRate
	case llm.Context, llm.Size:
		return catalog.CauseContext
	case llm.Policy:
		return catalog.CausePolicy
	case llm.Invalid, llm.Image, llm.Canceled, llm.Unable:
		return ""
	}
	if errors.Is(err, llm.ErrUnavailable) { // every breaker is open
		return catalog.CauseServer
	}
	return ""
}

// statusOverloaded is what Anthropic answers when it is overloaded.
const statusOverloaded = 529
