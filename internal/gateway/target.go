package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"net/http"
	"slices"
	"strings"

	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/llm"
)

// target returns where the try at c.route goes.
func (c *call) target() llm.Target {
	p := c.route.Provider
	return llm.Target{
		BaseURL: p.BaseURL, Key: p.Key, Model: c.route.VendorModel, Header: p.Options.Headers, AllowPrivate: p.AllowPrivate,
		Issuer: issuer(p), Account: c.s.accountTag(p.Name), Abilities: abilities(c.model),
		Options:  llm.Options{MaxTokensKey: p.Options.MaxTokensKey, NoStreamUsage: p.Options.NoStreamUsage, APIVersion: p.Options.APIVersion, NoImageURL: p.Options.NoImageURL},
		Timeouts: upstream(p, c.s.limits.Upstream),
	}
}

// issuer is whose opaque state a provider makes: the vendor's, or its own where
// many speak one protocol.
func issuer(p *catalog.Provider) string {
	if p.Vendor == "compat" {
		return p.Name
	}
	return p.Vendor
}

// accountTag names an account in opaque state that clients keep, so that it
// tells nobody which account that is.
func (s *Service) accountTag(provider string) string {
	if tag, ok := s.tags.Load(provider); ok {
		return tag.(string) //nolint:forcetypeassert // only stored here
	}
	mac := hmac.New(sha256.New, s.needs.TagKey)
	mac.Write([]byte(provider))
	tag := strings.ToLower(base32.StdEncoding.EncodeToString(mac.Sum(nil))[:10])
	s.tags.Store(provider, tag)
	return tag
}

// abilities reads what a model can do out of the words of its capabilities.
func abilities(m *catalog.Model) llm.Abilities {
	can := func(word string) bool { return slices.Contains(m.Capabilities.Words, word) }
	var levels []llm.Effort
	if can("adaptive_thinking") && !can("xhigh") {
		levels = []llm.Effort{llm.EffortLow, llm.EffortMedium, llm.EffortHigh, llm.EffortMax}
	}
	return llm.Abilities{
		Levels:      levels,
		NoReasoning: !can("reasoning"), Adaptive: can("adaptive_thinking"), NoThinkingOff: can("always_thinks"),
		NoSampling: can("reasoning") && len(m.Capabilities.Parameters) > 0 && !slices.Contains(m.Capabilities.Parameters, "temperature"),
		Prefill:    can("prefill"), MidSystem: can("system_messages"), JSONSchema: can("json_schema"), SchemaAndTools: can("schema_with_tools"), Breakpoints: can("cache_breakpoints"),
		Responses: can("responses"), MaxOutput: m.MaxOutput,
	}
}

// denied are the beginnings of Anthropic's beta features that keep something in
// the operator's account or run at the vendor, which has no price here.
var denied = []string{"files-", "skills-", "code-execution-", "mcp-", "computer-use-", "fast-mode-", "web-fetch-", "container"}

// anthropicHeaders returns the client's version and those beta features that
// are possible here.
func anthropicHeaders(h http.Header) []egress.Field {
	var out []egress.Field
	if v := h["Anthropic-Version"]; len(v) == 1 && plainValue(v[0]) {
		out = append(out, egress.Field{Name: "anthropic-version", Value: v[0]})
	}
	var kept []string
	for _, line := range h["Anthropic-Beta"] {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.TrimSpace(name)
			if plainValue(name) && !slices.ContainsFunc(denied, func(d string) bool { return strings.HasPrefix(name, d) }) {
				kept = append(kept, name)
			}
		}
	}
	if len(kept) > 0 {
		out = append(out, egress.Field{Name: "anthropic-beta", Value: strings.Join(kept, ",")})
	}
	return out
}

// plainValue reports whether a header's value is a word.
func plainValue(v string) bool {
	const most = 100
	if v == "" || len(v) > most {
		return false
	}
	for i := range len(v) {
		if c := v[i]; c <= ' ' || c > '~' || c == ',' {
			return false
		}
	}
	return true
}
