package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// chat speaks chat completions: https://platform.openai.com/docs/api-reference/chat
func (a *Actor) chat(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Model    string `json:"model"`
		Messages []struct {
			Role    string          `json:"role"`
			Content json.RawMessage `json:"content"`
		} `json:"messages"`
		Tools []struct {
			Function struct{ Name string } `json:"function"`
		} `json:"tools"`
		ToolChoice     json.RawMessage       `json:"tool_choice"`
		ResponseFormat struct{ Type string } `json:"response_format"`
		Stream         bool                  `json:"stream"`
		StreamOptions  struct {
			IncludeUsage bool `json:"include_usage"`
		} `json:"stream_options"`
	}
	if !a.begin(w, r, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), &in) {
		return
	}
	if strings.HasPrefix(in.Model, "busy") {
		w.Header().Set("Retry-After", "1")
		answer(w, http.StatusTooManyRequests, object{"error": object{"message": "slow down", "type": "rate_limit_error", "code": "rate_limit_exceeded"}})
		return
	}
	s := scene{model: in.Model, stream: in.Stream, schema: in.ResponseFormat.Type == "json_schema"}
	s.force = strings.Contains(string(in.ToolChoice), "required") || strings.HasPrefix(string(in.ToolChoice), "{")
	for _, t := range in.Tools {
		s.tools = append(s.tools, t.Function.Name)
	}
	for _, m := range in.Messages {
		text, image := openaiContent(m.Content)
		switch m.Role {
		case "tool":
			s.results = append(s.results, text)
		case "user":
			s.ask, s.image, s.results = text, image, nil
		}
	}
	p := s.play()
	usage := object{"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
	finish := "stop"
	var calls []object
	for i, arguments := range p.calls {
		finish = "tool_calls"
		calls = append(calls, object{"id": fmt.Sprint("call_", i+1), "type": "function", "function": object{"name": p.tool, "arguments": arguments}})
	}
	if !s.stream {
		message := object{"role": "assistant", "content": p.text}
		if calls != nil {
			message = object{"role": "assistant", "content": nil, "tool_calls": calls}
		}
		answer(w, http.StatusOK, object{
			"id": "chatcmpl-1", "object": "chat.completion", "created": 1774000000, "model": in.Model,
			"choices": []object{{"index": 0, "message": message, "finish_reason": finish}}, "usage": usage,
		})
		return
	}
	out := newStage(w, in.Model)
	chunk := func(delta object, finish any) {
		out.event("", object{
			"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1774000000, "model": in.Model,
			"choices": []object{{"index": 0, "delta": delta, "finish_reason": finish}},
		})
	}
	chunk(object{"role": "assistant", "content": ""}, nil)
	if calls == nil {
		for _, word := range words(p.text) {
			chunk(object{"content": word}, nil)
		}
	}
	for i, c := range calls {
		f, _ := c["function"].(object)
		chunk(object{"tool_calls": []object{{"index": i, "id": c["id"], "type": "function", "function": object{"name": p.tool, "arguments": ""}}}}, nil)
		for _, piece := range strings.SplitAfter(fmt.Sprint(f["arguments"]), ":") {
			chunk(object{"tool_calls": []object{{"index": i, "function": object{"arguments": piece}}}}, nil)
		}
	}
	chunk(object{}, finish)
	if in.StreamOptions.IncludeUsage {
		out.event("", object{"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1774000000, "model": in.Model, "choices": []object{}, "usage": usage})
	}
	out.event("", "[DONE]")
}

// openaiContent returns the text of a message, and the bytes of its images.
func openaiContent(raw json.RawMessage) (text string, image int) {
	if json.Unmarshal(raw, &text) == nil {
		return text, 0
	}
	var parts []struct {
		Type, Text string
		ImageURL   struct{ URL string } `json:"image_url"`
	}
	_ = json.Unmarshal(raw, &parts)
	var all []string
	for _, p := range parts {
		switch p.Type {
		case "text":
			all = append(all, p.Text)
		case "image_url":
			image += base64Size(p.ImageURL.URL)
		}
	}
	return strings.Join(all, " "), image
}
