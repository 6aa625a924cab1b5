package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// What another model answers is priced by that model, up to the hold, which
// was made for the dearest of them.
func TestAFallbackAnswersAtItsOwnPrice(t *testing.T) {
	t.Parallel()
	// 10 in and 5 out: 20 µ$ of dear are 0.003 credits at 1.5, so one increment;
	// a thousand times that is 3 credits.
	big := strings.NewReplacer(`"prompt_tokens":10`, `"prompt_tokens":1000`, `"completion_tokens":5`, `"completion_tokens":500`)
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		n := 0
		for _, tt := range []struct {
			name    string
			failure http.HandlerFunc
			rest    string
			header  []string
			status  int
			model   string
			charged int64
		}{
			{"overloaded", says(503, "{}"), "", nil, 200, "dear", 1_200_000},
			{"rate", says(429, "{}"), "", nil, 200, "dear", 1_200_000},
			{"refused credential", says(401, "{}"), "", nil, 200, "dear", 1_200_000},
			{"streamed", says(500, "{}"), `,"stream":true,"stream_options":{"include_usage":true}`, nil, 200, "dear", 1_200_000},
			{"the first names no context", says(400, `{"error":{"code":"context_length_exceeded","message":"x"}}`), "", nil, 400, "", 0},
			{"a bad request has no other", says(400, "{}"), "", nil, 400, "", 0},
			{"switched off", says(500, "{}"), "", []string{"X-Rephlo-Fallback", "off"}, 502, "", 0},
		} {
			w.one.does(tt.failure)
			w.two.does(func(rw http.ResponseWriter, r *http.Request) {
				if strings.Contains(tt.rest, "stream") {
					streams(role, token("ok"), stop, big.Replace(total), done)(rw, r)
				} else {
					says(200, big.Replace(okAnswer))(rw, r)
				}
			})
			r := w.post(chat("failing", tt.rest), tt.header...)
			if r.status != tt.status || r.header.Get("X-Rephlo-Model") != tt.model {
				t.Errorf("%s: %d by %q, want %d by %q: %s", tt.name, r.status, r.header.Get("X-Rephlo-Model"), tt.status, tt.model, r.body)
			}
			n++
			if got := w.last(n); int64(got.Charged) != tt.charged {
				t.Errorf("%s: charged %d, want %d", tt.name, got.Charged, tt.charged)
			}
		}
	})
}

// Each model of a chain has a multiplier of its own: the hold is enough for the
// dearest, and the one that answers is charged by its own.
func TestAFallbackIsChargedByItsOwnMultiplier(t *testing.T) {
	t.Parallel()
	big := strings.NewReplacer(`"prompt_tokens":10`, `"prompt_tokens":1000`, `"completion_tokens":5`, `"completion_tokens":500`)
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.margins = map[string]int64{"dear": 60_000, "failing": 10_000}
		w.one.does(says(503, "{}"))
		w.two.does(says(200, big.Replace(okAnswer)))
		if r := w.post(chat("failing", "")); r.status != 200 || r.header.Get("X-Rephlo-Model") != "dear" {
			t.Errorf("%d by %q: %s", r.status, r.header.Get("X-Rephlo-Model"), r.body)
		}
		got := w.last(1)
		if got.Charged != 4*1_200_000 {
			t.Errorf("charged %d, want four times what 15,000 charges", got.Charged)
		}
	})
}

// The chain goes on to the next model that may follow the failure.
func TestTheNextFallbackFollowsWhenTheFirstFailsToo(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		var calls atomic.Int64
		w.one.does(func(rw http.ResponseWriter, r *http.Request) {
			if calls.Add(1); strings.Contains(w.one.lastBody(), `"vc"`) {
				says(200, okAnswer)(rw, r)
				return
			}
			says(500, "{}")(rw, r)
		})
		w.two.does(says(500, "{}"))
		r := w.post(chat("failing", ""))
		if r.status != 200 || r.header.Get("X-Rephlo-Model") != "cheap" || r.header.Get("X-Rephlo-Attempts") != "7" {
			t.Errorf("%d by %q after %s tries", r.status, r.header.Get("X-Rephlo-Model"), r.header.Get("X-Rephlo-Attempts"))
		}
		if got := w.last(1); got.Charged != 10_000 || got.Provider != "one" {
			t.Errorf("record %+v", got)
		}
	})
}

