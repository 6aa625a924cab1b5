package relay

import (
	"errors"

	"github.com/rephlo/rephlo/internal/llm"
)

var errNoOutput = errors.New("the answer lacks what it is for")

// ScanAnswer reads the usage of an answer of op that is JSON and not a stream.
// One that does not have what op is for, or that is an error in spite of its
// status, is a *llm.Failure. Usage that is absent is not Reported.
func ScanAnswer(op llm.Op, body []byte) (llm.Usage, error) {
	switch op {
	case llm.OpChat, llm.OpCompletions:
		return ScanUsage(body)
	case llm.OpEmbedContent, llm.OpEmbedBatch:
		return geminiVectors(body)
	case llm.OpGenerate:
		var r reply
		if err := r.readGemini(body); err != nil {
			return llm.Usage{}, err
		}
		if r.choices < 0 && !r.has {
			return llm.Usage{}, llm.Fail(llm.Protocol, errNoCandidates)
		}
		return r.usage, nil
	default:
	}
	a := answer{reply: reply{}, op: op}
	if op == llm.OpMessages {
		err := a.readMessage(body)
		return a.usage, err
	}
	if err := a.read(body); err != nil {
		return llm.Usage{}, err
	}
	return a.finished(), nil
}

// AnswerText returns what a model wrote in an answer of op, at most 1 MiB of
// it, and how many bytes all of it has.
func AnswerText(op llm.Op, body []byte) (text []byte, size int64) {
	switch op {
	case llm.OpChat, llm.OpCompletions:
		return OutputText(body)
	case llm.OpMessages:
		a := answer{reply: reply{keep: true}, op: op}
		if a.readMessage(body) != nil {
			return nil, 0
		}
		return a.text, a.outBytes
	case llm.OpResponses, llm.OpTranscriptions:
		a := answer{reply: reply{keep: true}, op: op}
		if a.read(body) != nil {
			return nil, 0
		}
		return a.text, a.outBytes
	case llm.OpGenerate:
		r := reply{keep: true}
		if r.readGemini(body) != nil {
			return nil, 0
		}
		return r.text, r.outBytes
	default:
		return nil, 0
	}
}

// answer walks an answer in one piece.
type answer struct {
	reply
	op      llm.Op
	results int64 // of the list that op is for; -1 without it
}

// lists are the fields without which an answer is none.
var lists = map[llm.Op]string{
	llm.OpResponses: "output", llm.OpEmbeddings: "data", llm.OpImages: "data", llm.OpModerations: "results", llm.OpTranscriptions: "text",
}

func (a *answer) read(b []byte) error {
	a.b, a.results = b, -1
	c, at := a.at(0)
	if c != '{' {
		return llm.Fail(llm.Protocol, errNotObject)
	}
	var failure error
	list := lists[a.op]
	m := a.object(at, 0)
	for m.next() {
		c, name := a.charAt(m.at), string(m.name)
		switch {
		case name == "usage" && c == '{':
			a.usageObject(&m)
		case name == "error":
			start := m.at
			if m.skip(); m.at >= 0 {
				failure = failureOf(b[start:m.at])
			}
		case name == "duration":
			a.duration(&m)
		case name == list && c == '[':
			a.list(&m)
		case name == list && c == '"':
			a.results = 1
			a.output(&m)
		default:
			m.skip()
		}
	}
	switch {
	case m.end < 0 || a.space(m.end) != len(b):
		return llm.Fail(llm.Protocol, errNotObject)
	case failure != nil:
		return failure
	case a.results < 0:
		return llm.Fail(llm.Protocol, errNoOutput)
	}
	return nil
}

func (a *answer) list(m *members) {
	a.results = 0
	l := a.array(m.at, m.depth)
	for l.next() {
		a.results++
		if a.op == llm.OpResponses && a.charAt(l.at) == '{' {
			a.outputItem(&l)
			continue
		}
		l.skip()
	}
	m.at = l.end
}

// outputItem reads the texts and the arguments of an item of Responses.
func (r *reply) outputItem(m *members) {
	o := r.object(m.at, m.depth)
	for o.next() {
		c := r.charAt(o.at)
		switch string(o.name) {
		case "content", "summary":
			if c == '[' {
				r.parts(&o)
				continue
			}
		case "name", "arguments", "input":
			if c == '"' {
				r.output(&o)
				continue
			}
		}
		o.skip()
	}
	m.at = o.end
}

func (r *reply) parts(m *members) {
	l := r.array(m.at, m.depth)
	for l.next() {
		if r.charAt(l.at) != '{' {
			l.skip()
			continue
		}
		o := r.object(l.at, l.depth)
		for o.next() {
			switch string(o.name) {
			case "text", "refusal":
				if r.charAt(o.at) == '"' {
					r.output(&o)
					continue
				}
			}
			o.skip()
		}
		l.at = o.end
	}
	m.at = l.end
}

// usageObject reads a usage object, that of whisper-1 included, which has
// seconds instead of tokens.
func (r *reply) usageObject(m *members) {
	at := m.at
	m.at = r.usageAt(m.at, m.depth)
	o := r.object(at, m.depth)
	for o.next() {
		if string(o.name) == "seconds" {
			r.duration(&o)
			continue
		}
		o.skip()
	}
}

func (r *reply) duration(m *members) {
	start := m.at
	if m.skip(); m.at < 0 {
		return
	}
	if n, ok := seconds(r.b[start:m.at]); ok {
		r.length = max(r.length, n)
	}
}

// finished returns the usage by the rules of the operation.
func (a *answer) finished() llm.Usage {
	u := a.usage
	switch a.op {
	case llm.OpEmbeddings, llm.OpModerations:
		u.Reported = a.has && a.prompted
		u.Input, u.Output = u.Input+u.Output, 0 // some repeat the total as completion
		u.Reasoning, u.AudioOutput, u.ImageOutput = 0, 0, 0
	case llm.OpImages:
		u = imageUsage(u)
		u.Images = max(a.results, 0)
	case llm.OpTranscriptions:
		u.AudioSeconds = a.length
	default:
	}
	return u
}

// imageUsage books what an images answer wrote as images, unless the vendor
// says how much of it was text.
func imageUsage(u llm.Usage) llm.Usage {
	if u.ImageOutput == 0 {
		u.ImageOutput, u.Output = u.Output, 0
	}
	return u
}
