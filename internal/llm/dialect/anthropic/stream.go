package anthropic

import (
	"strings"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/sse"
	"github.com/rephlo/rephlo/internal/llm/wire"
)

// Encoder implements llm.Dialect.
func (Messages) Encoder(m llm.Meta) llm.Encoder { return &encoder{meta: m, open: -1} }

// encoder writes one stream of events.
type encoder struct {
	meta     llm.Meta
	begun    bool
	blocks   int           // that have begun
	kind     llm.EventKind // of the open block; 0 without one
	open     int           // the call that is being written; -1: none
	calls    []calling
	finish   llm.Finish
	sequence string
	refused  bool
	usage    *llm.Usage
	lost     int
}

// calling is a call. One that begins before the arguments of another are whole
// waits for them, because one block is open at a time.
type calling struct {
	id, name string
	written  bool   // its block has begun
	closed   bool   // and ended
	args     []byte // all of them
	sent     int    // of args
	state    *llm.State
}

// Lost implements llm.Encoder.
func (c *encoder) Lost() int { return c.lost }

// Append implements llm.Encoder. Only the first choice has a place.
func (c *encoder) Append(dst []byte, e *llm.Event) []byte {
	if e.Choice > 0 {
		c.lost++
		return dst
	}
	switch e.Kind {
	case llm.EventStart:
		return c.start(dst)
	case llm.EventText:
		return c.text(dst, e, "text", "text_delta")
	case llm.EventRefusal:
		c.refused = true
		return c.text(dst, e, "text", "text_delta")
	case llm.EventReasoning:
		return c.text(dst, e, "thinking", "thinking_delta")
	case llm.EventState:
		return c.state(dst, e)
	case llm.EventToolCall:
		for len(c.calls) <= e.Index {
			c.calls = append(c.calls, calling{})
		}
		c.calls[e.Index].id, c.calls[e.Index].name = e.ID, e.Name
		return c.turn(dst, false)
	case llm.EventArguments:
		if e.Index < len(c.calls) && !c.calls[e.Index].closed {
			c.calls[e.Index].args = append(c.calls[e.Index].args, e.Text...)
			return c.turn(dst, false)
		}
		c.lost++
	case llm.EventCitation:
		return c.citation(dst, e)
	case llm.EventBlockEnd:
		if c.open < 0 {
			return c.closeBlock(dst)
		}
	case llm.EventFinish:
		c.finish, c.sequence = e.Finish, e.StopSequence
	case llm.EventUsage:
		c.usage = e.Usage
	case llm.EventAlive:
	}
	return dst
}

// start appends message_start and a ping, as Anthropic does.
func (c *encoder) start(dst []byte) []byte {
	if c.begun {
		return dst
	}
	c.begun = true
	dst = append(sse.Open(dst, "message_start"), `{"type":"message_start","message":`...)
	dst = appendHead(dst, c.meta)
	dst = append(dst, `,"content":[],"stop_reason":null,"stop_sequence":null,"usage":`...)
	dst = appendUsage(dst, &llm.Usage{Input: c.meta.InputTokens})
	dst = sse.Close(append(dst, "}}"...))
	return append(dst, ping...)
}

func appendHead(b []byte, m llm.Meta) []byte {
	b = wire.String(append(b, '{'), "id", "msg_"+strings.TrimPrefix(m.CallID, "call_"))
	b = wire.String(wire.String(b, "type", "message"), "role", "assistant")
	return wire.String(b, "model", m.Model)
}

// openBlock begins a block, whose members the caller has in block.
func (c *encoder) openBlock(dst []byte, kind llm.EventKind, block func(b []byte) []byte) []byte {
	dst = c.closeBlock(c.start(dst))
	c.kind = kind
	dst = append(sse.Open(dst, "content_block_start"), `{"type":"content_block_start"`...)
	dst = append(wire.Name(wire.Int(dst, "index", c.blocks), "content_block"), '{')
	c.blocks++
	return sse.Close(append(block(dst), "}}"...))
}

// delta appends to the open block.
func (c *encoder) delta(dst []byte, kind, field, text string) []byte {
	dst = append(sse.Open(dst, "content_block_delta"), `{"type":"content_block_delta"`...)
	dst = append(wire.Name(wire.Int(dst, "index", c.blocks-1), "delta"), '{')
	dst = wire.String(wire.String(dst, "type", kind), field, text)
	return sse.Close(append(dst, "}}"...))
}

// closeBlock ends the open block, whatever it is.
func (c *encoder) closeBlock(dst []byte) []byte {
	if c.kind == 0 {
		return dst
	}
	c.kind, c.open = 0, -1
	dst = append(sse.Open(dst, "content_block_stop"), `{"type":"content_block_stop"`...)
	return sse.Close(append(wire.Int(dst, "index", c.blocks-1), '}'))
}

func (c *encoder) text(dst []byte, e *llm.Event, field, kind string) []byte {
	if e.Text == "" {
		return dst
	}
	as := llm.EventText
	if e.Kind == llm.EventReasoning {
		as = llm.EventReasoning
	}
	if c.kind != as {
		dst = c.openBlock(c.turn(dst, true), as, func(b []byte) []byte {
			b = wire.String(wire.String(b, "type", field), field, "")
			if as == llm.EventReasoning {
				b = wire.String(b, "signature", "")
			}
			return b
		})
	}
	return c.delta(dst, kind, field, e.Text)
}

// seal is a state as it travels in this dialect: Anthropic's own as it is.
func seal(s *llm.State) string {
	if s.Vendor == issuer {
		return s.Data
	}
	return s.Wrap()
}

