package gateway

import (
	"errors"
	"time"

	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
)

// send makes one try at c.route. The vendor is called at once, beside the
// commit of the hold; whoever writes to the client waits for that (gate A).
func (c *call) send(f func(llm.Reply) error) error {
	if c.laneOf(c.route) == laneTranslated {
		return c.translate(f)
	}
	p := c.route.Provider
	key := c.op.limitKey
	if c.op == opChat {
		key = limitKey(p)
	}
	call := llm.Call{Op: c.op.op, Parts: c.parts(c.route.VendorModel, c.usesStreamOptions() && !p.Options.NoStreamUsage, key), Stream: c.scan.Stream}
	if c.op.op == llm.OpTranscriptions {
		call.ContentType = c.r.Header.Get("Content-Type")
	}
	if c.op.headers != nil {
		call.Header = c.op.headers(c.r.Header)
	}
	c.enter(phaseVendor)
	reply, err := c.s.needs.Vendors[p.Vendor].Forward(c.ctx, c.target(), call)
	c.enter(phaseBusy)
	if err != nil {
		return llm.Broken(err)
	}
	c.answering = true
	c.drains.Store(c.scan.Stream && p.Options.Drain)
	err = f(reply)
	if cerr := reply.Body.Close(); err == nil && cerr != nil && c.ctx.Err() == nil {
		c.s.needs.Log.DebugContext(c.ctx, "vendor connection", "provider", p.Name, "err", cerr)
	}
	return err
}

// usesStreamOptions reports whether usage in a stream has to be asked for.
func (c *call) usesStreamOptions() bool { return c.op == opChat || c.op.op == llm.OpCompletions }

// upstream are the timeouts of a provider, or else the usual ones.
func upstream(p *catalog.Provider, usual llm.Timeouts) llm.Timeouts {
	for _, own := range []struct {
		ms int64
		to *time.Duration
	}{{p.Timeouts.FirstByteMS, &usual.FirstByte}, {p.Timeouts.IdleMS, &usual.Idle}, {p.Timeouts.TotalMS, &usual.Total}} {
		if own.ms > 0 {
			*own.to = time.Duration(own.ms) * time.Millisecond
		}
	}
	return usual
}

// limitKey names the parameter of the output limit that a provider wants.
func limitKey(p *catalog.Provider) string {
	switch {
	case p.Options.MaxTokensKey != "":
		return p.Options.MaxTokensKey
	case p.Vendor == "openai", p.Vendor == "azure":
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
