package google

import (
	"testing"

	"github.com/rephlo/rephlo/internal/llm"
)

// Whatever comes, it is a vector for each content or a failure.
func FuzzDecodeEmbed(f *testing.F) {
	f.Add([]byte(`{"embeddings":[{"values":[1,2e0]},{"values":[]}],"usageMetadata":{"promptTokenCount":1}}`), 2)
	f.Add([]byte(`{"embeddings":[{"values":["x"]}]}`), 1)
	f.Add([]byte(`{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}`), 1)
	f.Fuzz(func(t *testing.T, body []byte, n int) {
		if n < 1 || n > maxBatch {
			return
		}
		vectors, usage, err := decodeEmbed(body, n)
		switch {
		case err != nil && llm.KindOf(err) == 0:
			t.Fatalf("%v is no failure", err)
		case err != nil:
			return
		case len(vectors) != n || usage.Inputs() < 0 || usage.Outputs() != 0:
			t.Errorf("%q: %d vectors for %d inputs, %+v", body, len(vectors), n, usage)
		}
		for _, v := range vectors {
			if !v.IsValid() || !llm.IsVector(v) {
				t.Errorf("%q: %s", body, v)
			}
		}
	})
}
