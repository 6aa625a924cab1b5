package gateway

import (
	"errors"
	"io"
	"iter"

	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/relay"
)

// source is a vendor's stream as the client will get it: forwarded as it is
// (relay.Stream) or translated.
type source interface {
	Next() (relay.Chunk, error)
	Usage() llm.Usage
	OutputText() []byte
	OutputBytes() int64
	Sequence() int64
	Close()
}

// lane is how a deployment can serve a call.
type lane uint8

const (
	laneNone lane = iota
	laneSame
	laneTranslated
)

// String names l for spans.
func (l lane) String() string { return [...]string{"none", "same", "translated"}[l] }

// laneOf returns how r can serve the call.
func (c *call) laneOf(r *catalog.Route) lane {
	v := c.s.needs.Vendors[r.Provider.Vendor]
	switch {
	case v == nil:
		return laneNone
	case v.Native(c.op.op) && r.Provider.Takes(c.op.op) && !c.scan.HasFiles() && (!c.attached.remote || takesURLs(r.Provider, c.model)):
		return laneSame
	case c.op.embed != nil:
		if _, ok := v.(llm.Embedder); ok && r.Provider.Takes(llm.OpEmbeddings) {
			return laneTranslated
		}
		return laneNone
	case c.op.dialect == nil:
		return laneNone
	}
	if _, ok := v.(llm.Streamer); ok {
		return laneTranslated
	}
	return laneNone
}

// understand decodes a request that no deployment of the model takes as it is,
// so that what is wrong with it is said before anything is held. That none
// takes it at all is ErrOperation.
func (c *call) understand() error {
	if c.op.embed == nil && c.model.OnlyEmbeds() {
		return ErrOperation
	}
	translated := false
	for i := range c.model.Routes {
		switch c.laneOf(&c.model.Routes[i]) {
		case laneSame:
			return nil
		case laneTranslated:
			translated = true
		case laneNone:
		}
	}
	switch {
	case translated && c.op.embed != nil:
		_, err := c.embedRequest()
		return err
	case translated:
		_, err := c.request()
		return err
	case len(c.model.Routes) > 0:
		return ErrOperation
	}
	return nil
}

// request returns the call in no dialect.
func (c *call) request() (*llm.Request, error) {
	if c.asked != nil {
		return c.asked, nil
	}
	r, err := c.op.dialect.Decode(c.body.b)
	if err != nil {
		return nil, err
	}
	if c.op == opGemini { // the path says it
		r.Model, r.Stream = c.scan.Model, c.scan.Stream
	}
	if c.strict() {
		if r.Strict = true; len(r.Warnings) > 0 {
			return nil, llm.NotStrict(r.Warnings)
		}
	}
	c.asked = r
	return r, nil
}

// translate makes one try at c.route through the hub.
func (c *call) translate(f func(llm.Reply) error) error {
	if c.op.embed != nil {
		return c.embed(f)
	}
	decoded, err := c.request()
	if err != nil {
		return c.unable(err)
	}
	if err := c.loadImages(decoded); err != nil {
		return c.unable(err)
	}
	req := *decoded
	if req.MaxOutput == 0 {
		req.MaxOutput = c.output
	}
	c.enter(phaseVendor)
	defer c.enter(phaseBusy)
	vendor := c.s.needs.Vendors[c.route.Provider.Vendor].(llm.Streamer) //nolint:forcetypeassert // laneOf has looked
	next, stop := iter.Pull2(vendor.Stream(c.ctx, c.target(), &req))
	defer stop()
	first, err, ok := next()
	switch {
	case err != nil:
		return llm.Broken(err)
	case !ok || first.Kind != llm.EventStart:
		return llm.Fail(llm.Protocol, errNoStart)
	}
	c.answering = true
	c.drains.Store(c.scan.Stream && c.route.Provider.Options.Drain)
	meta := llm.Meta{
		CallID: c.entry.ID, Model: c.scan.Model, Created: c.began, InputTokens: c.input, Usage: c.scan.IncludeUsage || req.IncludeUsage, Request: &req,
	}
	t := &translation{
		c: c, next: next, meta: meta, dialect: c.op.dialect, all: c.collector(), encoder: c.op.dialect.Encoder(meta),
		context: c.model.ContextLength, output: c.output * c.scan.N,
	}
	if first.Head != nil {
		t.head = *first.Head
	}
	c.tellWarnings(req.Warnings, t.head.Warnings)
	t.take(&first)
	return f(llm.Reply{ProcessingMS: t.head.ProcessingMS, VendorRequestID: t.head.VendorRequestID, Length: -1, Body: translated{t}})
}

// unable is the failure of a try at a deployment whose lane cannot read the
// request. That is a fallback's: the first choice took it as it was.
func (c *call) unable(err error) error {
	if _, ok := errors.AsType[*llm.Failure](err); ok {
		return err
	}
	failure := llm.Fail(llm.Unable, err)
	failure.Fault = c.refusal(err)
	return failure
}

var errNoStart = errors.New("the vendor has not begun")

// collector returns what an answer in one piece is collected with; a stream
// needs none.
func (c *call) collector() *llm.Collector {
	if c.scan.Stream {
		return nil
	}
	return &llm.Collector{}
}

// tellWarnings sets the header with what was changed on the way to the vendor.
func (c *call) tellWarnings(all ...[]llm.Warning) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.headOut {
		return
	}
	c.s.tally.warned(all...)
	if text := llm.WarningsHeader(append([][]llm.Warning{c.warnings}, all...)...); text != "" {
		c.w.Header()["X-Rephlo-Warnings"] = []string{text}
	} else {
		delete(c.w.Header(), "X-Rephlo-Warnings")
	}
}

