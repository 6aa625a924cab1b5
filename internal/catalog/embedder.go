package catalog

import (
	"slices"

	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
)

// embedder is a model that turns texts into vectors and does nothing else. It
// writes no tokens: its output limit is the least there is.
type embedder struct {
	id, name string
	input    money.Price // micro-dollars per million tokens
	context  int64       // of each text
	shorter  bool        // its vectors can be made shorter
}

func (m embedder) config(source string) ModelConfig {
	c := ModelConfig{
		ID: m.id, Name: m.name, ContextLength: m.context, MaxOutput: 1, Capabilities: []string{wordEmbedding}, Parameters: []string{"encoding_format"},
		Prices: pricing.Prices{Input: m.input}, Source: source,
	}
	if m.shorter {
		c.Parameters = append(c.Parameters, "dimensions")
		slices.Sort(c.Parameters)
	}
	return c
}

// Of OpenAI (https://openai.com/api/pricing and the guide "Vector embeddings")
// and of Google (https://ai.google.dev/gemini-api/docs/pricing and the guide
// "Embeddings"); catwalk lists none.
var (
	openAIEmbedders = []embedder{
		{"text-embedding-3-large", "Text Embedding 3 Large", 130_000, 8192, true},
		{"text-embedding-3-small", "Text Embedding 3 Small", 20_000, 8192, true},
		{"text-embedding-ada-002", "Text Embedding Ada 002", 100_000, 8192, false},
	}
	geminiEmbedders = []embedder{{"gemini-embedding-001", "Gemini Embedding 001", 150_000, 2048, true}}
)

// OnlyEmbeds reports whether a model turns texts into vectors and does nothing
// else.
func (m *Model) OnlyEmbeds() bool {
	return slices.Contains(m.Capabilities.Words, wordEmbedding) && !slices.Contains(m.Capabilities.Words, wordText)
}
