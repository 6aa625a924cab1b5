package gateway_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/secret"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

const (
	gemVectors = `{"embeddings": [{"values": [1.0,2.50]},{"values": [-3,0]}],"usageMetadata": {"promptTokenCount": 1000}}`
	gemVector  = `{"embedding": {"values": [1.0,2.50]},"usageMetadata": {"promptTokenCount": 1000}, "x": 1e2}`
	oneVector  = `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"vm","usage":{"prompt_tokens":1000,"total_tokens":1000}}`
	// 1,000 tokens at 1 dollar for a million, at one and a half.
	vectorCharge = "0.15"
)

// long is a text that may well have 1,000 tokens: no charge is above the hold.
var long = strings.Repeat("word ", 800)

// Both ends speak Google's protocol: the only edit is the model's name.
func TestEmbeddingsOfGooglePassAsTheyAre(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		for _, tt := range []struct{ method, ask, sent, answer string }{
			{"embedContent", `{ "model":"models/gem", "content":{"parts":[{"text":"` + long + `"}]},"odd":[1e2]}`, `{ "model":"models/gem-v", "content":{"parts":[{"text":"` + long + `"}]},"odd":[1e2]}`, gemVector},
			{"batchEmbedContents", `{"requests":[{"model":"models/gem","content":{}},{"content":{"a":"` + long + `"}}]}`, `{"requests":[{"model":"models/gem-v","content":{}},{"content":{"a":"` + long + `"}}]}`, gemVectors},
		} {
			w.one.does(says(200, tt.answer))
			r := w.at("/v1beta/models/gem:"+tt.method, tt.ask, "Authorization", "Bearer live")
			if r.status != 200 || r.body != tt.answer || r.header.Get("X-Rephlo-Credits-Charged") != vectorCharge {
				t.Errorf("%s: %d %q %v", tt.method, r.status, r.body, r.header)
			}
			if w.one.lastBody() != tt.sent || w.one.lastPath() != "/models/gem-v:"+tt.method {
				t.Errorf("%s: sent %s %s", tt.method, w.one.lastPath(), w.one.lastBody())
			}
		}
		for _, got := range w.records(2) {
			if got.Input != 1000 || got.Output != 0 || got.Source != "reported" || got.Charged.String() != vectorCharge {
				t.Errorf("%+v", got)
			}
		}
	})
}

func TestEmbeddingsAreTranslatedBothWays(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.one.does(says(200, gemVectors))
		r := w.at("/v1/embeddings", `{"model":"gem","input":["`+long+`","b"],"encoding_format":"base64","dimensions":2,"user":"u"}`)
		want := `{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AACAPwAAIEA="},{"object":"embedding","index":1,"embedding":"AABAwAAAAAA="}],` +
			`"model":"gem","usage":{"prompt_tokens":1000,"total_tokens":1000}}`
		if r.status != 200 || r.body != want || r.header.Get("X-Rephlo-Credits-Charged") != vectorCharge || r.header.Get("X-Rephlo-Vendor") != "google" {
			t.Errorf("%d %q %v", r.status, r.body, r.header)
		}
		if w.one.lastPath() != "/models/gem-v:batchEmbedContents" || !strings.Contains(w.one.lastBody(), `"outputDimensionality":2`) {
			t.Errorf("sent %s %s", w.one.lastPath(), w.one.lastBody())
		}
		w.one.does(says(200, oneVector))
		r = w.at("/v1beta/models/az:embedContent", `{"content":{"parts":[{"text":"`+long+`"}]},"taskType":"CLUSTERING"}`)
		if r.status != 200 || r.body != `{"embedding":{"values":[0.5]},"usageMetadata":{"promptTokenCount":1000}}` ||
			r.header.Get("X-Rephlo-Warnings") != `dropped;param="taskType"` || r.header.Get("X-Rephlo-Credits-Charged") != vectorCharge {
			t.Errorf("%d %q %v", r.status, r.body, r.header)
		}
		if w.one.lastPath() != "/openai/v1/embeddings" {
			t.Errorf("sent %s", w.one.lastPath())
		}
		for _, got := range w.records(2) {
			if got.Input != 1000 || got.Output != 0 || got.Source != "reported" || got.Charged.String() != vectorCharge {
				t.Errorf("%+v", got)
			}
		}
		if r = w.at("/v1beta/models/test-echo:embedContent", `{"content":{"parts":[{"text":"a"}]},"outputDimensionality":2}`); r.status != 200 {
			t.Errorf("the built-in model: %d %s", r.status, r.body)
		}
	})
}

// What the vendor does not state is estimated, and stated as it is charged.
func TestEmbeddingsWithoutUsageAreEstimated(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.one.does(says(200, `{"embeddings":[{"values":[1]}]}`))
		r := w.at("/v1/embeddings", `{"model":"gem","input":"`+strings.Repeat("a", 3000)+`"}`)
		got := w.last(1)
		if r.status != 200 || got.Source != "estimated" || got.Input < 1000 || !strings.Contains(r.body, fmt.Sprintf(`"prompt_tokens":%d,`, got.Input)) {
			t.Errorf("%d %s %+v", r.status, r.body, got)
		}
	})
}

