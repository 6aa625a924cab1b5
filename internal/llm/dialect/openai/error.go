package openai

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/rephlo/rephlo/internal/fault"
	wire "github.com/rephlo/rephlo/internal/llm/wire/openai"
	"github.com/rephlo/rephlo/internal/web"
)

// WriteError returns a web.ErrorWriter for OpenAI's endpoints. docURL precedes
// a code in doc_url. The headers tell OpenAI's clients whether and when to try
// again: x-should-retry is false where the same request cannot succeed, and
// retry-after-ms stands beside Retry-After.
func WriteError(docURL string) web.ErrorWriter {
	return func(w http.ResponseWriter, _ *http.Request, f *fault.Error) {
		h := w.Header()
		if !retryable(f) {
			h.Set("X-Should-Retry", "false")
		}
		if f.RetryAfter > 0 {
			h.Set("Retry-After-Ms", strconv.FormatInt(max(1, f.RetryAfter.Milliseconds()), 10))
		}
		if id := web.RequestID(w); id != "" {
			h.Set("Request-Id", id)
		}
		_ = web.JSON(w, f.Kind.Status(), body(f, web.RequestID(w), docURL)) // details are plain values; they always encode
	}
}

// retryable reports whether the same request may succeed later. Malformed and
// unpaid ones will not.
func retryable(f *fault.Error) bool {
	return !f.NoRetry && f.Kind != fault.Invalid && f.Kind != fault.PaymentRequired
}

// StreamError returns f as the last event of a stream that has begun. No
// [DONE] follows it.
func StreamError(f *fault.Error, requestID, docURL string) []byte {
	b, err := json.Marshal(body(f, requestID, docURL))
	if err != nil { // a detail that JSON does not have
		bare := *f
		bare.Details = nil
		b, _ = json.Marshal(body(&bare, requestID, docURL)) // strings always encode
	}
	event := append(make([]byte, 0, len(b)+8), "data: "...)
	return append(append(event, b...), "\n\n"...)
}

// TypedStreamError is StreamError for streams whose events have a type, such as
// those of Responses. The fields stand at the top, as OpenAI documents them,
// and in an object error, without which OpenAI's clients do not raise.
func TypedStreamError(f *fault.Error, requestID, docURL string, sequence int64) []byte {
	fields := body(f, requestID, docURL).Error
	event := wire.ErrorEvent{Type: "error", Code: fields.Code, Message: fields.Message, Param: fields.Param, SequenceNumber: sequence, Error: fields}
	b, err := json.Marshal(event)
	if err != nil { // a detail that JSON does not have
		event.Error.Details = nil
		b, _ = json.Marshal(event) // strings always encode
	}
	out := append(make([]byte, 0, len(b)+24), "event: error\ndata: "...)
	return append(append(out, b...), "\n\n"...)
}

func body(f *fault.Error, requestID, docURL string) wire.ErrorBody {
	e := wire.ErrorFields{
		Code: f.Code, Message: f.Message, Type: web.ErrorType(f.Kind), Details: f.Details,
		DocURL: docURL + f.Code, RequestID: requestID,
	}
	if f.Param != "" {
		e.Param = &f.Param
	}
	return wire.ErrorBody{Error: e}
}
