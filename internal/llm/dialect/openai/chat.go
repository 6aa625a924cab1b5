package openai

import (
	"bytes"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/dialect"
	"github.com/rephlo/rephlo/internal/llm/wire"
	wireopenai "github.com/rephlo/rephlo/internal/llm/wire/openai"
)

// Chat is the dialect of chat completions. It implements llm.Dialect.
type Chat struct{ Errors }

var _ llm.Dialect = Chat{}

var (
	newLimit = map[string]string{"max_tokens": "max_completion_tokens"}
	oldLimit = map[string]string{}
)

// extras are the fields that only OpenAI's protocol has.
var extras = map[string]llm.Class{
	"logprobs": llm.Meaning, "top_logprobs": llm.Meaning, "logit_bias": llm.Meaning, "prediction": llm.Meaning, "audio": llm.Meaning,
	"modalities": llm.Meaning, "web_search_options": llm.Meaning, "prompt_cache_options": llm.Hint, "prompt_cache_retention": llm.Hint,
}

// Decode implements llm.Dialect.
func (Chat) Decode(body []byte) (*llm.Request, error) {
	var in wireopenai.ChatRequest
	if err := dialect.Read(body, &in, ""); err != nil {
		return nil, err
	}
	r := &llm.Request{Model: in.Model, Stream: in.Stream != nil && *in.Stream, Parallel: in.ParallelToolCalls, Spelling: oldLimit}
	for _, step := range []func(*wireopenai.ChatRequest, *llm.Request) error{limits, sampling, words, tools, toolChoice, format, rest, messages} {
		if err := step(&in, r); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// limits reads how much is generated. Of two limits the smaller counts.
func limits(in *wireopenai.ChatRequest, r *llm.Request) (err error) {
	old, err := dialect.ReadWhole(in.MaxTokens, "max_tokens")
	if err != nil {
		return err
	}
	if r.MaxOutput, err = dialect.ReadWhole(in.MaxCompletionTokens, "max_completion_tokens"); err != nil {
		return err
	}
	if r.MaxOutput > 0 {
		r.Spelling = newLimit
	}
	if r.MaxOutput == 0 || old > 0 && old < r.MaxOutput {
		r.MaxOutput = old
	}
	if r.N, err = dialect.ReadWhole(in.N, "n"); err != nil {
		return err
	}
	return stop(in.Stop, r)
}

const maxStop = 4

func stop(v jsontext.Value, r *llm.Request) error {
	switch v.Kind() {
	case '"':
		text, _ := wire.Text(v)
		r.Stop = []string{text}
	case '[':
		if err := dialect.Read(v, &r.Stop, "stop"); err != nil {
			return err
		}
		if len(r.Stop) > maxStop {
			return dialect.Wrong("stop", "may have 4 sequences")
		}
	default:
		if dialect.Said(v) {
			return dialect.Wrong("stop", "must be a string or a list of strings")
		}
	}
	return nil
}

func sampling(in *wireopenai.ChatRequest, r *llm.Request) (err error) {
	for _, f := range []struct {
		to   *llm.Number
		v    jsontext.Value
		name string
	}{
		{&r.Temperature, in.Temperature, "temperature"},
		{&r.TopP, in.TopP, "top_p"},
		{&r.TopK, in.TopK, "top_k"},
		{&r.PresencePenalty, in.PresencePenalty, "presence_penalty"},
		{&r.FrequencyPenalty, in.FrequencyPenalty, "frequency_penalty"},
		{&r.Seed, in.Seed, "seed"},
	} {
		if *f.to, err = dialect.ReadNumber(f.v, f.name); err != nil {
			return err
		}
	}
	return nil
}

// words reads the fields that have a word or an id.
func words(in *wireopenai.ChatRequest, r *llm.Request) error {
	said := func(v *string) string {
		if v == nil {
			return ""
		}
		return *v
	}
	if word := said(in.ReasoningEffort); word != "" {
		if r.Reasoning.Effort = llm.EffortNamed(word); r.Reasoning.Effort == 0 {
			return dialect.Wrong("reasoning_effort", "must be none, minimal, low, medium, high, xhigh or max")
		}
	}
	if r.ServiceTier = said(in.ServiceTier); r.ServiceTier == "auto" || r.ServiceTier == "default" {
		r.ServiceTier = ""
	}
	r.Verbosity = said(in.Verbosity)
	r.User = said(in.SafetyIdentifier)
	if r.User == "" {
		r.User = said(in.User)
	}
	r.CacheKey = said(in.PromptCacheKey)
	if dialect.Said(in.Metadata) {
		r.Metadata = in.Metadata
	}
	if o := in.StreamOptions; o != nil {
		r.IncludeUsage = o.IncludeUsage != nil && *o.IncludeUsage
		dialect.Unknown(r, o.Rest, "stream_options", "include_obfuscation")
	}
	return nil
}

// rest takes what is only OpenAI's and names what is nobody's.
func rest(in *wireopenai.ChatRequest, r *llm.Request) error {
	if len(in.Rest) == 0 {
		return nil
	}
	var unknown []byte
	d := jsontext.NewDecoder(bytes.NewReader(in.Rest))
	_, _ = d.ReadToken() // it was read once
	for d.PeekKind() == '"' {
		t, err := d.ReadToken()
		if err != nil {
			return dialect.ErrInvalid
		}
		name := t.String()
		v, err := d.ReadValue()
		if err != nil {
			return dialect.ErrInvalid
		}
		class, known := extras[name]
		switch {
		case !known:
			unknown = append(wire.Next(unknown), wire.Quote(nil, name)...)
			unknown = append(unknown, ":0"...)
		case neutral(name, v):
		default:
			r.Extra = append(r.Extra, llm.Extra{Name: name, Class: class, Value: slices.Clone(v)})
		}
	}
	dialect.Unknown(r, append(append([]byte{'{'}, unknown...), '}'), "")
	return nil
}

// neutral reports whether a value asks for what would happen anyway.
func neutral(name string, v jsontext.Value) bool {
	switch {
	case !dialect.Said(v), v.Kind() == 'f':
		return true
	case name == "modalities":
		return strings.Join(strings.Fields(string(v)), "") == `["text"]`
	case name == "logit_bias":
		return strings.Join(strings.Fields(string(v)), "") == `{}`
	case name == "top_logprobs":
		return string(v) == "0"
	}
	return false
}

func format(in *wireopenai.ChatRequest, r *llm.Request) error {
	f := in.ResponseFormat
	if f == nil {
		return nil
	}
	switch f.Type {
	case "text":
		r.Format.Kind = llm.FormatText
	case "json_object":
		r.Format.Kind = llm.FormatJSON
	case "json_schema":
		if f.JSONSchema == nil {
			return dialect.Wrong("response_format.json_schema", "is missing")
		}
		r.Format = llm.Format{Kind: llm.FormatSchema, Name: f.JSONSchema.Name, Schema: f.JSONSchema.Schema, Strict: f.JSONSchema.Strict}
		if f.JSONSchema.Description != nil {
			r.Format.Description = *f.JSONSchema.Description
		}
	default:
		return dialect.Wrong("response_format.type", "must be text, json_object or json_schema")
	}
	return nil
}
