package gateway_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// gem is what Google sends: events, the last of them the end.
const (
	gemFirst = "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"Hello\"}],\"role\": \"model\"},\"index\": 0}],\"usageMetadata\": {\"promptTokenCount\": 10}}\r\n\r\n"
	gemLast  = "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"!\"}]},\"finishReason\": \"STOP\"}],\"usageMetadata\": {\"promptTokenCount\": 10,\"candidatesTokenCount\": 500,\"thoughtsTokenCount\": 500}}\r\n\r\n"
	gemOK    = `{"candidates": [{"content": {"parts": [{"text": "Hello"}]},"finishReason": "STOP"}],"usageMetadata": {"promptTokenCount": 10,"candidatesTokenCount": 500,"thoughtsTokenCount": 500}, "x": 1.50}`
	gemAsk   = `{"contents":[{"role":"user","parts":[{"text":"Say hello"}]}] ,"odd":[1e2]}`
	// 10 at 1 dollar, 500 at 2 and 500 at 4 for a million, at one and a half.
	gemCharge = "0.46"
)

func gemPayload(event string) string {
	return strings.TrimSuffix(strings.TrimPrefix(event, "data: "), "\r\n\r\n")
}

// Both ends speak Google's protocol: the only edit is the output limit.
func TestGeminiPassesAsItIs(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.one.does(streams(gemFirst, gemLast))
		r := w.at("/v1beta/models/gem:streamGenerateContent?alt=sse", gemAsk, "Authorization", "Bearer live")
		if r.status != 200 || r.body != gemFirst+gemLast || r.trailer.Get("X-Rephlo-Credits-Charged") != gemCharge {
			t.Errorf("%d %q %v", r.status, r.body, r.trailer)
		}
		if want := `{"generationConfig":{"maxOutputTokens":1000},` + gemAsk[1:]; w.one.lastBody() != want {
			t.Errorf("sent %s", w.one.lastBody())
		}
		r = w.at("/v1beta/models/gem:streamGenerateContent", gemAsk)
		if want := "[" + gemPayload(gemFirst) + ",\r\n" + gemPayload(gemLast) + "]"; r.body != want || r.header.Get("Content-Type") != "application/json" {
			t.Errorf("%q %v", r.body, r.header)
		}
		w.one.does(says(200, gemOK))
		r = w.at("/v1beta/models/gem:generateContent", gemAsk)
		if r.status != 200 || r.body != gemOK || r.header.Get("X-Rephlo-Credits-Charged") != gemCharge {
			t.Errorf("%d %q %v", r.status, r.body, r.header)
		}
		for _, got := range w.records(3) {
			if got.Input != 10 || got.Output != 500 || got.Reasoning != 500 || got.Source != "reported" || got.Charged.String() != gemCharge {
				t.Errorf("%+v", got)
			}
		}
		w.one.does(streams(gemFirst))
		r = w.at("/v1beta/models/gem:streamGenerateContent", gemAsk)
		var elements []map[string]any
		if err := json.Unmarshal([]byte(r.body), &elements); err != nil || len(elements) != 2 || elements[1]["error"] == nil {
			t.Errorf("a stream that breaks off: %q, %v", r.body, err)
		}
		if got := w.last(4); got.Ending != "provider_broke" || got.Charged == 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestGeminiErrorsHaveGooglesShape(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		for _, tt := range []struct {
			path, body, status, reason string
			code                       int
		}{
			{"none:generateContent", gemAsk, "NOT_FOUND", "model_not_found", 404},
			{"gem:predict", gemAsk, "INVALID_ARGUMENT", "operation_unsupported", 400},
			{"gem", gemAsk, "INVALID_ARGUMENT", "operation_unsupported", 400},
			{"gem:generateContent", `{"contents":[],"cachedContent":"cachedContents/x"}`, "INVALID_ARGUMENT", "unsupported_parameter", 400},
			{"gem:generateContent", `{"contents":[],"tools":[{"googleSearch":{}}]}`, "INVALID_ARGUMENT", "unsupported_parameter", 400},
			{"gem:generateContent", `{"contents":[{"parts":[{"fileData":{"fileUri":"https://generativelanguage.googleapis.com/v1beta/files/x"}}]}]}`, "INVALID_ARGUMENT", "unsupported_parameter", 400},
			{"gem:generateContent", `{"contents":[],"generationConfig":{"maxOutputTokens":1001}}`, "INVALID_ARGUMENT", "parameter_out_of_range", 400},
		} {
			r := w.at("/v1beta/models/"+tt.path, tt.body)
			var got struct {
				Error struct {
					Code    int
					Status  string
					Details []struct{ Reason string }
				}
			}
			if err := json.Unmarshal([]byte(r.body), &got); err != nil || r.status != tt.code || got.Error.Code != tt.code || got.Error.Status != tt.status || got.Error.Details[0].Reason != tt.reason {
				t.Errorf("%s: %d %s", tt.path, r.status, r.body)
			}
		}
		if n := w.one.calls.Load(); n != 0 {
			t.Errorf("the vendor was called %d times", n)
		}
	})
}

// Clients of each dialect reach models of Google, and clients of Google reach
// the others, at the same price.
func TestDialectsReachGoogleAndTheOtherWayRound(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		records := 0
		for _, tt := range []struct{ path, body, want string }{
			{"/v1/chat/completions", chat("gem", ""), `"content":"Hello"`},
			{"/v1/chat/completions", chat("gem", `,"stream":true`), "data: [DONE]"},
			{"/v1/responses", `{"model":"gem","input":"Say hello"}`, `"text":"Hello"`},
			{"/v1/responses", `{"model":"gem","input":"Say hello","stream":true}`, "event: response.completed"},
			{"/v1/messages", strings.Replace(message("gem", ""), ":50", ":1000", 1), `"text":"Hello"`},
			{"/v1/messages", strings.Replace(message("gem", `,"stream":true`), ":50", ":1000", 1), "event: message_stop"},
		} {
			w.one.does(says(200, gemOK))
			if strings.Contains(tt.body, `"stream":true`) {
				w.one.does(streams(gemFirst, gemLast))
			}
			r := w.at(tt.path, tt.body)
			records++
			if got := w.last(records); r.status != 200 || !strings.Contains(r.body, tt.want) || got.Charged.String() != gemCharge {
				t.Errorf("%s %s: %d %s %+v", tt.path, tt.body, r.status, r.body, got)
			}
		}
		ask := `{"contents":[{"parts":[{"text":"#test tokens=1000"}]}]}`
		for path, end := range map[string]string{
			"test-echo:generateContent": `"finishReason":"STOP"`, "test-echo:streamGenerateContent?alt=sse": `"finishReason":"STOP"`, "test-echo:streamGenerateContent": "]",
		} {
			r := w.at("/v1beta/models/"+path, ask)
			records++
			got := w.last(records)
			if r.status != 200 || !strings.Contains(r.body, end) || got.Output != 1000 || r.header.Get("X-Rephlo-Credits-Charged")+r.trailer.Get("X-Rephlo-Credits-Charged") != got.Charged.String() {
				t.Errorf("%s: %d %s %+v", path, r.status, r.body, got)
			}
			if end == "]" && !json.Valid([]byte(r.body)) {
				t.Errorf("%s is no array: %s", path, r.body)
			}
		}
	})
}
