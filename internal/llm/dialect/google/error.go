package google

import (
	"encoding/json"
	"maps"
	"net/http"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/dialect"
	"github.com/rephlo/rephlo/internal/web"
)

// WriteError returns a web.ErrorWriter for Google's endpoints. docURL precedes
// a code.
func WriteError(docURL string) web.ErrorWriter { return dialect.WriteError(Gemini{}, docURL) }

// errorBody is google.rpc.Status as JSON.
type errorBody struct {
	Error struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Status  string `json:"status"`
		Details []any  `json:"details"`
	} `json:"error"`
}

// errorInfo is google.rpc.ErrorInfo.
type errorInfo struct {
	Type     string         `json:"@type"`
	Reason   string         `json:"reason"` // our code
	Domain   string         `json:"domain"`
	Metadata map[string]any `json:"metadata,omitempty"`
}

// words are google.rpc.Code by HTTP status.
var words = map[int]string{
	http.StatusBadRequest: "INVALID_ARGUMENT", http.StatusRequestEntityTooLarge: "INVALID_ARGUMENT", http.StatusUnsupportedMediaType: "INVALID_ARGUMENT",
	http.StatusUnauthorized: "UNAUTHENTICATED", http.StatusPaymentRequired: "FAILED_PRECONDITION", http.StatusForbidden: "PERMISSION_DENIED",
	http.StatusNotFound: "NOT_FOUND", http.StatusConflict: "ABORTED", http.StatusTooManyRequests: "RESOURCE_EXHAUSTED",
	http.StatusInternalServerError: "INTERNAL", http.StatusBadGateway: "UNAVAILABLE", http.StatusServiceUnavailable: "UNAVAILABLE",
	http.StatusGatewayTimeout: "DEADLINE_EXCEEDED",
}

// AppendError implements llm.Dialect.
func (Gemini) AppendError(dst []byte, f *fault.Error, m llm.ErrorMeta) []byte {
	var e errorBody
	e.Error.Code, e.Error.Message = f.Kind.Status(), f.Message
	if e.Error.Status = words[e.Error.Code]; e.Error.Status == "" {
		e.Error.Status = "UNKNOWN"
	}
	about := map[string]any{"docUrl": m.DocURL + f.Code, "requestId": m.RequestID}
	if f.Param != "" {
		about["param"] = f.Param
	}
	maps.Copy(about, f.Details)
	info := errorInfo{Type: "type.googleapis.com/google.rpc.ErrorInfo", Reason: f.Code, Domain: "rephlo", Metadata: about}
	e.Error.Details = []any{info}
	b, err := json.Marshal(e)
	if err != nil { // a detail that JSON does not have
		info.Metadata = nil
		e.Error.Details = []any{info}
		b, _ = json.Marshal(e) // strings always encode
	}
	return append(dst, b...)
}

// AppendStreamError implements llm.Dialect.
func (g Gemini) AppendStreamError(dst []byte, f *fault.Error, m llm.ErrorMeta) []byte {
	dst = g.AppendError(append(dst, "data: "...), f, m)
	return append(dst, "\n\n"...)
}

// Heartbeat implements llm.Dialect. There is none: Google's clients take a
// comment for a part of the next event, or for an error.
func (Gemini) Heartbeat() []byte { return nil }
