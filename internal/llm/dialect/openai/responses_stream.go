package openai

import (
	"strconv"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/sse"
	"github.com/rephlo/rephlo/internal/llm/wire"
)

// Encoder implements llm.Dialect.
func (Responses) Encoder(m llm.Meta) llm.Encoder { return &responsesEncoder{meta: m, open: -1} }

// AppendAnswer implements llm.Dialect: the items are those of the stream that
// the answer would have been.
func (Responses) AppendAnswer(dst []byte, m llm.Meta, a *llm.Answer) []byte {
	e := &responsesEncoder{meta: m, open: -1, usage: a.Usage}
	var unsent []byte
	if len(a.Choices) > 0 {
		c := &a.Choices[0]
		calls := 0
		for i := range c.Parts {
			p := &c.Parts[i]
			for _, ev := range partEvents(p, &calls) {
				unsent = e.Append(unsent[:0], &ev)
			}
		}
		e.finish = c.Finish
	}
	e.AppendEnd(unsent[:0])
	return e.appendResponse(dst, true)
}

// partEvents are the events that a part of an answer came from.
func partEvents(p *llm.Part, calls *int) []llm.Event {
	switch p.Kind { //nolint:exhaustive // an answer has no others
	case llm.PartText:
		out := []llm.Event{{Kind: llm.EventText, Text: p.Text}}
		for i := range p.Citations {
			out = append(out, llm.Event{Kind: llm.EventCitation, Citation: &p.Citations[i]})
		}
		return append(out, llm.Event{Kind: llm.EventBlockEnd})
	case llm.PartRefusal:
		return []llm.Event{{Kind: llm.EventRefusal, Text: p.Text}, {Kind: llm.EventBlockEnd}}
	case llm.PartReasoning:
		out := []llm.Event{{Kind: llm.EventReasoning, Text: p.Text}}
		if p.State != nil {
			return append(out, llm.Event{Kind: llm.EventState, State: p.State, Redacted: p.Redacted})
		}
		return append(out, llm.Event{Kind: llm.EventBlockEnd})
	case llm.PartToolCall:
		i := *calls
		*calls++
		return []llm.Event{{Kind: llm.EventToolCall, Index: i, ID: p.Call.ID, Name: p.Call.Name, Custom: p.Call.Custom}, {Kind: llm.EventArguments, Index: i, Text: p.Call.Arguments}}
	}
	return nil
}

// responsesEncoder writes one stream. A text or a thought is open until
// something else comes, calls until the end: their arguments may interleave.
type responsesEncoder struct {
	meta     llm.Meta
	begun    bool
	sequence int64
	items    []responseItem
	open     int // the text or thought that is being written; -1 without one
	calls    []int
	usage    llm.Usage
	finish   llm.Finish
	lost     int
}

// responseItem is an item of the output.
type responseItem struct {
	kind        string // message, reasoning, function_call, custom_tool_call
	id          string
	part        string // output_text or refusal
	text        []byte
	annotations []byte
	state       *llm.State
	call        llm.ToolCall
	done        bool
}

// Lost implements llm.Encoder.
func (e *responsesEncoder) Lost() int { return e.lost }

// event begins an event; its members follow up to end.
func (e *responsesEncoder) event(dst []byte, kind string) []byte {
	dst = wire.String(append(sse.Open(dst, kind), '{'), "type", kind)
	dst = wire.Int(dst, "sequence_number", e.sequence)
	e.sequence++
	return dst
}

func end(dst []byte) []byte { return sse.Close(append(dst, '}')) }

// Append implements llm.Encoder.
func (e *responsesEncoder) Append(dst []byte, ev *llm.Event) []byte {
	switch ev.Kind { //nolint:exhaustive // the others are below
	case llm.EventUsage:
		e.usage = *ev.Usage
		return dst
	case llm.EventFinish:
		if ev.Choice == 0 {
			e.finish = ev.Finish
		}
		return dst
	case llm.EventAlive:
		return dst
	}
	dst = e.begin(dst)
	if ev.Choice > 0 {
		e.lost++
		return dst
	}
	switch ev.Kind { //nolint:exhaustive // the others are above
	case llm.EventText:
		dst = e.say(dst, "output_text", ev.Text)
	case llm.EventRefusal:
		dst = e.say(dst, "refusal", ev.Text)
	case llm.EventReasoning:
		dst = e.think(dst, ev.Text)
	case llm.EventState:
		dst = e.state(dst, ev)
	case llm.EventToolCall:
		dst = e.call(dst, ev)
	case llm.EventArguments:
		dst = e.arguments(dst, ev.Index, ev.Text)
	case llm.EventCitation:
		dst = e.citation(dst, ev.Citation)
	case llm.EventBlockEnd:
		dst = e.close(dst)
	}
	return dst
}

func (e *responsesEncoder) begin(dst []byte) []byte {
	if e.begun {
		return dst
	}
	e.begun = true
	for _, kind := range []string{"response.created", "response.in_progress"} {
		dst = wire.Name(e.event(dst, kind), "response")
		dst = end(e.appendResponse(dst, false))
	}
	return dst
}

