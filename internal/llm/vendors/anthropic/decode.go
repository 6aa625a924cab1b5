package anthropic

import (
	"bytes"
	"errors"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/relay"
	"github.com/rephlo/rephlo/internal/llm/sse"
	"github.com/rephlo/rephlo/internal/llm/upstream"
	wire "github.com/rephlo/rephlo/internal/llm/wire/anthropic"
)

// decoder makes events of an answer. It implements upstream.Decoder.
type decoder struct {
	to      llm.Target
	out     *encoded
	yield   upstream.Yield
	stopped bool
	usage   relay.MessagesUsage
	blocks  map[int]*block // that are open
	calls   int
	fence   fence
}

// block is a piece of content that is being written.
type block struct {
	kind      string
	call      int // of a tool_use
	free      *bytes.Buffer
	answer    bool // the arguments are the answer
	signature bytes.Buffer
}

func newDecoder(to llm.Target, out *encoded) *decoder {
	return &decoder{to: to, out: out, blocks: map[int]*block{}}
}

var (
	errObject  = errors.New("an event is not a JSON object of this protocol")
	errContent = errors.New("an answer has no content")
)

var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// Event implements upstream.Decoder.
func (d *decoder) Event(e sse.Event, yield upstream.Yield) (done, more bool) {
	d.yield = yield
	if i, text, ok := textDelta(e.Data); ok {
		d.delta(i, &wire.Delta{Type: "text_delta", Text: string(text)})
		return false, !d.stopped
	}
	var in wire.Event
	if json.Unmarshal(e.Data, &in, lenient) != nil {
		d.fail(llm.Fail(llm.Protocol, errObject))
		return false, false
	}
	switch in.Type {
	case "message_start":
		if in.Message != nil {
			d.report(in.Message.Usage)
		}
	case "content_block_start":
		if in.ContentBlock != nil {
			d.begin(in.Index, in.ContentBlock)
		}
	case "content_block_delta":
		if in.Delta != nil {
			d.delta(in.Index, in.Delta)
		}
	case "content_block_stop":
		d.end(in.Index)
	case "message_delta":
		if in.Delta != nil && in.Delta.StopReason != nil {
			d.finish(*in.Delta.StopReason, in.Delta.StopSequence)
		}
		d.report(in.Usage)
	case "message_stop":
		return true, !d.stopped
	case "error":
		d.refused(in.Error)
	default: // ping, and what is to come
		d.emit(llm.Event{Kind: llm.EventAlive})
	}
	return false, !d.stopped
}

// Whole implements upstream.Decoder.
func (d *decoder) Whole(body []byte, yield upstream.Yield) bool {
	d.yield = yield
	var in wire.Answer
	switch {
	case json.Unmarshal(body, &in, lenient) != nil:
		d.fail(llm.Fail(llm.Protocol, errObject))
	case in.Type == "error" || in.Error.Kind() == '{':
		d.refused(in.Error)
	case in.Content == nil:
		d.fail(llm.Fail(llm.Protocol, errContent))
	}
	for i := range in.Content {
		b := &in.Content[i]
		d.begin(i, b)
		if b.Type == "tool_use" {
			d.arguments(d.blocks[i], string(b.Input))
		}
		d.end(i)
	}
	if in.StopReason != nil {
		d.finish(*in.StopReason, in.StopSequence)
	}
	d.report(in.Usage)
	return !d.stopped
}

func (d *decoder) emit(e llm.Event) {
	if !d.stopped && !d.yield(e, nil) {
		d.stopped = true
	}
}

func (d *decoder) fail(err error) {
	if !d.stopped {
		d.stopped = true
		d.yield(llm.Event{}, err)
	}
}

func (d *decoder) refused(object jsontext.Value) {
	kind, message := wire.ReadErrorObject(object)
	d.fail(llm.Refusal{Status: wire.Status(kind), Type: kind, Message: message, Hide: []string{d.to.Key.Reveal(), d.to.Model}}.Failure())
}

// report tells what was used so far.
func (d *decoder) report(usage jsontext.Value) {
	if usage.Kind() != '{' {
		return
	}
	d.usage.Add(usage)
	u := d.usage.Usage()
	d.emit(llm.Event{Kind: llm.EventUsage, Usage: &u})
}

func (d *decoder) state(data string) *llm.State {
	return &llm.State{Vendor: d.to.Issuer, Account: d.to.Account, Data: data}
}

