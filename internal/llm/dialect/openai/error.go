package openai

import (
	"encoding/json"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/dialect"
	wire "github.com/rephlo/rephlo/internal/llm/wire/openai"
	"github.com/rephlo/rephlo/internal/web"
)

// Errors writes errors in OpenAI's shape. Dialects embed it.
type Errors struct{}

// WriteError returns a web.ErrorWriter for OpenAI's endpoints. docURL precedes
// a code in doc_url.
func WriteError(docURL string) web.ErrorWriter { return dialect.WriteError(Errors{}, docURL) }

// AppendError implements llm.Dialect.
func (Errors) AppendError(dst []byte, f *fault.Error, m llm.ErrorMeta) []byte {
	b, err := json.Marshal(body(f, m))
	if err != nil { // a detail that JSON does not have
		bare := *f
		bare.Details = nil
		b, _ = json.Marshal(body(&bare, m)) // strings always encode
	}
	return append(dst, b...)
}

// AppendStreamError implements llm.Dialect. No [DONE] follows the event.
func (e Errors) AppendStreamError(dst []byte, f *fault.Error, m llm.ErrorMeta) []byte {
	dst = e.AppendError(append(dst, "data: "...), f, m)
	return append(dst, "\n\n"...)
}

// Heartbeat implements llm.Dialect. Without a blank line, because some decoders
// dispatch an empty event on it.
func (Errors) Heartbeat() []byte { return ping }

var ping = []byte(": ping\n")

// TypedStreamError is AppendStreamError for streams whose events have a type, such as
// those of Responses. The fields stand at the top, as OpenAI documents them,
// and in an object error, without which OpenAI's clients do not raise.
func TypedStreamError(f *fault.Error, m llm.ErrorMeta, sequence int64) []byte {
	fields := body(f, m).Error
	event := wire.ErrorEvent{Type: "error", Code: fields.Code, Message: fields.Message, Param: fields.Param, SequenceNumber: sequence, Error: fields}
	b, err := json.Marshal(event)
	if err != nil { // a detail that JSON does not have
		event.Error.Details = nil
		b, _ = json.Marshal(event) // strings always encode
	}
	out := append(make([]byte, 0, len(b)+24), "event: error\ndata: "...)
	return append(append(out, b...), "\n\n"...)
}

func body(f *fault.Error, m llm.ErrorMeta) wire.ErrorBody {
	e := wire.ErrorFields{
		Code: f.Code, Message: f.Message, Type: web.ErrorType(f.Kind), Details: f.Details,
		DocURL: m.DocURL + f.Code, RequestID: m.RequestID,
	}
	if f.Param != "" {
		e.Param = &f.Param
	}
	return wire.ErrorBody{Error: e}
}
