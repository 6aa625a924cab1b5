package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/gateway"
	"github.com/rephlo/rephlo/internal/obs"
	"github.com/rephlo/rephlo/internal/pricing"
)

// keeps lets answers of models be kept.
func (w *world) keeps(models ...string) {
	w.t.Helper()
	for _, id := range models {
		w.change("cache", func() error {
			_, err := w.models.EditEntry(w.t.Context(), id, byTest, func(e *catalog.Entry) { e.CacheSeconds = 600 })
			return err
		}, func() bool { return w.model(id).CacheFor == 10*time.Minute })
	}
}

// scrape returns the metrics as Prometheus gets them.
func scrape(m *obs.Metrics) string {
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return rec.Body.String()
}

const keepingKey = "Bearer keeping"

func TestAnAnswerIsGivenAgainToTheSameRequest(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.keeps("single", "claude", "gem")
		m := obs.NewMetrics("test")
		w.calls.Observe(m)
		toChat := `{"messages":[{"content":"Say hello","role":"user"}],  "model":"single", "temperature":0.0}`
		chatEvents := role + token("Hello") + stop + total + done
		calls := 0
		for _, tt := range []struct {
			name, path, first, again string
			answer                   http.HandlerFunc
			want                     string
			stream                   bool
		}{
			{"chat", "/v1/chat/completions", `{"model":"single","messages":[{"role":"user","content":"Say hello"}],"temperature":0.0}`, toChat, says(200, okAnswer), okAnswer, false},
			{"a stream", "/v1/chat/completions", chat("single", `,"stream":true,"stream_options":{"include_usage":true}`), chat("single", `,"stream_options":{"include_usage":true},"stream":true`), streams(role, token("Hello"), stop, total, done), chatEvents, true},
			{"a stream without usage", "/v1/chat/completions", chat("single", `,"stream":true`), chat("single", `,"stream":true`), streams(role, token("Hello"), stop, total, done), role + token("Hello") + stop + done, true},
			{"messages", "/v1/messages", message("claude", ""), message("claude", ""), says(200, claudeOK), claudeOK, false},
			{"a stream of messages", "/v1/messages", message("claude", `,"stream":true`), message("claude", `,"stream":true`), streams(claudeStart, claudeOpen, claudeHello, claudeClose, claudeDelta, claudeStop), claudeStart + claudeOpen + claudeHello + claudeClose + claudeDelta + claudeStop, true},
			{"messages, translated", "/v1/messages", message("single", ""), message("single", ""), says(200, okAnswer), "", false},
			{"a stream of messages, translated", "/v1/messages", message("single", `,"stream":true`), message("single", `,"stream":true`), streams(role, token("Hello"), stop, total, done), "", true},
			{"google", "/v1beta/models/gem:generateContent", gemAsk, gemAsk, says(200, gemOK), gemOK, false},
			{"an array of google's", "/v1beta/models/gem:streamGenerateContent", gemAsk, gemAsk, streams(gemFirst, gemLast), "[" + gemPayload(gemFirst) + ",\r\n" + gemPayload(gemLast) + "]", true},
		} {
			w.one.does(tt.answer)
			first := w.send(t.Context(), tt.path, tt.first, "Authorization", keepingKey)
			if first.status != 200 || first.header.Get("X-Rephlo-Cache") != "miss" {
				t.Fatalf("%s: %d %s %s", tt.name, first.status, first.header.Get("X-Rephlo-Cache"), first.body)
			}
			hits := w.one.calls.Load()
			w.one.does(says(500, `{}`))
			again := w.send(t.Context(), tt.path, tt.again, "Authorization", keepingKey)
			if again.status != 200 || again.header.Get("X-Rephlo-Cache") != "hit" || again.body != first.body || again.header.Get("Content-Type") != first.header.Get("Content-Type") {
				t.Errorf("%s: %d %s\n%q, want\n%q", tt.name, again.status, again.header.Get("X-Rephlo-Cache"), again.body, first.body)
			}
			if tt.want != "" && again.body != tt.want {
				t.Errorf("%s: %q, want %q", tt.name, again.body, tt.want)
			}
			if again.header.Get("X-Rephlo-Credits-Charged") != "0" || again.header.Get("X-Rephlo-Credits-Remaining") == "" || again.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %v", tt.name, again.header)
			}
			if w.one.calls.Load() != hits {
				t.Errorf("%s: the vendor was asked", tt.name)
			}
			calls += 2
			recs := w.records(calls)
			if r := recs[0]; r.Ending != "replayed" || r.Status != "success" || r.Charged != 0 || r.Input != recs[1].Input || r.Output != recs[1].Output || r.Provider != "" {
				t.Errorf("%s: record %+v after %+v", tt.name, r, recs[1])
			}
		}
		if got := scrape(m); !strings.Contains(got, `rephlo_llm_cache_total{result="hit"} 9`) || !strings.Contains(got, `rephlo_llm_cache_total{result="miss"} 9`) {
			t.Error(got)
		}
	})
}