// Each input may be as long as the model's context, so all of them together may
// be longer.
func TestManyInputsMayBeLongerThanTheContext(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		const inputs, tokens = 205, 90_000
		var calls, sent int
		answer := func(n int) string {
			return `{"embeddings":[` + strings.TrimSuffix(strings.Repeat(`{"values":[1]},`, n), ",") + `],"usageMetadata":{"promptTokenCount":` + fmt.Sprint(tokens*n/inputs) + `}}`
		}
		w.one.does(w.answersEach(func(body string) string {
			calls++
			n := strings.Count(body, `"content"`)
			sent += n
			return answer(n)
		}))
		text := `"` + strings.Repeat("word ", 400) + `",`
		r := w.at("/v1/embeddings", `{"model":"gem","input":[`+strings.TrimSuffix(strings.Repeat(text, inputs), ",")+`]}`)
		got := w.last(1)
		if r.status != 200 || strings.Count(r.body, `"index":`) != inputs || got.Suspect || got.Input < tokens-3 || got.Input > tokens {
			t.Errorf("%d, %d vectors, %+v", r.status, strings.Count(r.body, `"index":`), got)
		}
		if calls != 3 || sent != inputs {
			t.Errorf("%d inputs in %d calls", sent, calls)
		}
	})
}

func TestEmbeddingsRefuseInTheClientsDialect(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		for _, tt := range []struct{ path, body, want string }{
			{"/v1/embeddings", `{"model":"claude","input":"a"}`, `"code":"operation_unsupported"`},
			{"/v1/embeddings", `{"model":"gem","input":[1,2]}`, `"code":"unsupported_parameter"`},
			{"/v1beta/models/claude:embedContent", `{"content":{}}`, `"reason":"operation_unsupported"`},
			{"/v1beta/models/m:embedContent", `{"content":{}}`, `"reason":"operation_unsupported"`},
			{"/v1beta/models/gem:embedContent", `{}`, `"reason":"invalid_request"`},
			{"/v1beta/models/gem:embedContent", `{"model":"models/az","content":{}}`, `"reason":"invalid_request"`},
			{"/v1beta/models/az:embedContent", `{"content":{"parts":[{"inlineData":{}}]}}`, `"reason":"unsupported_parameter"`},
			{"/v1beta/models/none:batchEmbedContents", `{"requests":[{"content":{}}]}`, `"reason":"model_not_found"`},
		} {
			if r := w.at(tt.path, tt.body); r.status/100 != 4 || !strings.Contains(r.body, tt.want) {
				t.Errorf("%s %s: %d %s", tt.path, tt.body, r.status, r.body)
			}
		}
		if w.one.calls.Load() != 0 || w.two.calls.Load() != 0 {
			t.Error("a vendor was called")
		}
	})
}

// A token has as few as two bytes, and is one all the same.
func TestTokensAreHeldAndChargedForEach(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		const tokens = 4000
		list := strings.TrimSuffix(strings.Repeat("1,", tokens/2), ",")
		for _, input := range []string{list + "," + list, "[" + list + "],[" + list + "]"} {
			w.one.does(says(200, `{"object":"list","data":[{"index":0,"embedding":[1]}],"usage":{"prompt_tokens":4000,"total_tokens":4000}}`))
			r := w.at("/v1/embeddings", `{"model":"az","input":[`+input+`]}`)
			if r.status != 200 || r.header.Get("X-Rephlo-Credits-Charged") != "0.6" {
				t.Errorf("%d %s: charged %s", r.status, r.body, r.header.Get("X-Rephlo-Credits-Charged"))
			}
		}
		w.one.does(says(200, `{"object":"list","data":[{"index":0,"embedding":[1]}]}`))
		if r := w.at("/v1/embeddings", `{"model":"az","input":[`+list+`]}`); r.status != 200 || r.header.Get("X-Rephlo-Credits-Charged") != "0.3" {
			t.Errorf("without usage: %d, charged %s", r.status, r.header.Get("X-Rephlo-Credits-Charged"))
		}
	})
}

// A model that makes vectors is not asked to write.
func TestAnEmbeddingModelDoesNotWrite(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		v := newVendor(t)
		v.does(says(200, `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"usage":{"prompt_tokens":2,"total_tokens":2}}`))
		w := newWorld(t, db, quick(), plenty, catalog.ProviderConfig{
			Name: "vectors", Vendor: "compat", BaseURL: v.URL, Key: secret.New(plantedKey), AllowPrivate: true, Options: catalog.Options{Native: []string{"embeddings"}},
			Models: []catalog.ModelConfig{{ID: "vec", ContextLength: 8192, MaxOutput: 1, Capabilities: []string{"embedding"}, Prices: pricing.Prices{Input: 20_000}}},
		})
		for path, body := range map[string]string{"/v1/chat/completions": chat("vec", ""), "/v1/messages": `{"model":"vec","max_tokens":1,"messages":[{"role":"user","content":"a"}]}`} {
			if r := w.at(path, body); r.status != 400 || !strings.Contains(r.body, "operation_unsupported") {
				t.Errorf("%s: %d %s", path, r.status, r.body)
			}
		}
		if r := w.at("/v1/embeddings", `{"model":"vec","input":"hello"}`); r.status != 200 || v.calls.Load() != 1 || r.header.Get("X-Rephlo-Credits-Charged") != "0.01" {
			t.Errorf("%d %s %v after %d calls", r.status, r.body, r.header, v.calls.Load())
		}
	})
}
