package compat

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"
)

type chat = openai.ChatCompletionNewParams

func openaiFeatures(t *testing.T) []feature {
	c := openai.NewClient(option.WithBaseURL(env(t, "API")+"/v1"), option.WithAPIKey(env(t, "KEY")), option.WithMaxRetries(0))
	whole := func(ctx context.Context, p chat) (openai.ChatCompletion, error) {
		got, err := c.Chat.Completions.New(ctx, p)
		if err != nil {
			return openai.ChatCompletion{}, err
		}
		return *got, nil
	}
	streamed := func(ctx context.Context, p chat) (openai.ChatCompletion, error) {
		p.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)}
		s := c.Chat.Completions.NewStreaming(ctx, p)
		defer s.Close()
		var all openai.ChatCompletionAccumulator
		for s.Next() {
			if !all.AddChunk(s.Current()) {
				return all.ChatCompletion, fmt.Errorf("a chunk does not fit: %s", s.Current().RawJSON())
			}
		}
		return all.ChatCompletion, s.Err()
	}
	user := func(text string) []openai.ChatCompletionMessageParamUnion {
		return []openai.ChatCompletionMessageParamUnion{openai.UserMessage(text)}
	}
	answer := func(send func(context.Context, chat) (openai.ChatCompletion, error)) func(context.Context, cell) error {
		return func(ctx context.Context, v cell) error {
			got, err := send(ctx, chat{Model: v.model, Messages: user(hello)})
			if err != nil {
				return err
			}
			return first(same(got.Choices[0].Message.Content, "you said: hello"), same(got.Choices[0].FinishReason, "stop"), same(got.Usage.CompletionTokens, 5))
		}
	}
	tools := func(send func(context.Context, chat) (openai.ChatCompletion, error)) func(context.Context, cell) error {
		return func(ctx context.Context, v cell) error {
			p := chat{Model: v.model, Messages: user(look), Tools: []openai.ChatCompletionToolUnionParam{
				openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{Name: "look", Parameters: number}),
			}}
			got, err := send(ctx, p)
			if err != nil {
				return err
			}
			var arguments []string
			m := got.Choices[0].Message
			p.Messages = append(p.Messages, m.ToParam())
			for i, call := range m.ToolCalls {
				arguments = append(arguments, call.Function.Arguments)
				p.Messages = append(p.Messages, openai.ToolMessage(fmt.Sprint("thing ", i+1), call.ID))
			}
			next, err := send(ctx, p)
			if err != nil {
				return err
			}
			return first(calledTwice(arguments), same(got.Choices[0].FinishReason, "tool_calls"), same(next.Choices[0].Message.Content, told))
		}
	}
	return []feature{
		{"chat: answer", answer(whole)},
		{"chat: stream", answer(streamed)},
		{"chat: parallel tools", tools(whole)},
		{"chat: tools, streamed", tools(streamed)},
		{"chat: vision", func(ctx context.Context, v cell) error {
			got, err := whole(ctx, chat{Model: v.model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
				openai.TextContentPart("what is this"),
				openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: "data:image/png;base64," + pixel}),
			})}})
			if err != nil {
				return err
			}
			return same(got.Choices[0].Message.Content, seen)
		}},
		{"chat: structured output", func(ctx context.Context, v cell) error {
			got, err := whole(ctx, chat{Model: v.model, Messages: user("where is it warm"), ResponseFormat: openai.ChatCompletionNewParamsResponseFormatUnion{
				OfJSONSchema: &shared.ResponseFormatJSONSchemaParam{JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: "place", Schema: place, Strict: openai.Bool(true)}},
			}})
			if err != nil {
				return err
			}
			return warm(got.Choices[0].Message.Content)
		}},
		{"chat: a busy vendor is an error", func(ctx context.Context, v cell) error {
			_, err := whole(ctx, chat{Model: v.busy, Messages: user(hello)})
			if e, ok := errors.AsType[*openai.Error](err); !ok || e.StatusCode != 429 {
				return fmt.Errorf("%w is not the SDK's error with status 429", err)
			}
			return nil
		}},
		{"chat: a stream that breaks is an error", func(ctx context.Context, v cell) error {
			if got, err := streamed(ctx, chat{Model: v.broken, Messages: user(broken)}); err == nil {
				return fmt.Errorf("it ends as if it were whole: %s", got.RawJSON())
			}
			return nil
		}},
		{"responses: answer", func(ctx context.Context, v cell) error {
			got, err := c.Responses.New(ctx, responses.ResponseNewParams{
				Model: v.model, Store: openai.Bool(false), Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(hello)},
			})
			if err != nil {
				return err
			}
			return first(same(got.OutputText(), "you said: hello"), same(got.Usage.OutputTokens, 5))
		}},
		{"responses: stream", func(ctx context.Context, v cell) error {
			s := c.Responses.NewStreaming(ctx, responses.ResponseNewParams{
				Model: v.model, Store: openai.Bool(false), Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(hello)},
			})
			defer s.Close()
			var text, end string
			for s.Next() {
				switch e := s.Current(); e.Type {
				case "response.output_text.delta":
					text += e.Delta
				case "response.completed":
					end = e.Response.OutputText()
				}
			}
			return first(s.Err(), same(text, "you said: hello"), same(end, text))
		}},
	}
}
