package compat

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/genai"
)

// said is what a call of generateContent gave, whole or collected.
type said struct {
	text, thoughts string
	parts          []*genai.Part
	finish         genai.FinishReason
	output         int32
}

func (s *said) add(r *genai.GenerateContentResponse) {
	for _, c := range r.Candidates {
		if c.FinishReason != "" {
			s.finish = c.FinishReason
		}
		if c.Content == nil {
			continue
		}
		for _, p := range c.Content.Parts {
			s.parts = append(s.parts, p)
			if p.Thought {
				s.thoughts += p.Text
			} else {
				s.text += p.Text
			}
		}
	}
	if r.UsageMetadata != nil {
		s.output = r.UsageMetadata.CandidatesTokenCount
	}
}

type generate func(ctx context.Context, model string, contents []*genai.Content, config *genai.GenerateContentConfig) (said, error)

func googleFeatures(t *testing.T) []feature {
	c, err := genai.NewClient(t.Context(), &genai.ClientConfig{
		APIKey: env(t, "KEY"), Backend: genai.BackendGeminiAPI, HTTPOptions: genai.HTTPOptions{BaseURL: env(t, "API")},
	})
	if err != nil {
		t.Fatal(err)
	}
	whole := func(ctx context.Context, model string, contents []*genai.Content, config *genai.GenerateContentConfig) (out said, err error) {
		r, err := c.Models.GenerateContent(ctx, model, contents, config)
		if err == nil {
			out.add(r)
		}
		return out, err
	}
	streamed := func(ctx context.Context, model string, contents []*genai.Content, config *genai.GenerateContentConfig) (out said, err error) {
		for r, err := range c.Models.GenerateContentStream(ctx, model, contents, config) {
			if err != nil {
				return out, err
			}
			out.add(r)
		}
		return out, nil
	}
	answer := func(send generate) func(context.Context, cell) error {
		return func(ctx context.Context, v cell) error {
			got, err := send(ctx, v.model, genai.Text(hello), nil)
			return first(err, same(got.text, "you said: hello"), same(got.finish, "STOP"), same(got.output, 5))
		}
	}
	tools := func(send generate, thinking bool) func(context.Context, cell) error {
		return func(ctx context.Context, v cell) error {
			config := &genai.GenerateContentConfig{Tools: []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{{Name: "look", ParametersJsonSchema: number}}}}}
			if thinking {
				config.ThinkingConfig = &genai.ThinkingConfig{IncludeThoughts: true, ThinkingBudget: genai.Ptr[int32](1024)}
			}
			history := genai.Text(look)
			got, err := send(ctx, v.model, history, config)
			if err != nil {
				return err
			}
			var (
				arguments []string
				results   []*genai.Part
			)
			for _, p := range got.parts {
				if f := p.FunctionCall; f != nil {
					b, _ := json.Marshal(f.Args)
					arguments = append(arguments, string(b))
					results = append(results, &genai.Part{FunctionResponse: &genai.FunctionResponse{
						ID: f.ID, Name: f.Name, Response: map[string]any{"output": fmt.Sprint("thing ", len(arguments))},
					}})
				}
			}
			history = append(history, &genai.Content{Role: "model", Parts: got.parts}, &genai.Content{Role: "user", Parts: results})
			next, err := send(ctx, v.model, history, config)
			if thinking && v.vendor != "openai" {
				err = first(err, same(got.thoughts, "I should think about this."))
			}
			return first(err, calledTwice(arguments), same(next.text, told))
		}
	}
	return []feature{
		{"answer", answer(whole)},
		{"stream", answer(streamed)},
		{"parallel tools", tools(whole, false)},
		{"tools, streamed", tools(streamed, false)},
		{"thoughts with tools, two turns", tools(whole, true)},
		{"thoughts with tools, two turns, streamed", tools(streamed, true)},
		{"vision", func(ctx context.Context, v cell) error {
			image, err := base64.StdEncoding.DecodeString(pixel)
			if err != nil {
				return err
			}
			got, err := whole(ctx, v.model, []*genai.Content{{Role: "user", Parts: []*genai.Part{{InlineData: &genai.Blob{MIMEType: "image/png", Data: image}}, {Text: "what is this"}}}}, nil)
			return first(err, same(got.text, seen))
		}},
		{"structured output", func(ctx context.Context, v cell) error {
			got, err := whole(ctx, v.model, genai.Text("where is it warm"), &genai.GenerateContentConfig{ResponseMIMEType: "application/json", ResponseJsonSchema: place})
			return first(err, warm(got.text))
		}},
		{"a busy vendor is an error", func(ctx context.Context, v cell) error {
			_, err := whole(ctx, v.busy, genai.Text(hello), nil)
			if e, ok := errors.AsType[genai.APIError](err); !ok || e.Code != 429 {
				return fmt.Errorf("%w is not the SDK's error with status 429", err)
			}
			return nil
		}},
		{"a stream that breaks is an error", func(ctx context.Context, v cell) error {
			if got, err := streamed(ctx, v.broken, genai.Text(broken), nil); err == nil {
				return fmt.Errorf("it ends as if it were whole: %s", got.text)
			}
			return nil
		}},
	}
}
