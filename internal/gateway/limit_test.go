package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rephlo/rephlo/internal/limit"
	"github.com/rephlo/rephlo/internal/money"
)

// limitOf is details.limit of a refusal, with its scope.
func limitOf(r reply) string {
	var body struct {
		Error struct {
			Details struct{ Limit, Scope string } `json:"details"`
		} `json:"error"`
	}
	_ = json.Unmarshal([]byte(r.body), &body) // empty then
	return body.Error.Details.Scope + " " + body.Error.Details.Limit
}

func TestTheLimitsOfATierAreKept(t *testing.T) {
	t.Parallel()
	run(t, quick(), 1000*money.Credit, func(t *testing.T, w *world) {
		w.one.does(says(200, okAnswer))
		w.plans.set("free") // ten calls a minute
		first := w.post(chat("single", ""))
		if h := first.header; h.Get("X-Ratelimit-Limit-Requests") != "10" || h.Get("X-Ratelimit-Remaining-Requests") != "9" || h.Get("X-Ratelimit-Limit-Tokens") != "10000" ||
			!strings.HasPrefix(h.Get("Ratelimit-Policy"), `"requests";q=10;w=60, "tokens";q=10000;w=60`) || !strings.HasPrefix(h.Get("Ratelimit"), `"requests";r=9;t=`) || h.Get("X-Ratelimit-Reset-Requests") == "" {
			t.Errorf("headers %v", h)
		}
		served := 1
		var last reply
		for range 30 {
			if last = w.post(chat("single", "")); last.status == 429 {
				break
			}
			served++
		}
		if served < 10 || served > 12 || int(w.one.calls.Load()) != served { // one more comes back each six seconds
			t.Errorf("%d were served, the vendor had %d", served, w.one.calls.Load())
		}
		if last.code() != "rate_limit_exceeded" || limitOf(last) != "user requests" || last.header.Get("Retry-After") == "" || last.header.Get("Retry-After-Ms") == "" || last.header.Get("X-Ratelimit-Remaining-Requests") != "0" {
			t.Errorf("%s with %v", last.body, last.header)
		}
		if r := w.post(chat("single", ""), "Authorization", "Bearer poor"); r.status != 402 {
			t.Errorf("another user: %d %s", r.status, r.body)
		}
	})
}

func TestSomebodysOwnLimitsAreKept(t *testing.T) {
	t.Parallel()
	run(t, quick(), 1000*money.Credit, func(t *testing.T, w *world) {
		w.one.does(says(200, okAnswer))
		w.plans.set("free")
		w.own.Store(&limit.Override{UserID: user, CreditsPerDay: 1})
		if r := w.post(chat("single", "")); r.status != 429 || r.code() != "daily_credit_limit" {
			t.Errorf("with a millionth of a credit for the day: %d %s", r.status, r.body)
		}
		w.own.Store(&limit.Override{UserID: user, RequestsPerMinute: 3})
		for n := range 5 {
			r := w.post(chat("single", ""))
			if want := n < 3; (r.status == 200) != want || !want && limitOf(r) != "user requests" || r.header.Get("X-Ratelimit-Limit-Requests") != "3" {
				t.Errorf("call %d: %d %s of %s", n+1, r.status, r.body, r.header.Get("X-Ratelimit-Limit-Requests"))
			}
		}
		w.own.Store(nil)
		if r := w.post(chat("single", "")); r.header.Get("X-Ratelimit-Limit-Requests") != "10" {
			t.Errorf("with those of the tier again: %v", r.header)
		}
	})
}

// A call that is refused for another reason has used nothing of the limit.
func TestOnlyAdmittedCallsCount(t *testing.T) {
	t.Parallel()
	run(t, quick(), 0, func(t *testing.T, w *world) {
		w.one.does(says(200, okAnswer))
		w.plans.set("free")
		for range 30 {
			if r := w.post(chat("single", `,"max_tokens":1000`)); r.status != 402 {
				t.Fatalf("%d %s", r.status, r.body)
			}
		}
		w.grant(user, 100*money.Credit)
		for range 5 {
			if r := w.post(chat("single", "")); r.status != 200 {
				t.Fatalf("%d %s", r.status, r.body)
			}
		}
	})
}

// Tokens are what calls used, as the vendor reports it, and not their number.
func TestTokensAreCountedNotCalls(t *testing.T) {
	t.Parallel()
	run(t, quick(), 10_000*money.Credit, func(t *testing.T, w *world) {
		w.one.does(says(200, `{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],
			"usage":{"prompt_tokens":5000,"completion_tokens":900,"total_tokens":5900,"prompt_tokens_details":{"cached_tokens":4000},"completion_tokens_details":{"reasoning_tokens":600}}}`))
		w.plans.set("free") // 10,000 tokens a minute
		for i, want := range []int{200, 200, 429} {
			r := w.post(chat("single", ""))
			if r.status != want {
				t.Fatalf("call %d: %d %s", i, r.status, r.body)
			}
			if want == 429 && (limitOf(r) != "user tokens" || r.header.Get("X-Should-Retry") != "") {
				t.Errorf("%s %v", r.body, r.header)
			}
		}
	})
}

// A place is taken until the call has ended, whatever becomes of its client.
func TestCallsAtOnceAreLimited(t *testing.T) {
	t.Parallel()
	run(t, quick(), 1000*money.Credit, func(t *testing.T, w *world) {
		release := make(chan struct{})
		var inside, most atomic.Int64
		w.one.does(func(rw http.ResponseWriter, r *http.Request) {
			if n := inside.Add(1); n > most.Load() {
				most.Store(n)
			}
			<-release
			inside.Add(-1)
			says(200, okAnswer)(rw, r)
		})
		w.plans.set("pro") // three at once
		var refused atomic.Int64
		var wg sync.WaitGroup
		var once sync.Once
		for range 20 {
			wg.Go(func() {
				r := w.post(chat("single", ""))
				if r.status == 429 && limitOf(r) == "user concurrency" && refused.Add(1) == 17 {
					once.Do(func() { close(release) })
				}
			})
		}
		wg.Wait()
		if most.Load() > 3 || refused.Load() != 17 {
			t.Errorf("%d at once and %d refused, want at most 3, and 17", most.Load(), refused.Load())
		}
		for range 3 {
			if r := w.post(chat("single", "")); r.status != 200 {
				t.Errorf("afterwards: %d %s", r.status, r.body)
			}
		}
	})
}

func TestAKeyHasItsOwnLimits(t *testing.T) {
	t.Parallel()
	run(t, quick(), 1000*money.Credit, func(t *testing.T, w *world) {
		w.one.does(says(200, okAnswer))
		if r := w.post(chat("single", ""), "Authorization", "Bearer slow"); r.status != 200 || r.header.Get("X-Ratelimit-Limit-Requests") != "1" {
			t.Fatalf("%d %v", r.status, r.header)
		}
		if r := w.post(chat("single", ""), "Authorization", "Bearer slow"); r.status != 429 || limitOf(r) != "key requests" {
			t.Errorf("%d %s", r.status, r.body)
		}
		if r := w.post(chat("single", "")); r.status != 200 || r.header.Get("X-Ratelimit-Limit-Requests") != "" {
			t.Errorf("another key of the user: %d %v", r.status, r.header)
		}
	})
}
