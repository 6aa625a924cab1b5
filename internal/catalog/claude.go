package catalog

import (
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/secret"
)

// Anthropic returns the provider "anthropic" with the models and prices of
// https://claude.com/pricing as charm.land/catwalk v0.52.1 lists them. Writing
// to the cache for an hour costs twice the input. The words adaptive_thinking
// and xhigh say how a model is told to think; prefill, that it goes on with an
// answer that was begun.
func Anthropic(key secret.String) ProviderConfig {
	p := ProviderConfig{Name: "anthropic", Vendor: "anthropic", BaseURL: "https://api.anthropic.com/v1", Key: key}
	for _, m := range claude {
		p.Models = append(p.Models, m.config())
	}
	return p
}

// claudeModel is a line of the price list, in micro-dollars per million tokens.
type claudeModel struct {
	id, vendorModel, name string
	input, output         money.Price
	context, maxOutput    int64
	words                 []string
	fixedSampling         bool // takes no temperature
}

var claude = []claudeModel{
	{"claude-mythos-5", "", "Claude Mythos 5", 10_000_000, 50_000_000, 1_000_000, 128_000, []string{"json_schema", "adaptive_thinking", "xhigh"}, true},
	{"claude-fable-5", "", "Claude Fable 5", 10_000_000, 50_000_000, 1_000_000, 128_000, []string{"json_schema", "adaptive_thinking", "xhigh"}, true},
	{"claude-opus-5", "", "Claude Opus 5", 5_000_000, 25_000_000, 1_000_000, 128_000, []string{"json_schema", "adaptive_thinking", "xhigh"}, true},
	{"claude-opus-4-8", "", "Claude Opus 4.8", 5_000_000, 25_000_000, 1_000_000, 128_000, []string{"json_schema", "adaptive_thinking", "xhigh"}, true},
	{"claude-opus-4-7", "", "Claude Opus 4.7", 5_000_000, 25_000_000, 1_000_000, 128_000, []string{"json_schema", "adaptive_thinking", "xhigh"}, true},
	{"claude-opus-4-6", "", "Claude Opus 4.6", 5_000_000, 25_000_000, 200_000, 128_000, []string{"json_schema", "adaptive_thinking"}, false},
	{"claude-opus-4-5", "claude-opus-4-5-20251101", "Claude Opus 4.5", 5_000_000, 25_000_000, 200_000, 64_000, []string{"json_schema", "prefill"}, false},
	{"claude-opus-4-1", "claude-opus-4-1-20250805", "Claude Opus 4.1", 15_000_000, 75_000_000, 200_000, 32_000, []string{"json_schema", "prefill"}, false},
	{"claude-sonnet-5", "", "Claude Sonnet 5", 2_000_000, 10_000_000, 1_000_000, 128_000, []string{"json_schema", "adaptive_thinking", "xhigh"}, true},
	{"claude-sonnet-4-6", "", "Claude Sonnet 4.6", 3_000_000, 15_000_000, 200_000, 128_000, []string{"json_schema", "adaptive_thinking"}, false},
	{"claude-sonnet-4-5", "claude-sonnet-4-5-20250929", "Claude Sonnet 4.5", 3_000_000, 15_000_000, 200_000, 64_000, []string{"json_schema", "prefill"}, false},
	{"claude-haiku-4-5", "claude-haiku-4-5-20251001", "Claude Haiku 4.5", 1_000_000, 5_000_000, 200_000, 64_000, []string{"json_schema", "prefill"}, false},
}

func (m claudeModel) config() ModelConfig {
	c := ModelConfig{
		ID: m.id, VendorModel: m.vendorModel, Name: m.name, ContextLength: m.context, MaxOutput: m.maxOutput,
		Capabilities: append([]string{"text", "vision", "function_calling", "caching", "reasoning", "long_context"}, m.words...),
		Parameters:   []string{"max_completion_tokens", "max_tokens", "parallel_tool_calls", "reasoning_effort", "response_format", "stop", "stream", "stream_options", "tool_choice", "tools"},
		Prices: pricing.Prices{
			Input: m.input, CacheRead: pricing.At(m.input / 10), CacheWrite: pricing.At(m.input + m.input/4), CacheWriteLong: pricing.At(2 * m.input), Output: m.output,
		},
		Source: "claude.com/pricing by catwalk 0.52.1",
	}
	if !m.fixedSampling {
		c.Parameters = append(c.Parameters, "temperature", "top_p")
	}
	return c
}
