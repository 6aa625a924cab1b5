package gateway

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/gateway/route"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/obs"
	"github.com/rephlo/rephlo/internal/usage"
)

// Labels are bounded: what comes after so many models or providers is counted
// as "other".
const (
	maxModels    = 200
	maxProviders = 50
	otherLabel   = "other"
	noLabel      = "none"
)

// labels are the values of a counter's labels; those it lacks are empty.
type labels struct{ a, b, c string }

// counted is a counter with labels. One that exists is found and raised without
// an allocation.
type counted struct {
	bounds [3]int // how many values a label may have; 0: any

	mu   sync.RWMutex
	all  map[labels]*atomic.Int64 // guarded by mu
	seen [3]map[string]bool       // guarded by mu
}

func (c *counted) one(l labels) {
	c.mu.RLock()
	v := c.all[l]
	c.mu.RUnlock()
	if v == nil {
		v = c.make(l)
	}
	v.Add(1)
}

func (c *counted) make(l labels) *atomic.Int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, value := range []*string{&l.a, &l.b, &l.c} {
		switch {
		case c.bounds[i] == 0 || c.seen[i][*value]:
		case len(c.seen[i]) >= c.bounds[i]:
			*value = otherLabel
		case c.seen[i] == nil:
			c.seen[i] = map[string]bool{*value: true}
		default:
			c.seen[i][*value] = true
		}
	}
	if c.all == nil {
		c.all = map[labels]*atomic.Int64{}
	}
	if c.all[l] == nil {
		c.all[l] = &atomic.Int64{}
	}
	return c.all[l]
}

// emit returns what tells the values; n is how many labels there are.
func (c *counted) emit(n int) func(obs.Emit) {
	return func(emit obs.Emit) {
		c.mu.RLock()
		defer c.mu.RUnlock()
		for l, v := range c.all {
			emit(float64(v.Load()), []string{l.a, l.b, l.c}[:n]...)
		}
	}
}

// kinds of tokens, in the order in which tally has them.
var tokenKinds = [...]string{"input", "cache_read", "cache_write", "output", "reasoning"}

// tally counts what becomes of calls.
type tally struct {
	requests, attempts, ends, refusals, warnings counted

	tokens                                     [len(tokenKinds)]atomic.Int64
	fallbacks, estimated, suspect, uncollected atomic.Int64

	overhead, holdRatio obs.Histogram
}

// observe registers the metrics of calls.
func (t *tally) observe(m *obs.Metrics, s *Service) {
	t.requests.bounds, t.attempts.bounds = [3]int{maxModels, maxProviders}, [3]int{maxProviders}
	m.Counter("llm_requests_total", "Model calls that were admitted, by model, the provider that answered last, and outcome.", []string{"model", "provider", "outcome"}, t.requests.emit(3))
	m.Counter("llm_attempts_total", "Attempts at providers, by what they ended with.", []string{"provider", "result"}, t.attempts.emit(2))
	m.Counter("llm_ends_total", "Model calls by how they ended for the ledger.", []string{"ending"}, t.ends.emit(1))
	m.Counter("limit_refusals_total", "Model calls that a limit refused.", []string{"limit"}, t.refusals.emit(1))
	m.Counter("llm_warnings_total", "What could not be carried to a vendor as it was.", []string{"kind"}, t.warnings.emit(1))
	m.Counter("llm_tokens_total", "Tokens that were used, by kind.", []string{"kind"}, func(emit obs.Emit) {
		for i, kind := range tokenKinds {
			emit(float64(t.tokens[i].Load()), kind)
		}
	})
	for _, one := range []struct {
		name, help string
		n          *atomic.Int64
	}{
		{"llm_fallbacks_total", "Times that another model was asked instead.", &t.fallbacks},
		{"llm_usage_estimated_total", "Calls whose usage we counted ourselves, in part or whole.", &t.estimated},
		{"llm_usage_suspect_total", "Calls whose vendor reported impossible usage.", &t.suspect},
		{"llm_uncollected_total", "Calls that cost more than was held for them.", &t.uncollected},
	} {
		m.Counter(one.name, one.help, nil, func(emit obs.Emit) { emit(float64(one.n.Load())) })
	}
	gauge := func(name, help string, read func() float64) {
		m.Gauge(name, help, nil, func(emit obs.Emit) { emit(read()) })
	}
	gauge("llm_drains_active", "Answers that are read on although their clients have left.", func() float64 { return float64(s.open.drains()) })
	gauge("streams_active", "Streams that are open to clients.", func() float64 { return float64(s.open.streams()) })
	gauge("calls_in_flight", "Calls that have a place on this server.", func() float64 { return float64(s.turns.Running()) })
	gauge("calls_waiting", "Calls that wait for a place because all are taken.", func() float64 { return float64(s.turns.Waiting()) })
	gauge("calls_limit", "Places for calls that this server has now.", func() float64 { return float64(s.turns.Limit()) })
	gauge("body_bytes", "Bytes of bodies in memory.", func() float64 { return float64(s.bodies.used.Load()) })
	gauge("llm_retry_ratio", "Running retries of running calls.", s.needs.Routes.RetryRatio)
	m.Gauge("provider_key_state", "Deployments that were used, by provider and state.", []string{"provider", "state"}, s.deployments)
	m.Gauge("provider_breaker_open", "Deployments whose breaker is open.", []string{"provider"}, func(emit obs.Emit) {
		open := map[string]int{}
		for _, d := range s.needs.Routes.Statuses() {
			if open[d.Provider] += 0; d.State == route.Open {
				open[d.Provider]++
			}
		}
		for provider, n := range open {
			emit(float64(n), provider)
		}
	})
	t.overhead = m.Histogram("llm_overhead_seconds", "Time to the first output of a call that was not the vendor's.", obs.Latencies)
	t.holdRatio = m.Histogram("llm_hold_ratio", "What calls cost, as a part of what was held for them.", []float64{.01, .02, .05, .1, .2, .3, .4, .5, .6, .7, .8, .9, 1})
}

