package anthropic

import (
	"testing"

	"github.com/go-json-experiment/json"

	wire "github.com/rephlo/rephlo/internal/llm/wire/anthropic"
)

const usualDelta = `{"type":"content_block_delta","index":12,"delta":{"type":"text_delta","text":"Gr\u00fc\u00dfe {\u4e16}"} }  `

func TestTheUsualTextDeltaIsReadWithoutADecoder(t *testing.T) {
	t.Parallel()
	const usual = `{"type":"content_block_delta","index":12,"delta":{"type":"text_delta","text":"Grüße {世}"} }  `
	if i, text, ok := textDelta([]byte(usual)); !ok || i != 12 || string(text) != "Grüße {世}" {
		t.Errorf("%d, %q, %t", i, text, ok)
	}
	for _, other := range []string{
		usualDelta, // escapes are for the decoder
		`{"type":"content_block_delta","index":12,"delta":{"type":"text_delta","text":"a"}`,
		`{"type":"content_block_delta","index":12,"delta":{"type":"text_delta","text":"a"}},`,
		`{"type":"content_block_delta","index":-1,"delta":{"type":"text_delta","text":"a"}}`,
		`{"type":"content_block_delta","index":01,"delta":{"type":"text_delta","text":"a"}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a","text":"b"}}`,
		"{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"\xff\"}}",
		"{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"\n\"}}",
	} {
		if i, text, ok := textDelta([]byte(other)); ok {
			t.Errorf("%s is taken for %d, %q", other, i, text)
		}
	}
}

// What textDelta reads, the decoder reads as the same.
func FuzzTextDelta(f *testing.F) {
	f.Add([]byte(usualDelta))
	f.Add([]byte(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}`))
	f.Add([]byte(`{"type":"content_block_delta","index":000000000000000000000,"delta":{"type":"text_delta","text":"é"} } `))
	f.Fuzz(func(t *testing.T, data []byte) {
		i, text, ok := textDelta(data)
		if !ok {
			return
		}
		var in wire.Event
		if err := json.Unmarshal(data, &in, lenient); err != nil {
			t.Fatal(err)
		}
		if in.Type != "content_block_delta" || in.Index != i || in.Delta == nil || in.Delta.Type != "text_delta" || in.Delta.Text != string(text) {
			t.Errorf("%+v, %+v is read as %d, %q", in, in.Delta, i, text)
		}
	})
}
