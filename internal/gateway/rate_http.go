package gateway

import (
	"context"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/cache"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
)

type rateOutput struct {
	Body struct {
		Tier   string     `json:"tier"`
		Limits []rateBody `json:"limits" doc:"Those that hold for the caller; what is not here has no limit"`
	}
}

type rateBody struct {
	Name      string     `json:"name" enum:"requests,tokens,concurrency,creditsPerDay,creditsPerMonth,creditsTotal"`
	Scope     string     `json:"scope" enum:"user,key,app" doc:"Whose limit it is: yours over all keys and apps, the key's, or the app's"`
	Limit     any        `json:"limit" doc:"Requests and tokens in a minute, calls at once, or credits"`
	Remaining any        `json:"remaining"`
	ResetAt   *time.Time `json:"resetAt" doc:"When all of it is there again; null: when calls end, or never"`
}

// rate answers where the caller stands with every limit, and uses up none.
func (a API) rate(ctx context.Context, _ *struct{}) (*rateOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	c := &call{s: a.Calls, r: (&http.Request{}).WithContext(ctx), actor: actor, began: a.Calls.needs.Now()}
	c.tier = c.plan()
	out := &rateOutput{}
	out.Body.Tier, out.Body.Limits = c.tier.Name, []rateBody{}
	add := func(b rateBody) { out.Body.Limits = append(out.Body.Limits, b) }
	t := c.tier
	c.rates(add, "user", actor.UserID, t.RequestsPerMinute, t.TokensPerMinute, t.ConcurrentRequests)
	if k := actor.Key; k != nil {
		c.rates(add, "key", actor.Purse(), k.RequestsPerMinute, k.TokensPerMinute, k.ConcurrentRequests)
	}
	for _, limit := range c.caps() {
		used, err := a.Calls.needs.Credits.CapUsed(ctx, limit.Owner, limit.Window)
		if err != nil {
			return nil, unavailable(err)
		}
		add(capRate(actor, limit, used))
	}
	return out, nil
}

// rates adds the limits of a subject on calls and tokens; 0 is none.
func (c *call) rates(add func(rateBody), scope, subject string, requests, tokens, atOnce int64) {
	for _, l := range []struct {
		name  string
		kind  cache.Kind
		limit int64
	}{{"requests", cache.Requests, requests}, {"tokens", cache.Tokens, tokens}} {
		if l.limit == 0 {
			continue
		}
		st, _ := c.s.needs.Counters.Positive(c.r.Context(), cache.Key{Kind: l.kind, Subject: subject}, l.limit)
		reset := c.began.Add(st.Reset).UTC().Truncate(time.Second)
		add(rateBody{l.name, scope, l.limit, max(st.Remaining, 0), &reset})
	}
	if atOnce == 0 {
		return
	}
	var open int64
	c.s.open.each(func(o *call) {
		if scope == "user" && o.actor.UserID == subject || scope == "key" && o.actor.Purse() == subject {
			open++
		}
	})
	add(rateBody{"concurrency", scope, atOnce, max(atOnce-open, 0), nil})
}

// capRate is a limit on spending of which some is used.
func capRate(actor access.Actor, limit credit.Cap, used money.Credits) rateBody {
	b := rateBody{Name: "creditsPerDay", Scope: "key", Limit: limit.Limit, Remaining: max(limit.Limit-used, 0)}
	reset := limit.Window.AddDate(0, 0, 1)
	switch limit.Owner {
	case actor.UserID:
		b.Scope = "user"
	case actor.Purse() + "/month":
		b.Name, reset = "creditsPerMonth", limit.Window.AddDate(0, 1, 0)
	case actor.Purse():
		b.Name = "creditsTotal"
		return b
	default:
		if actor.ClientID != "" {
			b.Name, b.Scope, reset = "creditsPerMonth", "app", limit.Window.AddDate(0, 1, 0)
		}
	}
	b.ResetAt = &reset
	return b
}
