package gateway

import (
	"errors"
	"io"
	"net/http"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/dialect/openai"
	"github.com/rephlo/rephlo/internal/usage"
	"github.com/rephlo/rephlo/internal/web"
)

// maxHeld is how many bytes of a stream wait for its first content.
const maxHeld = 64 << 10

// Errors that end a relay and are nobody's fault but the client's or ours.
var (
	errGone = errors.New("the client has left")
	errGate = errors.New("the hold is not durable")
)

// stream carries a call with stream.
func (c *call) stream() error {
	err := c.try(c.relay)
	if c.ended {
		return nil
	}
	return c.broken(err)
}

// relay forwards one vendor's stream to its end. The status and the head wait
// for the first content, so that until then another deployment may answer.
func (c *call) relay(reply llm.Reply) error {
	st := c.openSource(reply)
	defer st.Close()
	c.last = st
	var held []byte                 // before the first content
	var usage []byte                // the event with usage and what follows, when it will name the charge
	_, through := st.(*translation) // which states its usage when all is known
	wants := c.scan.IncludeUsage && c.wantsCredits() && !through
	for {
		c.enter(phaseVendor)
		chunk, err := st.Next()
		c.enter(phaseBusy)
		switch {
		case errors.Is(err, io.EOF): // only after the terminal event, which has returned
			return llm.Fail(llm.Protocol, err)
		case err != nil:
			return err
		case chunk.Terminal:
			return c.finish(reply, st, held, usage, chunk.Bytes)
		case !c.content && !chunk.Content && len(held)+len(chunk.Bytes) <= maxHeld:
			held = append(held, chunk.Bytes...)
			continue
		case !c.content:
			if err := c.openGate(); err != nil {
				return err
			}
		}
		if wants && (usage != nil || st.Usage().Reported) {
			usage = append(usage, chunk.Bytes...)
			continue
		}
		if c.keeping != nil {
			c.keeping.collect(held, chunk.Bytes)
		}
		if err := c.write(reply, held, chunk.Bytes); err != nil && !c.readsOn(err) {
			return err
		}
		held = nil
		c.report(st)
	}
}

// readsOn reports whether the vendor is read on after a write that failed with
// err: nobody gets what comes, but its usage is what will be billed.
func (c *call) readsOn(err error) bool {
	return errors.Is(err, errGone) && c.drains.Load() && !c.slow.Load() && c.ctx.Err() == nil
}

// openGate is gate A: from here on output may go to the client.
func (c *call) openGate() error {
	if err := c.held(); err != nil {
		return err
	}
	c.content = true
	if c.copied == nil {
		c.dropBody()
	}
	c.firstByte = c.s.needs.Now().Sub(c.began)
	return nil
}

// finish settles a complete stream and lets its last event out: gate B.
func (c *call) finish(reply llm.Reply, st source, held, usageEvents, terminal []byte) error {
	if !c.content {
		if err := c.openGate(); err != nil {
			return err
		}
	}
	u, end := c.complete(st.Usage(), func() int64 { return outputTokens(st) })
	status := usage.Success
	if c.gone() {
		end, status = credit.ClientGone, usage.Cancelled
	}
	paid, _ := c.settle(end, status, u) // logged there; what is not durable is not named
	if t, ok := st.(*translation); ok {
		held = append(append(held, usageEvents...), terminal...)
		usageEvents, terminal = t.end(u.usage()), t.terminal()
	}
	if k := c.keeping; k != nil { // before the charge is named
		k.collect(held, usageEvents, terminal)
		c.keep(reply.ContentType, k.events, u)
	}
	if paid.durable {
		if c.scan.IncludeUsage && c.wantsCredits() {
			usageEvents = withStreamCredits(usageEvents, paid)
		}
		if c.op.op == llm.OpResponses && c.wantsCredits() {
			terminal = withStreamCredits(terminal, paid)
		}
	}
	if err := c.write(reply, held, usageEvents, terminal); err != nil {
		return nil //nolint:nilerr // the client left after all was settled
	}
	if paid.durable {
		paid.show(c.w.Header())
	}
	return nil
}

// broken ends a stream that has not come to its end, and says so to a client
// that is still there.
func (c *call) broken(err error) error {
	gone := c.gone() || errors.Is(err, errGone)
	c.cancel()
	f := c.refusal(err)
	switch {
	case errors.Is(err, errGate) || c.unheld.Load():
		return c.notHeld(err)
	case gone && c.answering:
		_, _ = c.settle(credit.ClientGone, usage.Cancelled, c.soFar()) // logged there; nobody is told
		return nil
	case gone:
		c.release(usage.Cancelled)
		return nil
	case c.content:
		_, _ = c.settle(credit.ProviderBroke, usage.Failed, c.soFar()) // logged there; a broken stream names no charge
	default:
		c.release(usage.Failed)
	}
	c.endWithError(f)
	return f.Because(err)
}

