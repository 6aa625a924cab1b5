package google

import (
	"slices"
	"strconv"
	"strings"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/wire"
)

// encoder writes a request in Google's form.
type encoder struct {
	to    llm.Target
	req   *llm.Request
	notes *llm.Notes
	names llm.Names
	// called maps the ids of calls to the names of their functions.
	called map[string]string
}

// encoded is a request in Google's form.
type encoded struct {
	body     []byte
	warnings []llm.Warning
	names    llm.Names
}

// encode writes req as the body of generateContent. The order of fields is
// fixed, so that the same request has the same bytes.
func encode(to llm.Target, req *llm.Request) (encoded, error) {
	e := &encoder{to: to, req: req, notes: llm.NewNotes(req), called: map[string]string{}}
	b := make([]byte, 0, 1024)
	b = e.contents(append(b, '{'))
	b = e.tools(b)
	b = e.config(b)
	b = e.others(b)
	b = append(b, '}')
	warnings, err := e.notes.Done()
	return encoded{b, warnings, e.names}, err
}

// generation is which generation of Gemini a model is of; 0 is not known.
func generation(model string) int {
	_, rest, ok := strings.Cut(model, "gemini-")
	if !ok {
		return 0
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	n, err := strconv.Atoi(rest[:end])
	if err != nil {
		return 0
	}
	return n
}

const maxStop = 5

// config appends generationConfig.
func (e *encoder) config(b []byte) []byte {
	r := e.req
	start := len(b)
	b = append(wire.Name(b, "generationConfig"), '{')
	inner := len(b)
	b = wire.OptInt(b, "maxOutputTokens", r.MaxOutput)
	if r.N > 1 {
		b = wire.Int(b, "candidateCount", r.N)
	}
	for _, f := range []struct {
		name string
		v    llm.Number
	}{
		{"temperature", r.Temperature},
		{"topP", r.TopP},
		{"topK", r.TopK},
		{"seed", r.Seed},
		{"presencePenalty", r.PresencePenalty},
		{"frequencyPenalty", r.FrequencyPenalty},
	} {
		b = wire.Raw(b, f.name, f.v)
	}
	if len(r.Stop) > maxStop {
		e.notes.Refuse("stop", "This model takes at most 5 stop sequences.")
	}
	if len(r.Stop) > 0 {
		b = append(wire.Name(b, "stopSequences"), '[')
		for _, s := range r.Stop {
			b = wire.Quote(wire.Next(b), s)
		}
		b = append(b, ']')
	}
	b = e.format(b)
	b = e.thinking(b)
	b = e.resolution(b)
	for _, x := range r.Extra {
		if slices.Contains(configExtras, x.Name) {
			b = wire.Raw(b, x.Name, x.Value)
		}
	}
	if len(b) == inner {
		return b[:start]
	}
	return append(b, '}')
}

func (e *encoder) format(b []byte) []byte {
	f := e.req.Format
	if f.Kind != llm.FormatJSON && f.Kind != llm.FormatSchema {
		return b
	}
	if len(e.req.Tools) > 0 && !e.to.Abilities.SchemaAndTools {
		e.notes.Refuse("response_format", "This model gives structured output only without tools. Leave one of them out.")
	}
	b = wire.String(b, "responseMimeType", "application/json")
	if f.Kind == llm.FormatSchema && len(f.Schema) > 0 {
		b = wire.Raw(b, "responseJsonSchema", inlined(f.Schema))
	}
	return b
}

// levels are what thinkingLevel has for a model whose levels are not known.
func levels(model string) []llm.Effort {
	if strings.Contains(model, "pro") {
		return []llm.Effort{llm.EffortLow, llm.EffortHigh}
	}
	return []llm.Effort{llm.EffortMinimal, llm.EffortLow, llm.EffortMedium, llm.EffortHigh}
}

// Budgets that the models with thinkingBudget take
// (ai.google.dev/gemini-api/docs/thinking).
const (
	leastBudget = 128
	mostBudget  = 24_576
)

func (e *encoder) thinking(b []byte) []byte {
	r := e.req.Reasoning
	if !r.On() && !r.Off() {
		return b
	}
	b = append(wire.Name(b, "thinkingConfig"), '{')
	if r.On() && (r.Show == nil || *r.Show) {
		b = wire.Bool(b, "includeThoughts", true)
	}
	if generation(e.to.Model) >= 3 {
		return append(e.level(b), '}')
	}
	return append(e.budget(b), '}')
}

func (e *encoder) level(b []byte) []byte {
	asked := e.req.Reasoning.Level()
	if asked == 0 { // the model decides
		return b
	}
	can := e.to.Abilities.Levels
	if len(can) == 0 {
		can = levels(e.to.Model)
	}
	to := max(min(asked.Clamp(can), llm.EffortHigh), llm.EffortMinimal)
	if to != asked {
		e.notes.Warn(llm.Adjusted, "reasoning_effort", to.String())
	}
	return wire.String(b, "thinkingLevel", to.String())
}

func (e *encoder) budget(b []byte) []byte {
	r := e.req.Reasoning
	switch {
	case r.Off() && e.to.Abilities.NoThinkingOff:
		e.notes.Warn(llm.Adjusted, "reasoning_effort", llm.EffortMinimal.String())
		return wire.Int(b, "thinkingBudget", leastBudget)
	case r.Off():
		return wire.Int(b, "thinkingBudget", 0)
	case r.Budget < 0, r.Budget == 0 && r.Effort == 0:
		return wire.Int(b, "thinkingBudget", -1)
	case r.Budget > 0:
		return wire.Int(b, "thinkingBudget", r.Budget)
	}
	to := r.Effort.Clamp(e.to.Abilities.Levels)
	if to.Budget() > mostBudget {
		to = llm.EffortHigh
	}
	if to != r.Effort {
		e.notes.Warn(llm.Adjusted, "reasoning_effort", to.String())
	}
	return wire.Int(b, "thinkingBudget", to.Budget())
}

// resolution appends how closely images are looked at: one word for all.
func (e *encoder) resolution(b []byte) []byte {
	low, high := false, false
	for i := range e.req.Messages {
		for _, p := range e.req.Messages[i].Parts {
			if p.Media != nil {
				low = low || p.Media.Detail == "low"
				high = high || p.Media.Detail == "high"
			}
		}
	}
	switch {
	case low && high:
		e.notes.Warn(llm.Adjusted, "detail", "high")
		return wire.String(b, "mediaResolution", "MEDIA_RESOLUTION_HIGH")
	case high:
		return wire.String(b, "mediaResolution", "MEDIA_RESOLUTION_HIGH")
	case low:
		return wire.String(b, "mediaResolution", "MEDIA_RESOLUTION_LOW")
	}
	return b
}

// configExtras are the fields of generationConfig that only Google has and
// whose answers the hub can carry.
var configExtras = []string{"enableEnhancedCivicAnswers"}

// others appends what only Google has and notes what Google lacks.
func (e *encoder) others(b []byte) []byte {
	r := e.req
	if r.Verbosity != "" {
		e.notes.Lacks(llm.Tuning, "verbosity")
	}
	if r.Parallel != nil && !*r.Parallel && len(r.Tools) > 0 {
		e.notes.Lacks(llm.Tuning, "parallel_tool_calls")
	}
	if r.ServiceTier != "" {
		e.notes.Lacks(llm.Meaning, "service_tier")
	}
	for _, x := range r.Extra {
		if x.Name == "safetySettings" {
			b = wire.Raw(b, x.Name, x.Value)
		}
	}
	e.notes.Rest(append([]string{"safetySettings"}, configExtras...)...)
	return b
}
