package obs_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/obs"
)

func TestMetricsAreShown(t *testing.T) {
	t.Parallel()
	m := obs.NewMetrics("1.2.3")
	h := m.Histogram("gate_seconds", "How long.", []float64{.001, 1}, obs.Label{Name: "gate", Value: "a"})
	m.Histogram("gate_seconds", "How long.", []float64{.001, 1}, obs.Label{Name: "gate", Value: "b"}).Seconds(time.Second)
	h.Seconds(500 * time.Microsecond)
	h.Seconds(2 * time.Second)
	n := 0
	m.Counter("calls_total", "How many.", []string{"ending"}, func(emit obs.Emit) { n++; emit(float64(n), "finished") })
	m.Gauge("open", "How many now.", nil, func(emit obs.Emit) { emit(7) })
	var body string
	for range 2 {
		rec := httptest.NewRecorder()
		m.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		body = rec.Body.String()
	}
	for _, want := range []string{
		`rephlo_build_info{version="1.2.3"} 1`,
		`rephlo_gate_seconds_bucket{gate="a",le="0.001"} 1`, `rephlo_gate_seconds_bucket{gate="a",le="+Inf"} 2`, `rephlo_gate_seconds_count{gate="b"} 1`,
		`rephlo_calls_total{ending="finished"} 2`, "rephlo_open 7", "go_goroutines", "process_open_fds",
	} {
		if !strings.Contains(body, want+"\n") && !strings.Contains(body, want+" ") {
			t.Errorf("%s is missing in\n%s", want, body)
		}
	}
}

func TestObservingAllocatesNothing(t *testing.T) { //nolint:paralleltest // others' allocations would count
	var none *obs.Metrics
	for _, m := range []*obs.Metrics{none, obs.NewMetrics("")} {
		h := m.Histogram("x_seconds", "X.", obs.Latencies)
		m.Gauge("x", "X.", nil, func(obs.Emit) {})
		if n := testing.AllocsPerRun(1000, func() { h.Seconds(time.Microsecond) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	h := obs.NewMetrics("").Histogram("x_seconds", "X.", obs.Latencies)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			h.Seconds(time.Microsecond)
		}
	})
}
