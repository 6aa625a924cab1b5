package relay

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/wire/openai"
)

// maxText is how much output is kept to be counted.
const maxText = 1 << 20

var (
	errNotObject = errors.New("not one JSON object")
	errNoChoices = errors.New("no choices")
	errNoType    = errors.New("an event without a type")
)

// reply walks an answer or an event of a stream and keeps what is charged.
type reply struct {
	scanner
	usage    llm.Usage
	has      bool // usage was seen
	choices  int  // of the last object; -1 without the field
	content  bool // the last object carries output
	keep     bool // text is wanted
	text     []byte
	outBytes int64
	length   int64 // of the sound that was heard, in seconds; 0 is not stated
	typed    typed // of streams whose events have a type
	messages MessagesUsage
}

// read walks one object. An error object in it becomes its failure.
func (r *reply) read(b []byte) error {
	r.b, r.choices, r.content = b, -1, false
	c, at := r.at(0)
	if c != '{' {
		return llm.Fail(llm.Protocol, errNotObject)
	}
	var failure error
	m := r.object(at, 0)
	for m.next() {
		switch c := r.charAt(m.at); string(m.name) {
		case "choices":
			if c == '[' {
				r.eachChoice(&m)
				continue
			}
		case "usage":
			if c == '{' {
				m.at = r.usageAt(m.at, m.depth)
				continue
			}
		case "x_groq":
			if c == '{' {
				r.groq(&m)
				continue
			}
		case "error":
			start := m.at
			if m.skip(); m.at >= 0 {
				failure = failureOf(b[start:m.at])
			}
			continue
		}
		m.skip()
	}
	if m.end < 0 || r.space(m.end) != len(b) {
		return llm.Fail(llm.Protocol, errNotObject)
	}
	return failure
}

// failureOf classifies the value of a field error; null and "" are none.
func failureOf(v []byte) error {
	if s := string(v); s == "null" || s == `""` || s == "false" {
		return nil
	}
	said, _ := openai.ReadErrorObject(v)
	return refusal(said)
}

func refusal(said openai.Said) error {
	return llm.Refusal{Code: said.Code, Type: said.Type, Param: said.Param, Message: said.Message}.Failure()
}

func (r *reply) usageAt(i, depth int) int {
	r.has = true
	return r.scanner.usage(i, depth, &r.usage)
}

// groq reads the usage of Groq's streams.
func (r *reply) groq(m *members) {
	o := r.object(m.at, m.depth)
	for o.next() {
		if string(o.name) == "usage" && r.charAt(o.at) == '{' {
			o.at = r.usageAt(o.at, o.depth)
			continue
		}
		o.skip()
	}
	m.at = o.end
}

func (r *reply) eachChoice(m *members) {
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
			case "delta", "message":
				if c == '{' {
					r.delta(&o)
					continue
				}
			case "text":
				if c == '"' {
					r.output(&o)
					continue
				}
			case "finish_reason":
				r.content = r.content || c != 'n'
			}
			o.skip()
		}
		a.at = o.end
	}
	m.at = a.end
}

// delta reads what one choice adds, or its whole message.
func (r *reply) delta(m *members) {
	o := r.object(m.at, m.depth)
	for o.next() {
		switch c := r.charAt(o.at); string(o.name) {
		case "content", "reasoning_content", "reasoning", "refusal":
			switch c {
			case '"':
				r.output(&o)
				continue
			case '[', '{': // parts, as Mistral sends its thinking
				r.nested(&o)
				continue
			}
		case "tool_calls", "function_call":
			if c == '[' || c == '{' {
				r.nested(&o)
				continue
			}
		case "audio":
			r.content = r.content || c == '{'
		}
		o.skip()
	}
	m.at = o.end
}

// nested reads the texts of parts, or the names and arguments of tool calls.
func (r *reply) nested(m *members) {
	if r.charAt(m.at) == '[' {
		a := r.array(m.at, m.depth)
		for a.next() {
			r.content = true
			r.nested(&a)
		}
		m.at = a.end
		return
	}
	if r.charAt(m.at) != '{' {
		m.skip()
		return
	}
	o := r.object(m.at, m.depth)
	for o.next() {
		r.content = true
		c := r.charAt(o.at)
		switch string(o.name) {
		case "text", "name", "arguments", "input":
			if c == '"' {
				r.output(&o)
				continue
			}
		case "function", "custom", "thinking":
			if c == '{' || c == '[' {
				r.nested(&o)
				continue
			}
		}
		o.skip()
	}
	m.at = o.end
}

// output books the string at m as output.
func (r *reply) output(m *members) {
	start := m.at
	if m.at = r.scanner.text(start); m.at < 0 || m.at == start+2 {
		return
	}
	r.content = true
	r.book(r.b[start:m.at])
}

// book counts a string, with its quotes, as output.
func (r *reply) book(quoted []byte) {
	v := quoted[1 : len(quoted)-1]
	if !r.keep || len(r.text)+len(v) > maxText {
		r.keep = false
		r.outBytes += int64(len(v))
		return
	}
	before := len(r.text)
	if bytes.IndexByte(v, '\\') < 0 {
		r.text = append(r.text, v...)
	} else {
		r.text, _ = jsontext.AppendUnquote(r.text, quoted) // a lone surrogate becomes U+FFFD
	}
	r.outBytes += int64(len(r.text) - before)
}

// ScanUsage reads the usage of a chat completion that is not a stream. An
// answer that is not one JSON object with choices, or that is an error in spite
// of its status, is a *llm.Failure. Usage that is absent is not Reported.
func ScanUsage(body []byte) (llm.Usage, error) {
	var r reply
	if err := r.whole(body); err != nil {
		return llm.Usage{}, err
	}
	return r.usage, nil
}

// OutputText returns what a model wrote in a chat completion that is not a
// stream, at most 1 MiB of it, and how many bytes all of it has: for counting
// when the vendor does not say.
func OutputText(body []byte) (text []byte, size int64) {
	r := reply{keep: true}
	if err := r.whole(body); err != nil {
		return nil, 0
	}
	return r.text, r.outBytes
}

func (r *reply) whole(body []byte) error {
	if err := r.read(body); err != nil {
		return err
	}
	if r.choices < 0 {
		return llm.Fail(llm.Protocol, errNoChoices)
	}
	return nil
}