// Whatever an answer depends on makes it another one (GW-70).
func TestAnotherRequestIsNotGivenTheAnswer(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.keeps("single", "m", "cheap")
		w.grant("usr_bob", plenty)
		w.one.does(says(200, okAnswer))
		const path = "/v1/chat/completions"
		tool := `{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}`
		w.send(t.Context(), path, chat("single", `,"seed":9007199254740993`), "Authorization", keepingKey)
		for _, tt := range []struct {
			name, path, body string
			header           []string
			want             string
		}{
			{"the same", path, chat("single", `,"seed":9007199254740993`), nil, "hit"},
			{"another number", path, chat("single", `,"seed":9007199254740992`), nil, "miss"},
			{"tools", path, chat("single", `,"seed":9007199254740993,"tools":[`+tool+`]`), nil, "miss"},
			{"other tools", path, chat("single", `,"seed":9007199254740993,"tools":[`+strings.Replace(tool, `"f"`, `"g"`, 1)+`]`), nil, "miss"},
			{"another key", path, chat("single", `,"seed":9007199254740993`), []string{"Authorization", "Bearer keeping2"}, "miss"},
			{"another user", path, chat("single", `,"seed":9007199254740993`), []string{"Authorization", "Bearer bob"}, "miss"},
			{"another model", path, chat("m", `,"seed":9007199254740993`), nil, "miss"},
			{"another dialect", "/v1/responses", `{"model":"single","input":"Say hello"}`, nil, "miss"},
			{"strict", path, chat("single", `,"seed":9007199254740993`), []string{"X-Rephlo-Strict", "1"}, "miss"},
			{"switched off", path, chat("single", `,"seed":9007199254740993`), []string{"X-Rephlo-Cache", "off"}, "off"},
			{"some chance", path, chat("single", `,"seed":9007199254740993,"temperature":0.1`), nil, "off"},
			{"a key that does not want it", path, chat("single", `,"seed":9007199254740993`), []string{"Authorization", "Bearer live", "X-Rephlo-Cache", "on"}, "off"},
			{"a model that may not", path, chat("shared", `,"seed":9007199254740993`), nil, "off"},
		} {
			r := w.send(t.Context(), tt.path, tt.body, append([]string{"Authorization", keepingKey}, tt.header...)...)
			if r.status != 200 || r.header.Get("X-Rephlo-Cache") != tt.want || r.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d %v %s, want %s", tt.name, r.status, r.header, r.body, tt.want)
			}
		}
		ask := chat("cheap", "")
		w.send(t.Context(), path, ask, "Authorization", keepingKey)
		w.change("price", func() error {
			_, _, err := w.models.SetPrice(t.Context(), catalog.NewPrice{Provider: "one", VendorModel: "vc", Prices: pricing.Prices{Input: 10_000, Output: 20_001}}, byTest)
			return err
		}, func() bool { return w.model("cheap").Prices(time.Now()).Output == 20_001 })
		if r := w.send(t.Context(), path, ask, "Authorization", keepingKey); r.header.Get("X-Rephlo-Cache") != "miss" {
			t.Errorf("at another price: %v", r.header)
		}
	})
}

