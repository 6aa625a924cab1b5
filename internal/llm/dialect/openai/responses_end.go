package openai

import (
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/wire"
)

// close ends the text or thought that is open.
func (e *responsesEncoder) close(dst []byte) []byte {
	at := e.open
	if at < 0 {
		return dst
	}
	e.open = -1
	it := &e.items[at]
	switch {
	case it.kind == "message":
		field := "text"
		if it.part == "refusal" {
			field = "refusal"
		}
		dst = wire.Int(e.in(dst, "response."+it.part+".done", at), "content_index", 0)
		dst = wire.String(dst, field, it.text)
		if it.part == "output_text" {
			dst = wire.Raw(dst, "logprobs", "[]")
		}
		dst = wire.Int(e.in(end(dst), "response.content_part.done", at), "content_index", 0)
		dst = end(appendPart(wire.Name(dst, "part"), it))
	case len(it.text) > 0:
		dst = wire.Int(e.in(dst, "response.reasoning_summary_text.done", at), "summary_index", 0)
		dst = end(wire.String(dst, "text", it.text))
		dst = wire.Int(e.in(dst, "response.reasoning_summary_part.done", at), "summary_index", 0)
		dst = wire.String(append(wire.Name(dst, "part"), `{"type":"summary_text"`...), "text", it.text)
		dst = end(append(dst, '}'))
	}
	return e.itemDone(dst, at)
}

func (e *responsesEncoder) itemDone(dst []byte, at int) []byte {
	e.items[at].done = true
	dst = wire.Name(wire.Int(e.event(dst, "response.output_item.done"), "output_index", at), "item")
	return end(e.appendItem(dst, &e.items[at], "completed"))
}

// AppendEnd implements llm.Encoder.
func (e *responsesEncoder) AppendEnd(dst []byte) []byte {
	dst = e.close(e.begin(dst))
	for index, at := range e.calls {
		if at < 0 {
			continue
		}
		it := &e.items[at]
		if it.call.Custom {
			dst = end(wire.String(e.in(dst, "response.custom_tool_call_input.done", at), "input", it.text))
		} else {
			if len(it.text) == 0 {
				dst = e.arguments(dst, index, "{}")
			}
			dst = wire.String(e.in(dst, "response.function_call_arguments.done", at), "name", it.call.Name)
			dst = end(wire.String(dst, "arguments", it.text))
		}
		dst = e.itemDone(dst, at)
	}
	return dst
}

// AppendTerminal implements llm.Encoder. Nothing follows it.
func (e *responsesEncoder) AppendTerminal(dst []byte) []byte {
	kind := "response.completed"
	if e.incomplete() != "" {
		kind = "response.incomplete"
	}
	dst = wire.Name(e.event(dst, kind), "response")
	return end(e.appendResponse(dst, true))
}

// incomplete is why an answer is not complete; empty when it is.
func (e *responsesEncoder) incomplete() string {
	switch e.finish {
	case llm.FinishLength:
		return "max_output_tokens"
	case llm.FinishPolicy:
		return "content_filter"
	case llm.FinishStop, llm.FinishStopSequence, llm.FinishToolCalls, llm.FinishPause:
	}
	return ""
}

// appendResponse appends the answer as an object; ended is with its output.
func (e *responsesEncoder) appendResponse(b []byte, ended bool) []byte {
	status, why := "in_progress", ""
	if ended {
		if status, why = "completed", e.incomplete(); why != "" {
			status = "incomplete"
		}
	}
	b = wire.String(append(b, '{'), "id", responseID("resp_", e.meta.CallID))
	b = wire.Int(wire.String(b, "object", "response"), "created_at", e.meta.Created.Unix())
	b = wire.Raw(wire.Bool(wire.String(b, "status", status), "background", false), "error", "null")
	if why == "" {
		b = wire.Raw(b, "incomplete_details", "null")
	} else {
		b = append(wire.String(append(wire.Name(b, "incomplete_details"), '{'), "reason", why), '}')
	}
	b = wire.Raw(wire.Raw(b, "instructions", "null"), "metadata", "{}")
	b = append(wire.Name(wire.String(b, "model", e.meta.Model), "output"), '[')
	if ended {
		for i := range e.items {
			b = e.appendItem(wire.Next(b), &e.items[i], "completed")
		}
	}
	b = append(b, ']')
	b = wire.Raw(wire.Bool(b, "parallel_tool_calls", true), "previous_response_id", "null")
	b = wire.Raw(wire.Bool(b, "store", false), "temperature", "null")
	b = wire.Raw(wire.String(b, "tool_choice", "auto"), "tools", "[]")
	b = wire.Raw(wire.Raw(b, "text", `{"format":{"type":"text"}}`), "top_p", "null")
	if !ended {
		return append(wire.Raw(b, "usage", "null"), '}')
	}
	return append(appendResponseUsage(wire.Name(b, "usage"), &e.usage), '}')
}

func appendResponseUsage(b []byte, u *llm.Usage) []byte {
	in, out := u.Inputs(), u.Outputs()
	b = wire.Int(append(b, '{'), "input_tokens", in)
	b = wire.Int(append(wire.Name(b, "input_tokens_details"), '{'), "cached_tokens", u.CacheRead)
	b = append(wire.OptInt(b, "cache_write_tokens", u.CacheWrite+u.CacheWriteLong), '}')
	b = wire.Int(b, "output_tokens", out)
	b = append(wire.Int(append(wire.Name(b, "output_tokens_details"), '{'), "reasoning_tokens", u.Reasoning), '}')
	return append(wire.Int(b, "total_tokens", in+out), '}')
}

// appendItem appends an item as far as it has come.
func (e *responsesEncoder) appendItem(b []byte, it *responseItem, status string) []byte {
	b = wire.String(wire.String(append(b, '{'), "id", it.id), "type", it.kind)
	switch it.kind {
	case "message":
		b = wire.String(wire.String(b, "status", status), "role", "assistant")
		b = append(wire.Name(b, "content"), '[')
		if status == "completed" {
			b = appendPart(b, it)
		}
		return append(b, "]}"...)
	case "reasoning":
		b = append(wire.Name(b, "summary"), '[')
		if len(it.text) > 0 && status == "completed" {
			b = append(wire.String(append(b, `{"type":"summary_text"`...), "text", it.text), '}')
		}
		b = append(b, ']')
		if it.state != nil {
			b = wire.String(b, "encrypted_content", carried(it.state))
		}
		return append(b, '}')
	}
	field := "arguments"
	if it.call.Custom {
		field = "input"
	}
	text := it.text
	if status != "completed" {
		text = nil
	}
	b = wire.String(wire.String(b, "status", status), "call_id", it.call.ID)
	return append(wire.String(wire.String(b, "name", it.call.Name), field, text), '}')
}

// carried is a state as this dialect carries it.
func carried(s *llm.State) string {
	if s.Vendor == issuer {
		return s.Data
	}
	return s.Wrap()
}

func appendPart(b []byte, it *responseItem) []byte {
	b = wire.String(append(b, '{'), "type", it.part)
	if it.part == "refusal" {
		return append(wire.String(b, "refusal", it.text), '}')
	}
	b = append(wire.Name(wire.String(b, "text", it.text), "annotations"), '[')
	b = append(append(b, it.annotations...), ']')
	return append(wire.Raw(b, "logprobs", "[]"), '}')
}
