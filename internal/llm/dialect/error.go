package dialect

import (
	"net/http"
	"strconv"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/web"
)

// WriteError returns a web.ErrorWriter whose bodies are those of d. docURL
// precedes a code. The headers tell the vendors' clients whether and when to
// try again: x-should-retry is false where the same request cannot succeed, and
// retry-after-ms stands beside Retry-After.
func WriteError(d interface {
	AppendError(dst []byte, f *fault.Error, m llm.ErrorMeta) []byte
}, docURL string,
) web.ErrorWriter {
	return func(w http.ResponseWriter, _ *http.Request, f *fault.Error) {
		h := w.Header()
		if !retryable(f) {
			h.Set("X-Should-Retry", "false")
		}
		if f.RetryAfter > 0 {
			h.Set("Retry-After-Ms", strconv.FormatInt(max(1, f.RetryAfter.Milliseconds()), 10))
		}
		id := web.RequestID(w)
		if id != "" {
			h.Set("Request-Id", id)
		}
		h.Set("Content-Type", "application/json")
		body := d.AppendError(nil, f, llm.ErrorMeta{RequestID: id, DocURL: docURL})
		h.Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(f.Kind.Status())
		_, _ = w.Write(body) // a client that left gets no error
	}
}

// retryable reports whether the same request may succeed later. Malformed and
// unpaid ones will not.
func retryable(f *fault.Error) bool {
	return !f.NoRetry && f.Kind != fault.Invalid && f.Kind != fault.PaymentRequired
}
