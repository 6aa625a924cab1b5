package openai

import (
	"bytes"
	"errors"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/relay"
	"github.com/rephlo/rephlo/internal/llm/sse"
	"github.com/rephlo/rephlo/internal/llm/upstream"
	"github.com/rephlo/rephlo/internal/llm/wire"
	wireopenai "github.com/rephlo/rephlo/internal/llm/wire/openai"
)

// chatDecoder makes events of a chat completion. It implements
// upstream.Decoder.
type chatDecoder struct {
	to      llm.Target
	names   *llm.Names
	yield   upstream.Yield
	stopped bool // nobody wants more
	choices []decoding
}

// decoding is how far one choice has come.
type decoding struct {
	calls    []int // the vendor's indices of the calls, by ours
	ids      []string
	free     []*bytes.Buffer // arguments of functions that stand for free-form tools
	finished bool
}

var (
	errObject  = errors.New("an event is not a JSON object of this protocol")
	errChoices = errors.New("an answer has no choices")
	errFinish  = errors.New("the vendor ended a stream with an error")
)

// lenient reads what vendors write. Who is strict here loses answers.
var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// Event implements upstream.Decoder.
func (d *chatDecoder) Event(e sse.Event, yield upstream.Yield) (done, more bool) {
	d.yield = yield
	data := bytes.TrimSpace(e.Data)
	if string(data) == "[DONE]" {
		d.flushAll()
		return true, !d.stopped
	}
	var in wireopenai.ChatAnswer
	if json.Unmarshal(data, &in, lenient) != nil {
		d.fail(llm.Fail(llm.Protocol, errObject))
		return false, false
	}
	if string(e.Name) == "error" && !said(in.Error) {
		in.Error = data
	}
	d.answer(&in)
	return false, !d.stopped
}

// Whole implements upstream.Decoder.
func (d *chatDecoder) Whole(body []byte, yield upstream.Yield) bool {
	d.yield = yield
	var in wireopenai.ChatAnswer
	switch {
	case json.Unmarshal(body, &in, lenient) != nil:
		d.fail(llm.Fail(llm.Protocol, errObject))
		return false
	case len(in.Choices) == 0 && !said(in.Error):
		d.fail(llm.Fail(llm.Protocol, errChoices))
		return false
	}
	d.answer(&in)
	d.flushAll()
	return !d.stopped
}

func said(v jsontext.Value) bool {
	switch v.Kind() {
	case 0, 'n', 'f':
		return false
	case '"':
		return len(v) > 2
	}
	return true
}

func (d *chatDecoder) emit(e llm.Event) {
	if !d.stopped && !d.yield(e, nil) {
		d.stopped = true
	}
}

func (d *chatDecoder) fail(err error) {
	if !d.stopped {
		d.stopped = true
		d.yield(llm.Event{}, err)
	}
}

func (d *chatDecoder) answer(in *wireopenai.ChatAnswer) {
	if said(in.Error) {
		e, _ := wireopenai.ReadErrorObject(in.Error)
		d.fail(llm.Refusal{Code: e.Code, Type: e.Type, Param: e.Param, Message: e.Message, Hide: []string{d.to.Key.Reveal(), d.to.Model}}.Failure())
		return
	}
	for i := range in.Choices {
		ch := &in.Choices[i]
		if ch.Index < 0 || ch.Index >= maxChoices {
			continue
		}
		for len(d.choices) <= ch.Index {
			d.choices = append(d.choices, decoding{})
		}
		if delta := ch.Delta; delta != nil {
			d.delta(ch.Index, delta, ch.Logprobs)
		} else if ch.Message != nil {
			d.delta(ch.Index, ch.Message, ch.Logprobs)
		}
		if ch.FinishReason != nil && *ch.FinishReason != "" {
			d.finish(ch.Index, *ch.FinishReason)
		}
	}
	usage := in.Usage
	if usage.Kind() != '{' && in.XGroq != nil {
		usage = in.XGroq.Usage
	}
	if usage.Kind() == '{' {
		u := relay.UsageOf(usage)
		d.emit(llm.Event{Kind: llm.EventUsage, Usage: &u})
	}
}

const maxChoices = 128

func (d *chatDecoder) delta(choice int, in *wireopenai.ChatDelta, probs *wireopenai.ChatLogprobs) {
	switch {
	case in.ReasoningContent != nil && *in.ReasoningContent != "":
		d.text(llm.EventReasoning, choice, *in.ReasoningContent)
	case in.Reasoning != nil && *in.Reasoning != "":
		d.text(llm.EventReasoning, choice, *in.Reasoning)
	}
	d.details(choice, in)
	if text, ok := wire.Text(in.Content); ok {
		e := llm.Event{Kind: llm.EventText, Choice: choice, Text: text}
		if probs != nil && probs.Content.Kind() == '[' {
			e.Logprobs = probs.Content
		}
		if text != "" {
			d.emit(e)
		}
	} else if in.Content.Kind() == '[' {
		d.parts(choice, in.Content)
	}
	if in.Refusal != nil {
		d.text(llm.EventRefusal, choice, *in.Refusal)
	}
	for _, a := range in.Annotations {
		if c := a.URLCitation; c != nil {
			d.emit(llm.Event{Kind: llm.EventCitation, Choice: choice, Citation: &llm.Citation{URL: c.URL, Title: c.Title, Start: c.StartIndex, End: c.EndIndex}})
		}
	}
	for i := range in.ToolCalls {
		d.call(choice, &in.ToolCalls[i])
	}
	if in.FunctionCall != nil {
		d.call(choice, &wireopenai.ChatToolDelta{Index: new(int), Function: in.FunctionCall})
	}
}

