package anthropic

import (
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/wire"
)

// AppendAnswer implements llm.Dialect.
func (Messages) AppendAnswer(dst []byte, m llm.Meta, a *llm.Answer) []byte {
	var ch llm.AnswerChoice
	if len(a.Choices) > 0 {
		ch = a.Choices[0]
	}
	dst = append(wire.Name(appendHead(dst, m), "content"), '[')
	calls, refused := 0, false
	for i := range ch.Parts {
		p := &ch.Parts[i]
		if p.Kind == llm.PartToolCall {
			dst = appendWholeCall(dst, m, calls, p)
			calls++
			continue
		}
		refused = refused || p.Kind == llm.PartRefusal
		dst = appendBlock(dst, p)
	}
	dst = appendStop(append(dst, ']'), ch.Finish, ch.StopSequence, calls, refused)
	return append(appendUsage(wire.Name(dst, "usage"), &a.Usage), '}')
}

func appendBlock(b []byte, p *llm.Part) []byte {
	b = append(wire.Next(b), '{')
	switch {
	case p.Kind == llm.PartReasoning && p.Redacted:
		b = wire.String(wire.String(b, "type", "redacted_thinking"), "data", seal(p.State))
	case p.Kind == llm.PartReasoning:
		b = wire.String(wire.String(b, "type", "thinking"), "thinking", p.Text)
		signature := ""
		if p.State != nil {
			signature = seal(p.State)
		}
		b = wire.String(b, "signature", signature)
	default:
		b = wire.String(wire.String(b, "type", "text"), "text", p.Text)
		b = appendCitations(b, p.Citations)
	}
	return append(b, '}')
}

// appendCitations appends those that are in Anthropic's form.
func appendCitations(b []byte, all []llm.Citation) []byte {
	n := 0
	for _, c := range all {
		if len(c.Raw) == 0 {
			continue
		}
		if n++; n == 1 {
			b = append(wire.Name(b, "citations"), '[')
		}
		b = append(wire.Next(b), c.Raw...)
	}
	if n > 0 {
		b = append(b, ']')
	}
	return b
}

// appendWholeCall appends a call, and its state as a block behind it.
func appendWholeCall(b []byte, m llm.Meta, index int, p *llm.Part) []byte {
	input := p.Call.Arguments
	if !wire.Object(input) {
		input = string(append(wire.String([]byte{'{'}, "_raw", input), '}'))
	}
	b = appendCall(append(wire.Next(b), '{'), m, index, p.Call.ID, p.Call.Name, input)
	if b = append(b, '}'); p.State == nil || p.State.Vendor != google {
		return b
	}
	return appendBlock(b, &llm.Part{Kind: llm.PartReasoning, Redacted: true, State: p.State})
}
