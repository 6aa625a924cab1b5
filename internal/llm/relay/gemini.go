package relay

import (
	"errors"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/wire/google"
)

var errNoCandidates = errors.New("neither candidates nor usage")

// GeminiUsage reads a usageMetadata object. What is no object is not Reported.
func GeminiUsage(object []byte) llm.Usage {
	var u llm.Usage
	s := scanner{b: object}
	if c, at := s.at(0); c == '{' {
		s.geminiUsage(at, 0, &u)
	}
	return u
}

// geminiUsage makes disjoint classes of usageMetadata: the cached tokens are
// inside the prompt, those of tools and of thoughts are not inside the others.
// Zero counts are left out by Google, so only the prompt tells that it reports.
func (s *scanner) geminiUsage(i, depth int, u *llm.Usage) int {
	prompt, cached, tools, candidates, thoughts := int64(-1), int64(0), int64(0), int64(0), int64(0)
	var in, hit, out modalities
	var suspect bool
	m := s.object(i, depth)
	for m.next() {
		switch string(m.name) {
		case "promptTokenCount":
			s.tokens(&m, &prompt, &suspect)
		case "cachedContentTokenCount":
			s.tokens(&m, &cached, &suspect)
		case "toolUsePromptTokenCount":
			s.tokens(&m, &tools, &suspect)
		case "candidatesTokenCount", "responseTokenCount":
			s.tokens(&m, &candidates, &suspect)
		case "thoughtsTokenCount":
			s.tokens(&m, &thoughts, &suspect)
		case "promptTokensDetails", "promptTokenDetails": // the latter of embeddings
			s.byModality(&m, &in, &suspect)
		case "cacheTokensDetails":
			s.byModality(&m, &hit, &suspect)
		case "candidatesTokensDetails":
			s.byModality(&m, &out, &suspect)
		default:
			m.skip()
		}
	}
	*u = llm.Usage{
		Input: max(prompt, 0) + tools, CacheRead: cached, AudioInput: max(in.audio-hit.audio, 0), ImageInput: max(in.image-hit.image, 0),
		Output: candidates, Reasoning: thoughts, AudioOutput: out.audio, ImageOutput: out.image,
		Reported: prompt >= 0, Suspect: suspect,
	}
	u.Input -= u.CacheRead + u.AudioInput + u.ImageInput
	u.Output -= u.AudioOutput + u.ImageOutput
	if u.Input < 0 {
		u.Input, u.Suspect = 0, true
	}
	if u.Output < 0 {
		u.Output, u.Suspect = 0, true
	}
	return m.end
}

type modalities struct{ audio, image int64 }

// byModality reads [{"modality":"AUDIO","tokenCount":5}].
func (s *scanner) byModality(m *members, to *modalities, suspect *bool) {
	if s.charAt(m.at) != '[' {
		m.skip()
		return
	}
	a := s.array(m.at, m.depth)
	for a.next() {
		if s.charAt(a.at) != '{' {
			a.skip()
			continue
		}
		var n int64
		var kind []byte
		o := s.object(a.at, a.depth)
		for o.next() {
			start, isKind := o.at, string(o.name) == "modality"
			if string(o.name) == "tokenCount" {
				s.tokens(&o, &n, suspect)
				continue
			}
			if o.skip(); isKind && o.at > start {
				kind = s.b[start:o.at]
			}
		}
		switch string(kind) {
		case `"AUDIO"`:
			to.audio += n
		case `"IMAGE"`:
			to.image += n
		}
		a.at = o.end
	}
	m.at = a.end
}

