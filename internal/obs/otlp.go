package obs

import (
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"strconv"
)

// The messages of OTLP/HTTP in JSON (opentelemetry.io/docs/specs/otlp, and the
// JSON mapping of Protocol Buffers: 64-bit integers are texts, ids hexadecimal).

type otlpRequest struct {
	ResourceSpans []otlpResource `json:"resourceSpans"`
}

type otlpResource struct {
	Resource struct {
		Attributes []otlpAttr `json:"attributes"`
	} `json:"resource"`
	ScopeSpans []otlpScope `json:"scopeSpans"`
}

type otlpScope struct {
	Scope struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	} `json:"scope"`
	Spans     []otlpSpan `json:"spans"`
	SchemaURL string     `json:"schemaUrl"`
}

type otlpSpan struct {
	TraceID    string     `json:"traceId"`
	SpanID     string     `json:"spanId"`
	ParentID   string     `json:"parentSpanId,omitempty"`
	Name       string     `json:"name"`
	Kind       int        `json:"kind"`
	Start      string     `json:"startTimeUnixNano"`
	End        string     `json:"endTimeUnixNano"`
	Attributes []otlpAttr `json:"attributes"`
	Status     otlpStatus `json:"status"`
}

type otlpStatus struct {
	Code int `json:"code,omitempty"`
}

type otlpAttr struct {
	Key   string         `json:"key"`
	Value map[string]any `json:"value"`
}

const (
	kindServer, kindClient = 2, 3
	statusError            = 2
	schemaURL              = "https://opentelemetry.io/schemas/gen-ai/1.42.0"
)

// Attr is an attribute of a span. Its name is one of OpenTelemetry's conventions,
// with dots, or ours.
type Attr struct {
	Key   string
	Value slog.Value
}

// Text returns an attribute that is a text.
func Text(key, v string) Attr { return Attr{key, slog.StringValue(v)} }

// Number returns an attribute that is a whole number.
func Number(key string, v int64) Attr { return Attr{key, slog.Int64Value(v)} }

// Fraction returns an attribute that is a number.
func Fraction(key string, v float64) Attr { return Attr{key, slog.Float64Value(v)} }

// Truth returns an attribute that is true or false.
func Truth(key string, v bool) Attr { return Attr{key, slog.BoolValue(v)} }

// encode writes a batch as one request.
func (t *Tracer) encode(batch []*Trace) []byte {
	scope := otlpScope{SchemaURL: schemaURL}
	scope.Scope.Name, scope.Scope.Version = "rephlo", t.Version
	for _, tr := range batch {
		for i := range tr.spans {
			s := &tr.spans[i]
			out := otlpSpan{
				TraceID: tr.ID(), SpanID: hex.EncodeToString(s.id[:]), Name: s.Name, Kind: kindClient,
				Start: strconv.FormatInt(s.Start.UnixNano(), 10), End: strconv.FormatInt(s.End.UnixNano(), 10), Attributes: attributes(s.Attrs),
			}
			switch {
			case i > 0:
				out.ParentID = hex.EncodeToString(tr.spans[0].id[:])
			case tr.parent != [8]byte{}:
				out.ParentID = hex.EncodeToString(tr.parent[:])
			}
			if i == 0 {
				out.Kind = kindServer
			}
			if s.Failed != "" {
				out.Status.Code = statusError
				out.Attributes = append(out.Attributes, otlpAttr{"error.type", value(slog.StringValue(s.Failed))})
			}
			scope.Spans = append(scope.Spans, out)
		}
	}
	resource := otlpResource{ScopeSpans: []otlpScope{scope}}
	resource.Resource.Attributes = attributes([]Attr{Text("service.name", "rephlo"), Text("service.version", t.Version)})
	b, err := json.Marshal(otlpRequest{[]otlpResource{resource}})
	if err != nil { // numbers that JSON does not have
		return []byte("{}")
	}
	return b
}

func attributes(attrs []Attr) []otlpAttr {
	out := make([]otlpAttr, 0, len(attrs))
	for _, a := range attrs {
		out = append(out, otlpAttr{a.Key, value(a.Value)})
	}
	return out
}

func value(v slog.Value) map[string]any {
	switch v.Kind() { //nolint:exhaustive // the rest is written as text
	case slog.KindInt64:
		return map[string]any{"intValue": strconv.FormatInt(v.Int64(), 10)}
	case slog.KindFloat64:
		return map[string]any{"doubleValue": v.Float64()}
	case slog.KindBool:
		return map[string]any{"boolValue": v.Bool()}
	default:
		return map[string]any{"stringValue": v.String()}
	}
}
