package gateway_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/gateway"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/money"
)

const plenty = 1000 * money.Credit

// An answer reaches the client byte for byte, the request reaches the vendor
// so but for the edits, and the charge is in the head.
func TestAnAnswerIsForwardedByteForByte(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		odd := "{ \"id\" : \"x\\u00e9\",\n\t\"choices\":[{\"message\":{\"content\":\"a\\/b\",\"new\":9007199254740993}}], \"usage\" : {\"prompt_tokens\":1000,\"completion_tokens\":100,\"prompt_tokens_details\":{\"cached_tokens\":400},\"completion_tokens_details\":{\"reasoning_tokens\":30}}, \"z\":1e400 }"
		w.one.does(says(200, odd, "openai-processing-ms", "12", "X-Request-Id", "req_vendor", "Set-Cookie", "a=b", "X-Ratelimit-Limit", "1", "Openai-Organization", "org-secret"))
		body := `{ "zeta" : [1.50, 2e3 , "\u0041"],"messages":[{"role":"user","content":"h\u00e9 😀 9007199254740993` + strings.Repeat(" text", 600) + `"}],  "model":"m","max_tokens": 100 }`
		r := w.post(body, "X-Request-Id", "req_mine_1234", "Cookie", "session=1", "X-Forwarded-For", "1.2.3.4")
		if r.status != 200 || sha256.Sum256([]byte(r.body)) != sha256.Sum256([]byte(odd)) {
			t.Fatalf("%d %s, want the vendor's bytes", r.status, r.body)
		}
		if got, want := w.one.lastBody(), strings.Replace(body, `"model":"m"`, `"model":"vm"`, 1); got != want {
			t.Errorf("the vendor got\n%s, want\n%s", got, want)
		}
		// 600 x 1 + 400 x 0.1 + 70 x 2 + 30 x 4 = 900 µ$ x 1.5 = 0.135 credits, up to 0.14
		for name, want := range map[string]string{
			"X-Rephlo-Credits-Charged": "0.14", "X-Rephlo-Credits-Remaining": "999.86", "X-Rephlo-Model": "m", "X-Rephlo-Attempts": "1",
			"X-Rephlo-Vendor": "compat", "X-Rephlo-Cache": "off", "Openai-Processing-Ms": "12", "X-Request-Id": "req_mine_1234", "Request-Id": "req_mine_1234",
			"Set-Cookie": "", "X-Ratelimit-Limit": "", "Openai-Organization": "", "Content-Type": "application/json",
		} {
			if got := r.header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		sent := w.one.heads[0]
		if sent.Get("Authorization") != "Bearer "+plantedKey || sent.Get("Cookie") != "" || sent.Get("X-Forwarded-For") != "" {
			t.Errorf("the vendor got the headers %v", sent)
		}
		if got, want := w.last(1), (record{"success", "finished", "reported", "one", false, 600, 400, 70, 30, 140_000}); got != want {
			t.Errorf("record %+v, want %+v", got, want)
		}
	})
}

// A stream reaches the client as it is, apart from what is left out, and its
// charge is in the trailers.
func TestAStreamIsForwardedByteForByte(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.one.does(streams(": comment\n\n", role, token("He"), "id: 7\n"+token("llo")[:30], token("llo")[30:], token(" 😀"), stop, total, done))
		for _, asked := range []bool{false, true} {
			rest, want := `,"stream":true`, role+token("He")+token("llo")+token(" 😀")+stop
			if asked {
				rest, want = `,"stream":true,"stream_options":{"include_usage":true}`, want+total
			}
			r := w.post(chat("m", rest))
			if r.err != nil || r.status != 200 || r.body != want+done {
				t.Errorf("usage asked %v: %d, %v\n%s, want\n%s", asked, r.status, r.err, r.body, want+done)
			}
			if r.trailer.Get("X-Rephlo-Credits-Charged") != "0.01" || r.trailer.Get("X-Rephlo-Credits-Remaining") == "" || r.header.Get("Content-Type") != "text/event-stream" {
				t.Errorf("trailers %v, head %v", r.trailer, r.header)
			}
			if !strings.Contains(w.one.lastBody(), `"include_usage":true`) || !strings.Contains(w.one.lastBody(), `"max_tokens":1000`) {
				t.Errorf("the vendor got %s", w.one.lastBody())
			}
		}
		if got, want := w.last(2), (record{"success", "finished", "reported", "one", false, 10, 0, 5, 0, 10_000}); got != want {
			t.Errorf("record %+v, want %+v", got, want)
		}
	})
}

