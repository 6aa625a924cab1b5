package llm

import (
	"context"
	"errors"
	"time"

	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/fault"
)

// What a client is told about a vendor's failure.
var (
	ErrUpstream    = fault.New(fault.Upstream, "upstream_error", "The model provider failed to answer. Try again.")
	ErrTimeout     = fault.New(fault.UpstreamTimeout, "upstream_timeout", "The model provider did not answer in time. Try again, or ask for less.")
	ErrRateLimited = fault.New(fault.RateLimited, "upstream_rate_limited", "The model provider is at its limit. Try again after the time given.").After(15 * time.Second)
	ErrAuth        = fault.New(fault.Upstream, "provider_auth_failed", "The model provider refused this server's credentials. The operator has to correct them.")
	ErrInvalid     = fault.New(fault.Invalid, "invalid_request", "The model provider did not accept the request. Correct it and send it again.").Final()
	ErrContext     = fault.New(fault.Invalid, "context_length_exceeded", "The request is longer than the model's context. Send less, or lower the output limit.").Final()
	ErrPolicy      = fault.New(fault.Invalid, "content_policy", "The model provider refused the content of the request. Change it and send it again.").Final()
	ErrImage       = fault.New(fault.Invalid, "invalid_image", "The model provider could not use an image of the request. Send a JPEG, PNG, GIF or WebP that it can read.").Final()
	ErrSize        = fault.New(fault.TooLarge, "request_too_large", "The request is larger than the model provider takes. Send less.").Final()
	ErrUnavailable = fault.New(fault.Unavailable, "model_unavailable", "The model is not available at the moment. Try again later, or use another model.").After(30 * time.Second)
)

// ErrCut is a stream that ended without its terminal event. errors.Is tells it
// from other failures by its kind.
var ErrCut error = Fail(Cut, nil)

// Kind is why a vendor failed; the package comment has the table.
type Kind uint8

// The kinds of failure. Zero is none of them.
const (
	Invalid Kind = iota + 1
	Context
	Policy
	Image
	Size
	Auth
	Quota
	Rate
	UnknownModel
	Server
	Connect
	Timeout
	Protocol
	Cut
	Canceled
	Unable // we cannot put the request in the vendor's protocol
)

var kinds = [...]struct {
	name  string
	fault *fault.Error
	next  bool // another target may do better
	fails bool // counts against the target's breaker
}{
	Invalid:      {"invalid", ErrInvalid, false, false},
	Context:      {"context", ErrContext, false, false},
	Policy:       {"policy", ErrPolicy, false, false},
	Image:        {"image", ErrImage, false, false},
	Size:         {"size", ErrSize, false, false},
	Auth:         {"auth", ErrAuth, true, false},
	Quota:        {"quota", ErrUnavailable, true, false},
	Rate:         {"rate", ErrRateLimited, true, false},
	UnknownModel: {"unknown_model", ErrUnavailable, true, false},
	Server:       {"server", ErrUpstream, true, true},
	Connect:      {"connect", ErrUpstream, true, true},
	Timeout:      {"timeout", ErrTimeout, true, true},
	Protocol:     {"protocol", ErrUpstream, true, true},
	Cut:          {"cut", ErrUpstream, true, true},
	Canceled:     {"canceled", ErrUpstream, false, false},
	Unable:       {"unable", ErrUnsupported, true, false},
}

// String returns the word for logs and metrics.
func (k Kind) String() string {
	if int(k) >= len(kinds) || k == 0 {
		return "unknown"
	}
	return kinds[k].name
}

// NextTarget reports whether another target may do better.
func (k Kind) NextTarget() bool { return int(k) < len(kinds) && kinds[k].next }

// Breaks reports whether the failure counts against the target's breaker.
func (k Kind) Breaks() bool { return int(k) < len(kinds) && kinds[k].fails }

// Failure is a vendor's failure. Its text is safe to log: it never has what
// the vendor wrote, apart from the redacted sentence in Fault.
type Failure struct {
	Kind  Kind
	Fault *fault.Error // what the client is told
	// Status is the vendor's, 0 when no answer came.
	Status int
	// RetryAfter is what the vendor asked for; 0 is nothing.
	RetryAfter time.Duration
	// VendorRequestID is for the usage record and the operator, not the client.
	VendorRequestID string
}

// Fail returns a failure of a kind with that kind's fault.
func Fail(k Kind, cause error) *Failure {
	f := kinds[k].fault
	if cause != nil {
		f = f.Because(cause)
	}
	return &Failure{Kind: k, Fault: f}
}

func (f *Failure) Error() string { return f.Kind.String() + ": " + f.Fault.Error() }

// Unwrap gives the fault, and through it the cause.
func (f *Failure) Unwrap() error { return f.Fault }

// Is reports whether target is a failure of the same kind. Compared with a
// fault, the fault decides.
func (f *Failure) Is(target error) bool {
	t, ok := target.(*Failure)
	return ok && t.Kind == f.Kind
}

// KindOf returns the kind of the failure in err's chain, 0 without one.
func KindOf(err error) Kind {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f.Kind
	}
	return 0
}

// Broken classifies an error of sending a call or reading its reply. A
// failure stays as it is.
func Broken(err error) *Failure {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
	return Fail(brokenKind(err), err)
}

func brokenKind(err error) Kind {
	var slow interface{ Timeout() bool }
	switch {
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, egress.ErrRequest), errors.Is(err, egress.ErrAddress):
		return UnknownModel // the provider is configured wrongly
	case errors.Is(err, egress.ErrProtocol):
		return Protocol
	case errors.As(err, &slow) && slow.Timeout():
		return Timeout
	case errors.Is(err, egress.ErrConnect):
		return Connect
	default:
		return Cut
	}
}
