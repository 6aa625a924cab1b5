package google_test

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm/dialect/google"
	"github.com/rephlo/rephlo/internal/llm/llmtest"
)

// Whatever is sent, it is read or refused, never a failure of ours.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"contents":[{"role":"user","parts":[{"text":"a"},{"inline_data":{"mime_type":"image/png","data":"AA=="}}]},{"role":"model","parts":[{"functionCall":{"name":"f"},"thoughtSignature":"cw=="}]},{"parts":[{"functionResponse":{"name":"f","response":{"output":"x"}}}]}]}`))
	f.Add([]byte(`{"contents":[],"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT","nullable":true,"properties":{"a":{"type":"STRING"}}}}]},{"googleSearch":{}}],"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f"]}}}`))
	f.Add([]byte(`{"generationConfig":{"maxOutputTokens":5,"thinkingConfig":{"thinkingBudget":-1},"responseMimeType":"application/json","responseSchema":{"type":"ARRAY","items":{"type":"STRING"}},"x":1}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := google.Gemini{}.Decode(b)
		if err != nil {
			if k := fault.From(err).Kind; k != fault.Invalid {
				t.Fatalf("%v is %v", err, k)
			}
			return
		}
		if r == nil || !jsontext.Value(b).IsValid() {
			t.Fatalf("%q was accepted", b)
		}
		for _, tool := range r.Tools {
			if len(tool.Parameters) > 0 && !tool.Parameters.IsValid() {
				t.Fatalf("%q became the schema %q", b, tool.Parameters)
			}
		}
	})
}

func FuzzDecodeEmbed(f *testing.F) {
	f.Add([]byte(`{"requests":[{"model":"models/m","content":{"parts":[{"text":"a"}]},"task_type":"X","outputDimensionality":2}]}`))
	f.Add([]byte(`{"requests":[{"content":{}}],"x":1}`))
	f.Fuzz(func(t *testing.T, b []byte) { llmtest.CheckEmbed(t, google.Embed{Batch: true}, b) })
}
