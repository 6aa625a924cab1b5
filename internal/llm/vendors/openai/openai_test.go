package openai_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/llmtest"
	"github.com/rephlo/rephlo/internal/llm/relay"
	"github.com/rephlo/rephlo/internal/llm/vendors/compat"
	"github.com/rephlo/rephlo/internal/llm/vendors/openai"
	"github.com/rephlo/rephlo/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

const plantedKey = "sk-planted-0123456789abcdef"

// setup returns a vendor, a fake service and a target at it.
func setup(t *testing.T) (llm.Vendor, *llmtest.Server, llm.Target) {
	t.Helper()
	srv := llmtest.NewOpenAI(t)
	client := egress.NewClient(egress.Options{})
	t.Cleanup(client.Close)
	v := compat.New(client, func() time.Time { return noon })
	return v, srv, llm.Target{BaseURL: srv.URL, Key: secret.New(plantedKey), Model: "vendor-model-7", AllowPrivate: true}
}

func chat(stream bool) llm.Call {
	body := `{"model":"m","messages":[]}`
	if stream {
		body = `{"model":"m","stream":true,"messages":[]}`
	}
	return llm.Call{Op: llm.OpChat, Parts: [][]byte{[]byte(body[:9]), []byte(body[9:])}, Stream: stream}
}

func TestForwardSendsTheBodyAndNothingElse(t *testing.T) {
	t.Parallel()
	v, srv, to := setup(t)
	to.Header = map[string]string{"OpenAI-Organization": "org-1", "authorization": "Bearer other", "Content-Length": "3", "Host": "evil"}
	reply, err := v.Forward(t.Context(), to, chat(false))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(reply.Body)
	if err != nil || string(body) != llmtest.Completion("Hello from the fake.", llmtest.Usage) || reply.Length != int64(len(body)) {
		t.Errorf("got %s, %v", body, err)
	}
	if reply.ContentType != "application/json" || reply.VendorRequestID != "req_fake" || reply.ProcessingMS != "12" {
		t.Errorf("got %+v", reply)
	}
	got := srv.Requests()[0]
	if got.Method != "POST" || got.Path != "/v1/chat/completions" || !bytes.Equal(got.Body, bytes.Join(chat(false).Parts, nil)) {
		t.Errorf("sent %s %s %s", got.Method, got.Path, got.Body)
	}
	want := map[string]string{
		"Authorization": "Bearer " + plantedKey, "Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity",
		"User-Agent": "Rephlo", "Openai-Organization": "org-1", "Content-Length": fmt.Sprint(len(got.Body)),
	}
	for name, value := range want {
		if values := got.Header.Values(name); len(values) != 1 || values[0] != value {
			t.Errorf("%s: %q, want %q", name, values, value)
		}
	}
	if len(got.Header) != len(want) {
		t.Errorf("further headers: %v", got.Header)
	}
}

func TestForwardStreams(t *testing.T) {
	t.Parallel()
	v, srv, to := setup(t)
	for range 3 {
		reply, err := v.Forward(t.Context(), to, chat(true))
		if err != nil {
			t.Fatal(err)
		}
		s := relay.NewStream(reply.Body, relay.StreamOptions{})
		for err == nil {
			_, err = s.Next()
		}
		_ = reply.Body.Close()
		if !errors.Is(err, io.EOF) || s.Usage().Inputs() != 10 || string(s.OutputText()) != "Hello from the fake." {
			t.Errorf("got %v, %+v, %q", err, s.Usage(), s.OutputText())
		}
	}
	if got := srv.Requests()[0].Header.Get("Accept"); got != "text/event-stream" {
		t.Errorf("Accept: %s", got)
	}
}

