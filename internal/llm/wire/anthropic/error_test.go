package anthropic_test

import (
	"testing"

	"github.com/rephlo/rephlo/internal/llm/wire/anthropic"
)

func TestErrorsAreReadInTheirShape(t *testing.T) {
	t.Parallel()
	kind, message, ok := anthropic.ReadError([]byte(`{"type":"error","error":{"type":"overloaded_error","message":"m"},"request_id":"r"}`))
	if !ok || kind != "overloaded_error" || message != "m" || anthropic.Status(kind) != 529 {
		t.Errorf("got %q, %q, %v", kind, message, ok)
	}
	for _, body := range []string{"", "<html>", "{}", `{"error":"x"}`, `{"error":null}`, `{"error":`} {
		if kind, message, ok := anthropic.ReadError([]byte(body)); ok || kind != "" || message != "" {
			t.Errorf("%s: got %q, %q, %v", body, kind, message, ok)
		}
	}
}

func FuzzReadError(f *testing.F) {
	f.Add([]byte(`{"type":"error","error":{"type":"rate_limit_error","message":"m"}}`))
	f.Add([]byte(`{"error":{"type":5}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		kind, message, ok := anthropic.ReadError(body)
		if !ok && kind+message != "" {
			t.Errorf("%q: got %q, %q without ok", body, kind, message)
		}
		if s := anthropic.Status(kind); s < 400 || s > 599 {
			t.Errorf("%q has the status %d", kind, s)
		}
	})
}
