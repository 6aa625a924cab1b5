package anthropic

import (
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/dialect"
	"github.com/rephlo/rephlo/internal/llm/wire"
	wireanthropic "github.com/rephlo/rephlo/internal/llm/wire/anthropic"
)

// Messages is the dialect of the Messages API. It implements llm.Dialect.
type Messages struct{ Errors }

var _ llm.Dialect = Messages{}

var spelling = map[string]string{
	"max_completion_tokens": "max_tokens", "stop": "stop_sequences", "reasoning_effort": "thinking", "response_format": "output_config.format",
	"parallel_tool_calls": "tool_choice.disable_parallel_tool_use", "user": "metadata.user_id",
}

// issuer is whose signatures stand in this dialect as they are.
const issuer = "anthropic"

// Decode implements llm.Dialect.
func (Messages) Decode(body []byte) (*llm.Request, error) {
	var in wireanthropic.Request
	if err := dialect.Read(body, &in, ""); err != nil {
		return nil, err
	}
	r := &llm.Request{Model: in.Model, Stream: in.Stream != nil && *in.Stream, IncludeUsage: true, Stop: in.StopSequences, Spelling: spelling, Cache: mark(in.CacheControl)}
	for _, step := range []func(*wireanthropic.Request, *llm.Request) error{kept, numbers, words, thinking, tools, conversation} {
		if err := step(&in, r); err != nil {
			return nil, err
		}
	}
	dialect.Unknown(r, in.Rest, "")
	return r, nil
}

// kept refuses what lives in the operator's account.
func kept(in *wireanthropic.Request, _ *llm.Request) error {
	for _, f := range []struct {
		name string
		v    jsontext.Value
	}{{"container", in.Container}, {"mcp_servers", in.MCPServers}} {
		if dialect.Said(f.v) && strings.TrimSpace(string(f.v)) != "[]" {
			return dialect.Unsupported(f.name, "it is kept in the operator's account")
		}
	}
	return nil
}

func numbers(in *wireanthropic.Request, r *llm.Request) (err error) {
	if r.MaxOutput, err = dialect.ReadWhole(in.MaxTokens, "max_tokens"); err != nil {
		return err
	}
	for _, f := range []struct {
		to   *llm.Number
		v    jsontext.Value
		name string
	}{{&r.Temperature, in.Temperature, "temperature"}, {&r.TopP, in.TopP, "top_p"}, {&r.TopK, in.TopK, "top_k"}} {
		if *f.to, err = dialect.ReadNumber(f.v, f.name); err != nil {
			return err
		}
	}
	for i, s := range in.StopSequences {
		if strings.TrimSpace(s) == "" {
			return dialect.Wrong(dialect.Index("stop_sequences", i), "must have more than white space")
		}
	}
	return nil
}

func words(in *wireanthropic.Request, r *llm.Request) error {
	if m := in.Metadata; m != nil {
		if m.UserID != nil {
			r.User = *m.UserID
			const most = 64
			r.CacheKey = strings.ToValidUTF8(r.User[:min(len(r.User), most)], "")
		}
		dialect.Unknown(r, m.Rest, "metadata")
	}
	for name, word := range map[string]*string{"service_tier": in.ServiceTier, "speed": in.Speed, "inference_geo": in.InferenceGeo} {
		if word == nil {
			continue
		}
		switch *word {
		case "", "auto", "standard_only", "standard", "global":
		default:
			return dialect.Unsupported(name, "this tier has no price")
		}
	}
	return nil
}

// thinking reads how the model thinks and which form its answer has.
func thinking(in *wireanthropic.Request, r *llm.Request) error {
	if t := in.Thinking; t != nil {
		switch t.Type {
		case "enabled":
			n, err := dialect.ReadWhole(t.BudgetTokens, "thinking.budget_tokens")
			if err != nil {
				return err
			}
			if n == 0 {
				n = -1
			}
			r.Reasoning.Budget = n
		case "adaptive":
			r.Reasoning.Adaptive = true
		case "disabled":
			r.Reasoning.Effort = llm.EffortNone
		default:
			return dialect.Wrong("thinking.type", "must be enabled, adaptive or disabled")
		}
		if t.Display != nil {
			show := *t.Display != "omitted"
			r.Reasoning.Show = &show
		}
	}
	o := in.OutputConfig
	if o == nil {
		return nil
	}
	if o.Effort != nil && !r.Reasoning.Off() {
		if r.Reasoning.Effort = llm.EffortNamed(*o.Effort); r.Reasoning.Effort == 0 {
			return dialect.Wrong("output_config.effort", "must be low, medium, high, xhigh or max")
		}
	}
	if f := o.Format; f != nil {
		if f.Type != "json_schema" {
			return dialect.Wrong("output_config.format.type", "must be json_schema")
		}
		r.Format = llm.Format{Kind: llm.FormatSchema, Schema: f.Schema}
	}
	dialect.Unknown(r, o.Rest, "output_config")
	return nil
}

func mark(c *wireanthropic.CacheControl) llm.Cache {
	if c == nil {
		return llm.Cache{}
	}
	return llm.Cache{On: true, Long: c.TTL != nil && *c.TTL == "1h"}
}

func tools(in *wireanthropic.Request, r *llm.Request) error {
	for i := range in.Tools {
		t, at := &in.Tools[i], "tools["+strconv.Itoa(i)+"]"
		if t.Type != nil && *t.Type != "custom" && *t.Type != "" {
			hosted := wire.String(wire.String([]byte{'{'}, "type", *t.Type), "name", t.Name)
			if len(t.Rest) > 2 {
				hosted = append(append(hosted, ','), t.Rest[1:len(t.Rest)-1]...)
			}
			r.Tools = append(r.Tools, llm.Tool{Name: *t.Type, Hosted: append(hosted, '}')})
			continue
		}
		if t.Name == "" {
			return dialect.Wrong(at+".name", "is missing")
		}
		out := llm.Tool{Name: t.Name, Strict: t.Strict, Cache: mark(t.CacheControl)}
		if t.Description != nil {
			out.Description = *t.Description
		}
		if dialect.Said(t.InputSchema) {
			out.Parameters = t.InputSchema
		}
		r.Tools = append(r.Tools, out)
		dialect.Unknown(r, t.Rest, at)
	}
	c := in.ToolChoice
	if c == nil || len(r.Tools) == 0 {
		return nil
	}
	if c.DisableParallel != nil {
		parallel := !*c.DisableParallel
		r.Parallel = &parallel
	}
	switch c.Type {
	case "auto":
		r.Choice.Mode = llm.ToolsAuto
	case "any":
		r.Choice.Mode = llm.ToolsAny
	case "none":
		r.Choice.Mode = llm.ToolsNone
	case "tool":
		r.Choice = llm.Choice{Mode: llm.ToolsNamed, Name: c.Name}
	default:
		return dialect.Wrong("tool_choice.type", "must be auto, any, tool or none")
	}
	return nil
}
