// Package fault gives every error that can reach a client a kind, a stable
// code and a message that is safe to show.
//
// Domains declare their faults as package variables and wrap them to add
// context; the writer of each surface (JSON, an LLM dialect, OAuth, a page)
// turns the kind into a status in one place. Any other error is an internal
// one: it is logged and its text is never sent.
package fault

import (
	"errors"
	"fmt"
	"maps"
	"time"
)

// Kind says what went wrong in terms a transport can map. The zero value is
// Internal, so an error that nobody classified is never blamed on the client.
type Kind uint8

// The kinds of fault, with the HTTP status each becomes.
const (
	Internal           Kind = iota // 500: a bug of ours
	Invalid                        // 400: malformed
	Unauthenticated                // 401: we do not know who is asking
	PaymentRequired                // 402: not enough credits, or a budget is used up
	Forbidden                      // 403: we know, and they may not
	NotFound                       // 404: no such thing, or not theirs to see
	MethodNotAllowed               // 405
	Conflict                       // 409: the thing changed or already exists
	Gone                           // 410: it was there, once
	TooLarge                       // 413: the body
	URITooLong                     // 414
	UnsupportedMedia               // 415
	WrongHost                      // 421
	Unprocessable                  // 422: well-formed, but a field breaks a rule
	RateLimited                    // 429: too often
	HeadersTooLarge                // 431
	Upstream                       // 502: a provider failed
	Unavailable                    // 503: ours; retry later
	UpstreamTimeout                // 504: a provider was too slow
	PreconditionFailed             // 412: somebody else changed it first
)

var statuses = [...]int{
	500, 400, 401, 402, 403, 404, 405, 409, 410, 413, 414, 415, 421, 422, 429, 431, 502, 503, 504, 412,
}

// Status returns the HTTP status of k.
func (k Kind) Status() int {
	if int(k) >= len(statuses) {
		return statuses[Internal]
	}
	return statuses[k]
}

// Error is a classified error. Compare faults with errors.Is: two faults are
// equal when their codes are. The methods that change one return a copy, so
// the declared variables stay as they are.
type Error struct {
	Kind    Kind
	Code    string // stable, machine-readable, snake_case
	Message string // safe to show, whole sentences that say what to do
	Param   string // the field at fault, empty if none
	// Details are values a program can act on; they become a JSON object.
	Details map[string]any
	// RetryAfter is when to try again; zero says nothing.
	RetryAfter time.Duration
	// NoRetry tells SDKs that trying the same again is useless.
	NoRetry bool
	cause   error
}

// New declares a fault.
func New(kind Kind, code, message string) *Error {
	return &Error{Kind: kind, Code: code, Message: message}
}

// Because returns a copy of e that carries cause for the log.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// Saying returns a copy of e whose message is replaced.
func (e *Error) Saying(format string, args ...any) *Error {
	c := *e
	c.Message = fmt.Sprintf(format, args...)
	return &c
}

// At returns a copy of e that names the field at fault.
func (e *Error) At(param string) *Error {
	c := *e
	c.Param = param
	return &c
}

// With returns a copy of e with one more detail.
func (e *Error) With(key string, value any) *Error {
	c := *e
	c.Details = maps.Clone(e.Details)
	if c.Details == nil {
		c.Details = map[string]any{}
	}
	c.Details[key] = value
	return &c
}

// After returns a copy of e that says when to try again.
func (e *Error) After(d time.Duration) *Error {
	c := *e
	c.RetryAfter = d
	return &c
}

// Final returns a copy of e that tells SDKs not to retry.
func (e *Error) Final() *Error {
	c := *e
	c.NoRetry = true
	return &c
}

func (e *Error) Error() string {
	if e.cause == nil {
		return e.Code + ": " + e.Message
	}
	return e.Code + ": " + e.Message + ": " + e.cause.Error()
}

func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is the same fault, whatever its message or cause.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Faults that every surface can answer with.
var (
	ErrInternal    = New(Internal, "internal_server_error", "Something went wrong on our side. Try again; if it stays, report the request id.")
	ErrUnavailable = New(Unavailable, "service_unavailable", "The service cannot answer right now. Try again in a few seconds.").After(2 * time.Second)
	ErrNotFound    = New(NotFound, "not_found", "There is nothing at this address. Check the path and the id.")
)

// From returns the fault in err's chain, or an internal fault that hides err.
func From(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return ErrInternal.Because(err)
}
