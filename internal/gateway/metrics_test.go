package gateway_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/gateway"
	"github.com/rephlo/rephlo/internal/obs"
)

func TestMetricsCountWhatBecomesOfCalls(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		m := obs.NewMetrics("test")
		w.calls.Observe(m)
		w.remembers = true
		w.one.does(says(200, okAnswer))
		w.post(chat("single", ""))
		w.one.does(says(200, `{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}`))
		w.post(chat("single", ""))
		w.one.does(says(400, "{}"))
		w.post(chat("single", ""))
		w.one.does(says(503, "{}"))
		w.two.does(says(200, okAnswer))
		w.post(chat("failing", ""))
		w.one.does(says(200, okAnswer))
		w.send(t.Context(), "/v1/messages", message("single", `,"top_k":5,"odd":1`))
		w.post(chat("single", ""), "Authorization", "Bearer slow")
		w.post(chat("single", ""), "Authorization", "Bearer slow")
		w.check(t.Context())
		got := scrape(m)
		for _, want := range []string{
			`rephlo_llm_requests_total{model="single",outcome="success",provider="one"} 4`, `rephlo_llm_requests_total{model="single",outcome="refused",provider="one"} 1`,
			`rephlo_llm_requests_total{model="dear",outcome="success",provider="two"} 1`,
			`rephlo_llm_attempts_total{provider="one",result="ok"} 4`, `rephlo_llm_attempts_total{provider="one",result="invalid"} 1`, `rephlo_llm_attempts_total{provider="two",result="ok"} 1`,
			`rephlo_llm_fallbacks_total 1`, `rephlo_llm_usage_estimated_total 1`, `rephlo_llm_usage_suspect_total 0`, `rephlo_llm_uncollected_total 0`,
			`rephlo_limit_refusals_total{limit="requests"} 1`, `rephlo_llm_ends_total{ending="finished"} 4`, `rephlo_llm_ends_total{ending="estimated"} 1`, `rephlo_llm_ends_total{ending="failed"} 1`,
			`rephlo_llm_warnings_total{kind="unknown"} 1`, `rephlo_llm_overhead_seconds_count 5`, `rephlo_llm_hold_ratio_count 5`, `rephlo_streams_active 0`, `rephlo_body_bytes 0`,
			`rephlo_llm_retry_ratio 0`, `rephlo_llm_drains_active 0`, `rephlo_provider_breaker_open{provider="one"} 0`, `rephlo_provider_key_state{provider="two",state="active"} 1`,
		} {
			if !strings.Contains(got, want+"\n") {
				t.Errorf("%s is not there", want)
			}
		}
		if t.Failed() {
			t.Log(got)
		}
	})
}

// Whoever makes many models does not make the metrics grow without a bound.
func TestLabelsAreBounded(t *testing.T) {
	t.Parallel()
	m := obs.NewMetrics("test")
	c := gateway.NewCounted(m, "c_total", 3)
	for i := range 10 {
		for range 2 {
			c(strconv.Itoa(i), "x"+strconv.Itoa(i))
		}
	}
	got := scrape(m)
	if !strings.Contains(got, `rephlo_c_total{a="0",b="x0"} 2`) || !strings.Contains(got, `rephlo_c_total{a="other",b="x9"} 2`) || strings.Contains(got, `a="3"`) {
		t.Error(got)
	}
}
