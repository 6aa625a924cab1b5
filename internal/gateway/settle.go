package gateway

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/usage"
	"github.com/rephlo/rephlo/internal/web"
)

// used is what a call has used, and how we know.
type used struct {
	counts  pricing.Counts
	source  usage.Source
	suspect bool
}

// reported is what the vendor said, within what is possible.
func (c *call) reportedUse(u llm.Usage) used {
	n, _ := c.measured(u)
	return used{counts: n, source: usage.Reported, suspect: u.Suspect}
}

// countedUse is what the vendor said so far, and our own count of what it did
// not say: the input as estimated, and the tokens of the output that arrived.
func (c *call) countedUse(u llm.Usage, output int64) used {
	if c.meter.kind != inTokens {
		n, exact := c.measured(u)
		if exact {
			return used{counts: n, source: usage.Reported, suspect: u.Suspect}
		}
		return used{counts: n, source: usage.Estimated, suspect: u.Suspect}
	}
	if u.Reported {
		return c.reportedUse(u)
	}
	out := used{counts: counts(u), source: usage.Partial, suspect: u.Suspect}
	if u.Inputs() == 0 {
		out.counts.Input = c.input
		if u.Outputs() == 0 {
			out.source = usage.Estimated
		}
	}
	out.counts.Requests = c.meter.most.Requests
	if u.Outputs() < output {
		out.counts.Output, out.counts.Reasoning, out.counts.AudioOutput, out.counts.ImageOutput = output, 0, 0, 0
	}
	return out
}

func counts(u llm.Usage) pricing.Counts {
	return pricing.Counts{
		Input: u.Input, CacheRead: u.CacheRead, CacheWrite: u.CacheWrite, CacheWriteLong: u.CacheWriteLong,
		ImageInput: u.ImageInput, AudioInput: u.AudioInput,
		Output: u.Output, Reasoning: u.Reasoning, AudioOutput: u.AudioOutput, ImageOutput: u.ImageOutput,
	}
}

// receipt is what a client may be told about the charge.
type receipt struct {
	charged, remaining money.Credits
	durable            bool // else nothing may be said
}

// settle ends the call with a charge for what it used, and returns when that
// is durable or the gate's time is over. Only the first ending of a call
// counts.
func (c *call) settle(end credit.Ending, status usage.Status, u used) (receipt, error) {
	c.ended = true
	if !c.hit() { // which used no vendor's
		n := u.counts.TotalInput() + u.counts.TotalOutput()
		c.bookTokens(n)
		c.bookRoute(n)
	}
	price, err := c.price(u.counts)
	if err != nil { // bounded counts cannot reach this with any real price
		price = c.need
	}
	e := c.entry
	e.Ending, e.Status = string(end), status
	e.Counts, e.Source, e.Suspect = u.counts, u.source, u.suspect
	e.Charged = min(price, c.need)
	e.DurationMS = c.s.needs.Now().Sub(c.began).Milliseconds()
	e.FirstTokenMS = c.firstByte.Milliseconds()
	if c.route != nil {
		e.VendorModel, e.Provider = c.route.VendorModel, c.route.Provider.Name
		e.CostPico = c.vendorCost(u.counts)
	}
	if c.hit() {
		e.Ending, e.Provider, e.VendorModel = usage.Replayed, "", ""
	}
	if c.traced != nil {
		c.traced.settled = e
	}
	c.s.tally.settled(c, &e, price)
	c.note(e)
	if c.hold == nil {
		e.Charged = 0
		if err := c.s.needs.Usage.Add(c.s.pulse.gate(), e); err != nil {
			c.s.needs.Log.ErrorContext(c.ctx, "usage record lost", "call", e.ID, "err", err)
		}
		return receipt{}, nil
	}
	gate := c.s.pulse.gate()
	if c.unheld.Load() {
		gate = closed // it was waited for already, and nothing is promised
	}
	if price > c.need && !u.suspect {
		c.s.short.note(c.model.ID, price, c.need, c.factor)
	}
	r, err := c.hold.Settle(gate, credit.Outcome{Price: price, Ending: end, Record: e})
	if err != nil {
		c.s.needs.Log.WarnContext(c.ctx, "settlement not confirmed", "call", e.ID, "err", err)
		return receipt{}, err
	}
	return receipt{charged: r.Charged, remaining: r.Remaining, durable: true}, nil
}

// held is gate A: it returns when the hold is durable, or an error with which
// nothing may go to the client.
func (c *call) held() error {
	if c.hold == nil {
		return nil
	}
	if err := c.hold.Durable(c.s.pulse.gate()); err != nil {
		return errors.Join(errGate, err)
	}
	return nil
}

// notHeld ends a call whose gate A did not open: its vendor is cancelled, its
// hold released, and nothing was sent.
func (c *call) notHeld(err error) error {
	c.cancel()
	c.unheld.Store(true)
	c.release(usage.Failed)
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Kind == fault.Unavailable {
		return f.Because(err)
	}
	return credit.ErrUnavailable.Because(err)
}

// closed is a context that has ended.
var closed = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// release ends a call that nobody pays for.
func (c *call) release(status usage.Status) {
	end := credit.Failed
	if status == usage.Cancelled {
		end = credit.ClientGone
	}
	_, _ = c.settle(end, status, used{source: usage.None}) // it is logged there, and nothing was promised
}

func (c *call) price(n pricing.Counts) (money.Credits, error) {
	price, _, err := pricing.Price(n, *c.prices, c.terms)
	return price, err
}

// vendorCost is what the vendor that answered asks.
func (c *call) vendorCost(n pricing.Counts) int64 {
	p := c.route.Prices(c.began)
	if p != nil && c.op.meter != nil {
		_, p, _ = c.tariff(p) // it was callable by its prices, or costs nothing that we know of
	}
	return cost(n, p)
}

// cost is what the vendor asks, as far as its prices are known.
func cost(n pricing.Counts, p *pricing.Prices) int64 {
	if p == nil {
		return 0
	}
	_, sum, err := pricing.Price(n, *p, pricing.DefaultTerms())
	if err != nil {
		return 0
	}
	pico, err := sum.Pico()
	if err != nil {
		return 0
	}
	return pico
}

// note adds to the request's log event what the call was.
func (c *call) note(e usage.Entry) {
	web.Note(c.w,
		slog.String("call", e.ID), slog.String("model", e.ModelID), slog.String("provider", e.Provider), slog.String("ending", e.Ending),
		slog.Int("attempts", c.attempts), slog.Int64("input", e.Counts.TotalInput()), slog.Int64("output", e.Counts.TotalOutput()),
		slog.Int64("charged", int64(e.Charged)), slog.Duration("first", c.firstByte.Round(time.Microsecond)))
}

// gone reports whether the client has left.
func (c *call) gone() bool { return c.r.Context().Err() != nil || c.slow.Load() }
