package gateway_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rephlo/rephlo/internal/money"
)

// claude is what Anthropic sends: its pieces, to be put together by a test.
const (
	claudeStart = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_v\",\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\n"
	claudeOpen  = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
	claudeHello = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello there\"}}\n\n"
	claudeClose = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
	claudeDelta = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":5}}\n\n"
	claudeStop  = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
	claudeOK    = `{"id":"msg_v","type":"message","role":"assistant","content":[{"type":"text","text":"Hello there"}],"stop_reason":"end_turn","usage":{"input_tokens":10,"output_tokens":5},"x":1.50}`
)

// send posts a body to a path.
func (w *world) send(ctx context.Context, path, body string, header ...string) reply {
	r := w.request(ctx, body, header...)
	r.URL.Path = path
	res, err := w.client.Do(r)
	if err != nil {
		return reply{err: err}
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, res.Trailer, string(b), err}
}

func message(model, rest string) string {
	return `{"model":"` + model + `","max_tokens":50,"messages":[{"role":"user","content":"Say hello"}]` + rest + `}`
}

// Both ends speak Anthropic's protocol: every byte but the name of the model is
// the client's on the way there and the vendor's on the way back.
func TestMessagesPassAsTheyAre(t *testing.T) {
	t.Parallel()
	run(t, quick(), 10_000*money.Credit, func(t *testing.T, w *world) {
		whole := claudeStart + "event: ping\ndata: {\"type\": \"ping\"}\n\n" + claudeOpen + claudeHello + claudeClose + claudeDelta + claudeStop
		w.one.does(streams(claudeStart, "event: ping\ndata: {\"type\": \"ping\"}\n\n", claudeOpen, claudeHello, claudeClose, claudeDelta, claudeStop))
		body := message("claude", `,"stream":true,"thinking":{ "type":"adaptive" },"odd":[1e2,"\u00e9"]`)
		got := w.send(t.Context(), "/v1/messages", body, "Authorization", "", "X-Api-Key", "live", "Anthropic-Version", "2023-06-01", "Anthropic-Beta", "files-api-2025-04-14, interleaved-thinking-2025-05-14")
		if got.status != 200 || got.body != whole || got.header.Get("X-Rephlo-Vendor") != "anthropic" || got.trailer.Get("X-Rephlo-Credits-Charged") == "" {
			t.Errorf("got %d %q %v", got.status, got.body, got.trailer)
		}
		if sent := w.one.lastBody(); sent != strings.Replace(body, `"claude"`, `"claude-v"`, 1) {
			t.Errorf("sent %s", sent)
		}
		w.one.mu.Lock()
		head := w.one.heads[0]
		w.one.mu.Unlock()
		if head.Get("X-Api-Key") != plantedKey || head.Get("Authorization") != "" || head.Get("Anthropic-Beta") != "interleaved-thinking-2025-05-14" || head.Get("Anthropic-Version") != "2023-06-01" {
			t.Errorf("sent the head %v", head)
		}
		if rec := w.last(1); rec.Status != "success" || rec.Source != "reported" || rec.Input != 10 || rec.Output != 5 || rec.Charged == 0 {
			t.Errorf("record %+v", rec)
		}
		w.one.does(says(200, claudeOK))
		got = w.send(t.Context(), "/v1/messages", message("claude", ""), "X-Rephlo-Include", "credits")
		if got.status != 200 || got.body != claudeOK || got.header.Get("X-Rephlo-Credits-Charged") == "" {
			t.Errorf("got %d %s", got.status, got.body)
		}
		w.one.does(says(529, `{"type":"error","error":{"type":"overloaded_error","message":"secret-host.example.com"}}`))
		got = w.send(t.Context(), "/v1/messages", message("claude", ""))
		if got.status != 502 || !strings.Contains(got.body, `"type":"error","error":{"type":"api_error"`) || strings.Contains(got.body, "secret-host") || got.code() != "upstream_error" {
			t.Errorf("got %d %s", got.status, got.body)
		}
	})
}

// streamed reads the text of a chat stream.
func streamed(body string) (text string) {
	for line := range strings.Lines(body) {
		var e struct {
			Choices []struct {
				Delta struct{ Content string }
			}
			Delta struct{ Text string }
		}
		data, _ := strings.CutPrefix(strings.TrimSpace(line), "data: ")
		if json.Unmarshal([]byte(data), &e) == nil {
			for _, c := range e.Choices {
				text += c.Delta.Content
			}
			text += e.Delta.Text
		}
	}
	return text
}

// In both lanes the same answer of a vendor is the same text, usage and charge.
func TestTranslatedCallsAreChargedAsForwardedOnes(t *testing.T) {
	t.Parallel()
	run(t, quick(), 10_000*money.Credit, func(t *testing.T, w *world) {
		claudeStream := streams(claudeStart, claudeOpen, claudeHello, claudeClose, claudeDelta, claudeStop)
		chatStream := streams(role, token("Hello"), token(" there"), stop, total, done)
		for i, tt := range []struct {
			path, body string
			does       http.HandlerFunc
		}{
			{"/v1/messages", message("claude", ""), says(200, claudeOK)},
			{"/v1/chat/completions", chat("claude", `,"max_tokens":50`), says(200, claudeOK)},
			{"/v1/chat/completions", chat("m", `,"max_tokens":50`), says(200, okAnswer)},
			{"/v1/messages", message("m", ""), says(200, okAnswer)},
			{"/v1/messages", message("claude", `,"stream":true`), claudeStream},
			{"/v1/chat/completions", chat("claude", `,"stream":true,"stream_options":{"include_usage":true},"max_tokens":50`), claudeStream},
			{"/v1/messages", message("m", `,"stream":true`), chatStream},
			{"/v1/chat/completions", chat("m", `,"stream":true,"max_tokens":50`), chatStream},
		} {
			w.one.does(tt.does)
			got := w.send(t.Context(), tt.path, tt.body)
			text := streamed(got.body)
			if i < 4 {
				text = got.body
			}
			if got.status != 200 || !strings.Contains(text, "Hello there") {
				t.Errorf("%d: %d %s", i, got.status, got.body)
			}
			charged := got.header.Get("X-Rephlo-Credits-Charged") + got.trailer.Get("X-Rephlo-Credits-Charged")
			rec := w.last(i + 1)
			want := record{Status: "success", Ending: "finished", Source: "reported", Provider: rec.Provider, Input: 10, Output: 5, Charged: rec.Charged}
			if diff := cmp.Diff(want, rec); diff != "" || charged != rec.Charged.String() || rec.Charged != w.last(1).Charged {
				t.Errorf("%d: charged %q, %s", i, charged, diff)
			}
		}
	})
}

