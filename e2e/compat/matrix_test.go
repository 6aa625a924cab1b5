package compat

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// cell is what a feature is tried with: the models of one vendor.
type cell struct{ vendor, model, busy, broken string }

// feature is one row of the table of clients.
type feature struct {
	name string
	try  func(ctx context.Context, c cell) error
}

// What every client is asked, and what it must get.
const (
	hello  = "hello"
	look   = "please look"
	told   = "the tools say thing 1 and thing 2"
	broken = "one two three four five six seven eight"
	pixel  = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
	seen   = "an image of 70 bytes"
)

var (
	place  = schema(`{"type":"object","properties":{"city":{"type":"string"},"degrees":{"type":"integer"}},"required":["city","degrees"],"additionalProperties":false}`)
	number = schema(`{"type":"object","properties":{"x":{"type":"integer"}},"required":["x"],"additionalProperties":false}`)
)

func schema(text string) (out map[string]any) {
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		panic(err)
	}
	return out
}

func TestMatrix(t *testing.T) {
	env(t, "API")
	vendors := map[string]cell{
		"openai":    {"openai", "gpt-actor", "busy-gpt", "broken-gpt"},
		"anthropic": {"anthropic", "claude-actor", "busy-claude", "broken-claude"},
		"google":    {"google", "gemini-actor", "busy-gemini", "broken-gemini"},
	}
	for _, client := range []struct {
		name     string
		features []feature
	}{{"Go openai-go", openaiFeatures(t)}, {"Go anthropic-sdk-go", anthropicFeatures(t)}, {"Go genai", googleFeatures(t)}} {
		for _, f := range client.features {
			for _, v := range strings.Split(os.Getenv("REPHLO_COMPAT_VENDORS"), ",") {
				t.Run(client.name+"/"+f.name+"/"+v, func(t *testing.T) {
					if err := f.try(t.Context(), vendors[v]); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
}

// same says what is wrong when got is not want.
func same(got, want any) error {
	if g, w := fmt.Sprintf("%v", got), fmt.Sprintf("%v", want); g != w {
		return fmt.Errorf("got %s, want %s", g, w)
	}
	return nil
}

// first returns the first error.
func first(errs ...error) error {
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return errs[i]
	}
	return nil
}

// warm says what is wrong with a structured answer.
func warm(text string) error {
	var got struct {
		City    string
		Degrees int
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		return fmt.Errorf("%q: %w", text, err)
	}
	return same(got, "{Lisbon 21}")
}

// calls are the arguments of the calls of look, as JSON.
func calledTwice(arguments []string) error {
	for i, a := range arguments {
		arguments[i] = strings.Join(strings.Fields(a), "")
	}
	return same(arguments, `[{"x":1} {"x":2}]`)
}