func TestOnlyWholeAnswersWithoutToolsAreKept(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.keeps("single", "failing")
		call := `{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}`
		delta := `data: {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"1","function":{"name":"f","arguments":"{}"}}]}}]}` + "\n\n"
		large := strings.Replace(okAnswer, "Hello there", strings.Repeat("a", 256<<10), 1)
		for _, tt := range []struct {
			name, body string
			answer     http.HandlerFunc
			want       string
		}{
			{"no tools after all", chat("single", ""), says(200, strings.Replace(okAnswer, `"role"`, `"tool_calls" : [ ],"function_call":null,"role"`, 1)), "hit"},
			{"a text about tools", chat("single", `,"user":"1"`), says(200, strings.Replace(okAnswer, "Hello", `\"tool_calls\" Hello`, 1)), "hit"},
			{"a call of a tool", chat("single", `,"user":"2"`), says(200, call), "miss"},
			{"a stream of it", chat("single", `,"user":"3","stream":true`), streams(role, delta, stop, total, done), "miss"},
			{"too large", chat("single", `,"user":"4"`), says(200, large), "miss"},
			{"a large stream", chat("single", `,"user":"5","stream":true`), streams(role, token(strings.Repeat("a", 200<<10)), token(strings.Repeat("b", 100<<10)), stop, total, done), "miss"},
			{"a stream that breaks", chat("single", `,"user":"6","stream":true`), streams(role, token("a"), "cut"), "miss"},
			{"a fallback's", chat("failing", ""), w.answersEach(func(body string) string {
				if strings.Contains(body, `"vc"`) {
					return okAnswer
				}
				return `{"error":{"message":"no"}}`
			}), "miss"},
		} {
			w.one.does(tt.answer)
			w.two.does(says(500, `{}`))
			w.post(tt.body, "Authorization", keepingKey)
			if r := w.post(tt.body, "Authorization", keepingKey); r.header.Get("X-Rephlo-Cache") != tt.want {
				t.Errorf("%s: %s, want %s (%d %.300s)", tt.name, r.header.Get("X-Rephlo-Cache"), tt.want, r.status, r.body)
			}
		}
	})
}

func TestAnOperatorMayChargeForWhatIsGivenAgain(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.keeps("single")
		w.one.does(says(200, okAnswer))
		var charge atomic.Bool
		w.calls.ChargeKept(charge.Load)
		credits := []string{"Authorization", keepingKey, "X-Rephlo-Include", "credits"}
		first := w.post(chat("single", ""), credits...)
		free := w.post(chat("single", ""), credits...)
		charge.Store(true)
		paid := w.post(chat("single", ""), credits...)
		price := first.header.Get("X-Rephlo-Credits-Charged")
		if price == "0" || free.header.Get("X-Rephlo-Credits-Charged") != "0" || paid.header.Get("X-Rephlo-Credits-Charged") != price || w.one.calls.Load() != 1 {
			t.Errorf("%s, then %v and %v after %d calls", price, free.header, paid.header, w.one.calls.Load())
		}
		if !strings.Contains(free.body, `"credits":{"deducted":0,"remaining":`) || !strings.Contains(paid.body, `"credits":{"deducted":`+price) {
			t.Errorf("%s\n%s", free.body, paid.body)
		}
		if recs := w.records(3); recs[0].Ending != "replayed" || recs[0].Charged != recs[2].Charged || recs[1].Charged != 0 {
			t.Errorf("%+v", recs)
		}
	})
}

// Requests are counted, tokens are not: no vendor was asked for any.
func TestWhatIsGivenAgainCountsAsARequest(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.keeps("single")
		w.one.does(says(200, okAnswer))
		left := func() (string, string) {
			r := w.post(chat("single", ""), "Authorization", "Bearer counted")
			return r.header.Get("X-Ratelimit-Remaining-Requests"), r.header.Get("X-Ratelimit-Remaining-Tokens")
		}
		left()
		if requests, tokens := left(); requests != "8" || tokens < "985" || len(tokens) > 3 {
			t.Errorf("at the hit %s requests and %s tokens are left", requests, tokens)
		}
		if requests, tokens := left(); requests != "7" || tokens < "985" && len(tokens) == 3 {
			t.Errorf("after it %s requests and %s tokens", requests, tokens)
		}
	})
}

func TestNothingIsKeptUnlessItIsWanted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		answer string
		want   bool
	}{
		{`{"tool_calls":[]}`, false},
		{`{"tool_calls": null }`, false},
		{`{"tool_calls":[{}]}`, true},
		{`{"a":"tool_calls"}`, true},
		{`{"type":"tool_use"}`, true},
		{`{"type":"server_tool_use"}`, false},
		{`{"functionCall":{}}`, true},
		{`{"text":"\"functionCall\":"}`, false},
		{`"tool_calls"`, true},
		{`"tool_calls":`, true},
		{``, false},
	} {
		if got := gateway.CallsTools([]byte(tt.answer)); got != tt.want {
			t.Errorf("%s: %v", tt.answer, got)
		}
	}
}
