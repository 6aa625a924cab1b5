package google

import (
	"encoding/base64"
	"strings"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/sse"
	"github.com/rephlo/rephlo/internal/llm/wire"
)

// Encoder implements llm.Dialect.
func (Gemini) Encoder(m llm.Meta) llm.Encoder { return &encoder{meta: m} }

// encoder writes one stream. Arguments are collected, because a call of this
// dialect is whole; the finish and the usage are in the last event.
type encoder struct {
	meta    llm.Meta
	choices []choiceState
	usage   llm.Usage
	lost    int
}

// choiceState is how far one candidate has come.
type choiceState struct {
	calls  []pending
	sent   int // of the calls
	finish llm.Finish
}

// pending is a call that is being collected.
type pending struct {
	call  llm.ToolCall
	args  []byte
	state *llm.State
}

// Lost implements llm.Encoder.
func (e *encoder) Lost() int { return e.lost }

func (e *encoder) choice(i int) *choiceState {
	for len(e.choices) <= i {
		e.choices = append(e.choices, choiceState{})
	}
	return &e.choices[i]
}

// Append implements llm.Encoder.
func (e *encoder) Append(dst []byte, ev *llm.Event) []byte {
	c := e.choice(ev.Choice)
	switch ev.Kind { //nolint:exhaustive // the others have no bytes
	case llm.EventText, llm.EventRefusal, llm.EventReasoning:
		if ev.Text == "" {
			return dst
		}
		dst = e.flush(dst, ev.Choice)
		return e.event(dst, ev.Choice, appendText(nil, ev.Text, ev.Kind == llm.EventReasoning, nil))
	case llm.EventState:
		return e.state(dst, ev, c)
	case llm.EventToolCall:
		for len(c.calls) <= ev.Index {
			c.calls = append(c.calls, pending{})
		}
		c.calls[ev.Index].call = llm.ToolCall{ID: ev.ID, Name: ev.Name, Custom: ev.Custom}
	case llm.EventArguments:
		if ev.Index < len(c.calls) {
			c.calls[ev.Index].args = append(c.calls[ev.Index].args, ev.Text...)
		}
	case llm.EventCitation:
		e.lost++
	case llm.EventFinish:
		c.finish = ev.Finish
	case llm.EventUsage:
		e.usage = *ev.Usage
	}
	return dst
}

func (e *encoder) state(dst []byte, ev *llm.Event, c *choiceState) []byte {
	if !ev.Call {
		dst = e.flush(dst, ev.Choice)
		return e.event(dst, ev.Choice, appendText(nil, "", !ev.Redacted, ev.State))
	}
	if ev.Index < c.sent || ev.Index >= len(c.calls) {
		e.lost++
		return dst
	}
	c.calls[ev.Index].state = ev.State
	return dst
}

// flush sends the calls that were collected.
func (e *encoder) flush(dst []byte, choice int) []byte {
	c := e.choice(choice)
	for ; c.sent < len(c.calls); c.sent++ {
		p := &c.calls[c.sent]
		p.call.Arguments = string(p.args)
		dst = e.event(dst, choice, appendCall(nil, e.meta, c.sent, &p.call, p.state))
	}
	return dst
}

// event appends an event with these parts.
func (e *encoder) event(dst []byte, choice int, parts []byte) []byte {
	dst = append(sse.Open(dst, ""), `{"candidates":[`...)
	dst = appendCandidate(dst, choice, parts, 0)
	return sse.Close(append(appendTail(append(dst, ']'), e.meta), '}'))
}

// AppendEnd implements llm.Encoder.
func (e *encoder) AppendEnd(dst []byte) []byte {
	for i := range e.choices {
		dst = e.flush(dst, i)
	}
	return dst
}

// AppendTerminal implements llm.Encoder.
func (e *encoder) AppendTerminal(dst []byte) []byte {
	e.choice(0)
	dst = append(sse.Open(dst, ""), `{"candidates":[`...)
	for i := range e.choices {
		f := e.choices[i].finish
		if f == 0 {
			f = llm.FinishStop
		}
		dst = appendCandidate(dst, i, appendText(nil, "", false, nil), f)
	}
	dst = appendUsage(append(dst, ']'), &e.usage)
	return sse.Close(append(appendTail(dst, e.meta), '}'))
}

