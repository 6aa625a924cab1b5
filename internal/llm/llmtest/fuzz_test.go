package llmtest_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
	dialectanthropic "github.com/rephlo/rephlo/internal/llm/dialect/anthropic"
	dialectgoogle "github.com/rephlo/rephlo/internal/llm/dialect/google"
	dialectopenai "github.com/rephlo/rephlo/internal/llm/dialect/openai"
	"github.com/rephlo/rephlo/internal/llm/llmtest"
	"github.com/rephlo/rephlo/internal/llm/vendors/anthropic"
	"github.com/rephlo/rephlo/internal/llm/vendors/azure"
	"github.com/rephlo/rephlo/internal/llm/vendors/google"
	"github.com/rephlo/rephlo/internal/llm/vendors/openai"
	"github.com/rephlo/rephlo/internal/secret"
)

var fuzzed = []llm.Dialect{dialectopenai.Chat{}, dialectanthropic.Messages{}, dialectgoogle.Gemini{}, dialectopenai.Responses{}}

// fuzzSetup returns the vendors that speak protocols of their own, a service
// and a target at it.
func fuzzSetup(f *testing.F) ([]llmtest.Translator, *llmtest.Server, llm.Target) {
	f.Helper()
	srv := llmtest.NewOpenAI(f)
	client := egress.NewClient(egress.Options{})
	f.Cleanup(client.Close)
	to := llm.Target{BaseURL: srv.URL, Key: secret.New(fuzzKey), Model: "vendor-model-7", AllowPrivate: true, Issuer: "fuzz", Account: "acct"}
	return []llmtest.Translator{openai.New(client, time.Now), anthropic.New(client, time.Now), google.New(client, time.Now), azure.New(client, time.Now)}, srv, to
}

const fuzzKey = "sk-planted-0123456789abcdef"

// Whatever a vendor answers, its decoder makes events of known kinds that are in
// order, and every dialect makes JSON of them; or it is a failure without the
// operator's secrets.
func FuzzAnswers(f *testing.F) {
	const whole, stream = 0, 4
	for at, text := range map[byte]string{
		0 + whole:  `{"choices":[{"index":0,"message":{"content":"a","reasoning_content":"t","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}`,
		0 + stream: "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\",\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]},\"finish_reason\":null}]}\n\ndata: {\"choices\":[{\"index\":1,\"delta\":{\"refusal\":\"no\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
		1 + whole:  `{"type":"message","content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"text","text":"a"},{"type":"tool_use","id":"t","name":"f","input":{}}],"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":2}}`,
		1 + stream: "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":1}}}\n\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\"}}\n\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\"}}\n\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\"},\"usage\":{\"output_tokens\":2}}\n\ndata: {\"type\":\"message_stop\"}\n\n",
		2 + whole:  `{"candidates":[{"content":{"parts":[{"text":"a"},{"functionCall":{"name":"f","args":{}}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1}}`,
		2 + stream: "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\",\"thought\":true}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":1}}\n\n",
		3 + stream: "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\ndata: {\"error\":{\"code\":\"content_filter\",\"message\":\"" + fuzzKey + "\"}}\n\n",
	} {
		f.Add([]byte(text), at)
	}
	vendors, srv, to := fuzzSetup(f)
	f.Fuzz(func(t *testing.T, b []byte, at byte) {
		streamed := at/4%2 == 1
		kind := "application/json"
		if streamed {
			kind = "text/event-stream"
		}
		srv.Answer(func(c llmtest.Call) {
			c.W.Header().Set("Content-Type", kind)
			_, _ = c.W.Write(b)
		})
		req := &llm.Request{Stream: streamed, Messages: []llm.Message{{Role: llm.RoleUser, Parts: []llm.Part{{Kind: llm.PartText, Text: "Hi"}}}}}
		meta := llm.Meta{CallID: "call_0123456789", Model: "m", Created: time.Unix(1_767_225_600, 0), Request: req}
		encoders := make([]llm.Encoder, len(fuzzed))
		streams := make([][]byte, len(fuzzed))
		for i, d := range fuzzed {
			encoders[i] = d.Encoder(meta)
		}
		var all llm.Collector
		failed := false
		for e, err := range vendors[at%4].Stream(t.Context(), to, req) {
			switch failure, ok := errors.AsType[*llm.Failure](err); {
			case failed:
				t.Fatal("something comes after a failure")
			case err != nil && !ok:
				t.Fatalf("%v is no failure", err)
			case err != nil:
				if text := err.Error() + failure.Fault.Message; strings.Contains(text, fuzzKey) || fault.From(err).Kind == fault.Internal {
					t.Fatalf("%q", text)
				}
				failed = true
				continue
			case e.Kind == 0 || e.Choice < 0 || e.Index < 0 || e.Kind == llm.EventUsage && (e.Usage.Inputs() < 0 || e.Usage.Outputs() < 0):
				t.Fatalf("%+v", e)
			}
			all.Add(&e)
			for i := range encoders {
				streams[i] = encoders[i].Append(streams[i], &e)
			}
		}
		if failed {
			return
		}
		for i, d := range fuzzed {
			if whole := d.AppendAnswer(nil, meta, all.Answer()); !jsontext.Value(whole).IsValid() {
				t.Errorf("%T makes %q of %q", d, whole, b)
			}
			out := encoders[i].AppendTerminal(encoders[i].AppendEnd(streams[i]))
			for event := range strings.SplitSeq(strings.TrimSuffix(string(out), "\n\n"), "\n\n") {
				if _, data, _ := strings.Cut(event, "data: "); data != "[DONE]" && !jsontext.Value(data).IsValid() {
					t.Errorf("%T streams %q of %q", d, event, b)
				}
			}
		}
	})
}