func (d *chatDecoder) text(kind llm.EventKind, choice int, text string) {
	if text != "" {
		d.emit(llm.Event{Kind: kind, Choice: choice, Text: text})
	}
}

// details reads the state of thoughts. Their text comes in its own field too.
func (d *chatDecoder) details(choice int, in *wireopenai.ChatDelta) {
	for _, r := range in.ReasoningDetails {
		e := llm.Event{Kind: llm.EventState, Choice: choice}
		switch {
		case r.Signature != nil && *r.Signature != "":
			e.State = d.state(*r.Signature)
		case r.Data != nil && *r.Data != "":
			e.State, e.Redacted = d.state(*r.Data), true
		default:
			continue
		}
		d.emit(e)
	}
}

func (d *chatDecoder) state(data string) *llm.State {
	return &llm.State{Vendor: d.to.Issuer, Account: d.to.Account, Data: data}
}

// parts reads a content of parts, as Mistral sends its thoughts.
func (d *chatDecoder) parts(choice int, v jsontext.Value) {
	var in []struct {
		Type     string `json:"type"`
		Text     string `json:"text"`
		Thinking []struct {
			Text string `json:"text"`
		} `json:"thinking"`
	}
	if json.Unmarshal(v, &in, lenient) != nil {
		d.fail(llm.Fail(llm.Protocol, errObject))
		return
	}
	for _, p := range in {
		for _, t := range p.Thinking {
			d.text(llm.EventReasoning, choice, t.Text)
		}
		d.text(llm.EventText, choice, p.Text)
	}
}

func (d *chatDecoder) call(choice int, in *wireopenai.ChatToolDelta) {
	f, custom := in.Function, false
	if in.Custom != nil {
		f, custom = in.Custom, true
	}
	i := d.find(choice, in)
	if i < 0 {
		if f == nil || f.Name == nil {
			return // a piece of a call that never began
		}
		i = d.begin(choice, in, *f.Name, custom)
	}
	if f == nil {
		return
	}
	text, ok := wire.Text(f.Arguments)
	if !ok && f.Arguments.Kind() == '{' {
		text = string(f.Arguments)
	}
	if f.Input != nil {
		text = *f.Input
	}
	if free := d.choices[choice].free[i]; free != nil {
		free.WriteString(text)
	} else if text != "" {
		d.emit(llm.Event{Kind: llm.EventArguments, Choice: choice, Index: i, Text: text})
	}
	if x := in.ExtraContent; x != nil && x.Google != nil && x.Google.ThoughtSignature != "" {
		d.emit(llm.Event{Kind: llm.EventState, Choice: choice, Call: true, Index: i, State: d.state(x.Google.ThoughtSignature)})
	}
}

// find returns our index of a call, -1 for a new one. Some services state no
// index, and some begin another call under the same one.
func (d *chatDecoder) find(choice int, in *wireopenai.ChatToolDelta) int {
	c := &d.choices[choice]
	id := ""
	if in.ID != nil {
		id = *in.ID
	}
	for i, at := range slices.Backward(c.calls) {
		switch {
		case in.Index != nil && at != *in.Index:
		case id != "" && c.ids[i] != "" && c.ids[i] != id:
			return -1
		default:
			return i
		}
	}
	return -1
}

func (d *chatDecoder) begin(choice int, in *wireopenai.ChatToolDelta, name string, custom bool) int {
	c := &d.choices[choice]
	i := len(c.calls)
	at, id := i, ""
	if in.Index != nil {
		at = *in.Index
	}
	if in.ID != nil {
		id = *in.ID
	}
	name = d.names.Back(name)
	var free *bytes.Buffer
	if !custom && d.names.IsFree(name) {
		free, custom = &bytes.Buffer{}, true
	}
	c.calls, c.ids, c.free = append(c.calls, at), append(c.ids, id), append(c.free, free)
	d.emit(llm.Event{Kind: llm.EventToolCall, Choice: choice, Index: i, ID: id, Name: name, Custom: custom})
	return i
}

// flush sends the texts of free-form tools, which were collected.
func (d *chatDecoder) flush(choice int) {
	for i, free := range d.choices[choice].free {
		if free != nil && free.Len() > 0 {
			d.emit(llm.Event{Kind: llm.EventArguments, Choice: choice, Index: i, Text: llm.FreeInput(free.String())})
			free.Reset()
		}
	}
}

func (d *chatDecoder) flushAll() {
	for i := range d.choices {
		d.flush(i)
	}
}

func (d *chatDecoder) finish(choice int, word string) {
	if d.choices[choice].finished {
		return
	}
	d.choices[choice].finished = true
	d.flush(choice)
	e := llm.Event{Kind: llm.EventFinish, Choice: choice, Finish: llm.FinishStop}
	switch word {
	case "length", "model_length":
		e.Finish = llm.FinishLength
	case "content_filter":
		e.Finish = llm.FinishPolicy
	case "tool_calls", "function_call":
		e.Finish = llm.FinishToolCalls
	case "error":
		d.fail(llm.Fail(llm.Server, errFinish))
		return
	}
	d.emit(e)
}