func TestCreditsAreToldInUsageWhenAskedFor(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.one.does(says(200, okAnswer))
		r := w.post(chat("m", ""), "X-Rephlo-Include", "credits")
		if want := strings.Replace(okAnswer, `"total_tokens":15}`, `"total_tokens":15,"credits":{"deducted":0.01,"remaining":999.99}}`, 1); r.body != want {
			t.Errorf("answer %s, want %s", r.body, want)
		}
		w.one.does(streams(role, token("x"), stop, total, done))
		r = w.post(chat("m", `,"stream":true,"stream_options":{"include_usage":true}`), "X-Rephlo-Include", "credits")
		if want := role + token("x") + stop + strings.Replace(total, `"total_tokens":15}`, `"total_tokens":15,"credits":{"deducted":0.01,"remaining":999.98}}`, 1) + done; r.body != want {
			t.Errorf("stream %s, want %s", r.body, want)
		}
	})
}

// The first refusal is always the same, and nothing is sent on or recorded.
func TestRefusals(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.one.does(says(200, okAnswer))
		for _, tt := range []struct {
			name, body string
			header     []string
			status     int
			code       string
		}{
			{"no credential", chat("m", ""), []string{"Authorization", ""}, 401, "unauthorized"},
			{"no scope", chat("m", ""), []string{"Authorization", "Bearer reader"}, 403, "insufficient_scope"},
			{"unverified", chat("m", ""), []string{"Authorization", "Bearer unverified"}, 403, "email_not_verified"},
			{"form", chat("m", ""), []string{"Content-Type", "text/plain"}, 415, "unsupported_media_type"},
			{"compressed", chat("m", ""), []string{"Content-Encoding", "gzip"}, 415, "unsupported_media_type"},
			{"not JSON", `{"model":`, nil, 400, "invalid_request"},
			{"duplicate", `{"model":"m","mod\u0065l":"x","messages":[]}`, nil, 400, "invalid_request"},
			{"no such model", chat("nothing", ""), nil, 404, "model_not_found"},
			{"test key", chat("m", ""), []string{"Authorization", "Bearer test"}, 403, "model_not_allowed_for_key"},
			{"n", chat("m", `,"n":11`), nil, 400, "parameter_out_of_range"},
			{"limit", chat("m", `,"max_tokens":1001`), nil, 400, "parameter_out_of_range"},
			{"newer limit", chat("m", `,"max_completion_tokens":1001`), nil, 400, "parameter_out_of_range"},
			{"context", chat("m", `,"x":"`+strings.Repeat("a", 90_000)+`"`), nil, 400, "context_length_exceeded"},
			{"poor", chat("m", ""), []string{"Authorization", "Bearer poor"}, 402, "insufficient_credits"},
		} {
			r := w.post(tt.body, tt.header...)
			if r.status != tt.status || r.code() != tt.code {
				t.Errorf("%s: %d %s %s, want %d %s", tt.name, r.status, r.code(), r.body, tt.status, tt.code)
			}
			if (tt.status == 400 || tt.status == 402) && r.header.Get("X-Should-Retry") != "false" {
				t.Errorf("%s: a client may think that trying again helps", tt.name)
			}
			if r.header.Get("Request-Id") == "" || r.header.Get("Request-Id") != r.header.Get("X-Request-Id") {
				t.Errorf("%s: request ids %v", tt.name, r.header)
			}
		}
		if n := w.one.calls.Load(); n != 0 {
			t.Errorf("%d calls reached the vendor", n)
		}
		if got := w.records(0); len(got) != 0 {
			t.Errorf("records %+v", got)
		}
	})
}