func TestWhatCannotBeTranslatedIsRefusedOrNamed(t *testing.T) {
	t.Parallel()
	run(t, quick(), 10_000*money.Credit, func(t *testing.T, w *world) {
		w.one.does(says(200, claudeOK))
		got := w.send(t.Context(), "/v1/chat/completions", chat("claude", `,"n":2,"max_tokens":50`))
		if got.status != 400 || got.code() != "unsupported_parameter" || !strings.Contains(got.body, `"param":"n"`) || w.one.calls.Load() != 0 {
			t.Errorf("got %d %s after %d calls", got.status, got.body, w.one.calls.Load())
		}
		got = w.send(t.Context(), "/v1/chat/completions", chat("claude", `,"seed":1,"max_tokens":50`))
		if got.status != 200 || got.header.Get("X-Rephlo-Warnings") != `dropped;param="seed"` {
			t.Errorf("got %d %v %s", got.status, got.header, got.body)
		}
		got = w.send(t.Context(), "/v1/chat/completions", chat("claude", `,"seed":1,"max_tokens":50`), "X-Rephlo-Strict", "1")
		if got.status != 400 || !strings.Contains(got.body, `"param":"seed"`) {
			t.Errorf("strict: got %d %s", got.status, got.body)
		}
		got = w.send(t.Context(), "/v1/messages", `{"model":"m","max_tokens":5,"messages":[{"role":"nobody","content":"x"}]}`)
		if got.status != 400 || !strings.Contains(got.body, `"param":"messages[0].role"`) || !strings.Contains(got.body, `"type":"invalid_request_error"`) {
			t.Errorf("got %d %s", got.status, got.body)
		}
		for _, r := range w.records(3) {
			if r.Status == "success" != (r.Charged > 0) {
				t.Errorf("record %+v", r)
			}
		}
	})
}

// A translated stream that breaks, or whose client leaves, ends and is charged
// as a forwarded one.
func TestTranslatedStreamsEndAsForwardedOnes(t *testing.T) {
	t.Parallel()
	run(t, quick(), 10_000*money.Credit, func(t *testing.T, w *world) {
		streaming := message("m", `,"stream":true`)
		for i, tt := range []struct {
			does         http.HandlerFunc
			status       int
			text, ending string
			charged      bool
		}{
			{streams(role, token("Hello"), "cut"), 200, "event: error\ndata: {\"type\":\"error\"", "provider_broke", true},
			{streams(role, token("Hello"), `data: {"error":{"message":"x","type":"server_error"}}`+"\n\n"), 200, "event: error\n", "provider_broke", true},
			{streams(role, token("Hello"), stop, done), 200, `"stop_reason":"end_turn"`, "estimated", true},
			{streams(role, `data: {"error":{"message":"x","type":"server_error"}}`+"\n\n"), 502, `"type":"api_error"`, "failed", false},
			{says(400, `{"error":{"message":"maximum context length is 5","code":"context_length_exceeded"}}`), 400, "context_length_exceeded", "failed", false},
		} {
			w.one.does(tt.does)
			w.two.does(tt.does)
			got := w.send(t.Context(), "/v1/messages", streaming)
			if got.status != tt.status || !strings.Contains(got.body, tt.text) || strings.Count(got.body, "event: error")+strings.Count(got.body, "event: message_stop") > 1 {
				t.Errorf("%d: %d %s", i, got.status, got.body)
			}
			if rec := w.last(i + 1); rec.Ending != tt.ending || rec.Charged > 0 != tt.charged {
				t.Errorf("%d: record %+v", i, rec)
			}
		}
		w.one.does(streams(role, token("Hello"), "wait"))
		ctx, cancel := context.WithCancel(t.Context())
		r := w.request(ctx, streaming)
		r.URL.Path = "/v1/messages"
		res, err := w.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		_ = res.Body.Close()
		<-w.one.gone
		if rec := w.last(6); rec.Ending != "client_gone" || rec.Charged == 0 {
			t.Errorf("client gone: %+v", rec)
		}
	})
}

// The built-in vendor answers Anthropic's clients on a fresh installation.
func TestTheTestModelsSpeakMessages(t *testing.T) {
	t.Parallel()
	run(t, quick(), 0, func(t *testing.T, w *world) {
		got := w.send(t.Context(), "/v1/messages", message("test-echo", ""), "Authorization", "Bearer test")
		if got.status != 200 || !strings.Contains(got.body, `"content":[{"type":"text","text":"Say hello"}]`) {
			t.Errorf("got %d %s", got.status, got.body)
		}
		got = w.send(t.Context(), "/v1/messages", message("test-echo", `,"stream":true`), "Authorization", "Bearer test")
		if text := streamed(got.body); text != "Say hello" || !strings.HasSuffix(got.body, claudeStop) {
			t.Errorf("got %q in %s", text, got.body)
		}
	})
}