// A fallback that the user cannot pay for is not begun.
func TestTheHoldIsThatOfTheDearestModel(t *testing.T) {
	t.Parallel()
	run(t, quick(), 300_000, func(t *testing.T, w *world) { // 0.3 credits pay for 400 tokens of failing, not of dear
		w.one.does(says(200, okAnswer))
		if r := w.post(chat("failing", `,"max_tokens":400`)); r.status != http.StatusPaymentRequired {
			t.Errorf("%d %s", r.status, r.body)
		}
		if r := w.post(chat("failing", `,"max_tokens":400`), "X-Rephlo-Fallback", "off"); r.status != http.StatusOK {
			t.Errorf("without fallbacks: %d %s", r.status, r.body)
		}
	})
}

// One deployment is asked again after a short while, when the failure may pass.
func TestTheOnlyDeploymentIsTriedAgain(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		for i, tt := range []struct {
			name  string
			first http.HandlerFunc
			tries string
			want  int
		}{
			{"500", says(500, "{}"), "2", 200},
			{"429 that passes soon", says(429, "{}", "Retry-After-Ms", "20"), "2", 200},
			{"429 that lasts", says(429, "{}", "Retry-After", "30"), "", 429},
			{"400", says(400, "{}"), "", 400},
		} {
			var calls atomic.Int64
			w.one.does(func(rw http.ResponseWriter, r *http.Request) {
				if calls.Add(1) == 1 {
					tt.first(rw, r)
					return
				}
				says(200, okAnswer)(rw, r)
			})
			r := w.post(chat("single", ""))
			if r.status != tt.want || r.header.Get("X-Rephlo-Attempts") != tt.tries {
				t.Errorf("%s: %d after %q tries", tt.name, r.status, r.header.Get("X-Rephlo-Attempts"))
			}
			w.last(i + 1)
		}
	})
}

// A deployment at its vendor's limit is left alone for as long as was asked.
func TestACoolingDeploymentIsNotCalled(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.remembers = true
		w.one.does(says(429, "{}", "Retry-After", "30"))
		w.two.does(says(200, okAnswer))
		for n := range 3 {
			if r := w.post(chat("m", "")); r.status != 200 || w.last(n+1).Provider != "two" {
				t.Fatalf("%d %s", r.status, r.body)
			}
		}
		if n := w.one.calls.Load(); n != 1 {
			t.Errorf("the deployment was called %d times, want once", n)
		}
		w.two.does(says(429, "{}", "Retry-After", "20"))
		w.post(chat("m", ""))
		r := w.post(chat("m", ""))
		if r.status != 429 || r.code() != "upstream_rate_limited" {
			t.Fatalf("%d %s", r.status, r.body)
		}
		if wait, err := time.ParseDuration(r.header.Get("Retry-After") + "s"); err != nil || wait > 20*time.Second || wait < 15*time.Second {
			t.Errorf("Retry-After %q, want what is left of the shorter wait", r.header.Get("Retry-After"))
		}
		if one, two := w.one.calls.Load(), w.two.calls.Load(); one != 1 || two != 4 {
			t.Errorf("calls %d and %d, want 1 and 4", one, two)
		}
	})
}

// The test model fails as it is told to, for whoever tells it, and stays well
// for all others.
func TestScriptedFailuresDoNotCountAgainstTheTestVendor(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.remembers = true
		for range 8 {
			body := `{"model":"test-echo","messages":[{"role":"user","content":"#test error=401"}]}`
			if r := w.post(body); r.status != 502 {
				t.Fatalf("%d %s", r.status, r.body)
			}
		}
		if r := w.post(chat("test-echo", "")); r.status != 200 {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
}

// Conversations are spread over deployments of one priority, and each stays at
// its own.
func TestAConversationStaysAtItsDeployment(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.one.does(says(200, okAnswer))
		w.two.does(says(200, okAnswer))
		seen := map[string]bool{}
		for n := range 24 {
			key := fmt.Sprint("conversation ", n/2)
			w.post(chat("shared", ""), "X-Rephlo-Affinity", key)
			at := w.last(n + 1).Provider
			if n%2 == 1 && !seen[key+at] {
				t.Errorf("%s moved", key)
			}
			seen[key+at], seen[at] = true, true
		}
		if !seen["one"] || !seen["two"] {
			t.Errorf("all conversations met one deployment: %v", seen)
		}
	})
}