// translation is an answer on its way from a vendor's protocol to the client's.
// It goes where a forwarded one goes.
type translation struct {
	c       *call
	next    func() (llm.Event, error, bool)
	meta    llm.Meta
	dialect llm.Dialect
	encoder llm.Encoder
	all     *llm.Collector // of an answer in one piece
	head    llm.Head
	usage   llm.Usage
	text    []byte
	bytes   int64
	buf     []byte // encoded
	lent    bool   // buf has been handed out
	over    error
	// elements of an array that are written.
	elements int

	context, output int64
}

// maxText is how much output is kept to be counted.
const maxText = 1 << 20

// take books an event and encodes it.
func (t *translation) take(e *llm.Event) {
	switch e.Kind { //nolint:exhaustive // the others have no text
	case llm.EventUsage:
		t.usage = *e.Usage
	case llm.EventText, llm.EventReasoning, llm.EventRefusal, llm.EventArguments:
		t.book(e.Text)
	case llm.EventToolCall:
		t.book(e.Name)
	}
	if t.all != nil {
		t.all.Add(e)
		return
	}
	t.buf = t.encoder.Append(t.buf, e)
}

func (t *translation) book(text string) {
	t.bytes += int64(len(text))
	if len(t.text)+len(text) <= maxText {
		t.text = append(t.text, text...)
	}
}

// maxTogether is how many bytes of events that came together go out together.
const maxTogether = 16 << 10

// Next implements source: what has come together is one chunk. The terminal one
// has nothing new: end has what comes last.
func (t *translation) Next() (relay.Chunk, error) {
	if t.over != nil {
		return relay.Chunk{}, t.over
	}
	if t.lent {
		t.buf, t.lent = t.buf[:0], false
	}
	var c relay.Chunk
	for {
		e, err, ok := t.next()
		switch {
		case err != nil:
			if t.over = llm.Broken(err); len(t.buf) > 0 || c.Content {
				c.Bytes = t.drained() // it comes with the next call
				return c, nil
			}
			return relay.Chunk{}, t.over
		case !ok:
			t.over = io.EOF
			c.Bytes, c.Terminal = t.drained(), true
			return c, nil
		}
		c.Content = c.Content || e.Content()
		if t.take(&e); (len(t.buf) > 0 || c.Content) && (!e.More || len(t.buf) >= maxTogether) {
			c.Bytes = t.drained()
			return c, nil
		}
	}
}

// drained returns what has been encoded. It is valid until the next call of
// Next.
func (t *translation) drained() []byte {
	t.lent = true
	return t.framed(t.buf)
}

// end returns the last events of a stream that used u, without the terminal
// one.
func (t *translation) end(u llm.Usage) []byte {
	b := t.encoder.Append(nil, &llm.Event{Kind: llm.EventUsage, Usage: &u})
	return t.framed(t.encoder.AppendEnd(b))
}

func (t *translation) terminal() []byte {
	b := t.framed(t.encoder.AppendTerminal(nil))
	if t.c.array {
		b = append(b, ']')
	}
	return b
}

// collect reads an answer in one piece to its end.
func (t *translation) collect() error {
	for {
		e, err, ok := t.next()
		switch {
		case err != nil:
			return llm.Broken(err)
		case !ok:
			return nil
		}
		t.take(&e)
		if t.bytes > t.c.s.limits.Answer {
			return llm.Fail(llm.Protocol, nil)
		}
	}
}

// whole appends the answer, which used u.
func (t *translation) whole(b []byte, u llm.Usage) []byte {
	a := t.all.Answer()
	a.Usage = u
	return t.dialect.AppendAnswer(b, t.meta, a)
}

// Usage implements source.
func (t *translation) Usage() llm.Usage { return t.usage.Bounded(t.context, t.output) }

// OutputText implements source.
func (t *translation) OutputText() []byte { return t.text }

// OutputBytes implements source.
func (t *translation) OutputBytes() int64 { return t.bytes }

// Sequence implements source.
func (*translation) Sequence() int64 { return -1 }

// Close implements source. translate ends the vendor's work.
func (*translation) Close() {}

// assembled is an answer in one piece that is written anew for the client.
type assembled interface {
	// collect reads it to its end.
	collect() error
	Usage() llm.Usage
	// whole appends it, with u as what it used.
	whole(b []byte, u llm.Usage) []byte
	OutputText() []byte
	OutputBytes() int64
}

// translated makes a translation the body of a Reply.
type translated struct{ *translation }

// Read implements io.Reader: nobody reads bytes that do not exist.
func (translated) Read([]byte) (int, error) { return 0, io.EOF }

// Close implements io.Closer.
func (translated) Close() error { return nil }

// openSource returns the stream of a reply.
func (c *call) openSource(reply llm.Reply) source {
	if t, ok := reply.Body.(translated); ok {
		return t.translation
	}
	return relay.NewStream(reply.Body, relay.StreamOptions{
		Op: c.op.op, Array: c.array, MaxLine: c.op.maxLine, KeepUsage: c.scan.IncludeUsage, Context: c.model.ContextLength, OutputSent: c.output * c.scan.N,
	})
}

// usage is u as an answer states it.
func (u used) usage() llm.Usage {
	n := u.counts
	return llm.Usage{
		Input: n.Input, CacheRead: n.CacheRead, CacheWrite: n.CacheWrite, CacheWriteLong: n.CacheWriteLong,
		ImageInput: n.ImageInput, AudioInput: n.AudioInput,
		Output: n.Output, Reasoning: n.Reasoning, AudioOutput: n.AudioOutput, ImageOutput: n.ImageOutput,
		Reported: u.source != "", Suspect: u.suspect,
	}
}
