package openai

import (
	"strconv"
	"strings"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/sse"
	"github.com/rephlo/rephlo/internal/llm/wire"
)

// Encoder implements llm.Dialect.
func (Chat) Encoder(m llm.Meta) llm.Encoder {
	open := sse.Open(nil, "")
	open = appendHead(open, m, "chat.completion.chunk")
	return &chatEncoder{meta: m, open: append(open, `,"choices":[`...)}
}

// appendHead appends the beginning of an answer or of a chunk.
func appendHead(b []byte, m llm.Meta, object string) []byte {
	b = wire.String(append(b, '{'), "id", "chatcmpl-"+strings.TrimPrefix(m.CallID, "call_"))
	b = wire.String(b, "object", object)
	b = wire.Int(b, "created", m.Created.Unix())
	return wire.String(b, "model", m.Model)
}

// chatEncoder writes one stream of chunks.
type chatEncoder struct {
	meta    llm.Meta
	open    []byte // of every chunk
	choices []chatChoice
	usage   llm.Usage
	lost    int
}

// chatChoice is how far one choice has come.
type chatChoice struct {
	begun   bool
	thought []byte // of the open block
	details int    // blocks of thoughts that have ended
	calls   []bool // whether a call has arguments
	custom  []bool
	finish  llm.Finish
}

// Lost implements llm.Encoder.
func (c *chatEncoder) Lost() int { return c.lost }

func (c *chatEncoder) choice(i int) *chatChoice {
	for len(c.choices) <= i {
		c.choices = append(c.choices, chatChoice{})
	}
	return &c.choices[i]
}

// Append implements llm.Encoder.
func (c *chatEncoder) Append(dst []byte, e *llm.Event) []byte {
	switch e.Kind { //nolint:exhaustive // the others are below
	case llm.EventUsage:
		c.usage = *e.Usage
		return dst
	case llm.EventAlive:
		return dst
	case llm.EventBlockEnd:
		return c.endCall(dst, e.Choice)
	}
	ch := c.choice(e.Choice)
	if !ch.begun {
		ch.begun = true
		dst = c.end(append(c.begin(dst, e.Choice), `"role":"assistant","content":""`...), "")
	}
	switch e.Kind { //nolint:exhaustive // the others are above
	case llm.EventText:
		dst = c.text(dst, e, "content")
	case llm.EventRefusal:
		dst = c.text(dst, e, "refusal")
	case llm.EventReasoning:
		ch.thought = append(ch.thought, e.Text...)
		dst = c.text(dst, e, "reasoning_content")
	case llm.EventState:
		dst = c.state(dst, e, ch)
	case llm.EventToolCall:
		dst = c.call(dst, e, ch)
	case llm.EventArguments:
		if e.Index < len(ch.calls) {
			dst = c.arguments(dst, e.Choice, e.Index, e.Text)
		}
	case llm.EventCitation:
		dst = c.citation(dst, e)
	case llm.EventFinish:
		ch.finish = e.Finish
	}
	return dst
}

// begin appends a chunk up to the inside of its delta.
func (c *chatEncoder) begin(dst []byte, choice int) []byte {
	dst = append(append(dst, c.open...), `{"index":`...)
	return append(strconv.AppendInt(dst, int64(choice), 10), `,"delta":{`...)
}

// end closes the delta and the chunk.
func (c *chatEncoder) end(dst []byte, finish string) []byte {
	if finish == "" {
		return append(dst, "},\"finish_reason\":null}]}\n\n"...)
	}
	dst = wire.Quote(append(dst, `},"finish_reason":`...), finish)
	return append(dst, "}]}\n\n"...)
}

func (c *chatEncoder) text(dst []byte, e *llm.Event, field string) []byte {
	if e.Text == "" {
		return dst
	}
	dst = wire.String(c.begin(dst, e.Choice), field, e.Text)
	if len(e.Logprobs) == 0 {
		return c.end(dst, "")
	}
	dst = append(append(dst, `},"logprobs":{"content":`...), e.Logprobs...)
	return c.end(dst, "")
}

