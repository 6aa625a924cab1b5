package openai

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
)

// Whatever comes, it is a vector for each input or a failure.
func FuzzDecodeEmbed(f *testing.F) {
	f.Add([]byte(`{"data":[{"index":1,"embedding":[1]},{"index":0,"embedding":[2e0]}],"usage":{"prompt_tokens":1,"total_tokens":1}}`), 2)
	f.Add([]byte(`{"data":[{"embedding":"AACAPw=="}]}`), 1)
	f.Add([]byte(`{"error":{"code":"rate_limit_exceeded"}}`), 1)
	f.Fuzz(func(t *testing.T, body []byte, n int) {
		if n < 1 || n > llm.MaxEmbedInputs {
			return
		}
		vectors, usage, err := decodeEmbed(body, n)
		if err != nil {
			if llm.KindOf(err) == 0 {
				t.Fatalf("%v is no failure", err)
			}
			return
		}
		checkVectors(t, body, n, vectors, usage)
	})
}

func checkVectors(t *testing.T, body []byte, n int, vectors []jsontext.Value, usage llm.Usage) {
	t.Helper()
	if len(vectors) != n || usage.Inputs() < 0 || usage.Outputs() != 0 {
		t.Errorf("%q: %d vectors for %d inputs, %+v", body, len(vectors), n, usage)
	}
	for _, v := range vectors {
		if !v.IsValid() || !llm.IsVector(v) {
			t.Errorf("%q: %s", body, v)
		}
	}
}
