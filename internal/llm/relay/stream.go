package relay

import (
	"bytes"
	"errors"
	"io"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/wire/openai"
)

const defaultMaxLine = 1 << 20

// StreamOptions say how a stream is read. The zero value is good.
type StreamOptions struct {
	// Op is whose stream it is; empty is that of chat completions.
	Op llm.Op
	// Array makes elements of one JSON array of Gemini's events.
	Array   bool
	MaxLine int // bytes of a line and of an event; 1 MiB
	// KeepUsage relays the event that has only usage. Otherwise it is read and
	// held back.
	KeepUsage bool
	// Context is the model's context and OutputSent the output limit that was
	// sent times the choices, in tokens. They bound the usage; 0 does not.
	Context    int64
	OutputSent int64
}

// Chunk is what one read of the vendor's stream brought.
type Chunk struct {
	// Bytes are whole, checked events as they came. They are valid until the
	// next call of Next.
	Bytes []byte
	// Content says that output is among them, or a finish.
	Content bool
	// Terminal says that Bytes is the event that ends the stream, which comes
	// alone: [DONE], or one whose type says so.
	Terminal bool
}

// Stream reads an event stream. The payload of every event that it lets through
// is one JSON object or [DONE]; comments, the fields id and retry and events
// without data are dropped. It is not safe for concurrent use.
type Stream struct {
	events events
	reply  reply
	o      StreamOptions
	any    bool  // an event came
	held   bool  // the event that was scanned is the terminal one
	ends   *ends // how the events of the stream are told apart; nil: by choices and [DONE]
	over   error // what Next returns when nothing is left

	// Of Gemini, whose streams have no terminal event.
	finished bool   // a candidate has ended
	atEnd    bool   // the vendor's bytes have ended
	tail     []byte // what came since
	out      []byte // elements of the array before
	elements int
}

// NewStream reads a stream from r, which is the body of a Reply. It does not
// close it.
func NewStream(r io.Reader, o StreamOptions) *Stream {
	if o.MaxLine <= 0 {
		o.MaxLine = defaultMaxLine
	}
	return &Stream{events: newEvents(r, o.MaxLine), reply: reply{keep: true}, o: o, ends: endings[o.Op]}
}

// Usage returns what the vendor has reported so far; the last report counts.
func (s *Stream) Usage() llm.Usage { return s.reply.usage.Bounded(s.o.Context, s.o.OutputSent) }

// OutputBytes returns how many bytes of text, reasoning and arguments came.
func (s *Stream) OutputBytes() int64 { return s.reply.outBytes }

// OutputText returns those bytes, at most the first MiB, for counting when the
// vendor does not report. The next call of Next may overwrite it.
func (s *Stream) OutputText() []byte { return s.reply.text }

// Close gives the buffer back and makes the last Chunk invalid. Next does it
// by itself when it returns an error. Close may be called twice.
func (s *Stream) Close() {
	if s.over == nil {
		s.over = llm.Fail(llm.Canceled, io.ErrClosedPipe)
	}
	s.events.release()
}

// Next waits for the next whole events. It returns io.EOF only after the
// terminal event, llm.ErrCut when the stream ends without it, and otherwise a
// *llm.Failure: the vendor's error event, an event that is not valid, or a
// connection that broke. What came before a failure is returned before it.
func (s *Stream) Next() (Chunk, error) {
	var c Chunk
	if s.over == nil {
		s.events.compact()
	}
	s.out = s.out[:0]
	for s.over == nil {
		if s.atEnd {
			if s.events.ready > 0 || len(s.out) > 0 {
				break
			}
			s.over = io.EOF
			return Chunk{Bytes: s.tail, Terminal: true}, nil
		}
		if s.held {
			if s.events.ready > 0 { // it comes alone
				break
			}
			return s.terminal(), nil
		}
		found, err := s.events.scan()
		switch {
		case err != nil:
			s.over = err
		case found:
			s.over = s.event(&c)
		case s.events.ready > 0:
			c.Bytes = s.events.buf[:s.events.ready]
			return c, nil
		case len(s.out) > 0:
			c.Bytes = s.out
			return c, nil
		default:
			if err := s.events.fill(); err != nil {
				s.over = s.ended(err)
			}
		}
	}
	if n := s.events.ready; n > 0 {
		c.Bytes = s.events.buf[:n]
		if s.over != nil { // nothing more will be looked at
			s.events.ready = 0
		}
		return c, nil
	}
	if len(s.out) > 0 {
		c.Bytes = s.out
		return c, nil
	}
	s.events.release()
	return Chunk{}, s.over
}

var done = []byte("[DONE]")

// terminal hands out the terminal event and ends the stream; data behind it is
// dropped.
func (s *Stream) terminal() Chunk {
	s.events.accept()
	c := Chunk{Bytes: s.events.buf[:s.events.ready], Terminal: true}
	s.events.ready = 0
	s.over = io.EOF
	if b, ok := s.events.from.(interface{ Done() }); ok {
		b.Done() // Close may wait a moment for the formal end
	}
	return c
}

// event takes the event that was scanned.
func (s *Stream) event(c *Chunk) error {
	p := bytes.TrimSpace(s.events.payload())
	if s.ends == nil && s.o.Op != llm.OpMessages && bytes.Equal(p, done) {
		s.held = true
		return nil
	}
	s.any = true
	switch {
	case s.o.Op == llm.OpMessages:
		return s.messagesEvent(c, p)
	case s.ends != nil:
		return s.typedEvent(c, p)
	}
	r := &s.reply
	r.has = false
	err := r.read(p)
	if err == nil && s.events.isError {
		said, _ := openai.ReadError(p)
		err = refusal(said)
	}
	if err != nil {
		s.events.drop()
		return err
	}
	if r.has && r.choices == 0 && !s.o.KeepUsage {
		s.events.drop()
		return nil
	}
	c.Content = c.Content || r.content
	s.events.accept()
	return nil
}

var errEmpty = errors.New("no event came")

// ended says what the end of the vendor's bytes means.
func (s *Stream) ended(err error) error {
	if !errors.Is(err, io.EOF) {
		return llm.Broken(err)
	}
	// The last event may lack its blank line. Only of [DONE] can we know that
	// it is whole.
	e := &s.events
	if e.next < e.end {
		e.line(len(bytes.TrimSuffix(e.buf[:e.end], []byte("\r"))), e.end)
	}
	if s.ends == nil && s.o.Op != llm.OpMessages && len(e.data) > 0 && bytes.Equal(bytes.TrimSpace(e.payload()), done) {
		n := copy(e.buf, "data: [DONE]\n\n")
		e.ready, e.kept, e.next, e.end = 0, n, n, n
		s.held = true
		return nil
	}
	if s.ends != nil && s.ends.open && s.geminiEnd() {
		return nil
	}
	if !s.any {
		return llm.Fail(llm.Cut, errEmpty)
	}
	return llm.ErrCut
}