// readGemini reads an answer of generateContent or an event of its stream. A
// prompt that was refused, and an error object, are their failures.
func (r *reply) readGemini(b []byte) error {
	r.b, r.choices, r.content = b, -1, false
	r.typed.call = false // an end was seen
	c, at := r.at(0)
	if c != '{' {
		return llm.Fail(llm.Protocol, errNotObject)
	}
	var failure error
	blocked := false
	m := r.object(at, 0)
	for m.next() {
		c, start := r.charAt(m.at), m.at
		switch name := string(m.name); {
		case name == "candidates" && c == '[':
			r.candidates(&m)
		case name == "usageMetadata" && c == '{':
			r.has = true
			m.at = r.geminiUsage(m.at, m.depth, &r.usage)
		case name == "promptFeedback" && c == '{':
			o := r.object(m.at, m.depth)
			for o.next() {
				blocked = blocked || string(o.name) == "blockReason" && r.charAt(o.at) == '"'
				o.skip()
			}
			m.at = o.end
		case name == "error" && c == '{':
			if m.skip(); m.at >= 0 {
				failure = GeminiFailure(b[start:m.at])
			}
		default:
			m.skip()
		}
	}
	switch {
	case m.end < 0 || r.space(m.end) != len(b):
		return llm.Fail(llm.Protocol, errNotObject)
	case failure != nil:
		return failure
	case blocked && r.choices <= 0:
		return llm.Fail(llm.Policy, nil)
	}
	return nil
}

// GeminiFailure classifies the value of a field error.
func GeminiFailure(object []byte) error {
	said, _ := google.ReadErrorObject(object)
	return said.Refusal().Failure()
}

func (r *reply) candidates(m *members) {
	r.choices = 0
	a := r.array(m.at, m.depth)
	for a.next() {
		r.choices++
		if r.charAt(a.at) != '{' {
			a.skip()
			continue
		}
		o := r.object(a.at, a.depth)
		for o.next() {
			c := r.charAt(o.at)
			switch string(o.name) {
			case "content":
				if c == '{' {
					r.turn(&o)
					continue
				}
			case "finishReason":
				if c == '"' {
					r.content, r.typed.call = true, true
				}
			}
			o.skip()
		}
		a.at = o.end
	}
	m.at = a.end
}

// turn reads the parts of a candidate's content.
func (r *reply) turn(m *members) {
	o := r.object(m.at, m.depth)
	for o.next() {
		if string(o.name) != "parts" || r.charAt(o.at) != '[' {
			o.skip()
			continue
		}
		a := r.array(o.at, o.depth)
		for a.next() {
			if r.charAt(a.at) != '{' {
				a.skip()
				continue
			}
			r.piece(&a)
		}
		o.at = a.end
	}
	m.at = o.end
}

func (r *reply) piece(m *members) {
	p := r.object(m.at, m.depth)
	for p.next() {
		c, start := r.charAt(p.at), p.at
		switch string(p.name) {
		case "text":
			if c == '"' {
				r.output(&p)
				continue
			}
		case "functionCall", "executableCode":
			if p.skip(); p.at > start && c == '{' {
				r.content = true
				r.book(r.b[start:p.at]) // name and arguments, and little else
			}
			continue
		case "inlineData":
			r.content = true
		}
		p.skip()
	}
	m.at = p.end
}

// geminiEvent takes an event of a stream. From the first end of a candidate on
// events are kept: the last of them is the terminal one, and nobody knows which
// that is before the stream ends.
func (s *Stream) geminiEvent(c *Chunk, p []byte) error {
	r := &s.reply
	if err := r.readGemini(p); err != nil {
		s.events.drop()
		return err
	}
	if r.choices < 0 && !r.has {
		s.events.drop()
		return llm.Fail(llm.Protocol, errNoCandidates)
	}
	s.finished = s.finished || r.typed.call
	c.Content = c.Content || r.content
	to := &s.tail
	if !s.finished {
		if !s.o.Array {
			s.events.accept()
			return nil
		}
		to = &s.out
	}
	if len(s.tail) > s.o.MaxLine {
		return llm.Fail(llm.Protocol, errLong)
	}
	switch {
	case !s.o.Array:
		*to = append(*to, s.events.buf[s.events.ready:s.events.kept]...)
	case s.elements == 0:
		*to = append(append(*to, '['), p...)
	default:
		*to = append(append(*to, ",\r\n"...), p...)
	}
	s.elements++
	s.events.drop()
	return nil
}

// geminiEnd is the end of the vendor's bytes: the terminal chunk, if an answer
// has ended before.
func (s *Stream) geminiEnd() bool {
	if !s.finished {
		return false
	}
	if s.o.Array {
		s.tail = append(s.tail, ']')
	}
	s.atEnd = true
	return true
}
