package gateway

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/relay"
	"github.com/rephlo/rephlo/internal/usage"
)

// Header values that many answers share, so that setting them allocates
// nothing.
var (
	valueJSON     = []string{"application/json"}
	valueSSE      = []string{"text/event-stream"}
	valueOff      = []string{"off"}
	valueTrailers = []string{"X-Rephlo-Credits-Charged, X-Rephlo-Credits-Remaining"}
	valueAttempts = [maxTries + 1][]string{{"0"}, {"1"}, {"2"}, {"3"}} // without fallbacks
)

// answer carries a call without stream: the vendor's answer is collected as a
// whole, because its head names the charge.
func (c *call) answer() error {
	var body *buffer
	var head llm.Reply
	var use llm.Usage
	var t assembled
	err := c.try(func(reply llm.Reply) (err error) {
		if body != nil {
			body.free()
			body = nil
		}
		head, t = reply, nil
		if t = assembledOf(reply); t != nil {
			c.enter(phaseVendor)
			err = t.collect()
			c.enter(phaseBusy)
			use = t.Usage()
			return err
		}
		body = newBuffer(min(reply.Length, c.s.limits.Answer) + 1)
		c.enter(phaseVendor)
		err = body.fill(reply.Body, c.s.limits.Answer)
		c.enter(phaseBusy)
		if err != nil {
			return llm.Broken(err)
		}
		if int64(len(body.b)) > c.s.limits.Answer {
			return llm.Fail(llm.Protocol, nil)
		}
		if c.op.read != nil {
			use, err = c.op.read(c, head, body.b)
		} else {
			use, err = relay.ScanAnswer(c.op.op, body.b)
		}
		return err
	})
	if body != nil && c.copied == nil {
		defer body.free()
	}
	if err != nil {
		return c.noAnswer(err)
	}
	if err := c.held(); err != nil {
		return c.notHeld(err)
	}
	c.firstByte = c.s.needs.Now().Sub(c.began)
	u, end := c.complete(use.Bounded(c.context(), c.output*c.scan.N), func() int64 {
		if t != nil {
			return outputTokens(t)
		}
		return answerTokens(c.op.op, body.b)
	})
	if t != nil {
		body = &buffer{b: t.whole(nil, u.usage())}
	}
	status := usage.Success
	if c.gone() {
		end, status = credit.ClientGone, usage.Cancelled
	}
	paid, err := c.settle(end, status, u)
	if err != nil && !errors.Is(err, credit.ErrNotDurable) {
		return unavailable(err) // it will not be charged, so it is not given away
	}
	c.keep(head.ContentType, body.b, u)
	return c.writeAnswer(head, body, paid)
}

// assembledOf is the answer behind a reply that no vendor has written; else
// nil.
func assembledOf(r llm.Reply) assembled {
	switch b := r.Body.(type) {
	case translated:
		return b.translation
	case embedding:
		return b.embedded
	}
	return nil
}

// complete is what a whole answer has used: what is reported of it, or else
// counted with the tokens of its output.
func (c *call) complete(u llm.Usage, output func() int64) (used, credit.Ending) {
	if _, exact := c.measured(u); exact {
		return c.reportedUse(u), credit.Finished
	}
	var n int64
	if c.meter.kind == inTokens {
		n = output()
	}
	return c.countedUse(u, n), credit.Estimated
}

// noAnswer ends a call whose vendors have all failed. A client that left had
// its answer read on; if even that was cut, the input was used.
func (c *call) noAnswer(err error) error {
	switch {
	case c.unheld.Load():
		return c.notHeld(err)
	case c.stopped.Load():
		c.release(usage.Failed)
	case c.gone() && c.ctx.Err() != nil:
		_, _ = c.settle(credit.ClientGone, usage.Cancelled, c.countedUse(llm.Usage{}, 0)) // logged there; nobody is told
	default:
		c.release(usage.Failed)
	}
	return c.refusal(err)
}

func (c *call) writeAnswer(head llm.Reply, body *buffer, paid receipt) error {
	h := c.w.Header()
	c.describe(h, head)
	h["Content-Type"] = contentType(head.ContentType, valueJSON)
	b := body.b
	if paid.durable {
		paid.show(h)
		if c.wantsCredits() && c.op.op != llm.OpMessages {
			b = withCredits(b, paid)
		}
	}
	h["Content-Length"] = []string{strconv.Itoa(len(b))}
	if c.copied != nil {
		c.copied.answer = b
	}
	c.enter(phaseWrite)
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(b) // a client that left is not our error; the call is settled
	c.enter(phaseBusy)
	return nil
}

// describe sets the headers that every answer of a model has.
func (c *call) describe(h http.Header, head llm.Reply) {
	h["X-Rephlo-Model"] = []string{c.model.ID}
	if c.attempts < len(valueAttempts) {
		h["X-Rephlo-Attempts"] = valueAttempts[c.attempts]
	} else {
		h["X-Rephlo-Attempts"] = []string{strconv.Itoa(c.attempts)}
	}
	h["X-Rephlo-Cache"] = c.cacheHeader()
	if !c.s.needs.HideVendor && c.route != nil {
		h["X-Rephlo-Vendor"] = []string{c.route.Provider.Vendor}
	}
	if head.ProcessingMS != "" {
		h["Openai-Processing-Ms"] = []string{head.ProcessingMS}
	}
}

func contentType(got string, usual []string) []string {
	if got == usual[0] || got == "" {
		return usual
	}
	return []string{got}
}

// wantsCredits reports whether the client asked for the charge in the body.
func (c *call) wantsCredits() bool {
	v := c.r.Header["X-Rephlo-Include"]
	return len(v) == 1 && v[0] == "credits"
}
