package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
)

// generate speaks the Gemini API: https://ai.google.dev/api/generate-content
func (a *Actor) generate(w http.ResponseWriter, r *http.Request) {
	model, method, _ := strings.Cut(r.PathValue("call"), ":")
	var in struct {
		Contents []struct {
			Role  string
			Parts []struct {
				Text             string
				Thought          bool
				ThoughtSignature string
				InlineData       struct{ Data string }
				FunctionCall     *struct{ Name string }
				FunctionResponse *struct{ Response json.RawMessage }
			}
		} `json:"contents"`
		Tools []struct {
			FunctionDeclarations []struct{ Name string }
		} `json:"tools"`
		ToolConfig struct {
			FunctionCallingConfig struct{ Mode string }
		} `json:"toolConfig"`
		GenerationConfig struct {
			ResponseMIMEType string `json:"responseMimeType"`
			ThinkingConfig   struct{ IncludeThoughts bool }
		} `json:"generationConfig"`
	}
	if !a.begin(w, r, r.Header.Get("X-Goog-Api-Key"), &in) {
		return
	}
	if strings.HasPrefix(model, "busy") {
		answer(w, http.StatusTooManyRequests, object{"error": object{"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}})
		return
	}
	s := scene{
		model: model, stream: method == "streamGenerateContent", think: in.GenerationConfig.ThinkingConfig.IncludeThoughts,
		force:  in.ToolConfig.FunctionCallingConfig.Mode == "ANY",
		schema: in.GenerationConfig.ResponseMIMEType == "application/json",
	}
	for _, t := range in.Tools {
		for _, f := range t.FunctionDeclarations {
			s.tools = append(s.tools, f.Name)
		}
	}
	for _, c := range in.Contents {
		var all []string
		if c.Role != "model" {
			s.results, s.image = nil, 0
		}
		for _, p := range c.Parts {
			switch {
			case p.FunctionResponse != nil:
				s.results = append(s.results, deepest(p.FunctionResponse.Response))
			case p.InlineData.Data != "":
				s.image += base64Size(p.InlineData.Data)
			case p.Text != "" && !p.Thought:
				all = append(all, p.Text)
			}
			s.forged = s.forged || p.ThoughtSignature != "" && p.ThoughtSignature != signature
		}
		if c.Role != "model" {
			s.ask = strings.Join(all, " ")
		}
	}
	if s.forged {
		answer(w, http.StatusBadRequest, object{"error": object{"code": 400, "message": "Corrupted thought signature.", "status": "INVALID_ARGUMENT"}})
		return
	}
	a.generated(w, &s)
}

// deepest returns the first text in a response of a function.
func deepest(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(raw, &fields)
	for _, name := range []string{"output", "result", "content"} {
		if v, ok := fields[name]; ok {
			return deepest(v)
		}
	}
	return string(raw)
}

func (a *Actor) generated(w http.ResponseWriter, s *scene) {
	p := s.play()
	var parts []object
	if p.thought != "" {
		parts = append(parts, object{"text": p.thought, "thought": true})
	}
	var pieces []string
	if p.text != "" {
		pieces = []string{p.text}
		if s.stream {
			pieces = words(p.text)
		}
	}
	for _, piece := range pieces {
		parts = append(parts, object{"text": piece})
	}
	for i, arguments := range p.calls {
		part := object{"functionCall": object{"name": p.tool, "args": json.RawMessage(arguments)}}
		if i == 0 { // parallel calls have one signature
			part["thoughtSignature"] = signature
		}
		parts = append(parts, part)
	}
	usage := object{"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
	reply := func(parts []object, last bool) object {
		candidate := object{"index": 0, "content": object{"role": "model", "parts": parts}}
		if last {
			candidate["finishReason"] = "STOP"
		}
		return object{"candidates": []object{candidate}, "usageMetadata": usage, "modelVersion": s.model, "responseId": "resp_1"}
	}
	if !s.stream {
		answer(w, http.StatusOK, reply(parts, true))
		return
	}
	out := newStage(w, s.model)
	for i := range parts {
		out.event("", reply(parts[i:i+1], i == len(parts)-1))
	}
}
