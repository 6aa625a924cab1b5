package gateway

import (
	"errors"
	"time"

	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/relay"
)

// maxTries is how many deployments may be tried for one call.
const maxTries = 3

// try calls f with the reply of one deployment after the other until f
// succeeds, the failure is one that another cannot mend, or content has gone
// out. It returns the last failure.
func (c *call) try(f func(llm.Reply) error) error {
	err := error(llm.ErrUnavailable)
	for i := range c.model.Routes {
		route := &c.model.Routes[i]
		vendor := c.s.needs.Vendors[route.Provider.Vendor]
		if vendor == nil || !vendor.Native(llm.OpChat) {
			continue
		}
		if c.attempts == maxTries || c.attempts > 0 && c.s.needs.Now().Sub(c.began) > c.s.limits.Retry {
			break
		}
		c.mu.Lock() // a heartbeat may be writing the head, which names them
		c.attempts++
		c.route, c.answering = route, false
		c.mu.Unlock()
		if err = c.send(vendor, route, f); err == nil || !c.another(err) {
			return err
		}
	}
	return err
}

// another reports whether another deployment may answer instead.
func (c *call) another(err error) bool {
	return llm.KindOf(err).NextTarget() && c.ctx.Err() == nil && !c.content
}

// send makes one try. The vendor is called at once, beside the commit of the
// hold; whoever writes to the client waits for that (gate A).
func (c *call) send(vendor llm.Vendor, route *catalog.Route, f func(llm.Reply) error) error {
	p := route.Provider
	edit := relay.Edit{Model: route.VendorModel, IncludeUsage: !p.Options.NoStreamUsage}
	if c.scan.MaxTokens == 0 {
		edit.MaxTokens, edit.MaxTokensKey = c.output, limitKey(p)
	}
	c.enter(phaseVendor)
	reply, err := vendor.Forward(c.ctx, llm.Target{
		BaseURL: p.BaseURL, Key: p.Key, Model: route.VendorModel, Header: p.Options.Headers, AllowPrivate: p.AllowPrivate, Timeouts: c.s.limits.Upstream,
	}, llm.Call{Op: llm.OpChat, Parts: c.scan.Apply(c.body.b, edit), Stream: c.scan.Stream})
	c.enter(phaseBusy)
	if err != nil {
		return llm.Broken(err)
	}
	c.answering = true
	err = f(reply)
	if cerr := reply.Body.Close(); err == nil && cerr != nil && c.ctx.Err() == nil {
		c.s.needs.Log.DebugContext(c.ctx, "vendor connection", "provider", p.Name, "err", cerr)
	}
	return err
}

// limitKey names the parameter of the output limit that a provider wants.
func limitKey(p *catalog.Provider) string {
	switch {
	case p.Options.MaxTokensKey != "":
		return p.Options.MaxTokensKey
	case p.Vendor == "openai":
		return "max_completion_tokens"
	default:
		return "max_tokens"
	}
}

// refusal is what a client is told about err.
func (c *call) refusal(err error) *fault.Error {
	if c.stopped.Load() {
		return ErrShutdown
	}
	f := fault.From(err)
	if failure, ok := errors.AsType[*llm.Failure](err); ok && failure.RetryAfter > 0 {
		f = f.After(min(failure.RetryAfter, 5*time.Minute))
	}
	return f
}
