package compat

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// env returns what the parent has set, or skips.
func env(t *testing.T, name string) string {
	t.Helper()
	v := os.Getenv("REPHLO_COMPAT_" + name)
	if v == "" {
		t.Skip("run through the end-to-end tests: make e2e")
	}
	return v
}

func client(t *testing.T, key string) openai.Client {
	t.Helper()
	return openai.NewClient(option.WithBaseURL(env(t, "API")+"/v1"), option.WithAPIKey(key))
}

func ask(model string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model:    model,
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("say this back to me")},
	}
}

func TestChat(t *testing.T) {
	c := client(t, env(t, "KEY"))
	got, err := c.Chat.Completions.New(t.Context(), ask("test-echo"))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Choices) != 1 || !strings.Contains(got.Choices[0].Message.Content, "say this back to me") || got.Choices[0].FinishReason != "stop" {
		t.Errorf("the answer is %s", got.RawJSON())
	}
	if got.Usage.TotalTokens != got.Usage.PromptTokens+got.Usage.CompletionTokens || got.Usage.CompletionTokens == 0 {
		t.Errorf("usage %s", got.Usage.RawJSON())
	}
}

func TestStream(t *testing.T) {
	c := client(t, env(t, "KEY"))
	params := ask("test-echo")
	params.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)}
	stream := c.Chat.Completions.NewStreaming(t.Context(), params)
	defer stream.Close()
	var all openai.ChatCompletionAccumulator
	for stream.Next() {
		if !all.AddChunk(stream.Current()) {
			t.Fatalf("a chunk does not fit the others: %s", stream.Current().RawJSON())
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	if len(all.Choices) != 1 || !strings.Contains(all.Choices[0].Message.Content, "say this back to me") || all.Usage.CompletionTokens == 0 {
		t.Errorf("the stream adds up to %+v", all.ChatCompletion)
	}
}

// A stream that breaks is an error, not a short answer.
func TestBrokenStream(t *testing.T) {
	c := client(t, env(t, "KEY"))
	stream := c.Chat.Completions.NewStreaming(t.Context(), ask("cut"))
	defer stream.Close()
	chunks := 0
	for stream.Next() {
		chunks++
	}
	if stream.Err() == nil || chunks == 0 {
		t.Errorf("%d chunks, then %v; want an error", chunks, stream.Err())
	}
}

func TestModels(t *testing.T) {
	c := client(t, env(t, "KEY"))
	found := false
	pages := c.Models.ListAutoPaging(t.Context())
	for pages.Next() {
		found = found || pages.Current().ID == "test-echo"
	}
	if err := pages.Err(); err != nil || !found {
		t.Errorf("test-echo is listed: %t, %v", found, err)
	}
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		name, key, model string
		status           int
		code, kind       string
	}{
		{"bad key", "rph_live_wrong", "test-echo", 401, "api_key_invalid", "authentication_error"},
		{"no credits", env(t, "POOR_KEY"), "unit", 402, "insufficient_credits", "insufficient_quota"},
		{"no model", env(t, "KEY"), "gpt-none", 404, "model_not_found", "invalid_request_error"},
		{"vendor down", env(t, "KEY"), "down", 502, "upstream_error", "server_error"},
	} {
		c := client(t, tt.key)
		params := ask(tt.model)
		params.MaxTokens = openai.Int(5)
		_, err := c.Chat.Completions.New(t.Context(), params, option.WithMaxRetries(0))
		refusal, ok := errors.AsType[*openai.Error](err)
		if !ok {
			t.Errorf("%s: %v is not an API error", tt.name, err)
			continue
		}
		if refusal.StatusCode != tt.status || refusal.Code != tt.code || refusal.Type != tt.kind || refusal.Message == "" {
			t.Errorf("%s: %d %s", tt.name, refusal.StatusCode, refusal.RawJSON())
		}
	}
}
