package openai

import (
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/wire"
)

// encoded is a request in OpenAI's form.
type encoded struct {
	body     []byte
	warnings []llm.Warning
	names    llm.Names
}

// chat is a request that is being encoded.
type chat struct {
	to    llm.Target
	req   *llm.Request
	own   bool // at OpenAI itself, which takes what only it has
	notes *llm.Notes
	names llm.Names
	// images are those of tool results that wait for the end of the results.
	images []llm.Part
}

// emptySchema is the schema of a tool that takes nothing.
const emptySchema = `{"type":"object","properties":{}}`

// encodeChat writes req as the body of a chat completion. The order of fields
// is fixed, so that the same request has the same bytes.
func encodeChat(to llm.Target, req *llm.Request, own bool) (encoded, error) {
	c := &chat{to: to, req: req, own: own, notes: llm.NewNotes(req)}
	b := make([]byte, 0, 1024)
	b = wire.String(append(b, '{'), "model", to.Model)
	b = c.messages(b)
	b = c.tools(b)
	b = c.format(b)
	b = c.limits(b)
	b = c.sampling(b)
	b = c.reasoning(b)
	b = c.others(b)
	if req.Stream {
		b = wire.Bool(b, "stream", true)
		if !to.Options.NoStreamUsage {
			b = append(wire.Name(b, "stream_options"), `{"include_usage":true}`...)
		}
	}
	b = append(b, '}')
	warnings, err := c.notes.Done()
	return encoded{b, warnings, c.names}, err
}

func (c *chat) limits(b []byte) []byte {
	key := "max_tokens"
	if c.own {
		key = "max_completion_tokens"
	}
	if c.to.Options.MaxTokensKey != "" {
		key = c.to.Options.MaxTokensKey
	}
	b = wire.OptInt(b, key, c.req.MaxOutput)
	const maxStop = 4
	if len(c.req.Stop) > maxStop {
		c.notes.Refuse("stop", "This model takes at most 4 stop sequences.")
	}
	if len(c.req.Stop) > 0 {
		b = append(wire.Name(b, "stop"), '[')
		for _, s := range c.req.Stop {
			b = wire.Quote(wire.Next(b), s)
		}
		b = append(b, ']')
	}
	if c.req.N > 1 {
		b = wire.Int(b, "n", c.req.N)
	}
	return b
}

func (c *chat) sampling(b []byte) []byte {
	r := c.req
	for _, f := range []struct {
		name string
		v    llm.Number
	}{
		{"temperature", r.Temperature},
		{"top_p", r.TopP},
		{"presence_penalty", r.PresencePenalty},
		{"frequency_penalty", r.FrequencyPenalty},
	} {
		if c.to.Abilities.NoSampling {
			c.notes.LacksNumber(llm.Tuning, f.name, f.v)
			continue
		}
		b = wire.Raw(b, f.name, f.v)
	}
	if c.own || c.to.Abilities.NoSampling {
		c.notes.LacksNumber(llm.Tuning, "top_k", r.TopK)
	} else {
		b = wire.Raw(b, "top_k", r.TopK)
	}
	return wire.Raw(b, "seed", r.Seed)
}

func (c *chat) reasoning(b []byte) []byte {
	r, can := c.req.Reasoning, c.to.Abilities
	level := r.Level()
	switch {
	case !r.On() && !r.Off():
		return b
	case can.NoReasoning:
		if r.On() {
			c.notes.Lacks(llm.Tuning, "reasoning_effort")
		}
		return b
	case level == 0: // the model decides, as it does unasked
		return b
	}
	if to := level.Clamp(can.Levels); to != level {
		c.notes.Warn(llm.Adjusted, "reasoning_effort", to.String())
		level = to
	}
	return wire.String(b, "reasoning_effort", level.String())
}

func (c *chat) format(b []byte) []byte {
	f := c.req.Format
	switch f.Kind {
	case llm.FormatJSON:
		return append(wire.Name(b, "response_format"), `{"type":"json_object"}`...)
	case llm.FormatSchema:
		if c.to.Options.NoJSONSchema { // the system message has the schema
			c.notes.Warn(llm.Emulated, "response_format", "")
			return append(wire.Name(b, "response_format"), `{"type":"json_object"}`...)
		}
		b = append(wire.Name(b, "response_format"), `{"type":"json_schema","json_schema":{`...)
		name := f.Name
		if name == "" {
			name = "answer"
		}
		b = wire.OptString(wire.String(b, "name", name), "description", f.Description)
		b = wire.OptBool(wire.Raw(b, "schema", f.Schema), "strict", f.Strict)
		return append(b, "}}"...)
	case llm.FormatText:
	}
	return b
}

// passed are the extra fields that OpenAI's protocol has and whose answers the
// hub can carry.
var passed = []string{"logprobs", "top_logprobs", "logit_bias", "prediction", "web_search_options", "prompt_cache_options", "prompt_cache_retention"}

func (c *chat) others(b []byte) []byte {
	r := c.req
	user := "user"
	if c.own {
		user = "safety_identifier"
	}
	if c.to.Options.UserKey != "" {
		user = c.to.Options.UserKey
	}
	if c.own {
		b = wire.OptString(b, "verbosity", r.Verbosity)
		b = wire.OptString(b, user, r.User)
		b = wire.OptString(b, "prompt_cache_key", r.CacheKey)
	} else {
		if r.Verbosity != "" {
			c.notes.Lacks(llm.Tuning, "verbosity")
		}
		b = wire.OptString(b, user, r.User)
	}
	if r.ServiceTier != "" {
		c.notes.Lacks(llm.Meaning, "service_tier")
	}
	known := passed
	if !c.own {
		known = passed[:3]
	}
	for _, name := range known {
		for _, e := range r.Extra {
			if e.Name == name {
				b = wire.Raw(b, e.Name, e.Value)
			}
		}
	}
	c.notes.Rest(known...)
	return b
}
