package relay_test

import (
	"bytes"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm/relay"
)

func TestGeminiIsEditedInPlace(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"contents":[]}`:                                                `{"generationConfig":{"maxOutputTokens":9},"contents":[]}`,
		`{"contents":[],"generationConfig":{}}`:                          `{"contents":[],"generationConfig":{"maxOutputTokens":9}}`,
		`{"contents":[],"generationConfig":{ "topK":1.0}}`:               `{"contents":[],"generationConfig":{"maxOutputTokens":9, "topK":1.0}}`,
		`{"contents":[],"generationConfig":null}`:                        `{"contents":[],"generationConfig":{"maxOutputTokens":9}}`,
		`{"contents":[],"generation_config":{"max_output_tokens":null}}`: `{"contents":[],"generation_config":{"max_output_tokens":9}}`,
		`{"contents":[],"generation_config":{"max_output_tokens":5}}`:    `{"contents":[],"generation_config":{"max_output_tokens":5}}`,
	} {
		s, err := relay.ScanGemini([]byte(body))
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if got := string(bytes.Join(s.ApplyGemini([]byte(body), 9), nil)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	for _, body := range []string{
		`{"contents":[],"cachedContent":"cachedContents/1"}`, `{"contents":[],"cached_content":"x"}`, `{"contents":[],"tools":[{"googleSearch":{}}]}`,
		`{"contents":[],"tools":[{"functionDeclarations":[]},{"code_execution":{}}]}`, `{"contents":[],"generationConfig":{"maxOutputTokens":0}}`,
		`{"contents":[],"generationConfig":{"candidateCount":11}}`, `{"contents":[],"generationConfig":{},"generation_config":{}}`,
		`{"contents":[],"generationConfig":{"maxOutputTokens":5,"max_output_tokens":6}}`, `{"generationConfig":{}}`, `{"contents":5}`, `[]`,
	} {
		if _, err := relay.ScanGemini([]byte(body)); err == nil {
			t.Errorf("%s is accepted", body)
		}
	}
	s, err := relay.ScanGemini([]byte(`{"contents":[{"parts":[{"inlineData":{"data":"AA=="}},{"fileData":{"file\u005furi":"https://x"}}]}],"tools":[{"functionDeclarations":[{"name":"f"}]}]}`))
	if err != nil || s.Images != 2 || !s.HasFiles() || s.Tools != 1 || s.Messages != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}

// Whatever is accepted is JSON that a strict parser takes, before and after the
// edit, and has a limit then.
func FuzzScanGemini(f *testing.F) {
	f.Add([]byte(`{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"topK":1},"tools":[{"functionDeclarations":[]}]}`))
	f.Add([]byte(`{"generation_config":{"max_output_tokens":null,"candidate_count":2},"contents":"x"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := relay.ScanGemini(body)
		if err != nil {
			return
		}
		if !jsontext.Value(body).IsValid(jsontext.AllowDuplicateNames(true)) {
			t.Fatalf("accepted %q", body)
		}
		out := bytes.Join(s.ApplyGemini(body, 77), nil)
		again, err := relay.ScanGemini(out)
		if err != nil || s.MaxTokens == 0 && again.MaxTokens != 77 || s.MaxTokens > 0 && again.MaxTokens != s.MaxTokens || again.N != s.N {
			t.Fatalf("%q became %q: %v", body, out, err)
		}
	})
}
