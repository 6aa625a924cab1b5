package gateway_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/money"
)

// Anthropic counts for its own models; others are estimated, and marked. Both
// are free and leave no record.
func TestTokensAreCountedForNothing(t *testing.T) {
	t.Parallel()
	run(t, quick(), 10_000*money.Credit, func(t *testing.T, w *world) {
		const path = "/v1/messages/count_tokens"
		rest := `,"system":"Be brief and friendly.","tools":[{"name":"look","description":"Looks at things","input_schema":{"type":"object"}}]`
		w.one.does(says(200, `{"input_tokens":77}`))
		got := w.send(t.Context(), path, message("claude", rest))
		if got.status != 200 || got.body != `{"input_tokens":77}` || got.header.Get("X-Rephlo-Estimated") != "" {
			t.Errorf("got %d %s", got.status, got.body)
		}
		if sent := w.one.lastBody(); !strings.Contains(sent, `"model":"claude-v"`) || !strings.Contains(sent, "Be brief") || !strings.Contains(sent, "look") || strings.Contains(sent, "max_tokens") {
			t.Errorf("sent %s", sent)
		}
		count := func(model, rest string) (n int64) {
			got := w.send(t.Context(), path, message(model, rest))
			var body struct {
				InputTokens int64 `json:"input_tokens"`
			}
			if err := json.Unmarshal([]byte(got.body), &body); err != nil || got.status != 200 || got.header.Get("X-Rephlo-Estimated") != "true" {
				t.Errorf("got %d %s", got.status, got.body)
			}
			return body.InputTokens
		}
		if bare, whole := count("m", ""), count("m", rest); bare < 3 || whole < bare+12 {
			t.Errorf("counted %d without system and tools, %d with them", bare, whole)
		}
		w.one.does(says(500, `{}`))
		count("claude", rest)
		if got := w.send(t.Context(), path, message("nothing", "")); got.status != 404 || !strings.Contains(got.body, "not_found_error") {
			t.Errorf("got %d %s", got.status, got.body)
		}
		if records := w.records(0); len(records) != 0 {
			t.Errorf("records %+v", records)
		}
	})
}

// The same for clients of Google, in the two forms that it documents.
func TestTokensAreCountedForClientsOfGoogle(t *testing.T) {
	t.Parallel()
	run(t, quick(), 10_000*money.Credit, func(t *testing.T, w *world) {
		const contents = `"contents":[{"role":"user","parts":[{"text":"Say hello"}]}]`
		whole := `{"generateContentRequest":{"model":"models/gem",` + contents + `,"systemInstruction":{"parts":[{"text":"Be brief and friendly."}]}}}`
		w.one.does(says(200, `{"totalTokens": 31, "promptTokensDetails":[{"modality":"TEXT","tokenCount":31}]}`))
		for body, says := range map[string]string{"{" + contents + "}": "Say hello", whole: "Be brief and friendly."} {
			got := w.at("/v1beta/models/gem:countTokens", body)
			if got.status != 200 || got.body != `{"totalTokens":31}` || got.header.Get("X-Rephlo-Estimated") != "" {
				t.Errorf("got %d %s", got.status, got.body)
			}
			if sent := w.one.lastBody(); !strings.Contains(sent, says) || !strings.Contains(sent, `"model":"models/gem-v"`) {
				t.Errorf("sent %s", sent)
			}
		}
		count := func(body string) (n int64) {
			got := w.at("/v1beta/models/m:countTokens", body)
			var in struct{ TotalTokens int64 }
			if err := json.Unmarshal([]byte(got.body), &in); err != nil || got.status != 200 || got.header.Get("X-Rephlo-Estimated") != "true" {
				t.Errorf("got %d %s", got.status, got.body)
			}
			return in.TotalTokens
		}
		if bare, more := count("{"+contents+"}"), count(whole); bare < 3 || more < bare+4 {
			t.Errorf("counted %d without the system text, %d with it", bare, more)
		}
		for path, body := range map[string]string{
			"none:countTokens": "{" + contents + "}", "gem:countTokens": `{}`,
			"m:countTokens": `{` + contents + `,` + whole[1:], "test-echo:countTokens": `{"generateContentRequest":[]}`,
		} {
			if got := w.at("/v1beta/models/"+path, body); got.status/100 != 4 || !strings.Contains(got.body, `"status":`) {
				t.Errorf("%s %s: %d %s", path, body, got.status, got.body)
			}
		}
		if records := w.records(0); len(records) != 0 {
			t.Errorf("records %+v", records)
		}
	})
}
