package google

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/relay"
	"github.com/rephlo/rephlo/internal/llm/sse"
	"github.com/rephlo/rephlo/internal/llm/upstream"
	wiregoogle "github.com/rephlo/rephlo/internal/llm/wire/google"
)

// decoder makes events of an answer. It implements upstream.Decoder and
// upstream.Ender.
type decoder struct {
	to       llm.Target
	names    *llm.Names
	yield    upstream.Yield
	stopped  bool // nobody wants more
	choices  []decoding
	usage    *llm.Usage
	answered bool // content was sent
}

// decoding is how far one candidate has come.
type decoding struct {
	calls  int
	finish llm.Finish
}

var (
	errObject = errors.New("an event is not a JSON object of this protocol")
	errEmpty  = errors.New("neither candidates nor usage")
	errCall   = errors.New("the model wrote a call that the vendor could not read")
)

const maxCandidates = 16

// lenient reads what vendors write. Who is strict here loses answers.
var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// Event implements upstream.Decoder. No event is known to be the last one.
func (d *decoder) Event(e sse.Event, yield upstream.Yield) (done, more bool) {
	d.yield = yield
	d.take(e.Data)
	return false, !d.stopped
}

// Whole implements upstream.Decoder.
func (d *decoder) Whole(body []byte, yield upstream.Yield) bool {
	d.yield = yield
	d.take(body)
	if !d.stopped && !d.End(yield) {
		d.fail(llm.Fail(llm.Protocol, errEmpty))
	}
	return !d.stopped
}

// End implements upstream.Ender: the finishes and the usage, which may have
// come before the last event.
func (d *decoder) End(yield upstream.Yield) bool {
	d.yield = yield
	complete := false
	for i := range d.choices {
		c := &d.choices[i]
		if c.finish == 0 {
			continue
		}
		complete = true
		if c.finish == llm.FinishStop && c.calls > 0 {
			c.finish = llm.FinishToolCalls
		}
		d.emit(llm.Event{Kind: llm.EventFinish, Choice: i, Finish: c.finish})
	}
	if complete && d.usage != nil {
		d.emit(llm.Event{Kind: llm.EventUsage, Usage: d.usage})
	}
	return complete
}

func (d *decoder) emit(e llm.Event) {
	d.answered = d.answered || e.Content()
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

// take reads an event, or an answer in one piece.
func (d *decoder) take(data []byte) {
	var in wiregoogle.Answer
	if data = bytes.TrimSpace(data); json.Unmarshal(data, &in, lenient) != nil {
		d.fail(llm.Fail(llm.Protocol, errObject))
		return
	}
	switch {
	case in.Error.Kind() == '{':
		said, _ := wiregoogle.ReadErrorObject(in.Error)
		r := said.Refusal()
		r.Hide = []string{d.to.Key.Reveal(), d.to.Model}
		d.fail(r.Failure())
		return
	case len(in.Candidates) == 0 && in.PromptFeedback != nil && in.PromptFeedback.BlockReason != "":
		d.fail(llm.Fail(llm.Policy, nil))
		return
	case len(in.Candidates) == 0 && in.UsageMetadata.Kind() != '{':
		d.fail(llm.Fail(llm.Protocol, errEmpty))
		return
	}
	for i := range in.Candidates {
		c := &in.Candidates[i]
		if c.Index < 0 || c.Index >= maxCandidates {
			continue
		}
		for len(d.choices) <= c.Index {
			d.choices = append(d.choices, decoding{})
		}
		if c.Content != nil {
			for p := range c.Content.Parts {
				d.part(c.Index, &c.Content.Parts[p])
			}
		}
		d.finish(c.Index, c.FinishReason)
	}
	if in.UsageMetadata.Kind() == '{' && !d.stopped {
		u := relay.GeminiUsage(in.UsageMetadata)
		d.usage = &u
		d.emit(llm.Event{Kind: llm.EventUsage, Usage: &u})
	}
}

// part sends one piece. A signature belongs to the call or the thought that it
// comes with; beside an answer's text it is a block by itself.
func (d *decoder) part(choice int, p *wiregoogle.Part) {
	state := func(e llm.Event) {
		if p.ThoughtSignature != "" {
			e.Kind, e.Choice = llm.EventState, choice
			e.State = &llm.State{Vendor: d.to.Issuer, Account: d.to.Account, Data: p.ThoughtSignature}
			d.emit(e)
		}
	}
	switch {
	case p.FunctionCall != nil:
		state(llm.Event{Call: true, Index: d.call(choice, p.FunctionCall)})
	case p.Text != nil && p.Thought:
		d.text(llm.EventReasoning, choice, *p.Text)
		state(llm.Event{})
	case p.Text != nil:
		d.text(llm.EventText, choice, *p.Text)
		state(llm.Event{Redacted: true})
	case p.ThoughtSignature != "":
		state(llm.Event{Redacted: true})
	}
}

func (d *decoder) text(kind llm.EventKind, choice int, text string) {
	if text != "" {
		d.emit(llm.Event{Kind: kind, Choice: choice, Text: text})
	}
}

func (d *decoder) call(choice int, f *wiregoogle.FunctionCall) int {
	c := &d.choices[choice]
	i := c.calls
	c.calls++
	name := d.names.Back(f.Name)
	free := d.names.IsFree(name)
	d.emit(llm.Event{Kind: llm.EventToolCall, Choice: choice, Index: i, ID: f.ID, Name: name, Custom: free})
	arguments := string(f.Args)
	switch {
	case free:
		arguments = llm.FreeInput(arguments)
	case f.Args.Kind() != '{':
		arguments = "{}"
	}
	if arguments != "" {
		d.emit(llm.Event{Kind: llm.EventArguments, Choice: choice, Index: i, Text: arguments})
	}
	return i
}

// finish notes why a candidate ended: it may end before its last event.
func (d *decoder) finish(choice int, word string) {
	f := llm.FinishStop
	switch word {
	case "", "FINISH_REASON_UNSPECIFIED":
		return
	case "MAX_TOKENS":
		f = llm.FinishLength
	case "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION":
		f = llm.FinishPolicy
	case "TOO_MANY_TOOL_CALLS":
		f = llm.FinishPause
	case "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL":
		if !d.answered { // another try may do better
			d.fail(llm.Fail(llm.Server, errCall))
			return
		}
	}
	d.choices[choice].finish = f
}
