package openai_test

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm/dialect/openai"
	"github.com/rephlo/rephlo/internal/llm/llmtest"
)

// Whatever is sent, it is read or refused, never a failure of ours.
func FuzzDecodeChat(f *testing.F) {
	f.Add([]byte(`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"}]}],"tools":[{"type":"function","function":{"name":"f"}}],"stop":"x"}`))
	f.Add([]byte(`{"model":"m","messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{"}}]},{"role":"tool","tool_call_id":"a","content":"Error: x"}]}`))
	f.Add([]byte(`{"messages":[],"functions":[{"name":"f"}],"function_call":{"name":"f"},"response_format":{"type":"json_object"},"n":2,"x":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := openai.Chat{}.Decode(b)
		if err != nil {
			if k := fault.From(err).Kind; k != fault.Invalid {
				t.Fatalf("%v is %v", err, k)
			}
			return
		}
		if r == nil || !jsontext.Value(b).IsValid() {
			t.Fatalf("%q was accepted", b)
		}
	})
}

// The same for Responses.
func FuzzDecodeResponses(f *testing.F) {
	f.Add([]byte(`{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,AA=="}]},{"type":"reasoning","summary":[{"text":"a"}],"encrypted_content":"rx1.a.b.Yw"},{"type":"function_call","call_id":"c","name":"f","arguments":"{"},{"type":"function_call_output","call_id":"c","output":[{"type":"input_text","text":"Error: x"}]}]}`))
	f.Add([]byte(`{"input":"x","tools":[{"type":"custom","name":"a"}],"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"name":"a"}]},"text":{"format":{"type":"json_schema","schema":{}}},"x":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := openai.Responses{}.Decode(b)
		if err != nil {
			if k := fault.From(err).Kind; k != fault.Invalid {
				t.Fatalf("%v is %v", err, k)
			}
			return
		}
		if r == nil || !jsontext.Value(b).IsValid() {
			t.Fatalf("%q was accepted", b)
		}
	})
}

func FuzzDecodeEmbeddings(f *testing.F) {
	f.Add([]byte(`{"model":"m","input":["a",[1,2]],"encoding_format":"base64","dimensions":2}`))
	f.Add([]byte(`{"input":"a","x":1}`))
	f.Fuzz(func(t *testing.T, b []byte) { llmtest.CheckEmbed(t, openai.Embeddings{}, b) })
}
