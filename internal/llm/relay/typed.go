package relay

import (
	"bytes"
	"strings"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/wire/openai"
)

// ends says which types of events end a stream, and how.
type ends struct {
	good map[string]bool
	// quiet types carry no output.
	quiet map[string]bool
	// open streams have no event that ends them: their bytes end.
	open bool
	// images are made by the stream, and its usage is theirs.
	images bool
}

// endings are the operations whose streams consist of events with a type; they
// have no [DONE].
var endings = map[llm.Op]*ends{
	llm.OpGenerate: {open: true},
	llm.OpResponses: {
		good: words("response.completed response.incomplete"),
		quiet: words("response.created response.in_progress response.queued response.output_item.added response.content_part.added " +
			"response.reasoning_summary_part.added keepalive"),
	},
	llm.OpImages:         {good: words("image_generation.completed image_edit.completed"), images: true},
	llm.OpTranscriptions: {good: words("transcript.text.done")},
	llm.OpSpeech:         {good: words("speech.audio.done")},
}

func words(text string) map[string]bool {
	out := map[string]bool{}
	for w := range strings.FieldsSeq(text) {
		out[w] = true
	}
	return out
}

// typed is what an event with a type says.
type typed struct {
	kind     string
	delta    []byte // a string with its quotes
	whole    []byte // the text of an event that repeats all of it
	streamed bool   // a delta has come that the next whole text will repeat
	call     bool   // an item that is a tool call
	sequence int64  // of the event; it counts from 0
}

// Sequence returns the number of the last event that had one, -1 before.
func (s *Stream) Sequence() int64 {
	if s.ends == nil || s.reply.typed.kind == "" {
		return -1
	}
	return s.reply.typed.sequence
}

// typedEvent takes the event whose payload is p.
func (s *Stream) typedEvent(c *Chunk, p []byte) error {
	if s.ends.open {
		return s.geminiEvent(c, p)
	}
	r := &s.reply
	err := r.readTyped(p)
	if err == nil && s.events.isError {
		said, _ := openai.ReadError(p)
		err = refusal(said)
	}
	if err != nil {
		s.events.drop()
		return err
	}
	t := &r.typed
	if s.ends.good[t.kind] {
		if s.ends.images {
			r.usage = imageUsage(r.usage)
			r.usage.Images = 1
		}
		r.usage.AudioSeconds = r.length
		s.held = true
		return nil
	}
	c.Content = c.Content || !s.ends.quiet[t.kind] || t.call
	s.events.accept()
	return nil
}

// readTyped reads one event. An error in it becomes its failure.
func (r *reply) readTyped(b []byte) error {
	r.b = b
	t := &r.typed
	t.kind, t.delta, t.whole, t.call = "", nil, nil, false
	c, at := r.at(0)
	if c != '{' {
		return llm.Fail(llm.Protocol, errNotObject)
	}
	var failure error
	m := r.object(at, 0)
	for m.next() {
		c, start := r.charAt(m.at), m.at
		switch string(m.name) {
		case "type":
			if m.skip(); m.at > start && c == '"' {
				t.kind = string(unquote(b[start:m.at]))
			}
		case "delta", "text", "arguments", "refusal", "input":
			isDelta := string(m.name) == "delta"
			if m.skip(); m.at > start && c == '"' {
				if isDelta {
					t.delta = b[start:m.at]
				} else {
					t.whole = b[start:m.at]
				}
			}
		case "sequence_number":
			if m.skip(); m.at > start {
				t.sequence, _ = integer(b[start:m.at])
			}
		case "response":
			if c == '{' {
				failure = r.response(&m)
				continue
			}
			m.skip()
		case "item":
			if c == '{' {
				r.item(&m)
				continue
			}
			m.skip()
		case "usage":
			if c == '{' {
				r.usageObject(&m)
				continue
			}
			m.skip()
		case "error":
			if m.skip(); m.at > start {
				failure = failureOf(b[start:m.at])
			}
		default:
			m.skip()
		}
	}
	if m.end < 0 || r.space(m.end) != len(b) {
		return llm.Fail(llm.Protocol, errNotObject)
	}
	return r.typedOutput(failure)
}

// typedOutput books what the event adds.
func (r *reply) typedOutput(failure error) error {
	t := &r.typed
	switch {
	case t.kind == "error" || t.kind == "response.failed":
		if failure == nil {
			said, _ := openai.ReadError(r.b)
			failure = refusal(said)
		}
		return failure
	case failure != nil:
		return failure
	case t.kind == "":
		return llm.Fail(llm.Protocol, errNoType)
	case t.delta != nil && !strings.HasSuffix(t.kind, ".audio.delta"):
		t.streamed = true
		r.book(t.delta)
	case t.whole != nil && strings.HasSuffix(t.kind, ".done"):
		if !t.streamed { // a service that sends no deltas
			r.book(t.whole)
		}
		t.streamed = false
	}
	return nil
}

// response reads the answer that an event carries: its usage and its error.
func (r *reply) response(m *members) (failure error) {
	o := r.object(m.at, m.depth)
	for o.next() {
		c, start := r.charAt(o.at), o.at
		switch string(o.name) {
		case "usage":
			if c == '{' {
				o.at = r.usageAt(o.at, o.depth)
				continue
			}
		case "error":
			if o.skip(); o.at > start {
				failure = failureOf(r.b[start:o.at])
			}
			continue
		}
		o.skip()
	}
	m.at = o.end
	return failure
}

// item reads whether an item is a tool call, and counts its name.
func (r *reply) item(m *members) {
	t := &r.typed
	var name []byte
	o := r.object(m.at, m.depth)
	for o.next() {
		c, start, field := r.charAt(o.at), o.at, string(o.name)
		if o.skip(); o.at < 0 || c != '"' {
			continue
		}
		switch field {
		case "type":
			t.call = bytes.HasSuffix(r.b[start:o.at], []byte(`_call"`))
		case "name":
			name = r.b[start:o.at]
		}
	}
	m.at = o.end
	if t.call && name != nil && t.kind != "response.output_item.done" {
		r.book(name)
	}
}
