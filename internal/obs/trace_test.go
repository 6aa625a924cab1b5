package obs_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/obs"
)

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestTraceparentIsReadStrictly(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct{ known, sampled bool }{
		traceparent: {true, true},
		strings.TrimSuffix(traceparent, "1") + "0": {true, false},
		"cc" + traceparent[2:] + "-more":           {true, true}, // a later version may say more
		traceparent + "-more":                      {},
		"ff" + traceparent[2:]:                     {},
		strings.ToUpper(traceparent):               {},
		traceparent[1:]:                            {},
		"":                                         {},
		"00-00000000000000000000000000000000-b7ad6b7169203331-01": {},
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01": {},
		"00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01": {},
	} {
		trace, parent, sampled := obs.ParseTraceparent(text)
		if known := trace != [16]byte{} && parent != [8]byte{}; known != want.known || sampled != want.sampled {
			t.Errorf("%q: known %v, sampled %v, want %+v", text, known, sampled, want)
		}
	}
}

func FuzzTraceparent(f *testing.F) {
	f.Add(traceparent)
	f.Add("cc" + traceparent[2:] + "-more")
	f.Fuzz(func(t *testing.T, text string) {
		trace, parent, sampled := obs.ParseTraceparent(text)
		if (trace == [16]byte{}) != (parent == [8]byte{}) || sampled && trace == [16]byte{} {
			t.Errorf("%q: %x %x %v", text, trace, parent, sampled)
		}
	})
}

// receiver is a collector that speaks OTLP/HTTP in JSON.
func receiver(t *testing.T, status int) (*httptest.Server, func() []map[string]any, *atomic.Int64) {
	t.Helper()
	got := make(chan []byte, 100)
	var calls atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		calls.Add(1)
		if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("the receiver was sent %s %s %v", r.Method, r.URL, r.Header)
		}
		w.WriteHeader(status)
		got <- body
	}))
	t.Cleanup(s.Close)
	return s, func() []map[string]any {
		close(got)
		var out []map[string]any
		for body := range got {
			var in struct {
				ResourceSpans []struct {
					ScopeSpans []struct{ Spans []map[string]any }
				}
			}
			if err := json.Unmarshal(body, &in); err != nil {
				t.Fatal(err)
			}
			out = append(out, in.ResourceSpans[0].ScopeSpans[0].Spans...)
		}
		return out
	}, &calls
}

func tracer(t *testing.T, endpoint string, oneIn uint64) *obs.Tracer {
	t.Helper()
	return obs.NewTracer(obs.TraceOptions{
		Endpoint: endpoint, Header: http.Header{"Authorization": {"Bearer secret"}}, OneIn: oneIn, Version: "v", Log: slog.New(slog.DiscardHandler),
	})
}

func TestSpansReachTheReceiver(t *testing.T) {
	t.Parallel()
	at, spans, _ := receiver(t, http.StatusOK)
	tr := tracer(t, at.URL, 1)
	start := time.Unix(100, 5)
	trace := tr.Begin([]string{traceparent}, start)
	trace.Add(obs.Span{Name: "chat m", Start: start, End: start.Add(time.Second), Failed: "rate", Attrs: []obs.Attr{
		obs.Number("n", 1<<60), obs.Truth("b", true), obs.Fraction("f", 0.5), obs.Text("s", "x"),
	}})
	trace.End(obs.Span{Name: "POST /x", End: start.Add(2 * time.Second)})
	if err := tr.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := spans()
	if len(got) != 2 {
		t.Fatalf("the receiver got %v", got)
	}
	server, attempt := got[0], got[1]
	if server["traceId"] != "0af7651916cd43dd8448eb211c80319c" || server["parentSpanId"] != "b7ad6b7169203331" || server["kind"] != 2.0 || server["startTimeUnixNano"] != "100000000005" {
		t.Errorf("the span of the server: %v", server)
	}
	if attempt["parentSpanId"] != server["spanId"] || attempt["kind"] != 3.0 || attempt["traceId"] != server["traceId"] {
		t.Errorf("the span below: %v", attempt)
	}
	text, _ := json.Marshal(attempt)
	for _, want := range []string{`{"key":"n","value":{"intValue":"1152921504606846976"}}`, `"boolValue":true`, `"doubleValue":0.5`, `"stringValue":"x"`, `{"key":"error.type","value":{"stringValue":"rate"}}`, `"status":{"code":2}`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the span below lacks %s: %s", want, text)
		}
	}
}

// A receiver that refuses or is not there costs traces and nothing else.
func TestLostTracesAreCounted(t *testing.T) {
	t.Parallel()
	at, _, calls := receiver(t, http.StatusServiceUnavailable)
	m := obs.NewMetrics("test")
	tr := tracer(t, at.URL, 1)
	tr.Observe(m)
	tr.Begin(nil, time.Now()).End(obs.Span{Name: "x"})
	if err := tr.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if calls.Load() != 1 || !strings.Contains(rec.Body.String(), "rephlo_traces_dropped_total 1") {
		t.Errorf("%d calls, metrics: %s", calls.Load(), rec.Body)
	}
}

// What is not traced costs nothing: no allocation without a Tracer, and none
// for a request that is not picked.
func TestUntracedRequestsAllocateNothing(t *testing.T) {
	at, _, _ := receiver(t, http.StatusOK)
	rare := tracer(t, at.URL, 1<<62)
	defer func() { _ = rare.Stop(context.Background()) }()
	header := []string{strings.TrimSuffix(traceparent, "1") + "0"}
	for name, tr := range map[string]*obs.Tracer{"none": nil, "rare": rare} {
		if n := testing.AllocsPerRun(1000, func() {
			if tr.Begin(header, time.Time{}) != nil {
				t.Error("traced")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