// Whatever a vendor does, the outcome is a failure of a known kind that has
// nothing of the vendor's but advice.
func TestFailuresAreClassifiedAndSilent(t *testing.T) {
	t.Parallel()
	leak := "Key " + plantedKey + " of org-Abc123456 at https://secret.example.com for vendor-model-7"
	for _, tt := range []struct {
		name   string
		reply  llmtest.Reply
		kind   llm.Kind
		stream bool
	}{
		{"invalid", llmtest.Error(400, "invalid_request_error", leak), llm.Invalid, false},
		{"context", llmtest.Error(400, "context_length_exceeded", leak), llm.Context, true},
		{"auth", llmtest.Error(401, "invalid_api_key", leak), llm.Auth, false},
		{"quota", llmtest.Error(429, "insufficient_quota", leak), llm.Quota, true},
		{"rate", llmtest.Error(429, "rate_limit_exceeded", leak), llm.Rate, false},
		{"not found", llmtest.Error(404, "model_not_found", leak), llm.UnknownModel, false},
		{"server", llmtest.Error(500, "server_error", leak), llm.Server, true},
		{"page", llmtest.Status(502, "<html>"+leak, "Content-Type", "text/html"), llm.Server, true},
		{"mistral", llmtest.Status(422, `{"object":"error","message":"`+leak+`","type":"invalid","code":1}`), llm.Invalid, false},
		{"detail", llmtest.Status(400, `{"detail":"`+leak+`"}`), llm.Invalid, false},
		{"list", llmtest.Status(400, `[{"error":{"code":400,"message":"`+leak+`","status":"INVALID_ARGUMENT"}}]`), llm.Invalid, false},
		{"redirect", llmtest.Status(302, "", "Location", "http://169.254.169.254/"), llm.Protocol, false},
		{"no content", llmtest.Status(204, ""), llm.Protocol, false},
		{"page with 200", llmtest.HTML, llm.Protocol, false},
		{"page instead of a stream", llmtest.HTML, llm.Protocol, true},
		{"JSON instead of a stream", llmtest.JSON(`{"choices":[]}`), llm.Protocol, true},
		{"error with 200 instead of a stream", llmtest.Error(200, "rate_limit_error", leak), llm.Rate, true},
		{"stream instead of JSON", llmtest.Events("[DONE]"), llm.Protocol, false},
		{"garbage", llmtest.Raw("garbage\r\n\r\n"), llm.Protocol, true},
		{"closed", llmtest.Raw(""), llm.Cut, true},
		{"silence", llmtest.Hang, llm.Timeout, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v, srv, to := setup(t)
			if tt.kind == llm.Timeout {
				to.FirstByte = 50 * time.Millisecond
			}
			srv.Answer(tt.reply)
			_, err := v.Forward(t.Context(), to, chat(tt.stream))
			f, ok := errors.AsType[*llm.Failure](err)
			if !ok || f.Kind != tt.kind {
				t.Fatalf("got %v, want %v", err, tt.kind)
			}
			for _, secret := range []string{plantedKey, "org-Abc", "secret.example", "vendor-model-7", "169.254"} {
				if strings.Contains(err.Error()+fmt.Sprintf("%+v", *f.Fault), secret) {
					t.Errorf("%q is in %v", secret, err)
				}
			}
			if fault.From(err).Kind == fault.Internal {
				t.Errorf("%v is internal", err)
			}
			srv.Answer(llmtest.Hello) // the vendor goes on
			to.FirstByte = 0
			if _, err := v.Forward(t.Context(), to, chat(false)); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestRetryAfterIsRead(t *testing.T) {
	t.Parallel()
	v, srv, to := setup(t)
	for _, tt := range []struct {
		name, value string
		want        time.Duration
	}{
		{"Retry-After", "3", 3 * time.Second},
		{"Retry-After", "1.5", 1500 * time.Millisecond},
		{"Retry-After-Ms", "250", 250 * time.Millisecond},
		{"Retry-After", noon.Add(90 * time.Second).Format("Mon, 02 Jan 2006 15:04:05 GMT"), 90 * time.Second},
		{"Retry-After", noon.Add(-time.Hour).Format("Mon, 02 Jan 2006 15:04:05 GMT"), 0},
		{"Retry-After", "86400000000", 24 * time.Hour},
		{"Retry-After", "1e300", 24 * time.Hour},
		{"Retry-After", "NaN", 0},
		{"Retry-After", "-3", 0},
		{"Retry-After", "soon", 0},
	} {
		srv.Answer(llmtest.Error(429, "rate_limit_exceeded", "slow down", tt.name, tt.value))
		_, err := v.Forward(t.Context(), to, chat(false))
		if f, ok := errors.AsType[*llm.Failure](err); !ok || f.RetryAfter != tt.want {
			t.Errorf("%s %s: got %+v, want %v", tt.name, tt.value, f, tt.want)
		}
	}
}

func TestStreamsThatBreak(t *testing.T) {
	t.Parallel()
	one := llmtest.Delta(`"content":"a"`, "")
	for name, tt := range map[string]struct {
		reply llmtest.Reply
		kind  llm.Kind
	}{
		"reset": {llmtest.Reset(one), llm.Cut},
		"ended": {llmtest.Events(one), llm.Cut},
		"stall": {llmtest.Stall(one), llm.Timeout},
		"error": {llmtest.Events(one, `{"error":{"message":"x","type":"server_error"}}`), llm.Server},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, srv, to := setup(t)
			if tt.kind == llm.Timeout {
				to.Idle = 100 * time.Millisecond
			}
			srv.Answer(tt.reply)
			reply, err := v.Forward(t.Context(), to, chat(true))
			if err != nil {
				t.Fatal(err)
			}
			defer reply.Body.Close()
			s := relay.NewStream(reply.Body, relay.StreamOptions{})
			for err == nil {
				_, err = s.Next()
			}
			if llm.KindOf(err) != tt.kind || s.OutputBytes() != 1 {
				t.Errorf("got %v after %d bytes, want %v", err, s.OutputBytes(), tt.kind)
			}
		})
	}
}

func TestTargetsThatCannotBeCalled(t *testing.T) {
	t.Parallel()
	v, srv, to := setup(t)
	for name, change := range map[string]func(*llm.Target){
		"no base URL": func(to *llm.Target) { to.BaseURL = "" },
		"a private address": func(to *llm.Target) {
			to.BaseURL, to.AllowPrivate = strings.Replace(to.BaseURL, "http:", "https:", 1), false
		},
		"http":      func(to *llm.Target) { to.AllowPrivate = false },
		"a bad key": func(to *llm.Target) { to.Key = secret.New("a\r\nX: y") },
	} {
		other := to
		change(&other)
		_, err := v.Forward(t.Context(), other, chat(false))
		if llm.KindOf(err) != llm.UnknownModel {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if n := srv.Hits(); n != 0 {
		t.Errorf("%d requests", n)
	}
	if _, err := v.Forward(t.Context(), to, llm.Call{Op: "openai.other"}); llm.KindOf(err) != llm.UnknownModel || v.Native("openai.other") || !v.Native(llm.OpChat) {
		t.Errorf("another operation: %v", err)
	}
	if openai.BaseURL != "https://api.openai.com/v1" {
		t.Error(openai.BaseURL)
	}
}