func (s *Service) deployments(emit obs.Emit) {
	type key struct{ provider, state string }
	all := map[key]int{}
	for _, d := range s.needs.Routes.Statuses() {
		all[key{d.Provider, string(d.State)}]++
	}
	for k, n := range all {
		emit(float64(n), k.provider, k.state)
	}
}

// ended counts a call that has ended with err.
func (t *tally) ended(c *call, err error) {
	if c.entry.ID == "" {
		return
	}
	provider := noLabel
	if c.route != nil {
		provider = c.route.Provider.Name
	}
	t.requests.one(labels{c.model.ID, provider, outcome(c, err)})
	if t.overhead.Observer != nil && c.firstByte > 0 {
		t.overhead.Seconds(max(c.firstByte-c.waited, 0))
	}
}

// outcome is a word for how a call ended for its client.
func outcome(c *call, err error) string {
	f, _ := errors.AsType[*fault.Error](err)
	switch {
	case c.gone():
		return usage.Cancelled
	case err == nil:
		return usage.Success
	case f != nil && f.Kind.Status() < 500:
		return "refused"
	}
	return usage.Failed
}

// settled counts what a call used that is to pay price.
func (t *tally) settled(c *call, e *usage.Entry, price money.Credits) {
	t.ends.one(labels{a: e.Ending})
	n := &e.Counts
	for i, tokens := range [...]int64{n.Input + n.ImageInput + n.AudioInput, n.CacheRead, n.CacheWrite + n.CacheWriteLong, n.Output + n.ImageOutput + n.AudioOutput, n.Reasoning} {
		if tokens > 0 && !c.hit() {
			t.tokens[i].Add(tokens)
		}
	}
	if e.Source == usage.Estimated || e.Source == usage.Partial {
		t.estimated.Add(1)
	}
	if e.Suspect {
		t.suspect.Add(1)
	}
	if c.hold == nil || c.need <= 0 {
		return
	}
	if price > c.need {
		t.uncollected.Add(1)
	}
	if t.holdRatio.Observer != nil && price > 0 {
		t.holdRatio.Observe(float64(price) / float64(c.need))
	}
}

// tried counts an attempt that ended with err.
func (t *tally) tried(provider string, err error) {
	result := "ok"
	if err != nil {
		result = llm.KindOf(err).String()
	}
	t.attempts.one(labels{a: provider, b: result})
}

// warned counts warnings.
func (t *tally) warned(all ...[]llm.Warning) {
	for _, warnings := range all {
		for i := range warnings {
			t.warnings.one(labels{a: string(warnings[i].Kind)})
		}
	}
}

// waits measures how long a call waits for vendors until its first output: at
// each change of what it does.
func (c *call) waits(p phase) {
	switch {
	case c.content:
	case p == phaseVendor:
		c.since = c.s.needs.Now()
	case !c.since.IsZero():
		c.waited += c.s.needs.Now().Sub(c.since)
		c.since = time.Time{}
	}
}