func TestAShortageSaysWhatIsPossible(t *testing.T) {
	t.Parallel()
	run(t, quick(), money.Credit/10, func(t *testing.T, w *world) {
		r := w.post(chat("m", `,"max_tokens":1000`))
		for _, want := range []string{`"required":0.61`, `"available":0.1`, `"held":0`, `"maxAffordableOutputTokens":156`, `"topUpUrl":"https://rephlo.test/billing"`, `"param":"max_tokens"`, "or less"} {
			if r.status != 402 || !strings.Contains(r.body, want) {
				t.Errorf("%d %s, want %s", r.status, r.body, want)
			}
		}
		// Without a limit the output is what the credits pay for.
		w.one.does(says(200, okAnswer))
		if r := w.post(chat("m", "")); r.status != 200 || !strings.Contains(w.one.lastBody(), `"max_tokens":158`) {
			t.Errorf("%d, the vendor got %s", r.status, w.one.lastBody())
		}
	})
}

// A thousand calls at once, with credits for a hundred.
func TestParallelCallsNeverOverspend(t *testing.T) {
	t.Parallel()
	run(t, gateway.Limits{}, money.Credit, func(t *testing.T, w *world) {
		w.one.does(says(200, okAnswer)) // costs what it may cost at most: 0.01
		var served, refused, other atomic.Int64
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				for range 10 {
					switch r := w.post(chat("cheap", `,"max_tokens":5`)); {
					case r.status == 200:
						served.Add(1)
					case r.status == 402 && strings.Contains(r.body, `"required":0.01`), r.status == 429 && r.code() == "credits_reserved":
						refused.Add(1)
					default:
						other.Add(1)
						t.Errorf("%d %s %v", r.status, r.body, r.err)
					}
				}
			})
		}
		wg.Wait()
		if served.Load() != 100 || w.one.calls.Load() != 100 || refused.Load() != 900 {
			t.Errorf("%d served, %d refused, %d other, %d reached the vendor; want 100, 900, 0, 100", served.Load(), refused.Load(), other.Load(), w.one.calls.Load())
		}
		if b, err := w.credits.Balance(t.Context(), user); err != nil || b.Available != 0 {
			t.Errorf("balance %+v, %v; want 0", b, err)
		}
		if r := w.post(chat("cheap", `,"max_tokens":5`)); r.status != 402 {
			t.Errorf("afterwards: %d %s", r.status, r.body)
		}
	})
}

// A test key is free, and its calls are recorded.
func TestATestKeyCallsTestModelsForFree(t *testing.T) {
	t.Parallel()
	run(t, quick(), 0, func(t *testing.T, w *world) {
		r := w.post(chat("test-echo", ""), "Authorization", "Bearer test")
		if r.status != 200 || !strings.Contains(r.body, "Say hello") || r.header.Get("X-Rephlo-Credits-Charged") != "" {
			t.Errorf("%d %s", r.status, r.body)
		}
		r = w.post(chat("test-echo", `,"stream":true`), "Authorization", "Bearer test")
		if r.status != 200 || !strings.HasSuffix(r.body, done) {
			t.Errorf("%d %s", r.status, r.body)
		}
		if got := w.last(2); got.Charged != 0 || got.Status != "success" || got.Provider != "test" {
			t.Errorf("record %+v", got)
		}
		if r := w.post(chat("test-echo", "")); r.status != 402 {
			t.Errorf("a live key without credits: %d", r.status)
		}
	})
}