// AppendAnswer implements llm.Dialect.
func (Gemini) AppendAnswer(dst []byte, m llm.Meta, a *llm.Answer) []byte {
	dst = append(dst, `{"candidates":[`...)
	choices := a.Choices
	if len(choices) == 0 {
		choices = []llm.AnswerChoice{{}}
	}
	for i := range choices {
		var parts []byte
		calls := 0
		for n := range choices[i].Parts {
			switch p := &choices[i].Parts[n]; p.Kind { //nolint:exhaustive // an answer has no others
			case llm.PartToolCall:
				parts = appendCall(parts, m, calls, p.Call, p.State)
				calls++
			case llm.PartText, llm.PartRefusal, llm.PartReasoning:
				parts = appendText(parts, p.Text, p.Kind == llm.PartReasoning && !p.Redacted, p.State)
			}
		}
		f := choices[i].Finish
		if f == 0 {
			f = llm.FinishStop
		}
		dst = appendCandidate(dst, i, parts, f)
	}
	dst = appendUsage(append(dst, ']'), &a.Usage)
	return append(appendTail(dst, m), '}')
}

func appendCandidate(b []byte, index int, parts []byte, f llm.Finish) []byte {
	b = append(wire.Next(b), `{"content":{"parts":[`...)
	b = append(append(b, parts...), `],"role":"model"}`...)
	if f != 0 {
		b = wire.String(b, "finishReason", finishWord(f))
	}
	return append(wire.Int(b, "index", index), '}')
}

func finishWord(f llm.Finish) string {
	switch f {
	case llm.FinishLength:
		return "MAX_TOKENS"
	case llm.FinishPolicy:
		return "SAFETY"
	case llm.FinishStop, llm.FinishStopSequence, llm.FinishToolCalls, llm.FinishPause:
	}
	return "STOP"
}

// appendText appends a part with a text, a thought or only a signature.
func appendText(b []byte, text string, thought bool, s *llm.State) []byte {
	b = wire.String(append(wire.Next(b), '{'), "text", text)
	if thought {
		b = wire.Bool(b, "thought", true)
	}
	return append(appendSignature(b, s), '}')
}

// appendSignature appends a state: Google's own as it is, others wrapped.
func appendSignature(b []byte, s *llm.State) []byte {
	switch {
	case s == nil:
		return b
	case s.Vendor == vendor:
		return wire.String(b, "thoughtSignature", s.Data)
	}
	return wire.String(b, "thoughtSignature", base64.StdEncoding.EncodeToString([]byte(s.Wrap())))
}

// state reads what appendSignature has written. The protocol's signatures are
// bytes in base64, which typed clients decode, so a state of another vendor is
// wrapped once more.
func state(signature string) *llm.State {
	if b, err := base64.StdEncoding.DecodeString(signature); err == nil && llm.Wrapped(string(b)) {
		signature = string(b)
	}
	return llm.Unwrap(signature, vendor)
}

func appendCall(b []byte, m llm.Meta, index int, c *llm.ToolCall, s *llm.State) []byte {
	id := c.ID
	if id == "" {
		id = llm.MissingID(m.CallID, index)
	}
	b = append(wire.Next(b), `{"functionCall":{`...)
	b = wire.String(wire.String(b, "id", id), "name", c.Name)
	args := strings.TrimSpace(c.Arguments)
	switch {
	case c.Custom:
		b = append(wire.String(append(wire.Name(b, "args"), '{'), "input", c.Arguments), '}')
	case args == "":
		b = wire.Raw(b, "args", "{}")
	case wire.Object(args):
		b = wire.Raw(b, "args", args)
	default:
		b = append(wire.String(append(wire.Name(b, "args"), '{'), "_raw", c.Arguments), '}')
	}
	return append(appendSignature(append(b, '}'), s), '}')
}

// appendUsage appends usageMetadata: sums of the classes. Cached tokens are
// inside the prompt, thoughts outside the candidates.
func appendUsage(b []byte, u *llm.Usage) []byte {
	in, out := u.Inputs(), u.Outputs()
	b = append(wire.Name(b, "usageMetadata"), '{')
	b = wire.Int(wire.Int(b, "promptTokenCount", in), "candidatesTokenCount", out-u.Reasoning)
	b = wire.OptInt(b, "cachedContentTokenCount", u.CacheRead)
	b = wire.OptInt(b, "thoughtsTokenCount", u.Reasoning)
	return append(wire.Int(b, "totalTokenCount", in+out), '}')
}

func appendTail(b []byte, m llm.Meta) []byte {
	return wire.String(wire.String(b, "modelVersion", m.Model), "responseId", "gen-"+strings.TrimPrefix(m.CallID, "call_"))
}