func (d *decoder) begin(i int, in *wire.Block) {
	b := &block{kind: in.Type, call: -1}
	d.blocks[i] = b
	switch in.Type {
	case "text":
		d.text(in.Text)
	case "thinking":
		if in.Thinking != "" {
			d.emit(llm.Event{Kind: llm.EventReasoning, Text: in.Thinking})
		}
		b.signature.WriteString(in.Signature)
	case "redacted_thinking":
		d.emit(llm.Event{Kind: llm.EventState, Redacted: true, State: d.state(in.Data)})
	case "tool_use":
		d.call(b, in)
	}
}

func (d *decoder) call(b *block, in *wire.Block) {
	name := d.out.names.Back(in.Name)
	if b.answer = d.out.forced != "" && name == d.out.forced; b.answer {
		return
	}
	b.call = d.calls
	d.calls++
	custom := d.out.names.IsFree(name)
	if custom {
		b.free = &bytes.Buffer{}
	}
	d.emit(llm.Event{Kind: llm.EventToolCall, Index: b.call, ID: in.ID, Name: name, Custom: custom})
}

func (d *decoder) delta(i int, in *wire.Delta) {
	b := d.blocks[i]
	if b == nil { // it never began
		b = &block{kind: strings.TrimSuffix(in.Type, "_delta"), call: -1}
		d.blocks[i] = b
	}
	switch in.Type {
	case "text_delta":
		d.text(in.Text)
	case "thinking_delta":
		if in.Thinking != "" {
			d.emit(llm.Event{Kind: llm.EventReasoning, Text: in.Thinking})
		}
	case "signature_delta":
		b.signature.WriteString(in.Signature)
	case "input_json_delta":
		if b.answer || b.call >= 0 {
			d.arguments(b, in.PartialJSON)
		}
	case "citations_delta":
		if len(in.Citation) > 0 {
			d.emit(llm.Event{Kind: llm.EventCitation, Citation: &llm.Citation{Raw: in.Citation}})
		}
	}
}

func (d *decoder) arguments(b *block, text string) {
	switch {
	case text == "":
	case b.answer:
		d.emit(llm.Event{Kind: llm.EventText, Text: text})
	case b.free != nil:
		b.free.WriteString(text)
	default:
		d.emit(llm.Event{Kind: llm.EventArguments, Index: b.call, Text: text})
	}
}

// text passes on what is said; of JSON that was asked for by an instruction
// without the code fences that models put around it.
func (d *decoder) text(text string) {
	if d.out.fenced {
		text = d.fence.strip(text)
	}
	if text != "" {
		d.emit(llm.Event{Kind: llm.EventText, Text: text})
	}
}

func (d *decoder) end(i int) {
	b := d.blocks[i]
	if b == nil {
		return
	}
	delete(d.blocks, i)
	switch b.kind {
	case "thinking":
		e := llm.Event{Kind: llm.EventBlockEnd}
		if b.signature.Len() > 0 {
			e = llm.Event{Kind: llm.EventState, State: d.state(b.signature.String())}
		}
		d.emit(e)
	case "text":
		d.emit(llm.Event{Kind: llm.EventBlockEnd})
	case "tool_use":
		if b.free != nil {
			d.emit(llm.Event{Kind: llm.EventArguments, Index: b.call, Text: llm.FreeInput(b.free.String())})
		}
		d.emit(llm.Event{Kind: llm.EventBlockEnd})
	}
}

func (d *decoder) finish(reason string, sequence *string) {
	if rest := d.fence.rest(); rest != "" {
		d.emit(llm.Event{Kind: llm.EventText, Text: rest})
	}
	e := llm.Event{Kind: llm.EventFinish, Finish: llm.FinishStop}
	switch reason {
	case "stop_sequence":
		e.Finish = llm.FinishStopSequence
		if sequence != nil {
			e.StopSequence = *sequence
		}
	case "tool_use":
		if e.Finish = llm.FinishToolCalls; d.calls == 0 { // of the tool that is the answer
			e.Finish = llm.FinishStop
		}
	case "max_tokens", "model_context_window_exceeded":
		e.Finish = llm.FinishLength
	case "refusal":
		e.Finish = llm.FinishPolicy
	case "pause_turn":
		e.Finish = llm.FinishPause
	}
	d.emit(e)
}