// soFar is what a stream has used that stopped in the middle.
func (c *call) soFar() used {
	if c.last == nil {
		return c.countedUse(llm.Usage{}, 0)
	}
	return c.countedUse(c.last.Usage(), outputTokens(c.last))
}

// abandon ends a call that a panic has interrupted.
func (c *call) abandon() {
	if !c.content {
		c.release(usage.Failed)
		return
	}
	_, _ = c.settle(credit.ProviderBroke, usage.Failed, c.soFar()) // logged there
	c.endWithError(fault.ErrInternal)
}

// write sends parts to the client and flushes, with the head before the first.
// It returns errGone when the client cannot be reached.
func (c *call) write(reply llm.Reply, parts ...[]byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.enter(phaseWrite)
	defer c.enter(phaseBusy)
	return c.put(reply, parts...)
}

// put is write without the lock, which is held.
func (c *call) put(reply llm.Reply, parts ...[]byte) error {
	if c.done || c.r.Context().Err() != nil {
		return errGone
	}
	if !c.headOut {
		c.head(reply)
	}
	for _, p := range parts {
		if len(p) == 0 {
			continue
		}
		if c.copied != nil {
			c.copied.event(p)
		}
		if _, err := c.w.Write(p); err != nil {
			c.done = true
			return errors.Join(errGone, err)
		}
	}
	if f, ok := c.w.(http.Flusher); ok {
		f.Flush()
	}
	c.lastWrite.Store(c.s.pulse.clock.Load())
	return nil
}

// head sends the head of a stream. c.mu is held.
func (c *call) head(reply llm.Reply) {
	c.headOut = true
	c.started.Store(true)
	h := c.w.Header()
	c.describe(h, reply)
	h["Content-Type"] = contentType(reply.ContentType, valueSSE)
	if c.array {
		h["Content-Type"] = valueJSON
	}
	if c.hold != nil {
		h["Trailer"] = valueTrailers
	}
	c.w.WriteHeader(http.StatusOK)
}

var ping = []byte(": ping\n")

// heartbeat tells the client of a quiet stream that we are still here. It runs
// beside the call, which is waiting for its vendor; when something has come
// meanwhile it does nothing, so it never stands inside or behind the events.
func (c *call) heartbeat() {
	if c.hold != nil && c.hold.Durable(c.s.pulse.gate()) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase() == phaseVendor {
		beat := ping
		if c.op.dialect != nil {
			beat = c.op.dialect.Heartbeat()
		}
		_ = c.put(llm.Reply{}, beat) // the call notices by itself that its client is gone
	}
}

func chatError(c *call, f *fault.Error) []byte {
	return openai.Errors{}.AppendStreamError(nil, f, c.errorMeta())
}

func (c *call) errorMeta() llm.ErrorMeta {
	return llm.ErrorMeta{RequestID: web.RequestID(c.w), DocURL: c.s.needs.DocURL}
}

// endWithError writes the error event that ends a stream whose head is out.
// Nothing is written after it.
func (c *call) endWithError(f *fault.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.headOut {
		event := c.op.streamError
		if event == nil {
			event = chatError
		}
		_ = c.put(llm.Reply{}, event(c, f)) // nobody else is left to tell
	}
	c.done = true
}

// report journals now and then what a running stream has cost, so that it is
// not free if this process dies.
func (c *call) report(st source) {
	if c.hold == nil {
		return
	}
	now, out := c.s.pulse.clock.Load(), st.OutputBytes()
	if now-c.reported.Load() < int64(c.s.limits.Progress) && out-c.reportedBytes < progressBytes {
		return
	}
	c.reported.Store(now)
	c.reportedBytes = out
	c.progress(out / bytesPerToken)
}

const (
	bytesPerToken = 4 // on the low side, because nobody can correct a journal
	progressBytes = 2000 * bytesPerToken
)

func (c *call) progress(output int64) {
	u := c.countedUse(c.last.Usage(), output)
	e := c.entry
	e.Counts, e.Source, e.Suspect = u.counts, u.source, u.suspect
	price, err := c.price(u.counts)
	if err != nil {
		return
	}
	e.Charged = min(price, c.need)
	if c.route != nil {
		e.CostPico = c.vendorCost(u.counts)
	}
	journal, err := e.Journal()
	if err != nil {
		journal = nil
	}
	c.hold.Progress(e.Charged, journal)
}