// state ends a block of thoughts: the whole of it, because a client that sends
// it back must send both.
func (c *chatEncoder) state(dst []byte, e *llm.Event, ch *chatChoice) []byte {
	if e.Call {
		if e.Index >= len(ch.calls) || e.State.Vendor != google {
			c.lost++
			return dst
		}
		dst = append(c.begin(dst, e.Choice), `"tool_calls":[{`...)
		dst = appendSignature(wire.Int(dst, "index", e.Index), e.State)
		return c.end(append(dst, "}]"...), "")
	}
	p := llm.Part{Text: string(ch.thought), State: e.State, Redacted: e.Redacted}
	if e.Redacted {
		p.Text = ""
	} else {
		ch.thought = ch.thought[:0]
	}
	dst = append(c.begin(dst, e.Choice), `"reasoning_details":[`...)
	dst = appendDetail(dst, &p, ch.details)
	ch.details++
	return c.end(append(dst, ']'), "")
}

// appendSignature appends the signature of a call in Google's place.
func appendSignature(b []byte, s *llm.State) []byte {
	b = append(wire.Name(b, "extra_content"), `{"google":{`...)
	return append(wire.String(b, "thought_signature", s.Data), "}}"...)
}

// appendDetail appends an element of reasoning_details.
func appendDetail(b []byte, p *llm.Part, index int) []byte {
	b = append(wire.Next(b), '{')
	switch {
	case p.Redacted:
		b = wire.String(b, "type", "reasoning.encrypted")
		b = wire.String(b, "data", p.State.Wrap())
	default:
		b = wire.String(wire.String(b, "type", "reasoning.text"), "text", p.Text)
		if p.State != nil {
			b = wire.String(b, "signature", p.State.Wrap())
		}
	}
	return append(wire.Int(b, "index", index), '}')
}

func (c *chatEncoder) call(dst []byte, e *llm.Event, ch *chatChoice) []byte {
	for len(ch.calls) <= e.Index {
		ch.calls, ch.custom = append(ch.calls, false), append(ch.custom, false)
	}
	ch.custom[e.Index] = e.Custom
	dst = c.begin(dst, e.Choice)
	if c.legacy() {
		dst = append(dst, `"function_call":{`...)
		return c.end(append(wire.String(dst, "name", e.Name), `,"arguments":""}`...), "")
	}
	dst = wire.Int(append(dst, `"tool_calls":[{`...), "index", e.Index)
	dst = appendCall(dst, c.meta, e.Index, &llm.ToolCall{ID: e.ID, Name: e.Name, Custom: e.Custom})
	return c.end(append(dst, "}]"...), "")
}

// endCall gives the last call its arguments if it has none.
func (c *chatEncoder) endCall(dst []byte, choice int) []byte {
	ch := c.choice(choice)
	if n := len(ch.calls) - 1; n >= 0 && !ch.calls[n] && !ch.custom[n] {
		return c.arguments(dst, choice, n, "{}")
	}
	return dst
}

// legacy reports whether the client knows only the older form of calls.
func (c *chatEncoder) legacy() bool { return c.meta.Request != nil && c.meta.Request.LegacyCalls }

// appendCall appends the members of a tool call.
func appendCall(b []byte, m llm.Meta, index int, call *llm.ToolCall) []byte {
	id := call.ID
	if id == "" {
		id = llm.MissingID(m.CallID, index)
	}
	b = wire.String(b, "id", llm.ToolID(id, llm.ChatID))
	kind, input := "function", "arguments"
	if call.Custom {
		kind, input = "custom", "input"
	}
	b = append(wire.Name(wire.String(b, "type", kind), kind), '{')
	b = wire.String(wire.String(b, "name", call.Name), input, call.Arguments)
	return append(b, '}')
}

