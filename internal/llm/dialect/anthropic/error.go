package anthropic

import (
	"encoding/json"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/sse"
	"github.com/rephlo/rephlo/internal/llm/wire"
	wireanthropic "github.com/rephlo/rephlo/internal/llm/wire/anthropic"
)

// Errors writes errors in Anthropic's shape, with our code in it. Dialects
// embed it.
type Errors struct{}

// AppendError implements llm.Dialect.
func (Errors) AppendError(b []byte, f *fault.Error, m llm.ErrorMeta) []byte {
	b = append(wire.Name(wire.String(append(b, '{'), "type", "error"), "error"), '{')
	b = wire.String(b, "type", wireanthropic.Type(f.Kind.Status()))
	b = wire.String(wire.String(b, "message", f.Message), "code", f.Code)
	b = wire.OptString(b, "param", f.Param)
	if len(f.Details) > 0 {
		if details, err := json.Marshal(f.Details); err == nil { // else one of them has no form in JSON
			b = wire.Raw(b, "details", details)
		}
	}
	b = wire.OptString(b, "doc_url", docURL(m, f))
	b = append(b, '}')
	return append(wire.String(b, "request_id", m.RequestID), '}')
}

func docURL(m llm.ErrorMeta, f *fault.Error) string {
	if m.DocURL == "" {
		return ""
	}
	return m.DocURL + f.Code
}

// AppendStreamError implements llm.Dialect.
func (e Errors) AppendStreamError(b []byte, f *fault.Error, m llm.ErrorMeta) []byte {
	return sse.Close(e.AppendError(sse.Open(b, "error"), f, m))
}

// Heartbeat implements llm.Dialect.
func (Errors) Heartbeat() []byte { return ping }

var ping = []byte("event: ping\ndata: {\"type\":\"ping\"}\n\n")
