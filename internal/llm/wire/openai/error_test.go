package openai_test

import (
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/llm/wire/openai"
)

func TestReadErrorKnowsTheShapesOfServices(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]openai.Said{
		`{"error":{"message":"m","type":"t","param":"p","code":"c"}}`:   {Code: "c", Type: "t", Param: "p", Message: "m"},
		`{"error":{"message":"m","type":null,"param":null,"code":429}}`: {Code: "429", Message: "m"},
		`{"error":"boom"}`: {Message: "boom"},
		`{"object":"error","message":"m","type":"t","code":400}`: {Code: "400", Type: "t", Message: "m"},
		`{"detail":"m"}`: {Message: "m"},
		` [{"error":{"code":400,"message":"m"}}]`: {Code: "400", Message: "m"},
		`{"error":{"message":"a","message":"b"}}`: {Message: "b"},
	} {
		if got, ok := openai.ReadError([]byte(body)); !ok || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", body, got, ok, want)
		}
	}
	for _, body := range []string{``, `<html>`, `[]`, `{}`, `{"x":1}`, `null`, `{"error":null}`, `"x"`, `{"error":`} {
		if got, ok := openai.ReadError([]byte(body)); ok {
			t.Errorf("%s: got %+v", body, got)
		}
	}
}

func FuzzReadError(f *testing.F) {
	f.Add([]byte(`{"error":{"message":"m","code":1}}`))
	f.Add([]byte(`[{"error":"x"}]`))
	f.Add([]byte(strings.Repeat("[", 100)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if said, ok := openai.ReadError(b); !ok && said != (openai.Said{}) {
			t.Errorf("%q: got %+v without ok", b, said)
		}
	})
}
