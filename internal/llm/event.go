package llm

import (
	"iter"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// EventKind says which fields of an Event count.
type EventKind uint8

// The kinds of events. A vendor's stream is
//
//	Start (Text | Reasoning | State | Refusal | ToolCall | Arguments |
//	       Citation | BlockEnd | UsageSoFar | Alive)* Finish UsageSoFar?
//
// and ends without an error only when the vendor has said that it is complete.
const (
	// EventStart comes as soon as the vendor's head says success: Head.
	EventStart EventKind = iota + 1
	// EventText and EventRefusal add Text to what is said.
	EventText
	EventRefusal
	// EventReasoning adds Text to the thoughts.
	EventReasoning
	// EventState ends a block of thoughts with its State, or, when Redacted, is
	// a block by itself. With Call it belongs to the tool call Index.
	EventState
	// EventToolCall begins the call Index, which counts the calls of a choice
	// from 0, with ID, Name and Custom. EventArguments adds Text to its
	// arguments; calls may interleave. A call whose arguments are empty at its
	// end takes {}.
	EventToolCall
	EventArguments
	// EventCitation belongs to the last text: Citation.
	EventCitation
	// EventBlockEnd ends the block that is open, so that what follows is
	// another one although it has the same kind.
	EventBlockEnd
	// EventFinish is why a choice ended: Finish, StopSequence.
	EventFinish
	// EventUsage is all that the call has used so far; the last one counts.
	EventUsage
	// EventAlive says that the vendor is still there.
	EventAlive
)

// Event is a piece of an answer.
type Event struct {
	Kind     EventKind
	Choice   int // 0 unless more than one was asked for
	Index    int // of the tool call
	Text     string
	ID, Name string
	Custom   bool
	Call     bool // a State of the tool call Index
	Redacted bool

	Head         *Head
	State        *State
	Citation     *Citation
	Logprobs     jsontext.Value // of a text, in the form of OpenAI's chat: an array
	Usage        *Usage
	Finish       Finish
	StopSequence string

	// More says that another event follows without a wait for the vendor, so
	// that both may be written to the client together.
	More bool
}

// Content reports whether e carries output: from then on the answer is this
// one and no other.
func (e *Event) Content() bool {
	switch e.Kind { //nolint:exhaustive // the others carry none
	case EventText, EventRefusal, EventReasoning, EventArguments:
		return e.Text != ""
	case EventState, EventToolCall, EventCitation, EventFinish:
		return true
	}
	return false
}

// Head is what the vendor's answer says before its content.
type Head struct {
	VendorRequestID string
	ProcessingMS    string
	// Warnings are what the vendor could not be told as it was asked.
	Warnings []Warning
}

// Finish is why an answer ended.
type Finish uint8

// The reasons. FinishStop also stands for reasons that are not known.
const (
	FinishStop         Finish = iota + 1
	FinishStopSequence        // which one is in StopSequence
	FinishToolCalls
	FinishLength
	FinishPolicy
	FinishPause // the vendor wants to be asked to go on
)

// Answer is an answer as a whole.
type Answer struct {
	Head    Head
	Choices []AnswerChoice
	Usage   Usage
}

// AnswerChoice is one of the answers that were asked for.
type AnswerChoice struct {
	Parts        []Part // text, reasoning, refusal and tool calls in their order
	Logprobs     []jsontext.Value
	Finish       Finish
	StopSequence string
}

// Text returns the text of the answer without a separator.
func (c *AnswerChoice) Text(kind PartKind) string {
	var n int
	var one string
	for i := range c.Parts {
		if c.Parts[i].Kind == kind && c.Parts[i].Text != "" {
			one = c.Parts[i].Text
			n++
		}
	}
	if n <= 1 {
		return one
	}
	var all []byte
	for i := range c.Parts {
		if c.Parts[i].Kind == kind {
			all = append(all, c.Parts[i].Text...)
		}
	}
	return string(all)
}

// Collect reads a stream to its end. What was read before an error is returned
// with it.
func Collect(events iter.Seq2[Event, error]) (*Answer, error) {
	var c Collector
	for e, err := range events {
		if err != nil {
			return c.Answer(), err
		}
		c.Add(&e)
	}
	return c.Answer(), nil
}

// Collector makes an Answer of events. The zero value is ready; it is not safe
// for concurrent use.
type Collector struct {
	answer  Answer
	choices []collecting
}

// collecting is a choice that is not complete.
type collecting struct {
	done  []Part
	open  PartKind // of the block that is being written; 0 without one
	text  []byte
	calls []int // where the calls are in done
	args  [][]byte
	AnswerChoice
}

// Add takes the next event.
func (c *Collector) Add(e *Event) {
	switch e.Kind { //nolint:exhaustive // EventAlive is no part of an answer
	case EventStart:
		if e.Head != nil {
			c.answer.Head = *e.Head
		}
		return
	case EventUsage:
		c.answer.Usage = *e.Usage
		return
	case EventAlive:
		return
	}
	for len(c.choices) <= e.Choice {
		c.choices = append(c.choices, collecting{})
	}
	c.choices[e.Choice].add(e)
}

// Usage returns what was used so far.
func (c *Collector) Usage() Usage { return c.answer.Usage }

func (c *collecting) add(e *Event) {
	switch e.Kind { //nolint:exhaustive // Add takes the others
	case EventText:
		c.write(PartText, e.Text)
		if len(e.Logprobs) > 0 {
			c.Logprobs = append(c.Logprobs, e.Logprobs)
		}
	case EventRefusal:
		c.write(PartRefusal, e.Text)
	case EventReasoning:
		c.write(PartReasoning, e.Text)
	case EventState:
		c.state(e)
	case EventToolCall:
		c.end()
		c.calls = append(c.calls, len(c.done))
		c.args = append(c.args, nil)
		c.done = append(c.done, Part{Kind: PartToolCall, Call: &ToolCall{ID: e.ID, Name: e.Name, Custom: e.Custom}})
	case EventArguments:
		if e.Index < len(c.args) {
			c.args[e.Index] = append(c.args[e.Index], e.Text...)
		}
	case EventCitation:
		c.end()
		if n := len(c.done); n > 0 && c.done[n-1].Kind == PartText {
			c.done[n-1].Citations = append(c.done[n-1].Citations, *e.Citation)
		}
	case EventBlockEnd:
		c.end()
	case EventFinish:
		c.Finish, c.StopSequence = e.Finish, e.StopSequence
	}
}

func (c *collecting) write(kind PartKind, text string) {
	if c.open != kind {
		c.end()
		c.open = kind
	}
	c.text = append(c.text, text...)
}

// end closes the block that is being written.
func (c *collecting) end() {
	if c.open != 0 && len(c.text) > 0 {
		c.done = append(c.done, Part{Kind: c.open, Text: string(c.text)})
	}
	c.open, c.text = 0, c.text[:0]
}

func (c *collecting) state(e *Event) {
	switch {
	case e.Call:
		if e.Index < len(c.calls) {
			c.done[c.calls[e.Index]].State = e.State
		}
	case e.Redacted:
		c.end()
		c.done = append(c.done, Part{Kind: PartReasoning, State: e.State, Redacted: true})
	default:
		thinking := c.open == PartReasoning && len(c.text) > 0
		c.end()
		if !thinking { // a thought whose text is not shown
			c.done = append(c.done, Part{Kind: PartReasoning})
		}
		c.done[len(c.done)-1].State = e.State
	}
}

// Answer returns what was added so far. It may be called again after more.
func (c *Collector) Answer() *Answer {
	a := c.answer
	a.Choices = make([]AnswerChoice, len(c.choices))
	for i := range c.choices {
		ch := &c.choices[i]
		ch.end()
		for n, at := range ch.calls {
			call := *ch.done[at].Call
			if call.Arguments = string(ch.args[n]); call.Arguments == "" && !call.Custom {
				call.Arguments = "{}"
			}
			ch.done[at].Call = &call
		}
		a.Choices[i] = ch.AnswerChoice
		a.Choices[i].Parts = slices.Clip(ch.done)
	}
	return &a
}
