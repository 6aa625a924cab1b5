package test

import (
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
)

// created stands where others put a time.
const created = "1735689600"

// segment is a run of events with the same field.
type segment struct {
	choice int
	field  string // "role", "finish", "usage", "done", or a field of the delta
	tool   int
	text   string
}

// segments lays out a stream.
func (a *answer) segments() []segment {
	var out []segment
	for c := range a.N {
		out = append(out, segment{choice: c, field: "role"})
		for _, s := range []segment{{field: "reasoning_content", text: a.reasoning}, {field: "content", text: a.text}, {field: "refusal", text: a.refused}} {
			if s.text != "" {
				s.choice = c
				out = append(out, s)
			}
		}
		for i, t := range a.script.tools {
			out = append(out, segment{c, "tool", i, ""}, segment{c, "arguments", i, t.arguments})
		}
		out = append(out, segment{choice: c, field: "finish"})
	}
	if a.StreamOpt.IncludeUsage && a.script.usage != "none" {
		out = append(out, segment{field: "usage"})
	}
	return append(out, segment{field: "done"})
}

// advance prepares the next event of a stream. Its error is what follows it.
func (b *body) advance() error {
	s := &b.answer.script
	if !b.stream {
		return b.endJSON()
	}
	if len(b.segments) == 0 && len(b.prepared) == 0 {
		return io.EOF
	}
	pause := s.interval
	if b.events == 0 {
		pause = s.delay
	}
	if err := sleep(b.ctx, pause); err != nil {
		return err
	}
	switch b.events {
	case 0:
	case s.cut:
		return io.EOF
	case s.stall:
		return b.stall()
	case s.errorAt:
		b.ready = b.answer.refusalEvent()
		return io.EOF
	}
	b.events++
	if len(b.prepared) > 0 {
		b.ready, b.prepared = b.prepared[0], b.prepared[1:]
	} else {
		b.ready = b.event()
	}
	if s.bad != "" && b.events == s.badAt {
		b.ready = corrupt(s.bad, b.ready)
	}
	return nil
}

// endJSON says how a body in one piece ends.
func (b *body) endJSON() error {
	switch s := &b.answer.script; {
	case s.stall > 0:
		return b.stall()
	case s.cut > 0:
		return io.ErrUnexpectedEOF
	}
	return io.EOF
}

// broken returns what arrives of a body in one piece.
func (a *answer) broken(whole []byte) []byte {
	switch s := &a.script; {
	case s.cut > 0, s.stall > 0:
		return whole[:len(whole)/2]
	case s.bad != "":
		return corrupt(s.bad, whole)
	}
	return whole
}

func corrupt(how string, b []byte) []byte {
	switch how {
	case "line":
		return []byte("data: <html><body>Bad gateway</body></html>\n\n")
	case "utf8":
		return append([]byte("data: {\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}"), "\n\n"...)
	}
	return append(append([]byte(nil), b[:len(b)/2]...), "\n\n"...)
}

// event takes one event off the segments.
func (b *body) event() []byte {
	a, s := b.answer, &b.segments[0]
	size := 4
	if s.field == "arguments" {
		size = 16
	}
	piece := piece(s.text, size)
	o := append(b.scratch[:0], "data: "...)
	switch s.field {
	case "done":
		o = append(o, "[DONE]"...)
	case "usage":
		o = a.open(o, "chat.completion.chunk")
		o = append(a.usage(append(o, `,"choices":[],"usage":`...)), '}')
	default:
		o = a.open(o, "chat.completion.chunk")
		o = strconv.AppendInt(append(o, `,"choices":[{"index":`...), int64(s.choice), 10)
		o = a.delta(append(o, `,"delta":{`...), s, piece)
		o = append(o, `},"finish_reason":`...)
		if s.field == "finish" {
			o = quote(o, a.finish)
		} else {
			o = append(o, "null"...)
		}
		o = append(o, "}]}"...)
	}
	if s.text = s.text[len(piece):]; s.text == "" {
		b.segments = b.segments[1:]
	}
	b.scratch = append(o, "\n\n"...)
	return b.scratch
}

// piece returns the first size bytes of text, and what belongs to the last
// character of them.
func piece(text string, size int) string {
	if len(text) <= size {
		return text
	}
	for size < len(text) && !utf8.RuneStart(text[size]) {
		size++
	}
	return text[:size]
}

func (a *answer) delta(o []byte, s *segment, piece string) []byte {
	switch s.field {
	case "role":
		return append(o, `"role":"assistant","content":""`...)
	case "finish":
		return o
	case "tool":
		o = a.call(append(o, `"tool_calls":[{"index":`+strconv.Itoa(s.tool)+`,`...), s.choice, s.tool, "")
		return append(o, "}]"...)
	case "arguments":
		o = append(o, `"tool_calls":[{"index":`+strconv.Itoa(s.tool)+`,"function":{"arguments":`...)
		return append(quote(o, piece), "}}]"...)
	}
	return quote(append(append(append(o, '"'), s.field...), `":`...), piece)
}

