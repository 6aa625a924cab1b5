package relay

import (
	"bytes"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
)

func TestScanEmbedReadsOneRequestOrMany(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		body     string
		batch    bool
		messages int
		want     string // after Apply
	}{
		{`{"content":{"parts":[{"text":"a"}]}}`, false, 1, `{"content":{"parts":[{"text":"a"}]}}`},
		{`{"model" : "models\/e", "content":{}, "x":[1e2]}`, false, 1, `{"model" : "models/v", "content":{}, "x":[1e2]}`},
		{`{"content":{},"model":"e"}`, false, 1, `{"content":{},"model":"models/v"}`},
		{`{"requests":[{"model":"models/e","content":{}},{"content":{}, "model":"models/e"}],"y":null}`, true, 2, `{"requests":[{"model":"models/v","content":{}},{"content":{}, "model":"models/v"}],"y":null}`},
	} {
		e, err := ScanEmbed([]byte(tt.body), "e", tt.batch)
		if err != nil || e.Messages != tt.messages || e.Model != "e" || e.TextBytes != int64(len(tt.body)) {
			t.Errorf("%s: %+v, %v", tt.body, e.Scan, err)
			continue
		}
		if got := string(bytes.Join(e.Apply([]byte(tt.body), "v"), nil)); got != tt.want {
			t.Errorf("%s became %s, want %s", tt.body, got, tt.want)
		}
	}
	image := `{"content":{"parts":[{"inline_data":{"mime_type":"image/png","data":"` + strings.Repeat("A", 2000) + `"}},{"fileData":{"fileUri":"gs://x"}}]}}`
	e, err := ScanEmbed([]byte(image), "e", false)
	if err != nil || e.MediaBytes != 2000 || !e.HasFiles() {
		t.Errorf("an image: %+v, %v", e.Scan, err)
	}
}

func TestScanEmbedNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		body  string
		batch bool
		param string
	}{
		{``, false, ""},
		{`[]`, false, ""},
		{`{"content":{}`, false, ""},
		{`{"content":{}} {}`, false, ""},
		{`{}`, false, "content"},
		{`{"content":{},"content":{}}`, false, "content"},
		{`{"output_dimensionality":1,"outputDimensionality":2,"content":{}}`, false, "outputDimensionality"},
		{`{"model":"models/other","content":{}}`, false, "model"},
		{`{"model":5,"content":{}}`, false, "model"},
		{`{}`, true, "requests"},
		{`{"requests":[]}`, true, "requests"},
		{`{"requests":{}}`, true, "requests"},
		{`{"requests":[5]}`, true, "requests"},
		{`{"requests":[{"content":{},"model":"models/other"}]}`, true, "model"},
		{`{"requests":[{"content":{}}],"requests":[]}`, true, "requests"},
	} {
		_, err := ScanEmbed([]byte(tt.body), "e", tt.batch)
		if f := fault.From(err); err == nil || f.Kind != fault.Invalid || f.Param != tt.param {
			t.Errorf("%s: %v, want %q", tt.body, err, tt.param)
		}
	}
}

func TestAnAnswerWithEmbeddingsStatesItsUsage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		op   llm.Op
		body string
		want llm.Usage
		kind llm.Kind
	}{
		{llm.OpEmbedContent, `{"embedding":{"values":[1]},"usageMetadata":{"promptTokenCount":5}}`, llm.Usage{Input: 5, Reported: true}, 0},
		{llm.OpEmbedBatch, `{"embeddings":[],"usageMetadata":{"promptTokenCount":300,"promptTokenDetails":[{"modality":"IMAGE","tokenCount":258}]}}`, llm.Usage{Input: 42, ImageInput: 258, Reported: true}, 0},
		{llm.OpEmbedContent, `{"embedding":{"values":[1]}}`, llm.Usage{}, 0},
		{llm.OpEmbedContent, `{"embedding":{},"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":9}}`, llm.Usage{Input: 5, Reported: true}, 0},
		{llm.OpEmbedContent, `{"embedding":[1]}`, llm.Usage{}, llm.Protocol},
		{llm.OpEmbedContent, `{"embedding":{}`, llm.Usage{}, llm.Protocol},
		{llm.OpEmbedContent, `[]`, llm.Usage{}, llm.Protocol},
		{llm.OpEmbedContent, `{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}`, llm.Usage{}, llm.Rate},
	} {
		if got, err := ScanAnswer(tt.op, []byte(tt.body)); got != tt.want || llm.KindOf(err) != tt.kind {
			t.Errorf("%s: %+v, %v", tt.body, got, err)
		}
	}
}

// What is accepted is JSON, and is JSON after its edits.
func FuzzScanEmbed(f *testing.F) {
	f.Add([]byte(`{"model":"models/e","content":{"parts":[{"text":"a"}]},"taskType":"X"}`), false)
	f.Add([]byte(`{"requests":[{"model":"e","content":{"parts":[{"inlineData":{"data":"AA=="}}]}},{"content":{}}]}`), true)
	f.Add([]byte(`{"content":{},"m\u006fdel":"models/e"}`), false)
	f.Fuzz(func(t *testing.T, body []byte, batch bool) {
		e, err := ScanEmbed(body, "e", batch)
		if err != nil {
			if fault.From(err).Kind != fault.Invalid {
				t.Fatal(err)
			}
			return
		}
		edited := bytes.Join(e.Apply(body, `v"w`), nil)
		if opt := jsontext.AllowDuplicateNames(true); !jsontext.Value(body).IsValid(opt) || !jsontext.Value(edited).IsValid(opt) {
			t.Errorf("%q became %q", body, edited)
		}
	})
}

func FuzzScanEmbedAnswer(f *testing.F) {
	f.Add([]byte(`{"embedding":{"values":[1]},"usageMetadata":{"promptTokenCount":5,"promptTokenDetails":[{"modality":"IMAGE","tokenCount":258}]}}`))
	f.Add([]byte(`{"embeddings":[],"error":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		u, err := ScanAnswer(llm.OpEmbedBatch, body)
		if err == nil && (u.Input < 0 || u.Outputs() != 0 || !jsontext.Value(body).IsValid(jsontext.AllowDuplicateNames(true))) {
			t.Errorf("%q: %+v", body, u)
		}
	})
}