// What a vendor says when it refuses is told in our words, with nothing of the
// operator's account.
func TestVendorFailures(t *testing.T) {
	t.Parallel()
	leak := `{"error":{"message":"Incorrect API key provided: ` + plantedKey + ` of org-abc123","code":"x"}}`
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		for i, tt := range []struct {
			name   string
			answer http.HandlerFunc
			status int
			code   string
		}{
			{"401", says(401, leak), 502, "provider_auth_failed"},
			{"400", says(400, leak), 400, "invalid_request"},
			{"429", says(429, leak, "Retry-After", "7"), 429, "upstream_rate_limited"},
			{"500", says(500, leak), 502, "upstream_error"},
			{"503 text", says(503, "<html>"+plantedKey), 502, "upstream_error"},
			{"error in a 200", says(200, leak), 502, "upstream_error"},
			{"garbage", says(200, "<html>"+plantedKey+"</html>"), 502, "upstream_error"},
			{"no choices", says(200, `{"key":"`+plantedKey+`"}`), 502, "upstream_error"},
			{"cut", func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Type", "application/json")
				rw.Header().Set("Content-Length", "1000")
				_, _ = io.WriteString(rw, okAnswer[:20])
				panic(http.ErrAbortHandler)
			}, 502, "upstream_error"},
			{"redirect", says(302, "", "Location", "http://169.254.169.254/"), 502, "upstream_error"},
		} {
			for j, rest := range []string{"", `,"stream":true`} {
				w.one.does(tt.answer)
				r := w.post(chat("single", rest))
				want := tt.code
				if r.status != tt.status || r.code() != want {
					t.Errorf("%s%s: %d %s, want %d %s", tt.name, rest, r.status, r.body, tt.status, want)
				}
				if all := fmt.Sprint(r.body, r.header, r.trailer); strings.Contains(all, plantedKey) || strings.Contains(all, "org-abc123") {
					t.Errorf("%s%s: the answer tells of the operator's account: %s", tt.name, rest, all)
				}
				if tt.name == "429" && (r.header.Get("Retry-After") != "7" || r.header.Get("Retry-After-Ms") != "7000") {
					t.Errorf("retry after %v", r.header)
				}
				if got := w.last(i*2 + j + 1); got.Status != "failed" || got.Charged != 0 || got.Ending != "failed" {
					t.Errorf("%s%s: record %+v", tt.name, rest, got)
				}
			}
		}
	})
}

// Before content another deployment may answer; the price stays that of the
// first.
func TestAnotherRouteAnswersBeforeContent(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		n := 0
		for name, answer := range map[string]http.HandlerFunc{
			"429": says(429, "{}"), "500": says(500, "{}"), "cut before content": streams(role, "cut"), "garbage": streams("data: {oops\n\n"), "error event": streams(role, `data: {"error":{"message":"x","type":"server_error"}}`+"\n\n"),
		} {
			w.one.does(answer)
			w.two.does(streams(role, token("ok"), stop, total, done))
			r := w.post(chat("m", `,"stream":true`))
			if r.body != role+token("ok")+stop+done || r.header.Get("X-Rephlo-Attempts") != "2" {
				t.Errorf("%s: %d %s %v", name, r.status, r.body, r.header)
			}
			if n++; w.last(n).Provider != "two" || w.last(n).Charged != 10_000 {
				t.Errorf("%s: record %+v", name, w.last(n))
			}
		}
		for name, answer := range map[string]http.HandlerFunc{"500": says(500, "{}"), "garbage": says(200, "no")} {
			w.one.does(answer)
			w.two.does(says(200, okAnswer))
			if r := w.post(chat("m", "")); r.body != okAnswer || r.header.Get("X-Rephlo-Attempts") != "2" {
				t.Errorf("%s: %d %s", name, r.status, r.body)
			}
		}
		before := w.two.calls.Load()
		w.one.does(says(400, "{}"))
		if r := w.post(chat("m", "")); r.status != 400 || w.two.calls.Load() != before {
			t.Errorf("a bad request was tried again: %d", r.status)
		}
	})
}

