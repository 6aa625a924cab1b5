package openai

import (
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/wire"
)

// AppendAnswer implements llm.Dialect. Texts are joined without a separator;
// where they stood between calls is lost.
func (Chat) AppendAnswer(dst []byte, m llm.Meta, a *llm.Answer) []byte {
	dst = appendHead(dst, m, "chat.completion")
	dst = append(wire.Name(dst, "choices"), '[')
	choices := a.Choices
	if len(choices) == 0 {
		choices = []llm.AnswerChoice{{}}
	}
	for i := range choices {
		dst = append(wire.Next(dst), '{')
		dst = appendChoice(wire.Int(dst, "index", i), m, &choices[i])
		dst = append(dst, '}')
	}
	dst = append(dst, ']')
	return append(appendUsage(wire.Name(dst, "usage"), &a.Usage), '}')
}

func appendChoice(b []byte, m llm.Meta, ch *llm.AnswerChoice) []byte {
	legacy := m.Request != nil && m.Request.LegacyCalls
	calls, states, citations := 0, 0, 0
	for i := range ch.Parts {
		switch p := &ch.Parts[i]; p.Kind { //nolint:exhaustive // an answer has no others
		case llm.PartToolCall:
			calls++
		case llm.PartReasoning:
			if p.State != nil {
				states++
			}
		case llm.PartText:
			citations += len(p.Citations)
		}
	}
	b = append(wire.Name(b, "message"), '{')
	b = wire.String(b, "role", "assistant")
	text, refusal := ch.Text(llm.PartText), ch.Text(llm.PartRefusal)
	if text == "" && (calls > 0 || refusal != "") {
		b = wire.Raw(b, "content", "null")
	} else {
		b = wire.String(b, "content", text)
	}
	if refusal == "" {
		b = wire.Raw(b, "refusal", "null")
	} else {
		b = wire.String(b, "refusal", refusal)
	}
	b = wire.OptString(b, "reasoning_content", ch.Text(llm.PartReasoning))
	if states > 0 {
		b = appendDetails(b, ch.Parts)
	}
	if calls > 0 {
		b = appendCalls(b, m, ch.Parts, legacy)
	}
	if citations > 0 {
		b = appendAnnotations(b, ch.Parts)
	}
	b = append(b, '}')
	b = appendLogprobs(b, ch)
	return wire.String(b, "finish_reason", finishWord(ch.Finish, calls, legacy))
}

func appendDetails(b []byte, parts []llm.Part) []byte {
	b = append(wire.Name(b, "reasoning_details"), '[')
	n := 0
	for i := range parts {
		if parts[i].Kind == llm.PartReasoning {
			b = appendDetail(b, &parts[i], n)
			n++
		}
	}
	return append(b, ']')
}

func appendCalls(b []byte, m llm.Meta, parts []llm.Part, legacy bool) []byte {
	if !legacy {
		b = append(wire.Name(b, "tool_calls"), '[')
	}
	n := 0
	for i := range parts {
		p := &parts[i]
		if p.Kind != llm.PartToolCall {
			continue
		}
		if legacy { // it has room for one
			b = append(wire.Name(b, "function_call"), '{')
			return append(wire.String(wire.String(b, "name", p.Call.Name), "arguments", p.Call.Arguments), '}')
		}
		b = appendCall(append(wire.Next(b), '{'), m, n, p.Call)
		if p.State != nil && p.State.Vendor == google {
			b = appendSignature(b, p.State)
		}
		b = append(b, '}')
		n++
	}
	return append(b, ']')
}

func appendAnnotations(b []byte, parts []llm.Part) []byte {
	b = append(wire.Name(b, "annotations"), '[')
	for i := range parts {
		for j := range parts[i].Citations {
			if parts[i].Citations[j].URL != "" {
				b = appendCitation(b, &parts[i].Citations[j])
			}
		}
	}
	return append(b, ']')
}

// appendLogprobs joins the arrays that came with the texts.
func appendLogprobs(b []byte, ch *llm.AnswerChoice) []byte {
	if len(ch.Logprobs) == 0 {
		return wire.Raw(b, "logprobs", "null")
	}
	b = append(wire.Name(b, "logprobs"), `{"content":[`...)
	for _, l := range ch.Logprobs {
		if len(l) > 2 && l[0] == '[' {
			b = append(wire.Next(b), l[1:len(l)-1]...)
		}
	}
	return append(b, "]}"...)
}
