package google

import (
	"bytes"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/dialect"
	wiregoogle "github.com/rephlo/rephlo/internal/llm/wire/google"
)

// Gemini is the dialect. It implements llm.Dialect.
type Gemini struct{}

var _ llm.Dialect = Gemini{}

// spelling is how this dialect calls what the hub names as chat does.
var spelling = map[string]string{
	"messages": "contents", "max_tokens": "generationConfig.maxOutputTokens", "temperature": "generationConfig.temperature", "top_p": "generationConfig.topP",
	"top_k": "generationConfig.topK", "n": "generationConfig.candidateCount", "stop": "generationConfig.stopSequences", "seed": "generationConfig.seed",
	"presence_penalty": "generationConfig.presencePenalty", "frequency_penalty": "generationConfig.frequencyPenalty",
	"response_format": "generationConfig.responseMimeType", "reasoning_effort": "generationConfig.thinkingConfig", "detail": "generationConfig.mediaResolution",
	"tool_choice": "toolConfig", "service_tier": "serviceTier", "metadata": "labels",
}

// names are matched as protocol buffers' JSON has them.
var names = json.MatchCaseInsensitiveNames(true)

// Decode implements llm.Dialect.
func (Gemini) Decode(body []byte) (*llm.Request, error) {
	var in wiregoogle.Request
	if err := dialect.Read(body, &in, "", names); err != nil {
		return nil, err
	}
	if dialect.Said(in.CachedContent) {
		return nil, dialect.Unsupported("cachedContent", "it is kept in the operator's account. Send the contents")
	}
	r := &llm.Request{Spelling: spelling}
	for _, step := range []func(*wiregoogle.Request, *llm.Request) error{config, tools, choice, contents} {
		if err := step(&in, r); err != nil {
			return nil, err
		}
	}
	if dialect.Said(in.SafetySettings) && string(bytes.TrimSpace(in.SafetySettings)) != "[]" {
		r.Extra = append(r.Extra, llm.Extra{Name: "safetySettings", Class: llm.Tuning, Value: in.SafetySettings})
	}
	if dialect.Said(in.Labels) {
		r.Metadata = in.Labels
	}
	switch strings.ToLower(in.ServiceTier) {
	case "", "standard", "unspecified", "service_tier_unspecified":
	default:
		r.ServiceTier = in.ServiceTier
	}
	dialect.Unknown(r, in.Rest, "")
	return r, nil
}

// extras are the fields of generationConfig that only Google has.
var extras = map[string]llm.Class{
	"responseLogprobs": llm.Meaning, "logprobs": llm.Meaning, "responseModalities": llm.Meaning, "speechConfig": llm.Meaning, "imageConfig": llm.Meaning,
	"audioTimestamp": llm.Tuning, "enableEnhancedCivicAnswers": llm.Tuning,
}

func config(in *wiregoogle.Request, r *llm.Request) (err error) {
	c := in.GenerationConfig
	if c == nil {
		return nil
	}
	const at = "generationConfig"
	if r.MaxOutput, err = dialect.ReadWhole(c.MaxOutputTokens, at+".maxOutputTokens"); err != nil {
		return err
	}
	if r.N, err = dialect.ReadWhole(c.CandidateCount, at+".candidateCount"); err != nil {
		return err
	}
	for _, f := range []struct {
		to   *llm.Number
		v    jsontext.Value
		name string
	}{
		{&r.Temperature, c.Temperature, "temperature"},
		{&r.TopP, c.TopP, "topP"},
		{&r.TopK, c.TopK, "topK"},
		{&r.PresencePenalty, c.PresencePenalty, "presencePenalty"},
		{&r.FrequencyPenalty, c.FrequencyPenalty, "frequencyPenalty"},
		{&r.Seed, c.Seed, "seed"},
	} {
		if *f.to, err = dialect.ReadNumber(f.v, at+"."+f.name); err != nil {
			return err
		}
	}
	r.Stop = c.StopSequences
	thinking(c.ThinkingConfig, r)
	format(c, r)
	return rest(c.Rest, r)
}

func thinking(t *wiregoogle.ThinkingConfig, r *llm.Request) {
	if t == nil {
		return
	}
	r.Reasoning.Show = t.IncludeThoughts
	switch {
	case t.ThinkingLevel != "":
		r.Reasoning.Effort = llm.EffortNamed(strings.ToLower(t.ThinkingLevel))
	case t.ThinkingBudget == nil:
	case *t.ThinkingBudget == 0:
		r.Reasoning.Effort = llm.EffortNone
	default:
		r.Reasoning.Budget = max(*t.ThinkingBudget, -1)
	}
	dialect.Unknown(r, t.Rest, "generationConfig.thinkingConfig")
}