// A slow vendor is given up, and one that is down.
func TestVendorsThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	limits := quick()
	limits.Upstream = llm.Timeouts{Connect: time.Second, FirstByte: 100 * time.Millisecond, Idle: 100 * time.Millisecond, Total: 200 * time.Millisecond}
	run(t, limits, plenty, func(t *testing.T, w *world) {
		hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		w.one.does(hang)
		for _, rest := range []string{"", `,"stream":true`} {
			if r := w.post(chat("single", rest)); r.status != 504 || r.code() != "upstream_timeout" {
				t.Errorf("slow%s: %d %s", rest, r.status, r.body)
			}
		}
		w.one.does(streams(role, token("x"), "wait"))
		r := w.post(chat("single", `,"stream":true`))
		if !strings.HasPrefix(r.body, role+token("x")) || strings.Count(r.body, `"error"`) != 1 || strings.Contains(r.body, "[DONE]") {
			t.Errorf("stalled: %s", r.body)
		}
		if got := w.last(3); got.Ending != "provider_broke" || got.Charged == 0 {
			t.Errorf("stalled: record %+v", got)
		}
		w.one.Close()
		if r := w.post(chat("single", "")); r.status != 502 {
			t.Errorf("down: %d %s", r.status, r.body)
		}
		if got := w.last(4); got.Charged != 0 {
			t.Errorf("down: record %+v", got)
		}
	})
}

func TestUsageThatIsMissingOrImpossible(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		with := func(usage string) string {
			return `{"choices":[{"message":{"content":"one two three four five six seven"}}]` + usage + `}`
		}
		for i, tt := range []struct {
			name, usage string
			want        record
		}{
			{"missing", ``, record{"success", "estimated", "estimated", "one", false, 30, 0, 7, 0, 10_000}},
			{"null", `,"usage":null`, record{"success", "estimated", "estimated", "one", false, 30, 0, 7, 0, 10_000}},
			{"an explicit 0 is 0", `,"usage":{"prompt_tokens":0,"completion_tokens":0}`, record{"success", "finished", "reported", "one", false, 0, 0, 0, 0, 0}},
			{"negative", `,"usage":{"prompt_tokens":-1000000,"completion_tokens":5}`, record{"success", "finished", "reported", "one", true, 0, 0, 5, 0, 10_000}},
			{"huge", `,"usage":{"prompt_tokens":1000000000000000000,"completion_tokens":1e18}`, record{"success", "estimated", "partial", "one", true, 12_000, 0, 7, 0, 620_000}},
		} {
			w.one.does(says(200, with(tt.usage)))
			if r := w.post(chat("m", "")); r.status != 200 {
				t.Errorf("%s: %d", tt.name, r.status)
			}
			if got := w.last(i + 1); got != tt.want {
				t.Errorf("%s: record %+v, want %+v", tt.name, got, tt.want)
			}
		}
		w.one.does(streams(role, token("one two three four five six seven"), stop, done))
		r := w.post(chat("m", `,"stream":true`))
		if got, want := w.last(6), (record{"success", "estimated", "estimated", "one", false, 34, 0, 7, 0, 10_000}); r.trailer.Get("X-Rephlo-Credits-Charged") != "0.01" || got != want {
			t.Errorf("stream: record %+v, trailers %v", got, r.trailer)
		}
	})
}

func TestAClientThatLeavesBeforeItsBodyIsThere(t *testing.T) {
	t.Parallel()
	limits := quick()
	limits.BodyTime = 50 * time.Millisecond
	run(t, limits, plenty, func(t *testing.T, w *world) {
		body, feed := io.Pipe()
		defer feed.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		r := w.request(ctx, "")
		r.Body, r.ContentLength = body, 100
		go func() { _, _ = io.WriteString(feed, `{"model":`) }()
		res, err := w.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != 400 {
			t.Errorf("a body that never comes: %d", res.StatusCode)
		}
	})
}
