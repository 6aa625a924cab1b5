package anthropic

import (
	"slices"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/wire"
)

// turn is a message as it goes out: neighbours of one role are one.
type turn struct {
	role  string
	parts []*llm.Part
}

// arrange makes turns of the conversation. What the operator says before it is
// the system prompt.
func (m *messages) arrange() {
	begun := false
	for i := range m.req.Messages {
		msg := &m.req.Messages[i]
		switch msg.Role {
		case llm.RoleSystem, llm.RoleDeveloper:
			if !begun {
				m.system = append(m.system, msg.Parts...)
				continue
			}
			m.instruct(msg)
		case llm.RoleAssistant:
			m.add("assistant", msg.Parts)
		case llm.RoleTool:
			m.add("user", msg.Parts)
			m.sortResults()
		case llm.RoleUser:
			m.add("user", msg.Parts)
		}
		begun = true
	}
	m.join()
	if n := len(m.turns); n > 0 && m.turns[n-1].role == "assistant" && !m.to.Abilities.Prefill {
		m.notes.Refuse("messages", "This model does not go on with an answer that was begun. Let the last message be the user's.")
	}
}

// join leaves out messages that are empty, and makes one of the neighbours that
// they have stood between.
func (m *messages) join() {
	all := m.turns
	m.turns = m.turns[:0]
	for _, t := range all {
		n := len(m.turns)
		switch {
		case len(t.parts) == 0:
		case n > 0 && m.turns[n-1].role == t.role:
			m.turns[n-1].parts = append(m.turns[n-1].parts, t.parts...)
		default:
			m.turns = append(m.turns, t)
		}
	}
}

// instruct takes a system message in the middle of the talk.
func (m *messages) instruct(msg *llm.Message) {
	if m.to.Abilities.MidSystem {
		m.add("system", msg.Parts)
		return
	}
	m.notes.Warn(llm.Inlined, "messages", "")
	parts := make([]llm.Part, 0, len(msg.Parts))
	for _, p := range msg.Parts {
		if p.Kind == llm.PartText {
			p.Text = "<system>" + p.Text + "</system>"
		}
		parts = append(parts, p)
	}
	m.add("user", parts)
}

// add appends parts to the turn of role. Blank texts are refused by the
// service and are nothing.
func (m *messages) add(role string, parts []llm.Part) {
	if n := len(m.turns); n == 0 || m.turns[n-1].role != role {
		m.turns = append(m.turns, turn{role: role})
	}
	t := &m.turns[len(m.turns)-1]
	for i := range parts {
		switch p := &parts[i]; {
		case (p.Kind == llm.PartText || p.Kind == llm.PartRefusal) && blank(p.Text):
		case p.Kind == llm.PartReasoning && !m.keeps(p):
		default:
			t.parts = append(t.parts, p)
		}
	}
}

// keeps reports whether a thought goes back to the service. Only its issuer
// can read what it has sealed; a text without a seal is refused.
func (m *messages) keeps(p *llm.Part) bool {
	if p.State == nil {
		return false
	}
	if !p.State.For(m.to) {
		m.notes.Warn(llm.ReasoningLost, "messages", "")
		return false
	}
	return true
}

// sortResults puts the results of the last turn first, in the order of the
// calls.
func (m *messages) sortResults() {
	n := len(m.turns)
	order := map[string]int{}
	if n > 1 {
		for _, p := range m.turns[n-2].parts {
			if p.Kind == llm.PartToolCall {
				if _, again := order[p.Call.ID]; !again {
					order[p.Call.ID] = len(order)
				}
			}
		}
	}
	rank := func(p *llm.Part) int {
		if p.Kind != llm.PartToolResult {
			return len(order) + 1
		}
		if at, ok := order[p.Result.ID]; ok {
			return at
		}
		return len(order)
	}
	slices.SortStableFunc(m.turns[n-1].parts, func(a, b *llm.Part) int { return rank(a) - rank(b) })
}

// maxMarks is how many cache marks a request may have.
const maxMarks = 4

// countMarks finds how many marks are too many: the last ones count.
func (m *messages) countMarks() {
	n := 0
	count := func(on bool) {
		if on {
			n++
		}
	}
	count(m.req.Cache.On)
	for i := range m.req.Tools {
		count(m.req.Tools[i].Cache.On)
	}
	for i := range m.system {
		count(m.system[i].Cache.On)
	}
	for _, t := range m.turns {
		for _, p := range t.parts {
			count(p.Cache.On)
		}
	}
	m.marks = max(0, n-maxMarks)
}

func (m *messages) mark(b []byte, c llm.Cache) []byte {
	if !c.On {
		return b
	}
	if m.marks > 0 {
		m.marks--
		return b
	}
	return appendMark(b, c)
}

func appendMark(b []byte, c llm.Cache) []byte {
	b = append(wire.Name(b, "cache_control"), `{"type":"ephemeral"`...)
	if c.Long {
		b = append(b, `,"ttl":"1h"`...)
	}
	return append(b, '}')
}

func (m *messages) appendSystem(b []byte) []byte {
	parts := slices.DeleteFunc(slices.Clone(m.system), func(p llm.Part) bool { return p.Kind != llm.PartText || blank(p.Text) })
	if len(parts) == 0 {
		return b
	}
	if len(parts) == 1 && !parts[0].Cache.On {
		return wire.String(b, "system", parts[0].Text)
	}
	b = append(wire.Name(b, "system"), '[')
	for i := range parts {
		b = append(wire.Next(b), `{"type":"text"`...)
		b = m.mark(wire.String(b, "text", parts[i].Text), parts[i].Cache)
		b = append(b, '}')
	}
	return append(b, ']')
}

func (m *messages) appendTurns(b []byte) []byte {
	b = append(wire.Name(b, "messages"), '[')
	for _, t := range m.turns {
		b = wire.String(append(wire.Next(b), '{'), "role", t.role)
		if p := t.parts[0]; len(t.parts) == 1 && p.Kind == llm.PartText && !p.Cache.On {
			b = append(wire.String(b, "content", p.Text), '}')
			continue
		}
		b = append(wire.Name(b, "content"), '[')
		for _, p := range t.parts {
			b = m.appendPart(b, p)
		}
		b = append(b, "]}"...)
	}
	return append(b, ']')
}
