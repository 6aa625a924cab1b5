package openai

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/dialect"
	"github.com/rephlo/rephlo/internal/llm/wire"
	wireopenai "github.com/rephlo/rephlo/internal/llm/wire/openai"
)

// Responses is the dialect of the Responses API. It implements llm.Dialect.
type Responses struct{ Errors }

var _ llm.Dialect = Responses{}

var responsesSpelling = map[string]string{
	"messages": "input", "max_tokens": "max_output_tokens", "max_completion_tokens": "max_output_tokens", "response_format": "text.format",
	"reasoning_effort": "reasoning.effort", "verbosity": "text.verbosity", "logprobs": "include",
}

// Decode implements llm.Dialect.
func (Responses) Decode(body []byte) (*llm.Request, error) {
	var in wireopenai.ResponsesRequest
	if err := dialect.Read(body, &in, ""); err != nil {
		return nil, err
	}
	r := &llm.Request{Model: in.Model, Stream: in.Stream != nil && *in.Stream, Parallel: in.ParallelToolCalls, Spelling: responsesSpelling}
	for _, step := range []func(*wireopenai.ResponsesRequest, *llm.Request) error{kept, responsesLimits, responsesWords, responsesTools, responsesChoice, responsesFormat, items} {
		if err := step(&in, r); err != nil {
			return nil, err
		}
	}
	dialect.Unknown(r, in.Rest, "", "prompt_cache_retention")
	return r, nil
}

// kept refuses what refers to something that the vendor keeps.
func kept(in *wireopenai.ResponsesRequest, _ *llm.Request) error {
	for _, f := range []struct {
		name string
		v    jsontext.Value
	}{{"previous_response_id", in.PreviousResponseID}, {"conversation", in.Conversation}, {"prompt", in.Prompt}, {"background", in.Background}} {
		if dialect.Said(f.v) && f.v.Kind() != 'f' {
			return dialect.Unsupported(f.name, "nothing is kept between requests. Send the conversation as input")
		}
	}
	return nil
}

func responsesLimits(in *wireopenai.ResponsesRequest, r *llm.Request) (err error) {
	if r.MaxOutput, err = dialect.ReadWhole(in.MaxOutputTokens, "max_output_tokens"); err != nil {
		return err
	}
	if r.Temperature, err = dialect.ReadNumber(in.Temperature, "temperature"); err != nil {
		return err
	}
	if r.TopP, err = dialect.ReadNumber(in.TopP, "top_p"); err != nil {
		return err
	}
	if dialect.Said(in.TopLogprobs) && string(in.TopLogprobs) != "0" {
		r.Extra = append(r.Extra, llm.Extra{Name: "top_logprobs", Class: llm.Meaning, Value: in.TopLogprobs})
	}
	for _, word := range in.Include {
		if word == "message.output_text.logprobs" {
			r.Extra = append(r.Extra, llm.Extra{Name: "logprobs", Class: llm.Meaning, Value: jsontext.Value("true")})
		}
	}
	if in.Truncation != nil && *in.Truncation != "disabled" {
		r.Extra = append(r.Extra, llm.Extra{Name: "truncation", Class: llm.Meaning, Value: wire.Quote(nil, *in.Truncation)})
	}
	return nil
}

func responsesWords(in *wireopenai.ResponsesRequest, r *llm.Request) error {
	said := func(v *string) string {
		if v == nil {
			return ""
		}
		return *v
	}
	if t := in.Reasoning; t != nil {
		if word := said(t.Effort); word != "" {
			if r.Reasoning.Effort = llm.EffortNamed(word); r.Reasoning.Effort == 0 {
				return dialect.Wrong("reasoning.effort", "must be none, minimal, low, medium, high, xhigh or max")
			}
		}
		if said(t.Summary)+said(t.GenerateSummary) != "" {
			show := true
			r.Reasoning.Show = &show
		}
		dialect.Unknown(r, t.Rest, "reasoning")
	}
	if r.ServiceTier = said(in.ServiceTier); r.ServiceTier == "auto" || r.ServiceTier == "default" {
		r.ServiceTier = ""
	}
	if in.Text != nil {
		r.Verbosity = said(in.Text.Verbosity)
		dialect.Unknown(r, in.Text.Rest, "text")
	}
	if r.User = said(in.SafetyIdentifier); r.User == "" {
		r.User = said(in.User)
	}
	r.CacheKey = said(in.PromptCacheKey)
	if dialect.Said(in.Metadata) {
		r.Metadata = in.Metadata
	}
	return nil
}

