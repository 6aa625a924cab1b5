package compat

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
)

type message = anthropic.MessageNewParams

func anthropicFeatures(t *testing.T) []feature {
	c := anthropic.NewClient(option.WithBaseURL(env(t, "API")), option.WithAPIKey(env(t, "KEY")), option.WithMaxRetries(0))
	whole := func(ctx context.Context, p message) (anthropic.Message, error) {
		got, err := c.Messages.New(ctx, p)
		if err != nil {
			return anthropic.Message{}, err
		}
		return *got, nil
	}
	streamed := func(ctx context.Context, p message) (anthropic.Message, error) {
		s := c.Messages.NewStreaming(ctx, p)
		defer s.Close()
		var all anthropic.Message
		for s.Next() {
			if err := all.Accumulate(s.Current()); err != nil {
				return all, err
			}
		}
		return all, s.Err()
	}
	ask := func(model string, blocks ...anthropic.ContentBlockParamUnion) message {
		return message{Model: anthropic.Model(model), MaxTokens: 4000, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(blocks...)}}
	}
	text := func(m anthropic.Message) (out string) {
		for _, b := range m.Content {
			if b.Type == "text" {
				out += b.Text
			}
		}
		return out
	}
	answer := func(send func(context.Context, message) (anthropic.Message, error)) func(context.Context, cell) error {
		return func(ctx context.Context, v cell) error {
			got, err := send(ctx, ask(v.model, anthropic.NewTextBlock(hello)))
			if err != nil {
				return err
			}
			return first(same(text(got), "you said: hello"), same(got.StopReason, "end_turn"), same(got.Usage.OutputTokens, 5))
		}
	}
	tools := func(send func(context.Context, message) (anthropic.Message, error), thinking bool) func(context.Context, cell) error {
		return func(ctx context.Context, v cell) error {
			p := ask(v.model, anthropic.NewTextBlock(look))
			p.Tools = []anthropic.ToolUnionParam{{OfTool: &anthropic.ToolParam{Name: "look", InputSchema: anthropic.ToolInputSchemaParam{Properties: number["properties"], Required: []string{"x"}}}}}
			if thinking {
				p.Thinking = anthropic.ThinkingConfigParamOfEnabled(1024)
			}
			got, err := send(ctx, p)
			if err != nil {
				return err
			}
			var (
				arguments []string
				results   []anthropic.ContentBlockParamUnion
				thoughts  string
			)
			for _, b := range got.Content {
				switch b.Type {
				case "tool_use":
					arguments = append(arguments, string(b.Input))
					results = append(results, anthropic.NewToolResultBlock(b.ID, fmt.Sprint("thing ", len(arguments)), false))
				case "thinking":
					thoughts += b.Thinking
				}
			}
			p.Messages = append(p.Messages, got.ToParam(), anthropic.NewUserMessage(results...))
			next, err := send(ctx, p)
			if err != nil {
				return err
			}
			if thinking && v.vendor != "openai" {
				if err := same(thoughts, "I should think about this."); err != nil {
					return err
				}
			}
			return first(calledTwice(arguments), same(got.StopReason, "tool_use"), same(text(next), told))
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
			got, err := whole(ctx, ask(v.model, anthropic.NewImageBlockBase64("image/png", pixel), anthropic.NewTextBlock("what is this")))
			if err != nil {
				return err
			}
			return same(text(got), seen)
		}},
		{"structured output", func(ctx context.Context, v cell) error {
			p := ask(v.model, anthropic.NewTextBlock("where is it warm"))
			p.OutputConfig = anthropic.OutputConfigParam{Format: anthropic.JSONOutputFormatParam{Schema: place}}
			got, err := whole(ctx, p)
			if err != nil {
				return err
			}
			return warm(text(got))
		}},
		{"a busy vendor is an error", func(ctx context.Context, v cell) error {
			_, err := whole(ctx, ask(v.busy, anthropic.NewTextBlock(hello)))
			if e, ok := errors.AsType[*anthropic.Error](err); !ok || e.StatusCode != 429 {
				return fmt.Errorf("%w is not the SDK's error with status 429", err)
			}
			return nil
		}},
		{"a stream that breaks is an error", func(ctx context.Context, v cell) error {
			if got, err := streamed(ctx, ask(v.broken, anthropic.NewTextBlock(broken))); err == nil {
				return fmt.Errorf("it ends as if it were whole: %s", text(got))
			}
			return nil
		}},
	}
}
