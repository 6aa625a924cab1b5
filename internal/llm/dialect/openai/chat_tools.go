package openai

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/dialect"
	"github.com/rephlo/rephlo/internal/llm/wire"
	wireopenai "github.com/rephlo/rephlo/internal/llm/wire/openai"
)

// tools reads the definitions, of today's and of the older form.
func tools(in *wireopenai.ChatRequest, r *llm.Request) error {
	for i, t := range in.Tools {
		at := dialect.Index("tools", i)
		switch {
		case t.Type == "function" && t.Function != nil:
			r.Tools = append(r.Tools, function(t.Function))
		case t.Type == "custom" && t.Custom != nil:
			c := llm.Tool{Name: t.Custom.Name, Custom: true}
			if t.Custom.Description != nil {
				c.Description = *t.Custom.Description
			}
			if dialect.Said(t.Custom.Format) {
				c.Format = t.Custom.Format
			}
			r.Tools = append(r.Tools, c)
		case t.Type == "function", t.Type == "custom", t.Type == "":
			return dialect.Wrong(at, "has no definition")
		default:
			r.Tools = append(r.Tools, llm.Tool{Name: t.Type, Hosted: hosted(t.Type, t.Rest)})
			continue
		}
		last := &r.Tools[len(r.Tools)-1]
		if last.Name == "" {
			return dialect.Wrong(at, "has no name")
		}
		last.Cache = mark(t.CacheControl)
		dialect.Unknown(r, t.Rest, at)
	}
	for i := range in.Functions {
		r.LegacyCalls = true
		if in.Functions[i].Name == "" {
			return dialect.Wrong(dialect.Index("functions", i), "has no name")
		}
		r.Tools = append(r.Tools, function(&in.Functions[i]))
	}
	return nil
}

// hosted puts a definition together again.
func hosted(kind string, rest jsontext.Value) jsontext.Value {
	b := wire.String([]byte{'{'}, "type", kind)
	if len(rest) > 2 {
		b = append(append(b, ','), rest[1:]...)
		return b
	}
	return append(b, '}')
}

func function(f *wireopenai.ChatFunction) llm.Tool {
	t := llm.Tool{Name: f.Name, Strict: f.Strict}
	if f.Description != nil {
		t.Description = *f.Description
	}
	if dialect.Said(f.Parameters) {
		t.Parameters = f.Parameters
	}
	return t
}

// mark reads a cache mark; ttl extended is an older word for an hour.
func mark(c *wireopenai.CacheControl) llm.Cache {
	if c == nil {
		return llm.Cache{}
	}
	return llm.Cache{On: true, Long: c.TTL != nil && (*c.TTL == "1h" || *c.TTL == "extended")}
}

// toolChoice reads tool_choice, or function_call. Without tools it says
// nothing.
func toolChoice(in *wireopenai.ChatRequest, r *llm.Request) error {
	v, at := in.ToolChoice, "tool_choice"
	if !dialect.Said(v) {
		v, at = in.FunctionCall, "function_call"
	}
	if len(r.Tools) == 0 || !dialect.Said(v) {
		return nil
	}
	if word, ok := wire.Text(v); ok {
		switch word {
		case "auto":
			r.Choice.Mode = llm.ToolsAuto
		case "none":
			r.Choice.Mode = llm.ToolsNone
		case "required":
			r.Choice.Mode = llm.ToolsAny
		default:
			return dialect.Wrong(at, "must be auto, none, required or name a tool")
		}
		return nil
	}
	var c wireopenai.ToolChoice
	if err := dialect.Read(v, &c, at); err != nil {
		return err
	}
	switch {
	case at == "function_call" && c.Name != "":
		r.Choice = llm.Choice{Mode: llm.ToolsNamed, Name: c.Name}
	case c.Function != nil && c.Function.Name != "":
		r.Choice = llm.Choice{Mode: llm.ToolsNamed, Name: c.Function.Name}
	case c.Custom != nil && c.Custom.Name != "":
		r.Choice = llm.Choice{Mode: llm.ToolsNamed, Name: c.Custom.Name}
	case c.AllowedTools != nil:
		r.Choice.Mode = llm.ToolsAuto
		if c.AllowedTools.Mode == "required" {
			r.Choice.Mode = llm.ToolsAny
		}
		for _, t := range c.AllowedTools.Tools {
			if t.Function.Name != "" {
				r.Choice.Allowed = append(r.Choice.Allowed, t.Function.Name)
			}
		}
	default:
		return dialect.Wrong(at, "does not name a tool")
	}
	return nil
}
