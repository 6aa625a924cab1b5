package catalog

import (
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/secret"
)

// Google returns the provider "google" with the models and prices of
// https://ai.google.dev/gemini-api/docs/pricing as charm.land/catwalk v0.52.1
// lists them. Above 200,000 input tokens the Pro models cost twice the input
// and one and a half times the output. The word always_thinks says that a model
// cannot be told not to think, schema_with_tools that it gives structured output
// although it has tools.
func Google(key secret.String) ProviderConfig {
	p := ProviderConfig{Name: "google", Vendor: "google", BaseURL: "https://generativelanguage.googleapis.com/v1beta", Key: key}
	for _, m := range gemini {
		p.Models = append(p.Models, m.config())
	}
	for _, m := range geminiEmbedders {
		p.Models = append(p.Models, m.config("ai.google.dev/gemini-api/docs/pricing"))
	}
	return p
}

// geminiModel is a line of the price list, in micro-dollars per million tokens.
type geminiModel struct {
	id, name              string
	input, cached, output money.Price
	maxOutput             int64
	high                  bool // has prices for long contexts
	words                 []string
}

var gemini = []geminiModel{
	{"gemini-3.7-flash", "Gemini 3.7 Flash", 750_000, 75_000, 3_750_000, 65_536, false, []string{"always_thinks", "schema_with_tools"}},
	{"gemini-3.6-flash", "Gemini 3.6 Flash", 1_500_000, 150_000, 7_500_000, 65_536, false, []string{"always_thinks", "schema_with_tools"}},
	{"gemini-3.5-flash", "Gemini 3.5 Flash", 1_500_000, 1_000_000, 9_000_000, 64_000, false, []string{"always_thinks", "schema_with_tools"}},
	{"gemini-3.5-flash-lite", "Gemini 3.5 Flash-Lite", 300_000, 30_000, 2_500_000, 65_536, false, []string{"always_thinks", "schema_with_tools"}},
	{"gemini-3.1-flash-lite", "Gemini 3.1 Flash-Lite", 250_000, 25_000, 1_500_000, 65_536, false, []string{"always_thinks", "schema_with_tools"}},
	{"gemini-3-pro-preview", "Gemini 3 Pro", 2_000_000, 200_000, 12_000_000, 64_000, true, []string{"always_thinks", "schema_with_tools"}},
	{"gemini-3-flash-preview", "Gemini 3 Flash", 500_000, 50_000, 3_000_000, 50_000, false, []string{"always_thinks", "schema_with_tools"}},
	{"gemini-2.5-pro", "Gemini 2.5 Pro", 1_250_000, 125_000, 10_000_000, 50_000, true, []string{"always_thinks"}},
	{"gemini-2.5-flash", "Gemini 2.5 Flash", 300_000, 30_000, 2_500_000, 50_000, false, nil},
}

func (m geminiModel) config() ModelConfig {
	c := ModelConfig{
		ID: m.id, Name: m.name, ContextLength: 1_048_576, MaxOutput: m.maxOutput,
		Capabilities: append([]string{"text", "vision", "function_calling", "json_schema", "caching", "reasoning", "long_context"}, m.words...),
		Parameters: []string{
			"frequency_penalty", "max_completion_tokens", "max_tokens", "n", "presence_penalty", "reasoning_effort", "response_format", "seed", "stop", "stream", "stream_options",
			"temperature", "tool_choice", "tools", "top_p",
		},
		Prices: pricing.Prices{Input: m.input, CacheRead: pricing.At(m.cached), Output: m.output},
		Source: "ai.google.dev/gemini-api/docs/pricing by catwalk 0.52.1",
	}
	if m.high {
		c.Prices.Threshold = 200_000
		c.Prices.High = &pricing.Prices{Input: 2 * m.input, CacheRead: pricing.At(2 * m.cached), Output: m.output + m.output/2}
	}
	return c
}
