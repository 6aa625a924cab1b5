package relay

import (
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/wire/anthropic"
)

// MessagesUsage puts together what Anthropic reports of one call: the input at
// its start and, cumulatively, the output in later events. A field that is
// missing in a later report keeps its value. The zero value is ready.
type MessagesUsage struct {
	seen                                     bool
	input, read, write, short, long          int64 // -1 is absent
	output, thinking                         int64
	suspect, stated, outputStated, splitSeen bool
}

// Add takes a usage object.
func (u *MessagesUsage) Add(object []byte) {
	s := scanner{b: object}
	if c, at := s.at(0); c == '{' {
		u.read1(&s, at, 0)
	}
}

// read1 reads the object at i and returns its end.
func (u *MessagesUsage) read1(s *scanner, i, depth int) int {
	if !u.seen {
		u.seen = true
		u.input, u.read, u.write, u.short, u.long, u.output, u.thinking = -1, -1, -1, -1, -1, -1, -1
	}
	m := s.object(i, depth)
	for m.next() {
		switch string(m.name) {
		case "input_tokens":
			u.stated = u.set(s, &m, &u.input) || u.stated
		case "cache_read_input_tokens":
			u.set(s, &m, &u.read)
		case "cache_creation_input_tokens":
			u.set(s, &m, &u.write)
		case "output_tokens":
			u.outputStated = u.set(s, &m, &u.output) || u.outputStated
		case "cache_creation", "output_tokens_details":
			u.details(s, &m)
		default:
			m.skip()
		}
	}
	return m.end
}

func (u *MessagesUsage) details(s *scanner, m *members) {
	if s.charAt(m.at) != '{' {
		m.skip()
		return
	}
	d := s.object(m.at, m.depth)
	for d.next() {
		switch string(d.name) {
		case "ephemeral_5m_input_tokens":
			u.splitSeen = u.set(s, &d, &u.short) || u.splitSeen
		case "ephemeral_1h_input_tokens":
			u.splitSeen = u.set(s, &d, &u.long) || u.splitSeen
		case "thinking_tokens":
			u.set(s, &d, &u.thinking)
		default:
			d.skip()
		}
	}
	m.at = d.end
}

// set replaces a count by the one at m. It reports whether one is there.
func (u *MessagesUsage) set(s *scanner, m *members, to *int64) bool {
	n := int64(-1)
	s.tokens(m, &n, &u.suspect)
	if n >= 0 {
		*to = n
	}
	return n >= 0
}

// Usage returns the disjoint classes. It is Reported when input and output are
// both known.
func (u *MessagesUsage) Usage() llm.Usage {
	if !u.seen {
		return llm.Usage{}
	}
	out := llm.Usage{
		Input: max(u.input, 0), CacheRead: max(u.read, 0), CacheWrite: max(u.write, 0),
		Output: max(u.output, 0), Reasoning: max(u.thinking, 0),
		Reported: u.stated && u.outputStated, Suspect: u.suspect,
	}
	if u.splitSeen { // the sum is what is not for an hour, and the rest
		out.CacheWriteLong = max(u.long, 0)
		out.CacheWrite = max(out.CacheWrite-out.CacheWriteLong, u.short, 0)
	}
	if out.Output -= out.Reasoning; out.Output < 0 {
		out.Output, out.Suspect = 0, true
	}
	return out
}

// messagesEvent takes an event of Anthropic's stream, whose payload is p.
func (s *Stream) messagesEvent(c *Chunk, p []byte) error {
	r := &s.reply
	content, err := r.readMessagesEvent(p)
	if err != nil {
		s.events.drop()
		return err
	}
	r.usage = r.messages.Usage()
	if r.typed.kind == "message_stop" {
		s.held = true
		return nil
	}
	c.Content = c.Content || content
	s.events.accept()
	return nil
}