// add begins an item.
func (e *responsesEncoder) add(dst []byte, it responseItem, prefix string) []byte {
	it.id = responseID(prefix, e.meta.CallID) + "_" + strconv.Itoa(len(e.items))
	e.items = append(e.items, it)
	at := len(e.items) - 1
	dst = wire.Name(wire.Int(e.event(dst, "response.output_item.added"), "output_index", at), "item")
	return end(e.appendItem(dst, &e.items[at], "in_progress"))
}

// in appends where an event of the item at belongs.
func (e *responsesEncoder) in(dst []byte, kind string, at int) []byte {
	dst = wire.String(e.event(dst, kind), "item_id", e.items[at].id)
	return wire.Int(dst, "output_index", at)
}

func (e *responsesEncoder) say(dst []byte, part, text string) []byte {
	if text == "" {
		return dst
	}
	if e.open < 0 || e.items[e.open].kind != "message" || e.items[e.open].part != part {
		dst = e.add(e.close(dst), responseItem{kind: "message", part: part}, "msg_")
		e.open = len(e.items) - 1
		dst = wire.Int(e.in(dst, "response.content_part.added", e.open), "content_index", 0)
		dst = end(appendPart(wire.Name(dst, "part"), &e.items[e.open]))
	}
	it := &e.items[e.open]
	it.text = append(it.text, text...)
	dst = wire.Int(e.in(dst, "response."+part+".delta", e.open), "content_index", 0)
	dst = wire.String(dst, "delta", text)
	if part == "output_text" {
		dst = wire.Raw(dst, "logprobs", "[]")
	}
	return end(dst)
}

func (e *responsesEncoder) think(dst []byte, text string) []byte {
	if text == "" {
		return dst
	}
	if e.open < 0 || e.items[e.open].kind != "reasoning" {
		dst = e.add(e.close(dst), responseItem{kind: "reasoning"}, "rs_")
		e.open = len(e.items) - 1
		dst = wire.Int(e.in(dst, "response.reasoning_summary_part.added", e.open), "summary_index", 0)
		dst = end(wire.Raw(dst, "part", `{"type":"summary_text","text":""}`))
	}
	it := &e.items[e.open]
	it.text = append(it.text, text...)
	dst = wire.Int(e.in(dst, "response.reasoning_summary_text.delta", e.open), "summary_index", 0)
	return end(wire.String(dst, "delta", text))
}

// state ends a thought. The signature of a call has no place in this dialect.
func (e *responsesEncoder) state(dst []byte, ev *llm.Event) []byte {
	if ev.Call {
		e.lost++
		return dst
	}
	if ev.Redacted || e.open < 0 || e.items[e.open].kind != "reasoning" {
		dst = e.add(e.close(dst), responseItem{kind: "reasoning"}, "rs_")
		e.open = len(e.items) - 1
	}
	e.items[e.open].state = ev.State
	return e.close(dst)
}

func (e *responsesEncoder) call(dst []byte, ev *llm.Event) []byte {
	id := ev.ID
	if id == "" {
		id = llm.MissingID(e.meta.CallID, ev.Index)
	}
	it := responseItem{kind: "function_call", call: llm.ToolCall{ID: llm.ToolID(id, llm.ChatID), Name: ev.Name, Custom: ev.Custom}}
	prefix := "fc_"
	if ev.Custom {
		it.kind, prefix = "custom_tool_call", "ctc_"
	}
	dst = e.add(e.close(dst), it, prefix)
	for len(e.calls) <= ev.Index {
		e.calls = append(e.calls, -1)
	}
	e.calls[ev.Index] = len(e.items) - 1
	return dst
}

func (e *responsesEncoder) arguments(dst []byte, index int, text string) []byte {
	if index >= len(e.calls) || e.calls[index] < 0 || text == "" {
		return dst
	}
	at := e.calls[index]
	e.items[at].text = append(e.items[at].text, text...)
	kind := "response.function_call_arguments.delta"
	if e.items[at].call.Custom {
		kind = "response.custom_tool_call_input.delta"
	}
	return end(wire.String(e.in(dst, kind, at), "delta", text))
}

func (e *responsesEncoder) citation(dst []byte, c *llm.Citation) []byte {
	if c.URL == "" || e.open < 0 || e.items[e.open].kind != "message" {
		e.lost++
		return dst
	}
	it := &e.items[e.open]
	var b []byte
	b = wire.Int(wire.Int(append(b, `{"type":"url_citation"`...), "start_index", c.Start), "end_index", c.End)
	b = append(wire.String(wire.String(b, "url", c.URL), "title", c.Title), '}')
	n := 0
	if len(it.annotations) > 0 {
		it.annotations = append(it.annotations, ',')
		n = 1
	}
	it.annotations = append(it.annotations, b...)
	dst = wire.Int(e.in(dst, "response.output_text.annotation.added", e.open), "content_index", 0)
	return end(wire.Raw(wire.Int(dst, "annotation_index", n), "annotation", b))
}