func responsesTools(in *wireopenai.ResponsesRequest, r *llm.Request) error {
	for i := range in.Tools {
		t, at := &in.Tools[i], dialect.Index("tools", i)
		out := llm.Tool{Name: t.Name, Strict: t.Strict, Custom: t.Type == "custom"}
		if t.Description != nil {
			out.Description = *t.Description
		}
		switch t.Type {
		case "function":
			if dialect.Said(t.Parameters) {
				out.Parameters = t.Parameters
			}
		case "custom":
			if dialect.Said(t.Format) {
				out.Format = t.Format
			}
		default:
			return dialect.Unsupported(at+".type", "only tools of the types function and custom are, the others run at the model provider")
		}
		if t.Name == "" {
			return dialect.Wrong(at, "has no name")
		}
		r.Tools = append(r.Tools, out)
		dialect.Unknown(r, t.Rest, at)
	}
	return nil
}

func responsesChoice(in *wireopenai.ResponsesRequest, r *llm.Request) error {
	v := in.ToolChoice
	if len(r.Tools) == 0 || !dialect.Said(v) {
		return nil
	}
	modes := map[string]llm.Mode{"auto": llm.ToolsAuto, "none": llm.ToolsNone, "required": llm.ToolsAny}
	if word, ok := wire.Text(v); ok {
		if r.Choice.Mode = modes[word]; r.Choice.Mode == 0 {
			return dialect.Wrong("tool_choice", "must be auto, none, required or name a tool")
		}
		return nil
	}
	var c wireopenai.ResponsesChoice
	if err := dialect.Read(v, &c, "tool_choice"); err != nil {
		return err
	}
	switch {
	case c.Type == "allowed_tools":
		if r.Choice.Mode = modes[c.Mode]; r.Choice.Mode == 0 {
			r.Choice.Mode = llm.ToolsAuto
		}
		for _, t := range c.Tools {
			r.Choice.Allowed = append(r.Choice.Allowed, t.Name)
		}
	case (c.Type == "function" || c.Type == "custom") && c.Name != "":
		r.Choice = llm.Choice{Mode: llm.ToolsNamed, Name: c.Name}
	default:
		return dialect.Wrong("tool_choice", "does not name a tool")
	}
	return nil
}

func responsesFormat(in *wireopenai.ResponsesRequest, r *llm.Request) error {
	if in.Text == nil || in.Text.Format == nil {
		return nil
	}
	switch f := in.Text.Format; f.Type {
	case "text":
		r.Format.Kind = llm.FormatText
	case "json_object":
		r.Format.Kind = llm.FormatJSON
	case "json_schema":
		r.Format = llm.Format{Kind: llm.FormatSchema, Name: f.Name, Schema: f.Schema, Strict: f.Strict}
		if f.Description != nil {
			r.Format.Description = *f.Description
		}
	default:
		return dialect.Wrong("text.format.type", "must be text, json_object or json_schema")
	}
	return nil
}

// AppendStreamError implements llm.Dialect.
func (Responses) AppendStreamError(dst []byte, f *fault.Error, m llm.ErrorMeta) []byte {
	return append(dst, TypedStreamError(f, m, 0)...)
}

// issuer is whose thoughts in cipher this dialect carries as they are.
const issuer = "openai"

// responseID returns the id of an answer, or with a prefix of one of its items.
func responseID(prefix, call string) string { return prefix + strings.TrimPrefix(call, "call_") }
