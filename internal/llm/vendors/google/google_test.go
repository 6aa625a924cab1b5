package google_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"go.uber.org/goleak"

	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/llmtest"
	"github.com/rephlo/rephlo/internal/llm/vendors/google"
	"github.com/rephlo/rephlo/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func setup(t testing.TB) (*google.Vendor, *llmtest.Server, llm.Target) {
	t.Helper()
	srv := llmtest.NewOpenAI(t)
	client := egress.NewClient(egress.Options{})
	t.Cleanup(client.Close)
	to := llm.Target{BaseURL: srv.URL, Key: secret.New("AIza-planted"), Model: "gemini-2.5-pro", AllowPrivate: true, Issuer: "google"}
	return google.New(client, time.Now), srv, to
}

var hello = &llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Parts: []llm.Part{{Kind: llm.PartText, Text: "Hi"}}}}}

// The key is only in its header, and streams are asked for as such.
func TestPathsAndCredential(t *testing.T) {
	t.Parallel()
	v, srv, to := setup(t)
	srv.Answer(llmtest.Events(`{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1}}`))
	streamed := *hello
	streamed.Stream = true
	if _, err := llm.Collect(v.Stream(t.Context(), to, &streamed)); err != nil {
		t.Fatal(err)
	}
	srv.Answer(llmtest.JSON(`{"totalTokens":7}`))
	if n, err := v.CountTokens(t.Context(), to, hello); n != 7 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	got := srv.Requests()
	if got[0].Path != "/v1/models/gemini-2.5-pro:streamGenerateContent" || got[1].Path != "/v1/models/gemini-2.5-pro:countTokens" {
		t.Errorf("%s, %s", got[0].Path, got[1].Path)
	}
	for _, r := range got {
		if r.Header.Get("X-Goog-Api-Key") != "AIza-planted" || r.Header.Get("Authorization") != "" {
			t.Errorf("%v", r.Header)
		}
	}
	if want := `{"generateContentRequest":{"model":"models/gemini-2.5-pro","contents":[{"role":"user","parts":[{"text":"Hi"}]}]}}`; string(got[1].Body) != want {
		t.Errorf("got %s", got[1].Body)
	}
	srv.Answer(llmtest.JSON(`{"totalTokens":-7}`))
	if _, err := v.CountTokens(t.Context(), to, hello); llm.KindOf(err) != llm.Protocol {
		t.Errorf("%v", err)
	}
}

// Whatever comes, each event is of a kind, and what is not an answer is a
// failure.
func FuzzStream(f *testing.F) {
	f.Add([]byte("data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\",\"thought\":true},{\"functionCall\":{\"name\":\"f\",\"args\":{}},\"thoughtSignature\":\"cw\"}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":1}}\r\n\r\n"))
	f.Add([]byte("data: {\"error\":{\"code\":500}}\n\n"))
	f.Add([]byte("data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}\n\n"))
	v, srv, to := setup(f)
	streamed := *hello
	streamed.Stream = true
	f.Fuzz(func(t *testing.T, b []byte) {
		srv.Answer(func(c llmtest.Call) {
			c.W.Header().Set("Content-Type", "text/event-stream")
			_, _ = c.W.Write(b)
		})
		for e, err := range v.Stream(t.Context(), to, &streamed) {
			if _, ok := errors.AsType[*llm.Failure](err); err != nil && !ok {
				t.Fatalf("%v is no failure", err)
			}
			if err == nil && (e.Kind == 0 || e.Kind == llm.EventUsage && e.Usage.Input < 0) {
				t.Fatalf("%+v", e)
			}
		}
	})
}

// Any schema that is JSON is sent as JSON, without references to itself that
// would grow for ever.
func FuzzSchema(f *testing.F) {
	f.Add([]byte(`{"$schema":"x","$ref":"#/$defs/A","$defs":{"A":{"items":[{"$ref":"#/$defs/B"},{"$ref":"#"}]},"B":{"$ref":"#/$defs/A"}}}`))
	f.Add([]byte(`{"a":{"$ref":"#/b/0"},"b":[{"$ref":"#/a"}]}`))
	v, srv, to := setup(f)
	srv.Answer(llmtest.JSON(`{"totalTokens":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s := jsontext.Value(b); s.Kind() != '{' || !s.IsValid() {
			return
		}
		r := *hello
		r.Tools = []llm.Tool{{Name: "f", Parameters: b}}
		if _, err := v.CountTokens(t.Context(), to, &r); err != nil {
			t.Fatal(err)
		}
		sent := srv.Requests()
		if body := sent[len(sent)-1].Body; !jsontext.Value(body).IsValid() || len(body) > 2<<20 || bytes.Contains(body, []byte(`,,`)) && !bytes.Contains(b, []byte(`,,`)) {
			t.Fatalf("%q was sent as %q", b, body)
		}
	})
}