// Whatever a client sends in any dialect is refused, or reaches every vendor as
// JSON.
func FuzzRequests(f *testing.F) {
	for at, text := range []string{
		`{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]},{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{"}}]},{"role":"tool","tool_call_id":"c","content":"r"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"reasoning_effort":"high","stop":["x"],"temperature":1e0}`,
		`{"model":"m","max_tokens":5,"system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"d"}}]},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"tool_use","id":"t","name":"f","input":{"a":1}}]}],"thinking":{"type":"enabled","budget_tokens":1024}}`,
		`{"contents":[{"role":"user","parts":[{"text":"a"},{"inlineData":{"mimeType":"image/png","data":"AA=="}}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}}]}],"generationConfig":{"responseSchema":{"type":"OBJECT"},"responseMimeType":"application/json"}}`,
		`{"model":"m","store":false,"input":[{"role":"user","content":[{"type":"input_text","text":"a"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"r"}],"text":{"format":{"type":"json_schema","name":"n","schema":{}}}}`,
	} {
		f.Add([]byte(text), byte(at))
	}
	vendors, srv, to := fuzzSetup(f)
	to.Abilities = llm.Abilities{Adaptive: true, JSONSchema: true, Prefill: true, MidSystem: true, MaxOutput: 1000}
	var sent atomic.Pointer[[]byte]
	srv.Answer(func(c llmtest.Call) {
		sent.Store(&c.Body)
		llmtest.Error(503, "overloaded", "later")(c)
	})
	f.Fuzz(func(t *testing.T, b []byte, at byte) {
		req, err := fuzzed[at%4].Decode(b)
		if err != nil {
			if k := fault.From(err).Kind; k != fault.Invalid {
				t.Fatalf("%v is %v", err, k)
			}
			return
		}
		req.Model = "m"
		sent.Store(nil)
		for _, err := range vendors[at/4%4].Stream(t.Context(), to, req) {
			if k := llm.KindOf(err); k == 0 {
				t.Fatalf("%v is no failure", err)
			}
		}
		if body := sent.Load(); body != nil && !jsontext.Value(*body).IsValid() {
			t.Errorf("%q was sent as %q", b, *body)
		}
	})
}