func (c *chatEncoder) arguments(dst []byte, choice, index int, text string) []byte {
	if text == "" {
		return dst
	}
	ch := &c.choices[choice]
	ch.calls[index] = true
	dst = c.begin(dst, choice)
	switch {
	case c.legacy():
		dst = append(wire.String(append(dst, `"function_call":{`...), "arguments", text), '}')
		return c.end(dst, "")
	case ch.custom[index]:
		dst = append(wire.Int(append(dst, `"tool_calls":[{`...), "index", index), `,"custom":{`...)
		dst = wire.String(dst, "input", text)
	default:
		dst = append(wire.Int(append(dst, `"tool_calls":[{`...), "index", index), `,"function":{`...)
		dst = wire.String(dst, "arguments", text)
	}
	return c.end(append(dst, "}}]"...), "")
}

func (c *chatEncoder) citation(dst []byte, e *llm.Event) []byte {
	if e.Citation.URL == "" {
		c.lost++
		return dst
	}
	dst = append(c.begin(dst, e.Choice), `"annotations":[`...)
	return c.end(append(appendCitation(dst, e.Citation), ']'), "")
}

// appendCitation appends an element of annotations.
func appendCitation(b []byte, c *llm.Citation) []byte {
	b = append(wire.Next(b), `{"type":"url_citation","url_citation":{`...)
	b = wire.Int(wire.Int(b, "start_index", c.Start), "end_index", c.End)
	return append(wire.String(wire.String(b, "url", c.URL), "title", c.Title), "}}"...)
}

// AppendEnd implements llm.Encoder.
func (c *chatEncoder) AppendEnd(dst []byte) []byte {
	c.choice(0)
	for i := range c.choices {
		ch := &c.choices[i]
		for n, has := range ch.calls {
			if !has && !ch.custom[n] {
				dst = c.arguments(dst, i, n, "{}")
			}
		}
		dst = c.end(c.begin(dst, i), finishWord(ch.finish, len(ch.calls), c.legacy()))
	}
	if !c.meta.Usage {
		return dst
	}
	dst = append(append(dst, c.open...), `],"usage":`...)
	return sse.Close(append(appendUsage(dst, &c.usage), '}'))
}

// AppendTerminal implements llm.Encoder.
func (*chatEncoder) AppendTerminal(dst []byte) []byte { return append(dst, "data: [DONE]\n\n"...) }

// finishWord is finish_reason.
func finishWord(f llm.Finish, calls int, legacy bool) string {
	switch f {
	case llm.FinishLength:
		return "length"
	case llm.FinishPolicy:
		return "content_filter"
	case llm.FinishStop, llm.FinishStopSequence, llm.FinishToolCalls, llm.FinishPause:
	}
	switch {
	case calls > 0 && legacy:
		return "function_call"
	case calls > 0:
		return "tool_calls"
	}
	return "stop"
}

// appendUsage appends a usage object: sums of the classes.
func appendUsage(b []byte, u *llm.Usage) []byte {
	in, out := u.Inputs(), u.Outputs()
	b = wire.Int(wire.Int(append(b, '{'), "prompt_tokens", in), "completion_tokens", out)
	b = wire.Int(b, "total_tokens", in+out)
	b = append(wire.Name(b, "prompt_tokens_details"), '{')
	b = wire.Int(wire.Int(b, "cached_tokens", u.CacheRead), "audio_tokens", u.AudioInput)
	b = wire.OptInt(b, "cache_write_tokens", u.CacheWrite+u.CacheWriteLong)
	b = append(wire.OptInt(b, "image_tokens", u.ImageInput), '}')
	b = append(wire.Name(b, "completion_tokens_details"), '{')
	b = wire.Int(wire.Int(b, "reasoning_tokens", u.Reasoning), "audio_tokens", u.AudioOutput)
	return append(wire.OptInt(b, "image_tokens", u.ImageOutput), "}}"...)
}