// readMessagesEvent reads one event and says whether it carries output.
func (r *reply) readMessagesEvent(b []byte) (content bool, err error) {
	r.b = b
	r.typed.kind = ""
	c, at := r.at(0)
	if c != '{' {
		return false, llm.Fail(llm.Protocol, errNotObject)
	}
	var failure error
	m := r.object(at, 0)
	for m.next() {
		c, start := r.charAt(m.at), m.at
		switch name := string(m.name); {
		case name == "type" && c == '"':
			if m.skip(); m.at > start {
				r.typed.kind = string(unquote(b[start:m.at]))
			}
		case name == "usage" && c == '{':
			m.at = r.messages.read1(&r.scanner, m.at, m.depth)
		case name == "message" && c == '{':
			r.message(&m)
		case (name == "delta" || name == "content_block") && c == '{':
			content = r.block(&m) || content
		case name == "error" && c == '{':
			if m.skip(); m.at > start {
				failure = messagesFailure(b[start:m.at])
			}
		default:
			m.skip()
		}
	}
	switch kind := r.typed.kind; {
	case m.end < 0 || r.space(m.end) != len(b):
		return false, llm.Fail(llm.Protocol, errNotObject)
	case failure != nil:
		return false, failure
	case kind == "":
		return false, llm.Fail(llm.Protocol, errNoType)
	case kind == "error":
		return false, messagesFailure(nil)
	default:
		return content || kind == "message_delta", nil
	}
}

func messagesFailure(object []byte) error {
	kind, message := anthropic.ReadErrorObject(object)
	return llm.Refusal{Status: anthropic.Status(kind), Type: kind, Message: message}.Failure()
}

// message reads the usage of the message that begins.
func (r *reply) message(m *members) {
	o := r.object(m.at, m.depth)
	for o.next() {
		if string(o.name) == "usage" && r.charAt(o.at) == '{' {
			o.at = r.messages.read1(&r.scanner, o.at, o.depth)
			continue
		}
		o.skip()
	}
	m.at = o.end
}

// block books the output of a block, or of what is added to one.
func (r *reply) block(m *members) (content bool) {
	o := r.object(m.at, m.depth)
	for o.next() {
		c, start := r.charAt(o.at), o.at
		switch name := string(o.name); {
		case c == '"' && (name == "text" || name == "partial_json" || name == "thinking"):
			before := r.outBytes
			r.output(&o)
			content = content || r.outBytes > before
		case c == '"' && (name == "name" || name == "data" || name == "signature"):
			if o.skip(); o.at > start+2 {
				content = true
				if name == "name" {
					r.book(r.b[start:o.at])
				}
			}
		default:
			o.skip()
		}
	}
	m.at = o.end
	return content
}

// readMessage reads a whole answer of Anthropic.
func (a *answer) readMessage(b []byte) error {
	a.b = b
	c, at := a.at(0)
	if c != '{' {
		return llm.Fail(llm.Protocol, errNotObject)
	}
	var failure error
	has := false
	m := a.object(at, 0)
	for m.next() {
		c, start := a.charAt(m.at), m.at
		switch name := string(m.name); {
		case name == "usage" && c == '{':
			m.at = a.messages.read1(&a.scanner, m.at, m.depth)
		case name == "content" && c == '[':
			has = true
			l := a.array(m.at, m.depth)
			for l.next() {
				if a.charAt(l.at) == '{' {
					a.messageBlock(&l)
					continue
				}
				l.skip()
			}
			m.at = l.end
		case name == "error" && c == '{':
			if m.skip(); m.at > start {
				failure = messagesFailure(b[start:m.at])
			}
		default:
			m.skip()
		}
	}
	a.usage = a.messages.Usage()
	switch {
	case m.end < 0 || a.space(m.end) != len(b):
		return llm.Fail(llm.Protocol, errNotObject)
	case failure != nil:
		return failure
	case !has:
		return llm.Fail(llm.Protocol, errNoOutput)
	}
	return nil
}

// messageBlock books a whole block: its texts, or the arguments of a call.
func (r *reply) messageBlock(m *members) {
	o := r.object(m.at, m.depth)
	for o.next() {
		c, start := r.charAt(o.at), o.at
		switch name := string(o.name); {
		case c == '"' && (name == "text" || name == "thinking" || name == "name"):
			r.output(&o)
		case c == '{' && name == "input":
			if o.skip(); o.at > start {
				r.outBytes += int64(o.at - start)
				if r.keep && len(r.text)+o.at-start <= maxText {
					r.text = append(r.text, r.b[start:o.at]...)
				}
			}
		default:
			o.skip()
		}
	}
	m.at = o.end
}
