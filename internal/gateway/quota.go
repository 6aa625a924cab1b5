package gateway

import (
	"time"

	"github.com/rephlo/rephlo/internal/cache"
	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/gateway/route"
)

// pick is Choose among the deployments that have room for one more call. A
// refusal names the shortest rest, be it until a vendor's limit ends or one of
// ours.
func (c *call) pick(cs []route.Candidate, affinity uint64, tried route.Tried) (int, route.Try, route.Refusal, bool) {
	var full time.Duration
	for {
		i, try, refusal, ok := c.s.needs.Routes.Choose(cs, affinity, tried)
		if !ok {
			if full > 0 && (refusal.Cooling == 0 || full < refusal.Cooling) {
				refusal.Cooling = full
			}
			return i, try, refusal, false
		}
		wait, taken := c.occupy(&c.model.Routes[i])
		if taken {
			return i, try, route.Refusal{}, true
		}
		try.End(route.Result{Void: true})
		tried |= 1 << i
		if full == 0 || wait < full {
			full = wait
		}
	}
}

// occupy takes what one more call needs of a deployment's own limits, or nothing
// and says how long to wait.
func (c *call) occupy(r *catalog.Route) (wait time.Duration, ok bool) {
	l := &r.Limits
	if *l == (catalog.RouteLimits{}) {
		return 0, true
	}
	m := c.s.needs.Counters
	if l.TokensPerMinute > 0 {
		if st, ok := m.Positive(c.ctx, cache.Key{Kind: cache.Tokens, Subject: r.Subject}, l.TokensPerMinute); !ok {
			return max(st.Retry, time.Millisecond), false
		}
	}
	if l.RequestsPerMinute > 0 {
		if st, ok := m.Take(c.ctx, cache.Key{Kind: cache.Requests, Subject: r.Subject}, l.RequestsPerMinute); !ok {
			return max(st.Retry, time.Millisecond), false
		}
	}
	if l.ConcurrentRequests > 0 {
		if st, ok := m.Take(c.ctx, cache.Key{Kind: cache.Concurrent, Subject: r.Subject}, l.ConcurrentRequests); !ok {
			if l.RequestsPerMinute > 0 {
				m.Return(cache.Key{Kind: cache.Requests, Subject: r.Subject}, l.RequestsPerMinute)
			}
			return max(st.Retry, time.Millisecond), false
		}
	}
	return 0, true
}

// vacate gives back the place that a try had at a deployment.
func (c *call) vacate(r *catalog.Route) {
	if n := r.Limits.ConcurrentRequests; n > 0 {
		c.s.needs.Counters.Return(cache.Key{Kind: cache.Concurrent, Subject: r.Subject}, n)
	}
}

// bookRoute books the tokens of a call at the deployment that answered it.
func (c *call) bookRoute(n int64) {
	if c.route == nil || n <= 0 {
		return
	}
	if limit := c.route.Limits.TokensPerMinute; limit > 0 {
		c.s.needs.Counters.Spend(cache.Key{Kind: cache.Tokens, Subject: c.route.Subject}, limit, n)
	}
}
