package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// anthropicBlock is a content block of a request.
type anthropicBlock struct {
	Type, Text, Thinking, Signature string
	Content                         json.RawMessage // of a tool_result
	Source                          struct{ Type, Data string }
}

// blocks reads content, which is text or blocks.
func blocks(raw json.RawMessage) (out []anthropicBlock) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return []anthropicBlock{{Type: "text", Text: text}}
	}
	_ = json.Unmarshal(raw, &out)
	return out
}

func blockText(bs []anthropicBlock) string {
	var all []string
	for _, b := range bs {
		if b.Type == "text" {
			all = append(all, b.Text)
		}
	}
	return strings.Join(all, " ")
}

// messages speaks the Messages API: https://docs.claude.com/en/api/messages
func (a *Actor) messages(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Model    string `json:"model"`
		Messages []struct {
			Role    string
			Content json.RawMessage
		} `json:"messages"`
		Tools        []struct{ Name string }                `json:"tools"`
		ToolChoice   struct{ Type, Name string }            `json:"tool_choice"`
		OutputConfig struct{ Format struct{ Type string } } `json:"output_config"`
		OutputFormat struct{ Type string }                  `json:"output_format"`
		Thinking     struct{ Type string }                  `json:"thinking"`
		Stream       bool                                   `json:"stream"`
	}
	if !a.begin(w, r, r.Header.Get("X-Api-Key"), &in) {
		return
	}
	if strings.HasPrefix(in.Model, "busy") {
		answer(w, http.StatusTooManyRequests, object{"type": "error", "error": object{"type": "rate_limit_error", "message": "slow down"}})
		return
	}
	s := scene{model: in.Model, stream: in.Stream, think: in.Thinking.Type == "enabled" || in.Thinking.Type == "adaptive"}
	s.schema = in.OutputConfig.Format.Type == "json_schema" || in.OutputFormat.Type == "json_schema"
	s.force = in.ToolChoice.Type == "tool" || in.ToolChoice.Type == "any"
	for _, t := range in.Tools {
		s.tools = append(s.tools, t.Name)
	}
	for _, m := range in.Messages {
		bs := blocks(m.Content)
		if m.Role == "user" {
			s.results, s.image, s.ask = nil, 0, blockText(bs)
		}
		for _, b := range bs {
			switch b.Type {
			case "tool_result":
				s.results = append(s.results, blockText(blocks(b.Content)))
			case "image":
				s.image += base64Size(b.Source.Data)
			case "thinking":
				s.forged = s.forged || b.Signature != signature || b.Thinking != thought
			}
		}
	}
	if s.forged {
		answer(w, http.StatusBadRequest, object{"type": "error", "error": object{"type": "invalid_request_error", "message": "messages: Invalid `signature` in `thinking` block"}})
		return
	}
	p := s.play()
	var content []object
	if p.thought != "" {
		content = append(content, object{"type": "thinking", "thinking": p.thought, "signature": signature})
	}
	stop := "end_turn"
	if p.text != "" {
		content = append(content, object{"type": "text", "text": p.text})
	}
	for i, arguments := range p.calls {
		stop = "tool_use"
		content = append(content, object{"type": "tool_use", "id": fmt.Sprint("toolu_", i+1), "name": p.tool, "input": json.RawMessage(arguments)})
	}
	message := object{
		"id": "msg_1", "type": "message", "role": "assistant", "model": in.Model, "content": content, "stop_reason": stop, "stop_sequence": nil,
		"usage": object{"input_tokens": 10, "output_tokens": 5},
	}
	if !s.stream {
		answer(w, http.StatusOK, message)
		return
	}
	streamMessage(newStage(w, in.Model), message, content, stop)
}

func streamMessage(out *stage, message object, content []object, stop string) {
	message["content"], message["stop_reason"] = []object{}, nil
	out.event("message_start", object{"type": "message_start", "message": message})
	for i, c := range content {
		delta := func(d object) {
			out.event("content_block_delta", object{"type": "content_block_delta", "index": i, "delta": d})
		}
		begin := func(block object) {
			out.event("content_block_start", object{"type": "content_block_start", "index": i, "content_block": block})
		}
		switch c["type"] {
		case "thinking":
			begin(object{"type": "thinking", "thinking": "", "signature": ""})
			for _, word := range words(fmt.Sprint(c["thinking"])) {
				delta(object{"type": "thinking_delta", "thinking": word})
			}
			delta(object{"type": "signature_delta", "signature": c["signature"]})
		case "text":
			begin(object{"type": "text", "text": ""})
			for _, word := range words(fmt.Sprint(c["text"])) {
				delta(object{"type": "text_delta", "text": word})
			}
		case "tool_use":
			begin(object{"type": "tool_use", "id": c["id"], "name": c["name"], "input": object{}})
			raw, _ := c["input"].(json.RawMessage)
			for _, piece := range strings.SplitAfter(string(raw), ":") {
				delta(object{"type": "input_json_delta", "partial_json": piece})
			}
		}
		out.event("content_block_stop", object{"type": "content_block_stop", "index": i})
	}
	out.event("message_delta", object{"type": "message_delta", "delta": object{"stop_reason": stop, "stop_sequence": nil}, "usage": object{"output_tokens": 5}})
	out.event("message_stop", object{"type": "message_stop"})
}
