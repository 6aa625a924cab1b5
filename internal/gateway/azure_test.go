package gateway_test

import (
	"strings"
	"testing"
)

// filters is what Azure sends before the first chunk.
const filters = `data: {"choices":[],"prompt_filter_results":[{"prompt_index":0,"content_filter_results":{}}]}` + "\n\n"

func TestAzurePassesAsItIsInBothWaysOfAddressing(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		for model, path := range map[string]string{"az": "/openai/v1/chat/completions", "az-dated": "/openai/deployments/prod-old/chat/completions?api-version=2024-10-21"} {
			w.one.does(streams(filters, token("Hello"), stop, total, done))
			r := w.post(`{"model":"` + model + `","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Hi"}]}`)
			if want := filters + token("Hello") + stop + total + done; r.status != 200 || r.body != want {
				t.Errorf("%s: %d %q", model, r.status, r.body)
			}
			body := w.one.lastBody()
			if w.one.lastPath() != path || !strings.Contains(body, `"model":"prod`) || !strings.Contains(body, `"max_completion_tokens":1000`) {
				t.Errorf("%s: sent %s %s", model, w.one.lastPath(), body)
			}
		}
		for _, got := range w.records(2) {
			if got.Source != "reported" || got.Input == 0 || got.Charged == 0 {
				t.Errorf("%+v", got)
			}
		}
	})
}

// A dated version has no responses, so a chat completion answers.
func TestAzureOfADatedVersionTakesResponsesInTranslation(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.one.does(says(200, okAnswer))
		for model, path := range map[string]string{"az": "/openai/v1/responses", "az-dated": "/openai/deployments/prod-old/chat/completions?api-version=2024-10-21"} {
			r := w.at("/v1/responses", `{"model":"`+model+`","store":false,"input":"Hi"}`)
			if w.one.lastPath() != path {
				t.Errorf("%s: %d, sent %s", model, r.status, w.one.lastPath())
			}
			if model == "az-dated" && (r.status != 200 || !strings.Contains(r.body, `"object":"response"`)) {
				t.Errorf("%d %s", r.status, r.body)
			}
		}
		if r := w.at("/v1/moderations", `{"model":"az","input":"Hi"}`); r.status != 400 || !strings.Contains(r.body, "operation_unsupported") {
			t.Errorf("moderations: %d %s", r.status, r.body)
		}
	})
}

func TestAzuresContentFilterIsNotCharged(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.one.does(says(400, `{"error":{"message":"The response was filtered","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}`))
		r := w.post(`{"model":"az","messages":[{"role":"user","content":"Hi"}]}`)
		if r.status != 400 || !strings.Contains(r.body, `"code":"content_policy"`) || strings.Contains(r.body, "filtered") || w.one.calls.Load() != 1 {
			t.Errorf("%d %s after %d calls", r.status, r.body, w.one.calls.Load())
		}
		if got := w.last(1); got.Charged != 0 {
			t.Errorf("%+v", got)
		}
	})
}
