package catalog

import (
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/secret"
)

// testProvider is built in, so that a fresh installation can answer. Its small
// price makes the credits of a first call visible.
func testProvider() ProviderConfig {
	prices := pricing.Prices{
		Input: 1_000_000, Output: 2_000_000,
		Image: pricing.At(1_000_000_000), AudioSecond: pricing.At(100_000_000), Character: pricing.At(15_000_000),
	}
	p := ProviderConfig{Name: TestProvider, Vendor: TestProvider}
	for _, m := range [][2]string{
		{"test-echo", "Test: repeats your last message"},
		{"test-slow", "Test: answers slowly"},
		{"test-error-429", "Test: is always busy"},
		{"test-cut-stream", "Test: breaks off in the middle"},
	} {
		p.Models = append(p.Models, ModelConfig{
			ID: m[0], Name: m[1], ContextLength: 128_000, MaxOutput: 16_384,
			Capabilities: []string{"text", "function_calling"},
			Parameters:   []string{"max_completion_tokens", "max_tokens", "stream", "stream_options"},
			Prices:       prices, Source: "built in",
		})
	}
	return p
}

// OpenAI returns the provider "openai" with its embedding models, and the chat
// models and prices of https://openai.com/api/pricing as charm.land/catwalk
// v0.52.1 lists them.
// Models that only the Responses API serves are left out. Above 272,000 input
// tokens OpenAI prices the whole request at twice the input and one and a half
// times the output price (models with a window of 1,050,000 tokens).
func OpenAI(key secret.String) ProviderConfig {
	p := ProviderConfig{Name: "openai", Vendor: "openai", BaseURL: "https://api.openai.com/v1", Key: key}
	for _, m := range openAI {
		p.Models = append(p.Models, m.config())
	}
	for _, m := range openAIEmbedders {
		p.Models = append(p.Models, m.config("openai.com/api/pricing"))
	}
	return p
}

// openAIModel is a line of the price list, in micro-dollars per million tokens.
type openAIModel struct {
	id, name                     string
	input, cached, write, output money.Price // write 0: as input
	context, maxOutput           int64
	reasoning                    bool
}

var openAI = []openAIModel{
	{"gpt-5.6-sol", "GPT-5.6 Sol", 5_000_000, 500_000, 6_250_000, 30_000_000, 1_050_000, 128_000, true},
	{"gpt-5.6-terra", "GPT-5.6 Terra", 2_500_000, 250_000, 3_125_000, 15_000_000, 1_050_000, 128_000, true},
	{"gpt-5.6-luna", "GPT-5.6 Luna", 1_000_000, 100_000, 1_250_000, 6_000_000, 1_050_000, 128_000, true},
	{"gpt-5.5", "GPT-5.5", 5_000_000, 500_000, 0, 30_000_000, 1_050_000, 128_000, true},
	{"gpt-5.4", "GPT-5.4", 2_500_000, 250_000, 0, 15_000_000, 1_050_000, 128_000, true},
	{"gpt-5.4-mini", "GPT-5.4 Mini", 750_000, 75_000, 0, 4_500_000, 400_000, 128_000, true},
	{"gpt-5.4-nano", "GPT-5.4 Nano", 200_000, 20_000, 0, 1_250_000, 400_000, 128_000, true},
	{"gpt-5.2", "GPT-5.2", 1_750_000, 175_000, 0, 14_000_000, 400_000, 128_000, true},
	{"gpt-5.1", "GPT-5.1", 1_250_000, 125_000, 0, 10_000_000, 400_000, 128_000, true},
	{"gpt-5", "GPT-5", 1_250_000, 125_000, 0, 10_000_000, 400_000, 128_000, true},
	{"gpt-5-mini", "GPT-5 Mini", 250_000, 25_000, 0, 2_000_000, 400_000, 128_000, true},
	{"gpt-5-nano", "GPT-5 Nano", 50_000, 5_000, 0, 400_000, 400_000, 128_000, true},
	{"o4-mini", "o4 Mini", 1_100_000, 275_000, 0, 4_400_000, 200_000, 100_000, true},
	{"o3", "o3", 2_000_000, 500_000, 0, 8_000_000, 200_000, 100_000, true},
	{"gpt-4.1", "GPT-4.1", 2_000_000, 500_000, 0, 8_000_000, 1_047_576, 32_768, false},
	{"gpt-4.1-mini", "GPT-4.1 Mini", 400_000, 100_000, 0, 1_600_000, 1_047_576, 32_768, false},
	{"gpt-4.1-nano", "GPT-4.1 Nano", 100_000, 25_000, 0, 400_000, 1_047_576, 32_768, false},
	{"gpt-4o", "GPT-4o", 2_500_000, 1_250_000, 0, 10_000_000, 128_000, 16_384, false},
	{"gpt-4o-mini", "GPT-4o Mini", 150_000, 75_000, 0, 600_000, 128_000, 16_384, false},
}

func (m openAIModel) config() ModelConfig {
	c := ModelConfig{
		ID: m.id, Name: m.name, ContextLength: m.context, MaxOutput: m.maxOutput,
		Capabilities: []string{"text", "vision", "function_calling", "json_schema", "caching"},
		Parameters:   []string{"max_completion_tokens", "n", "parallel_tool_calls", "response_format", "seed", "stream", "stream_options", "tool_choice", "tools"},
		Prices:       pricing.Prices{Input: m.input, CacheRead: pricing.At(m.cached), Output: m.output},
		Source:       "openai.com/api/pricing by catwalk 0.52.1",
	}
	if m.write > 0 {
		c.Prices.CacheWrite = pricing.At(m.write)
	}
	if m.reasoning {
		c.Capabilities = append(c.Capabilities, "reasoning")
		c.Parameters = append(c.Parameters, "reasoning_effort")
	} else {
		c.Parameters = append(c.Parameters, "frequency_penalty", "logit_bias", "logprobs", "max_tokens", "presence_penalty", "stop", "temperature", "top_logprobs", "top_p")
	}
	if m.context >= 200_000 {
		c.Capabilities = append(c.Capabilities, "long_context")
	}
	if m.context == 1_050_000 {
		high := pricing.Prices{Input: 2 * m.input, CacheRead: pricing.At(2 * m.cached), Output: m.output + m.output/2}
		if m.write > 0 {
			high.CacheWrite = pricing.At(2 * m.write)
		}
		c.Prices.Threshold, c.Prices.High = 272_000, &high
	}
	return c
}