// call appends the fields of a tool call.
func (a *answer) call(o []byte, choice, i int, arguments string) []byte {
	o = append(o, `"id":"call_`+a.hash[:20]+strconv.Itoa(choice)+strconv.Itoa(i)+`","type":"function","function":{"name":`...)
	o = quote(o, a.script.tools[i].name)
	return append(quote(append(o, `,"arguments":`...), arguments), '}')
}

// json returns the answer in one piece.
func (a *answer) json() []byte {
	o := a.open(nil, "chat.completion")
	o = append(o, `,"choices":[`...)
	for c := range a.N {
		if c > 0 {
			o = append(o, ',')
		}
		o = append(o, `{"index":`+strconv.Itoa(c)+`,"message":{"role":"assistant","content":`...)
		if a.text == "" && (a.refused != "" || len(a.script.tools) > 0) {
			o = append(o, "null"...)
		} else {
			o = quote(o, a.text)
		}
		if a.reasoning != "" {
			o = quote(append(o, `,"reasoning_content":`...), a.reasoning)
		}
		if a.refused == "" {
			o = append(o, `,"refusal":null`...)
		} else {
			o = quote(append(o, `,"refusal":`...), a.refused)
		}
		for i, t := range a.script.tools {
			if i == 0 {
				o = append(o, `,"tool_calls":[{`...)
			} else {
				o = append(o, `,{`...)
			}
			if o = append(a.call(o, c, i, t.arguments), '}'); i == len(a.script.tools)-1 {
				o = append(o, ']')
			}
		}
		o = append(quote(append(o, `},"logprobs":null,"finish_reason":`...), a.finish), '}')
	}
	o = append(o, ']')
	if a.script.usage != "none" {
		o = a.usage(append(o, `,"usage":`...))
	}
	return append(o, '}')
}

func (a *answer) open(o []byte, object string) []byte {
	o = append(o, `{"id":"chatcmpl-`+a.hash[:29]+`","object":"`+object+`","created":`+created+`,"model":`...)
	return quote(o, a.Model)
}

// usage appends what was used, or what the script wants to be believed.
func (a *answer) usage(o []byte) []byte { return a.usageObject(o, "prompt", "completion") }

// usageObject is usage with other words for input and output.
func (a *answer) usageObject(o []byte, input, output string) []byte {
	reasoning := tokens(len(a.reasoning)) * int64(a.N)
	size := len(a.text) + len(a.refused)
	for _, t := range a.script.tools {
		size += len(t.name) + len(t.arguments)
	}
	in, out, cached := a.input, tokens(size)*int64(a.N)+reasoning, min(a.script.cached, a.input)
	switch a.script.usage {
	case "zero":
		in, out, cached, reasoning = 0, 0, 0, 0
	case "negative":
		in, out, cached, reasoning = -1_000_000, -1_000_000, 0, 0
	case "huge":
		in, out, cached, reasoning = 1_000_000_000_000_000_000, 1_000_000_000_000_000_000, 0, 0
	}
	for _, f := range []struct {
		name string
		n    int64
	}{
		{`{"` + input + `_tokens":`, in},
		{`,"` + output + `_tokens":`, out},
		{`,"total_tokens":`, in + out},
		{`,"` + input + `_tokens_details":{"cached_tokens":`, cached},
		{`},"` + output + `_tokens_details":{"reasoning_tokens":`, reasoning},
	} {
		o = strconv.AppendInt(append(o, f.name...), f.n, 10)
	}
	return append(o, "}}"...)
}

// refusal is the error that the script asks for.
func (a *answer) refusal() llm.Refusal {
	s := a.script
	r := llm.Refusal{Status: s.status, Message: "This is the error that the test model was asked for.", VendorRequestID: "req_" + a.hash[:24]}
	if n, err := strconv.Atoi(s.retry); err == nil {
		r.RetryAfter = wait(strconv.Itoa(n) + "s")
	}
	return r
}

// refusalEvent is that error in a stream.
func (a *answer) refusalEvent() []byte {
	o := quote([]byte(`data: {"error":{"message":`), a.refusal().Message)
	return append(o, `,"type":"test_error","param":null,"code":"`+strconv.Itoa(a.script.status)+"\"}}\n\n"...)
}

func quote(o []byte, text string) []byte {
	o, _ = jsontext.AppendQuote(o, text) // invalid UTF-8 becomes U+FFFD
	return o
}
