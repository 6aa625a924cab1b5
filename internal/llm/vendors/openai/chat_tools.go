package openai

import (
	"slices"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/wire"
)

// maxName is how long OpenAI lets a tool's name be.
const maxName = 64

// freeSchema is the schema of a function that stands for a free-form tool.
const freeSchema = `{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}`

func (c *chat) name(name string) string { return c.names.Out(name, llm.PlainName(name, maxName)) }

func (c *chat) tools(b []byte) []byte {
	r := c.req
	if len(r.Tools) == 0 {
		return b
	}
	only := r.Choice.Allowed
	if len(only) > 0 && !c.own {
		c.notes.Warn(llm.Adjusted, "tool_choice", "tools")
	} else {
		only = nil
	}
	b = append(wire.Name(b, "tools"), '[')
	for i := range r.Tools {
		if t := &r.Tools[i]; len(only) == 0 || slices.Contains(only, t.Name) {
			b = c.tool(b, t)
		}
	}
	b = append(b, ']')
	b = c.choice(b)
	switch {
	case r.Parallel == nil:
	case c.to.Options.NoParallel:
		if !*r.Parallel {
			c.notes.Lacks(llm.Tuning, "parallel_tool_calls")
		}
	default:
		b = wire.Bool(b, "parallel_tool_calls", *r.Parallel)
	}
	return b
}

func (c *chat) tool(b []byte, t *llm.Tool) []byte {
	if len(t.Hosted) > 0 {
		c.notes.Refuse("tools", "Tools that the provider runs, such as "+t.Name+", are possible only in the provider's own protocol.")
		return b
	}
	b = append(wire.Next(b), '{')
	if t.Custom && c.own {
		b = append(wire.Name(wire.String(b, "type", "custom"), "custom"), '{')
		b = wire.OptString(wire.String(b, "name", c.name(t.Name)), "description", t.Description)
		return append(wire.Raw(b, "format", t.Format), "}}"...)
	}
	b = append(wire.Name(wire.String(b, "type", "function"), "function"), '{')
	b = wire.OptString(wire.String(b, "name", c.name(t.Name)), "description", t.Description)
	switch {
	case t.Custom:
		c.names.Free(t.Name)
		if llm.Grammar(t.Format) {
			c.notes.Refuse("tools", "This model has no tools with a grammar.")
		}
		b = wire.Raw(b, "parameters", freeSchema)
	case len(t.Parameters) == 0:
		b = wire.Raw(b, "parameters", emptySchema)
	default:
		b = wire.Raw(b, "parameters", t.Parameters)
	}
	return append(wire.OptBool(b, "strict", t.Strict), "}}"...)
}

func (c *chat) choice(b []byte) []byte {
	ch := c.req.Choice
	word := ""
	switch ch.Mode {
	case llm.ToolsAuto:
		word = "auto"
	case llm.ToolsNone:
		word = "none"
	case llm.ToolsAny:
		word = "required"
	case llm.ToolsNamed:
		kind := "function"
		if c.own && c.custom(ch.Name) {
			kind = "custom"
		}
		b = wire.String(append(wire.Name(b, "tool_choice"), '{'), "type", kind)
		b = append(wire.Name(b, kind), '{')
		return append(wire.String(b, "name", c.name(ch.Name)), "}}"...)
	default:
		return b
	}
	if len(ch.Allowed) == 0 || !c.own {
		return wire.String(b, "tool_choice", word)
	}
	b = append(wire.Name(b, "tool_choice"), `{"type":"allowed_tools","allowed_tools":{`...)
	b = append(wire.Name(wire.String(b, "mode", word), "tools"), '[')
	for _, name := range ch.Allowed {
		b = append(wire.Next(b), `{"type":"function","function":{`...)
		b = append(wire.String(b, "name", c.name(name)), "}}"...)
	}
	return append(b, "]}}"...)
}

// custom reports whether name is a free-form tool.
func (c *chat) custom(name string) bool {
	return slices.ContainsFunc(c.req.Tools, func(t llm.Tool) bool { return t.Custom && t.Name == name })
}
