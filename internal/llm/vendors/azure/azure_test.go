package azure_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/llmtest"
	"github.com/rephlo/rephlo/internal/llm/relay"
	"github.com/rephlo/rephlo/internal/llm/vendors/azure"
	"github.com/rephlo/rephlo/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const plantedKey = "0123456789abcdef0123456789abcdef"

func setup(t *testing.T, apiVersion string) (*azure.Vendor, *llmtest.Server, llm.Target) {
	t.Helper()
	srv := llmtest.NewOpenAI(t)
	client := egress.NewClient(egress.Options{})
	t.Cleanup(client.Close)
	base := strings.TrimSuffix(srv.URL, "/v1") + "/openai"
	if apiVersion == "" {
		base += "/v1"
	}
	return azure.New(client, time.Now), srv, llm.Target{
		BaseURL: base, Key: secret.New(plantedKey), Model: "prod 4o/eu", AllowPrivate: true, Options: llm.Options{APIVersion: apiVersion},
		Header: map[string]string{"Api-Key": "other", "X-Fixed": "yes"},
	}
}

func call(op llm.Op) llm.Call {
	return llm.Call{Op: op, Parts: [][]byte{[]byte(`{"model":"x",`), []byte(`"messages":[]}`)}}
}

// https://learn.microsoft.com/azure/ai-foundry/openai/reference
func TestTheAddressIsThatOfTheVersion(t *testing.T) {
	t.Parallel()
	const deployment = "/openai/deployments/prod 4o/eu"
	for _, tt := range []struct {
		version     string
		op          llm.Op
		path, query string
	}{
		{"", llm.OpChat, "/openai/v1/chat/completions", ""},
		{"", llm.OpResponses, "/openai/v1/responses", ""},
		{"", llm.OpEmbeddings, "/openai/v1/embeddings", ""},
		{"2024-10-21", llm.OpChat, deployment + "/chat/completions", "api-version=2024-10-21"},
		{"2025-04-01-preview", llm.OpCompletions, deployment + "/completions", "api-version=2025-04-01-preview"},
		{"2024-10-21", llm.OpEmbeddings, deployment + "/embeddings", "api-version=2024-10-21"},
		{"2024-10-21", llm.OpImages, deployment + "/images/generations", "api-version=2024-10-21"},
	} {
		v, srv, to := setup(t, tt.version)
		reply, err := v.Forward(t.Context(), to, call(tt.op))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, reply.Body); err != nil {
			t.Error(err)
		}
		got := srv.Requests()[0]
		if got.Path != tt.path || got.Query != tt.query || string(got.Body) != `{"model":"x","messages":[]}` {
			t.Errorf("%s %s: sent %s?%s %s", tt.version, tt.op, got.Path, got.Query, got.Body)
		}
		if keys := got.Header.Values("Api-Key"); len(keys) != 1 || keys[0] != plantedKey || got.Header.Get("Authorization") != "" || got.Header.Get("X-Fixed") != "yes" {
			t.Errorf("headers: %v", got.Header)
		}
	}
}

func TestWhatAVersionLacksIsNotSent(t *testing.T) {
	t.Parallel()
	for version, op := range map[string]llm.Op{"": llm.OpModerations, "2024-10-21": llm.OpResponses} {
		v, srv, to := setup(t, version)
		if _, err := v.Forward(t.Context(), to, call(op)); llm.KindOf(err) != llm.UnknownModel || srv.Hits() != 0 {
			t.Errorf("%s: got %v after %d requests", op, err, srv.Hits())
		}
	}
	if v := azure.New(nil, time.Now); v.Native(llm.OpModerations) || v.Native(llm.OpMessages) || !v.Native(llm.OpResponses) {
		t.Error("the operations are wrong")
	}
}

func TestPingAsksForTheModelsOfTheVersion(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{"": "/openai/v1/models?", "2024-10-21": "/openai/models?api-version=2024-10-21"} {
		v, srv, to := setup(t, version)
		if err := v.Ping(t.Context(), to); err != nil {
			t.Fatal(err)
		}
		got := srv.Requests()[0]
		if got.Method != "GET" || got.Path+"?"+got.Query != want || got.Header.Get("Api-Key") != plantedKey {
			t.Errorf("sent %s %s?%s", got.Method, got.Path, got.Query)
		}
	}
	v, _, to := setup(t, "")
	to.BaseURL = ""
	if err := v.Ping(t.Context(), to); llm.KindOf(err) != llm.UnknownModel {
		t.Errorf("without a resource: %v", err)
	}
}

// The chunks of filter results hold the answer's head back no longer and no
// shorter than those of OpenAI.
func TestAStreamIsForwardedByteForByte(t *testing.T) {
	t.Parallel()
	v, srv, to := setup(t, "2024-10-21")
	payloads := []string{`{"choices":[],"prompt_filter_results":[{"prompt_index":0,"content_filter_results":{}}]}`}
	payloads = append(payloads, llmtest.StreamOf("Hello from the fake.", llmtest.UsageCached)...)
	srv.Answer(llmtest.Events(payloads...))
	c := call(llm.OpChat)
	c.Stream = true
	reply, err := v.Forward(t.Context(), to, c)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	s := relay.NewStream(reply.Body, relay.StreamOptions{Op: llm.OpChat, KeepUsage: true})
	got, contentAt := "", -1
	for {
		chunk, err := s.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if got += string(chunk.Bytes); chunk.Content && contentAt < 0 {
			contentAt = len(got)
		}
	}
	want := "data: " + strings.Join(payloads, "\n\ndata: ") + "\n\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if contentAt <= strings.Index(want, "Hello") || s.Usage().CacheRead != 60 {
		t.Errorf("content at %d, usage %+v", contentAt, s.Usage())
	}
}

func TestRefusalsOfTheService(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		reply llmtest.Reply
		kind  llm.Kind
		after time.Duration
	}{
		{"rate", llmtest.Status(429, `{"error":{"code":"429","message":"slow down"}}`, "retry-after-ms", "250"), llm.Rate, 250 * time.Millisecond},
		{"filter", llmtest.Status(400, `{"error":{"code":null,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}`), llm.Policy, 0},
		{"deployment", llmtest.Status(404, `{"error":{"code":"DeploymentNotFound","message":"no prod 4o/eu"}}`), llm.UnknownModel, 0},
		{"key", llmtest.Status(401, `{"statusCode":401,"message":"`+plantedKey+`"}`), llm.Auth, 0},
		{"network", llmtest.Status(403, `{"error":{"code":"403","message":"Public access is disabled."}}`), llm.Auth, 0},
		{"parameter", llmtest.Status(400, `{"error":{"code":null,"message":"Unrecognized request argument for prod 4o/eu: x"}}`), llm.Invalid, 0},
	} {
		v, srv, to := setup(t, "2024-10-21")
		srv.Answer(tt.reply)
		_, err := v.Forward(t.Context(), to, call(llm.OpChat))
		f, ok := errors.AsType[*llm.Failure](err)
		if !ok || f.Kind != tt.kind || f.RetryAfter != tt.after {
			t.Errorf("%s: got %v, %+v", tt.name, err, f)
			continue
		}
		if text := err.Error() + f.Fault.Message; strings.Contains(text, plantedKey) || strings.Contains(text, "prod 4o") {
			t.Errorf("%s: %s", tt.name, text)
		}
	}
}