func format(c *wiregoogle.Config, r *llm.Request) {
	switch c.ResponseMimeType {
	case "":
	case "text/plain":
		r.Format.Kind = llm.FormatText
	case "application/json":
		r.Format.Kind = llm.FormatJSON
		switch {
		case dialect.Said(c.ResponseJSONSchema):
			r.Format = llm.Format{Kind: llm.FormatSchema, Schema: c.ResponseJSONSchema}
		case dialect.Said(c.ResponseSchema):
			r.Format = llm.Format{Kind: llm.FormatSchema, Schema: jsonSchema(c.ResponseSchema)}
		}
	default:
		r.Extra = append(r.Extra, llm.Extra{Name: "responseMimeType", Class: llm.Meaning})
	}
}

// rest takes what is only Google's and names what is nobody's.
func rest(in jsontext.Value, r *llm.Request) error {
	const at = "generationConfig"
	if len(in) == 0 {
		return nil
	}
	var members map[string]jsontext.Value
	if err := dialect.Read(in, &members, at); err != nil {
		return err
	}
	known := make([]string, 0, len(members))
	for name, v := range members {
		class, ok := extras[name]
		if !ok {
			continue
		}
		known = append(known, name)
		if !neutral(name, v) {
			r.Extra = append(r.Extra, llm.Extra{Name: name, Class: class, Value: v})
		}
	}
	slices.SortFunc(r.Extra, func(a, b llm.Extra) int { return strings.Compare(a.Name, b.Name) })
	dialect.Unknown(r, in, at, known...)
	return nil
}

// neutral reports whether a value asks for what would happen anyway.
func neutral(name string, v jsontext.Value) bool {
	switch {
	case !dialect.Said(v), v.Kind() == 'f':
		return true
	case name == "responseModalities":
		return strings.EqualFold(strings.Join(strings.Fields(string(v)), ""), `["text"]`)
	}
	return false
}

func tools(in *wiregoogle.Request, r *llm.Request) error {
	for i := range in.Tools {
		t, at := &in.Tools[i], dialect.Index("tools", i)
		for f := range t.FunctionDeclarations {
			d := &t.FunctionDeclarations[f]
			if d.Name == "" {
				return dialect.Wrong(dialect.Index(at+".functionDeclarations", f), "has no name")
			}
			tool := llm.Tool{Name: d.Name, Description: d.Description}
			switch {
			case dialect.Said(d.ParametersJSONSchema):
				tool.Parameters = d.ParametersJSONSchema
			case dialect.Said(d.Parameters):
				tool.Parameters = jsonSchema(d.Parameters)
			}
			r.Tools = append(r.Tools, tool)
			dialect.Unknown(r, d.Rest, dialect.Index(at+".functionDeclarations", f), "response", "responseJsonSchema", "behavior")
		}
		if len(t.Rest) > len("{}") {
			name := "a tool of Google"
			d := jsontext.NewDecoder(bytes.NewReader(t.Rest))
			_, _ = d.ReadToken() // it was read once
			if token, err := d.ReadToken(); err == nil {
				name = token.String()
			}
			r.Tools = append(r.Tools, llm.Tool{Name: name, Hosted: t.Rest})
		}
	}
	return nil
}

func choice(in *wiregoogle.Request, r *llm.Request) error {
	if in.ToolConfig == nil || in.ToolConfig.FunctionCallingConfig == nil || len(r.Tools) == 0 {
		return nil
	}
	c := in.ToolConfig.FunctionCallingConfig
	r.Choice.Allowed = c.AllowedFunctionNames
	switch strings.ToUpper(c.Mode) {
	case "", "AUTO", "MODE_UNSPECIFIED", "VALIDATED":
		r.Choice.Mode = llm.ToolsAuto
	case "NONE":
		r.Choice.Mode = llm.ToolsNone
	case "ANY":
		r.Choice.Mode = llm.ToolsAny
		if len(c.AllowedFunctionNames) == 1 {
			r.Choice = llm.Choice{Mode: llm.ToolsNamed, Name: c.AllowedFunctionNames[0]}
		}
	default:
		return dialect.Wrong("toolConfig.functionCallingConfig.mode", "must be AUTO, ANY, NONE or VALIDATED")
	}
	dialect.Unknown(r, c.Rest, "toolConfig.functionCallingConfig")
	dialect.Unknown(r, in.ToolConfig.Rest, "toolConfig")
	return nil
}
