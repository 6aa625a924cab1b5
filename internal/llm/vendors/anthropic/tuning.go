package anthropic

import (
	"slices"
	"strconv"
	"strings"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/wire"
)

func index(name string, i int) string { return name + "[" + strconv.Itoa(i) + "]" }

func blank(text string) bool { return strings.TrimSpace(text) == "" }

func zero(n llm.Number) bool {
	f, err := strconv.ParseFloat(string(n), 64)
	return n == "" || err == nil && f == 0
}

// appendSampling appends temperature, top_p and top_k, as far as the model and
// thinking let them be.
func (m *messages) appendSampling(b []byte) []byte {
	r := m.req
	for _, f := range []struct {
		name string
		v    llm.Number
	}{{"temperature", r.Temperature}, {"top_p", r.TopP}, {"top_k", r.TopK}} {
		switch {
		case f.v == "":
		case m.to.Abilities.NoSampling, m.think && f.name != "top_p" && !one(f.v):
			m.notes.Lacks(llm.Tuning, f.name)
		case f.name == "temperature" && above1(f.v): // OpenAI's goes up to 2
			m.notes.Warn(llm.Adjusted, f.name, "1")
			b = wire.Raw(b, f.name, "1")
		default:
			b = wire.Raw(b, f.name, f.v)
		}
	}
	return b
}

func one(n llm.Number) bool {
	f, err := strconv.ParseFloat(string(n), 64)
	return err == nil && f == 1
}

func above1(n llm.Number) bool {
	f, err := strconv.ParseFloat(string(n), 64)
	return err == nil && f > 1
}

// leastBudget is the smallest budget of thinking; twice that is the smallest
// output limit that leaves room for an answer.
const leastBudget = 1024

// thinking decides whether the model thinks and returns the members for it,
// with the comma before. The effort is kept for appendOutput.
func (m *messages) thinking() []byte {
	r, can := m.req.Reasoning, m.to.Abilities
	switch {
	case !r.On() && !r.Off():
		return nil
	case can.NoReasoning:
		if r.On() {
			m.notes.Lacks(llm.Tuning, "reasoning_effort")
		}
		return nil
	case r.Off() && !can.NoThinkingOff:
		return []byte(`,"thinking":{"type":"disabled"}`)
	}
	if why := m.cannotThink(); why {
		if can.NoThinkingOff {
			return nil
		}
		return []byte(`,"thinking":{"type":"disabled"}`)
	}
	if can.Adaptive {
		m.think = true
		return []byte(`,"thinking":{"type":"adaptive","display":"summarized"}`)
	}
	budget := r.Budget
	if budget <= 0 {
		level := r.Level()
		if level == 0 {
			level = llm.EffortMedium
		}
		budget = m.level(level).Budget()
	}
	if fits := max(min(budget, m.limit-1), leastBudget); fits != budget {
		if r.Budget > 0 {
			m.notes.Warn(llm.Adjusted, "reasoning_effort", strconv.FormatInt(fits, 10))
		}
		budget = fits
	}
	if m.limit < 2*leastBudget {
		m.notes.Warn(llm.Adjusted, "reasoning_effort", "none")
		return nil
	}
	m.think = true
	b := append([]byte(`,"thinking":{"type":"enabled","budget_tokens":`), strconv.FormatInt(budget, 10)...)
	return append(b, '}')
}

// level returns the model's level nearest to e.
func (m *messages) level(e llm.Effort) llm.Effort {
	to := e.Clamp(m.to.Abilities.Levels)
	if to == llm.EffortNone { // it is on
		to = llm.EffortLow
	}
	if to != e {
		m.notes.Warn(llm.Adjusted, "reasoning_effort", to.String())
	}
	return to
}

// cannotThink reports, with a warning, that thinking has to be off: a tool is
// forced, or the model is in a loop of tools whose thoughts did not come back.
func (m *messages) cannotThink() bool {
	if mode := m.req.Choice.Mode; m.forced != "" || len(m.req.Tools) > 0 && (mode == llm.ToolsAny || mode == llm.ToolsNamed) {
		m.notes.Warn(llm.Adjusted, "reasoning_effort", "none")
		return true
	}
	if !m.to.Abilities.Adaptive && m.lostThoughts() {
		m.notes.Warn(llm.SignatureEmpty, "reasoning_effort", "none")
		return true
	}
	return false
}

// lostThoughts reports whether the last turn answers calls that were made
// after thoughts which are missing now.
func (m *messages) lostThoughts() bool {
	n := len(m.turns)
	if n < 2 || !slices.ContainsFunc(m.turns[n-1].parts, func(p *llm.Part) bool { return p.Kind == llm.PartToolResult }) {
		return false
	}
	last := m.turns[n-2].parts
	return len(last) == 0 || last[0].Kind != llm.PartReasoning
}

// appendOutput appends output_config.
func (m *messages) appendOutput(b []byte) []byte {
	r, can := m.req.Reasoning, m.to.Abilities
	effort := llm.Effort(0)
	if can.Adaptive && m.think && r.Level() != 0 {
		effort = m.level(r.Level())
	} else if can.Adaptive && can.NoThinkingOff && r.Off() {
		effort = m.level(llm.EffortLow)
		m.notes.Warn(llm.Adjusted, "reasoning_effort", effort.String())
	}
	native := m.req.Format.Kind == llm.FormatSchema && can.JSONSchema
	if effort == 0 && !native {
		return b
	}
	b = append(wire.Name(b, "output_config"), '{')
	if effort != 0 {
		b = wire.String(b, "effort", effortWord(effort))
	}
	if native {
		b = append(wire.Name(b, "format"), `{"type":"json_schema"`...)
		schema := m.relaxed(m.req.Format.Schema)
		b = append(wire.Raw(b, "schema", schema), '}')
	}
	return append(b, '}')
}

// effortWord is the nearest of Anthropic's words.
func effortWord(e llm.Effort) string {
	if e == llm.EffortMinimal {
		e = llm.EffortLow
	}
	return e.String()
}
