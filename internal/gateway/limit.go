package gateway

import (
	"net/http"
	"strconv"
	"time"

	"github.com/rephlo/rephlo/internal/cache"
	"github.com/rephlo/rephlo/internal/fault"
)

// ErrLimit answers a call beyond what its user, or its key, may use.
var ErrLimit = fault.New(fault.RateLimited, "rate_limit_exceeded", "You have reached a limit. Try again after the time given.")

// quota is what somebody may use: the user by the tier, a key by its own limits.
type quota struct {
	subject                        string // id
	word                           string // whose limit it is
	requests, tokens, atOnce       int64  // 0 is no limit
	tookRequest, tookPlace, booked bool
}

// quotas are those of one call.
type quotas struct {
	all [2]quota
	n   int
}

// limits takes what the call needs of every limit that holds for it, or nothing
// of any. What is taken goes back with giveBack when the call is not admitted
// after all.
func (c *call) limits() error {
	q := &c.quotas
	if t := c.tier; t.RequestsPerMinute|t.TokensPerMinute|t.ConcurrentRequests != 0 {
		q.all[q.n] = quota{subject: c.actor.UserID, word: "user", requests: t.RequestsPerMinute, tokens: t.TokensPerMinute, atOnce: t.ConcurrentRequests}
		q.n++
	}
	if k := c.actor.Key; k != nil && k.RequestsPerMinute|k.TokensPerMinute|k.ConcurrentRequests != 0 {
		q.all[q.n] = quota{subject: c.actor.Purse(), word: "key", requests: k.RequestsPerMinute, tokens: k.TokensPerMinute, atOnce: k.ConcurrentRequests}
		q.n++
	}
	if q.n == 0 {
		return nil
	}
	var shown tightest
	err := c.takeAll(&shown)
	if err != nil {
		c.giveBack()
	}
	shown.write(c.w.Header())
	return err
}

func (c *call) takeAll(shown *tightest) error {
	m, ctx := c.s.needs.Counters, c.r.Context()
	for i := range c.quotas.n {
		q := &c.quotas.all[i]
		if q.requests > 0 {
			st, ok := m.Take(ctx, cache.Key{Kind: cache.Requests, Subject: q.subject}, q.requests)
			q.tookRequest = ok
			if shown.see(&shown.requests, st); !ok {
				return c.overLimit(q, "requests", st)
			}
		}
		if q.tokens > 0 {
			st, ok := m.Positive(ctx, cache.Key{Kind: cache.Tokens, Subject: q.subject}, q.tokens)
			if shown.see(&shown.tokens, st); !ok {
				return c.overLimit(q, "tokens", st)
			}
		}
		if q.atOnce > 0 {
			st, ok := m.Take(ctx, cache.Key{Kind: cache.Concurrent, Subject: q.subject}, q.atOnce)
			if q.tookPlace = ok; !ok {
				return c.overLimit(q, "concurrency", st)
			}
		}
	}
	return nil
}

// overLimit says which limit was reached and when to try again.
func (c *call) overLimit(q *quota, limit string, st cache.State) error {
	c.s.tally.refusals.one(labels{a: limit})
	reset := st.Reset
	if limit == "concurrency" {
		reset = st.Retry
	}
	f := ErrLimit.Saying("You have reached the limit of %s: %d %s. Try again after the time given.", q.word, st.Limit, unit(limit)).
		With("limit", limit).With("scope", q.word).With("used", st.Limit-st.Remaining).
		With("resetAt", c.s.needs.Now().Add(reset).UTC().Format(time.RFC3339)).After(max(st.Retry, time.Millisecond))
	if limit == "tokens" && c.input > q.tokens {
		f = f.Final() // it does not fit into the bucket at any time
	}
	return f
}

func unit(limit string) string {
	if limit == "concurrency" {
		return "calls at once"
	}
	return limit + " a minute"
}

// giveBack returns the permits of a call that is not admitted.
func (c *call) giveBack() {
	for i := range c.quotas.n {
		q := &c.quotas.all[i]
		if q.tookRequest {
			c.s.needs.Counters.Return(cache.Key{Kind: cache.Requests, Subject: q.subject}, q.requests)
		}
		c.freePlace(q)
	}
	c.quotas.n = 0
}

func (c *call) freePlace(q *quota) {
	if q.tookPlace {
		q.tookPlace = false
		c.s.needs.Counters.Return(cache.Key{Kind: cache.Concurrent, Subject: q.subject}, q.atOnce)
	}
}

// bookTokens books what the call used. Only the first time counts.
func (c *call) bookTokens(n int64) {
	for i := range c.quotas.n {
		if q := &c.quotas.all[i]; q.tokens > 0 && !q.booked && n > 0 {
			q.booked = true
			c.s.needs.Counters.Spend(cache.Key{Kind: cache.Tokens, Subject: q.subject}, q.tokens, n)
		}
	}
}

// endLimits frees the places of a call that has ended.
func (c *call) endLimits() {
	for i := range c.quotas.n {
		c.freePlace(&c.quotas.all[i])
	}
}

// tightest are the limits that are shown: those with the least left.
type tightest struct{ requests, tokens cache.State }

func (*tightest) see(have *cache.State, st cache.State) {
	if have.Limit == 0 || st.Remaining < have.Remaining {
		*have = st
	}
}

// write sets the headers that SDKs read (OpenAI's names) and those of
// draft-ietf-httpapi-ratelimit-headers.
func (t *tightest) write(h http.Header) {
	policy, rate := "", ""
	for _, one := range [...]struct {
		st                           cache.State
		word, limit, remaining, till string
	}{
		{t.requests, "requests", "X-Ratelimit-Limit-Requests", "X-Ratelimit-Remaining-Requests", "X-Ratelimit-Reset-Requests"},
		{t.tokens, "tokens", "X-Ratelimit-Limit-Tokens", "X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Reset-Tokens"},
	} {
		if one.st.Limit == 0 {
			continue
		}
		limit, remaining := strconv.FormatInt(one.st.Limit, 10), strconv.FormatInt(one.st.Remaining, 10)
		h[one.limit] = []string{limit}
		h[one.remaining] = []string{remaining}
		h[one.till] = []string{one.st.Reset.Round(time.Millisecond).String()}
		seconds := strconv.FormatInt(int64((one.st.Reset+time.Second-1)/time.Second), 10)
		if policy != "" {
			policy, rate = policy+", ", rate+", "
		}
		policy += `"` + one.word + `";q=` + limit + `;w=60`
		rate += `"` + one.word + `";r=` + remaining + `;t=` + seconds
	}
	if policy != "" {
		h["Ratelimit-Policy"], h["Ratelimit"] = []string{policy}, []string{rate}
	}
}
