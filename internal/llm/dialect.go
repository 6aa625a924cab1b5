package llm

import (
	"time"

	"github.com/rephlo/rephlo/internal/fault"
)

// Dialect is a protocol that clients speak. Implementations are safe for
// concurrent use and keep nothing.
type Dialect interface {
	// Decode reads a request strictly. What it does not know it drops with a
	// warning; what is malformed, or belongs to the operator's account at a
	// vendor, is a fault that names the field.
	Decode(body []byte) (*Request, error)
	// Encoder writes one streamed answer.
	Encoder(m Meta) Encoder
	// AppendAnswer appends an answer as a whole.
	AppendAnswer(dst []byte, m Meta, a *Answer) []byte
	// AppendError appends the body of an error.
	AppendError(dst []byte, f *fault.Error, m ErrorMeta) []byte
	// AppendStreamError appends the event that ends a stream which has begun.
	AppendStreamError(dst []byte, f *fault.Error, m ErrorMeta) []byte
	// Heartbeat is written into a stream that is quiet, between two events.
	Heartbeat() []byte
}

// Encoder writes the events of one answer in a dialect's form. Whatever events
// come, what it writes is well-formed: one block open at a time, one finish. It
// is not safe for concurrent use.
type Encoder interface {
	// Append appends what the client gets for e; often nothing.
	Append(dst []byte, e *Event) []byte
	// AppendEnd appends what comes before the terminal event: the end of the
	// last block, the finish and the usage, as the dialect has them.
	AppendEnd(dst []byte) []byte
	// AppendTerminal appends the terminal event, which waits until the call is
	// settled. AppendEnd comes before.
	AppendTerminal(dst []byte) []byte
	// Lost is how many pieces had no place in the dialect so far, such as
	// citations.
	Lost() int
}

// Meta is what an answer needs that is not in its events.
type Meta struct {
	CallID  string // call_…; the answer's id is made of it
	Model   string // as the client named it
	Created time.Time
	// InputTokens is our estimate, for dialects that state the input first.
	InputTokens int64
	// Usage says that a stream is to state its usage, where the dialect lets the
	// client choose.
	Usage bool
	// Request is what was asked.
	Request *Request
}

// ErrorMeta is what an error needs beside its fault.
type ErrorMeta struct {
	RequestID string
	DocURL    string // precedes the code
}