func (c *encoder) state(dst []byte, e *llm.Event) []byte {
	switch {
	case e.Call:
		if e.Index >= len(c.calls) || e.State.Vendor != google || c.calls[e.Index].closed {
			c.lost++
			return dst
		}
		c.calls[e.Index].state = e.State // goes out behind the call
		return dst
	case e.Redacted:
		return c.redacted(c.turn(dst, true), e.State)
	case c.kind != llm.EventReasoning: // the thought itself is not shown
		dst = c.openBlock(c.turn(dst, true), llm.EventReasoning, func(b []byte) []byte {
			return wire.String(wire.String(wire.String(b, "type", "thinking"), "thinking", ""), "signature", "")
		})
	}
	return c.closeBlock(c.delta(dst, "signature_delta", "signature", seal(e.State)))
}

func (c *encoder) redacted(dst []byte, s *llm.State) []byte {
	dst = c.openBlock(dst, llm.EventState, func(b []byte) []byte {
		return wire.String(wire.String(b, "type", "redacted_thinking"), "data", seal(s))
	})
	return c.closeBlock(dst)
}

func (c *encoder) citation(dst []byte, e *llm.Event) []byte {
	if c.kind != llm.EventText || len(e.Citation.Raw) == 0 {
		c.lost++
		return dst
	}
	dst = append(sse.Open(dst, "content_block_delta"), `{"type":"content_block_delta"`...)
	dst = append(wire.Name(wire.Int(dst, "index", c.blocks-1), "delta"), `{"type":"citations_delta"`...)
	return sse.Close(append(wire.Raw(dst, "citation", e.Citation.Raw), "}}"...))
}

// turn writes the calls as far as one block at a time allows: the next one
// begins when the arguments of the one before are whole, or when all is over.
func (c *encoder) turn(dst []byte, over bool) []byte {
	for i := range c.calls {
		call := &c.calls[i]
		if call.closed {
			continue
		}
		if !call.written {
			call.written = true
			dst = c.openBlock(dst, llm.EventToolCall, func(b []byte) []byte { return appendCall(b, c.meta, i, call.id, call.name, "{}") })
			c.open = i
		}
		if call.sent < len(call.args) {
			dst = c.delta(dst, "input_json_delta", "partial_json", string(call.args[call.sent:]))
			call.sent = len(call.args)
		}
		if !over && (i == len(c.calls)-1 || !wire.Object(string(call.args))) {
			return dst
		}
		if len(call.args) == 0 {
			dst = c.delta(dst, "input_json_delta", "partial_json", "{}")
		}
		call.closed = true
		dst = c.closeBlock(dst)
		if call.state != nil {
			dst = c.redacted(dst, call.state)
		}
	}
	return dst
}

// appendCall appends the members of a tool_use block.
func appendCall(b []byte, m llm.Meta, index int, id, name, input string) []byte {
	if id == "" {
		id = llm.MissingID(m.CallID, index)
	}
	b = wire.String(wire.String(b, "type", "tool_use"), "id", llm.ToolID(id, llm.MessagesID))
	return wire.Raw(wire.String(b, "name", name), "input", input)
}

// AppendEnd implements llm.Encoder.
func (c *encoder) AppendEnd(dst []byte) []byte {
	dst = c.closeBlock(c.turn(c.start(dst), true))
	usage := c.usage
	if usage == nil {
		usage = &llm.Usage{Input: c.meta.InputTokens}
	}
	dst = append(sse.Open(dst, "message_delta"), `{"type":"message_delta","delta":{`...)
	dst = append(appendStop(dst, c.finish, c.sequence, len(c.calls), c.refused), '}')
	return sse.Close(append(appendUsage(wire.Name(dst, "usage"), usage), '}'))
}

// AppendTerminal implements llm.Encoder.
func (*encoder) AppendTerminal(dst []byte) []byte {
	return append(dst, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"...)
}

// appendStop appends stop_reason and stop_sequence.
func appendStop(b []byte, f llm.Finish, sequence string, calls int, refused bool) []byte {
	word := "end_turn"
	switch f {
	case llm.FinishLength:
		word = "max_tokens"
	case llm.FinishPolicy:
		word = "refusal"
	case llm.FinishPause:
		word = "pause_turn"
	default:
		switch {
		case calls > 0:
			word = "tool_use"
		case refused:
			word = "refusal"
		case f == llm.FinishStopSequence:
			word = "stop_sequence"
		}
	}
	b = wire.String(b, "stop_reason", word)
	if word == "stop_sequence" && sequence != "" {
		return wire.String(b, "stop_sequence", sequence)
	}
	return wire.Raw(b, "stop_sequence", "null")
}

// appendUsage appends a usage object. Its input excludes what the cache has.
func appendUsage(b []byte, u *llm.Usage) []byte {
	b = wire.Int(append(b, '{'), "input_tokens", u.Input+u.ImageInput+u.AudioInput)
	b = wire.Int(b, "cache_creation_input_tokens", u.CacheWrite+u.CacheWriteLong)
	b = wire.Int(b, "cache_read_input_tokens", u.CacheRead)
	if u.CacheWriteLong > 0 {
		b = append(wire.Name(b, "cache_creation"), '{')
		b = wire.Int(b, "ephemeral_5m_input_tokens", u.CacheWrite)
		b = append(wire.Int(b, "ephemeral_1h_input_tokens", u.CacheWriteLong), '}')
	}
	b = wire.Int(b, "output_tokens", u.Outputs())
	if u.Reasoning > 0 {
		b = append(wire.Name(b, "output_tokens_details"), '{')
		b = append(wire.Int(b, "thinking_tokens", u.Reasoning), '}')
	}
	return append(b, '}')
}
