package gateway_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/obs"
)

const (
	parentTrace = "0af7651916cd43dd8448eb211c80319c"
	sampled     = "00-" + parentTrace + "-b7ad6b7169203331-01"
)

// traceOf makes calls with all traced by a real receiver and returns its spans
// as text, in their order.
func traceOf(t *testing.T, w *world, m *obs.Metrics, calls func()) []string {
	t.Helper()
	got := make(chan []byte, 100)
	at := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- body
	}))
	defer at.Close()
	tracer := obs.NewTracer(obs.TraceOptions{Endpoint: at.URL, OneIn: 1 << 62, Version: "test", Log: slog.New(slog.DiscardHandler)})
	w.calls.Trace(tracer)
	w.calls.Observe(m)
	calls()
	w.check(t.Context()) // their ends are written
	if err := tracer.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(got)
	var out []string
	for body := range got {
		var in struct {
			ResourceSpans []struct {
				ScopeSpans []struct{ Spans []json.RawMessage }
			}
		}
		if err := json.Unmarshal(body, &in); err != nil {
			t.Fatal(err)
		}
		for _, s := range in.ResourceSpans[0].ScopeSpans[0].Spans {
			out = append(out, string(s))
		}
	}
	return out
}

// A sampled call has a span for the server and one for each attempt, with what
// was used and charged, and nothing of what was written or read. One that is not
// sampled has none.
func TestTracesShowAttemptsAndNoContents(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		m := obs.NewMetrics("test")
		w.one.does(says(503, "{}"))
		w.two.does(says(200, strings.Replace(okAnswer, "Hello there", "an answer to keep", 1)))
		spans := traceOf(t, w, m, func() {
			if r := w.post(strings.Replace(chat("failing", ""), "hi", "a question to keep", 1), "Traceparent", sampled); r.status != 200 {
				t.Fatalf("%d %s", r.status, r.body)
			}
			if r := w.post(chat("failing", "")); r.status != 200 {
				t.Fatalf("%d %s", r.status, r.body)
			}
			if r := w.post(chat("nonsense", ""), "Traceparent", sampled); r.status != 404 {
				t.Fatalf("%d %s", r.status, r.body)
			}
		})
		var servers, attempts []string
		for _, s := range spans {
			if !strings.Contains(s, `"traceId":"`+parentTrace+`"`) || strings.Contains(s, "to keep") || strings.Contains(s, plantedKey) {
				t.Errorf("span %s", s)
			}
			if strings.Contains(s, `"kind":2`) {
				servers = append(servers, s)
			} else {
				attempts = append(attempts, s)
			}
		}
		if len(servers) != 2 || len(attempts) < 2 {
			t.Fatalf("%d spans of the server, %d of attempts, want 2 and those of both models: %v", len(servers), len(attempts), spans)
		}
		for _, want := range []string{`"name":"POST /v1/chat/completions"`, `"parentSpanId":"b7ad6b7169203331"`, `{"key":"http.response.status_code","value":{"intValue":"200"}}`, `"rephlo.charge"`} {
			if !strings.Contains(servers[0], want) {
				t.Errorf("the span of the server lacks %s: %s", want, servers[0])
			}
		}
		if !strings.Contains(servers[1], `{"key":"http.response.status_code","value":{"intValue":"404"}}`) {
			t.Errorf("the span of a refusal: %s", servers[1])
		}
		first, last := attempts[0], attempts[len(attempts)-1]
		if !strings.Contains(first, `"status":{"code":2}`) || !strings.Contains(first, `"error.type"`) || strings.Contains(first, "usage") || !strings.Contains(first, `"name":"chat failing"`) {
			t.Errorf("the first attempt: %s", first)
		}
		for _, want := range []string{
			`"name":"chat dear"`, `{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}}`, `{"key":"gen_ai.provider.name","value":{"stringValue":"two"}}`,
			`{"key":"gen_ai.request.model","value":{"stringValue":"dear"}}`, `{"key":"gen_ai.usage.input_tokens","value":{"intValue":"10"}}`,
			`{"key":"gen_ai.usage.output_tokens","value":{"intValue":"5"}}`, `"rephlo.lane"`, `"status":{}`,
		} {
			if !strings.Contains(last, want) {
				t.Errorf("the last attempt lacks %s: %s", want, last)
			}
		}
		rec := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
		r.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
		m.Handler().ServeHTTP(rec, r)
		if body := rec.Body.String(); !strings.Contains(body, `# {trace_id="`+parentTrace+`"}`) || !strings.Contains(body, "rephlo_llm_request_seconds_count 2") {
			t.Errorf("the metrics lack the example: %s", body)
		}
	})
}
