package web

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
)

var errCrossSite = fault.New(fault.Forbidden, "cross_site_request", "The request came from another site's page. Open this page itself and try again.")

// fail turns an error into an answer and a log line: the only place that does.
func (m *Mux) fail(w http.ResponseWriter, r *http.Request, rt *route, err error) {
	f := Classify(err)
	if f.Kind == fault.Internal {
		m.cfg.Log.ErrorContext(r.Context(), "request failed", "request_id", RequestID(w), "route", rt.path, "err", err)
	} else {
		Note(w, slog.String("code", f.Code))
		if f.Kind.Status() >= 500 {
			m.cfg.Log.WarnContext(r.Context(), "request failed", "request_id", RequestID(w), "route", rt.path, "err", err)
		}
	}
	if res, ok := w.(*Response); ok && res.Started() {
		return // too late to say anything; the handler has ended the body
	}
	if res, ok := w.(*Response); ok && res.body.ReadCloser != nil && !res.body.ended {
		// What is left of the body must not be read as the next request.
		w.Header().Set("Connection", "close")
	}
	ErrorHeaders(w, f)
	if m.cfg.Challenge != nil && (f.Kind == fault.Unauthenticated || f.Code == "insufficient_scope") {
		w.Header().Set("WWW-Authenticate", m.cfg.Challenge(f.Code, f.Details))
	}
	rt.errors(w, r, f)
}

// Classify returns the fault that err is, with the errors of net/http's body
// limit translated.
func Classify(err error) *fault.Error {
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return ErrTooLarge.Saying("The body is larger than the %d bytes that this endpoint takes. Send less.", large.Limit).Because(err)
	}
	return fault.From(err)
}

// ErrorHeaders sets the headers that go with f on every surface.
func ErrorHeaders(w http.ResponseWriter, f *fault.Error) {
	h := w.Header()
	if f.RetryAfter > 0 {
		seconds := int64((f.RetryAfter + time.Second - 1) / time.Second)
		h.Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	if f.NoRetry {
		h.Set("X-Should-Retry", "false")
	}
}

// ErrorType returns the word that groups a fault for SDKs, as OpenAI does.
func ErrorType(k fault.Kind) string {
	switch k {
	case fault.Unauthenticated:
		return "authentication_error"
	case fault.PaymentRequired:
		return "insufficient_quota"
	case fault.Forbidden:
		return "permission_error"
	case fault.Conflict, fault.PreconditionFailed:
		return "conflict_error"
	case fault.RateLimited:
		return "rate_limit_error"
	case fault.Internal, fault.Upstream, fault.Unavailable, fault.UpstreamTimeout:
		return "server_error"
	default:
		return "invalid_request_error"
	}
}

// errorBody is the error shape of the product's own endpoints.
type errorBody struct {
	Error errorFields `json:"error"`
}

type errorFields struct {
	Code      string         `json:"code" doc:"What went wrong, for programs; it never changes its meaning"`
	Message   string         `json:"message" doc:"What went wrong and what to do, for people"`
	Type      string         `json:"type" enum:"invalid_request_error,authentication_error,insufficient_quota,permission_error,conflict_error,rate_limit_error,server_error"`
	Param     *string        `json:"param" doc:"The field or header that is wrong"`
	Details   map[string]any `json:"details" nullable:"true" doc:"What a program may want to know further"`
	DocURL    string         `json:"docUrl" doc:"Where the code is explained"`
	RequestID string         `json:"requestId"`
}

func (m *Mux) body(requestID string, f *fault.Error) errorBody {
	var b errorBody
	b.Error.Code, b.Error.Message, b.Error.Type = f.Code, f.Message, ErrorType(f.Kind)
	if f.Param != "" {
		b.Error.Param = &f.Param
	}
	b.Error.Details = f.Details
	b.Error.DocURL = m.cfg.DocURL + f.Code
	b.Error.RequestID = requestID
	return b
}

func (m *Mux) writeError(w http.ResponseWriter, _ *http.Request, f *fault.Error) {
	_ = JSON(w, f.Kind.Status(), m.body(RequestID(w), f)) // our own body; it always encodes
}

// JSON writes v with the given status.
func JSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // a client that left is not our error
	return nil
}
