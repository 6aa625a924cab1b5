package llm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
)

func TestRefusalsAreClassified(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		r      llm.Refusal
		kind   llm.Kind
		status int
		code   string
	}{
		{llm.Refusal{Status: 400}, llm.Invalid, 400, "invalid_request"},
		{llm.Refusal{Status: 422}, llm.Invalid, 400, "invalid_request"},
		{llm.Refusal{Status: 400, Code: "context_length_exceeded"}, llm.Context, 400, "context_length_exceeded"},
		{llm.Refusal{Status: 400, Message: "This model's maximum context length is 8 tokens"}, llm.Context, 400, "context_length_exceeded"},
		{llm.Refusal{Status: 400, Code: "content_filter"}, llm.Policy, 400, "content_policy"},
		{llm.Refusal{Status: 400, Code: "content_policy_violation"}, llm.Policy, 400, "content_policy"},
		{llm.Refusal{Status: 400, Code: "invalid_image_format"}, llm.Image, 400, "invalid_image"},
		{llm.Refusal{Status: 401, Code: "invalid_api_key"}, llm.Auth, 502, "provider_auth_failed"},
		{llm.Refusal{Status: 403}, llm.Auth, 502, "provider_auth_failed"},
		{llm.Refusal{Status: 402}, llm.Quota, 503, "model_unavailable"},
		{llm.Refusal{Status: 429, Code: "insufficient_quota"}, llm.Quota, 503, "model_unavailable"},
		{llm.Refusal{Status: 429, Type: "insufficient_quota"}, llm.Quota, 503, "model_unavailable"},
		{llm.Refusal{Status: 429, Code: "rate_limit_exceeded"}, llm.Rate, 429, "upstream_rate_limited"},
		{llm.Refusal{Status: 404, Code: "model_not_found"}, llm.UnknownModel, 503, "model_unavailable"},
		{llm.Refusal{Status: 413}, llm.Size, 413, "request_too_large"},
		{llm.Refusal{Status: 408}, llm.Timeout, 504, "upstream_timeout"},
		{llm.Refusal{Status: 504}, llm.Timeout, 504, "upstream_timeout"},
		{llm.Refusal{Status: 409}, llm.Server, 502, "upstream_error"},
		{llm.Refusal{Status: 500, Message: "maximum context"}, llm.Server, 502, "upstream_error"},
		{llm.Refusal{Status: 529}, llm.Server, 502, "upstream_error"},
		{llm.Refusal{Status: 405}, llm.Protocol, 502, "upstream_error"},
		{llm.Refusal{}, llm.Server, 502, "upstream_error"},
		{llm.Refusal{Type: "rate_limit_error"}, llm.Rate, 429, "upstream_rate_limited"},
		{llm.Refusal{Code: "401"}, llm.Auth, 502, "provider_auth_failed"},
		{llm.Refusal{Type: "invalid_request_error"}, llm.Invalid, 400, "invalid_request"},
	} {
		f := tt.r.Failure()
		if f.Kind != tt.kind || f.Fault.Kind.Status() != tt.status || f.Fault.Code != tt.code {
			t.Errorf("%+v: got %v, %d %s", tt.r, f.Kind, f.Fault.Kind.Status(), f.Fault.Code)
		}
	}
}

func TestOnlyAdviceIsRepeated(t *testing.T) {
	t.Parallel()
	for status, repeated := range map[int]bool{400: true, 413: true, 401: false, 403: false, 404: false, 429: false, 402: false, 500: false, 504: false} {
		f := llm.Refusal{Status: status, Message: "Lower the temperature.", Param: "temperature", RetryAfter: 7 * time.Second}.Failure()
		if got := strings.Contains(f.Fault.Message, "Provider says: Lower the temperature."); got != repeated {
			t.Errorf("%d: %q", status, f.Fault.Message)
		}
		if status == 429 && f.Fault.RetryAfter != 7*time.Second {
			t.Errorf("retry after %v", f.Fault.RetryAfter)
		}
		if status == 400 && f.Fault.Param != "temperature" {
			t.Errorf("param %q", f.Fault.Param)
		}
	}
	if f := (llm.Refusal{Status: 400, Param: "sk-abc<script>"}).Failure(); f.Fault.Param != "" {
		t.Errorf("param %q", f.Fault.Param)
	}
}

func TestRedactHidesTheAccount(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{
		"sk-proj-AbCdEfGh1234567890", "sk-ant-api03-xyz", "sk-12***90", "Bearer abc123.def", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "org-AbCdEf123456", "proj_AbCdEf123456",
		"https://acme.openai.azure.com/openai/deployments/prod-4o?x=1", "acme.openai.azure.com", "api.internal:8443", "10.1.2.3:443", "2001:db8::1", "ops@acme.example.com",
		"gsk_AbCdEfGh", "xai-AbCdEf12", "0f8fad5b-d9cb-469f-a165-70867728950e", strings.Repeat("A1b2", 10), "my-secret-deployment", "api_key=abc123", "Basic dXNlcjpwYXNz",
	} {
		got := llm.Redact("The value "+secret+" is wrong.", "my-secret-deployment")
		if strings.Contains(got, secret) || !strings.HasPrefix(got, "The value ") || !strings.HasSuffix(got, "is wrong.") {
			t.Errorf("%s: %q", secret, got)
		}
	}
	for _, harmless := range []string{
		"Invalid value for 'messages[0].content': expected a string, but got null instead.",
		"This model's maximum context length is 128000 tokens. However, your messages resulted in 130001 tokens.",
		"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
		"temperature must be between 0 and 2.0; got 3.5",
		"The limit per token 4096 of basic models is exceeded.",
	} {
		if got := llm.Redact(harmless); got != harmless {
			t.Errorf("%q became %q", harmless, got)
		}
	}
}

// Whatever a vendor says, it is a failure of a known kind, and a rate or an
// overload is never taken for the client's fault.
func FuzzRefusal(f *testing.F) {
	f.Add(400, "context_length_exceeded", "", "messages", "maximum context", int64(0))
	f.Add(429, "insufficient_quota", "", "", "", int64(5))
	f.Add(0, "429", "rate_limit_error", "", "sk-planted-0123456789", int64(0))
	f.Add(529, "", "overloaded_error", "a\r\nb", "", int64(-1))
	f.Fuzz(func(t *testing.T, status int, code, kind, param, message string, after int64) {
		const key, long = "sk-planted-0123456789", 500
		if len(message) > long { // FuzzRedact has longer ones
			return
		}
		got := llm.Refusal{Status: status, Code: code, Type: kind, Param: param, Message: message, RetryAfter: time.Duration(after), Hide: []string{key}}.Failure()
		if got.Kind < llm.Invalid || got.Kind > llm.Unable || got.Fault == nil || got.Fault.Kind == fault.Internal {
			t.Fatalf("%+v", got)
		}
		if strings.Contains(got.Fault.Message, key) || strings.ContainsAny(got.Fault.Message+got.Fault.Param, "\r\n") {
			t.Errorf("a client is told %q", got.Fault.Message)
		}
		if clients := got.Kind == llm.Invalid || got.Kind == llm.Context || got.Kind == llm.Policy || got.Kind == llm.Image; clients && (status == 429 || status >= 500) {
			t.Errorf("%d is %v", status, got.Kind)
		}
	})
}

func FuzzRedact(f *testing.F) {
	f.Add("Your key sk-live-1234567890abcdef is wrong\n\xff", "secret")
	f.Fuzz(func(t *testing.T, said, hide string) {
		got := llm.Redact(said, hide)
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > 300 || strings.ContainsAny(got, "\n\r\x00\x1b") {
			t.Errorf("%q became %q", said, got)
		}
	})
}

func TestBrokenConnectionsAreClassified(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		kind llm.Kind
	}{
		{io.ErrUnexpectedEOF, llm.Cut},
		{fmt.Errorf("read: %w", os.ErrDeadlineExceeded), llm.Timeout},
		{context.DeadlineExceeded, llm.Timeout},
		{fmt.Errorf("x: %w", context.Canceled), llm.Canceled},
		{fmt.Errorf("%w: %w", egress.ErrConnect, errors.New("refused")), llm.Connect},
		{fmt.Errorf("%w: %w", egress.ErrConnect, &net.OpError{Err: os.ErrDeadlineExceeded}), llm.Timeout},
		{fmt.Errorf("%w: %w", egress.ErrConnect, egress.ErrAddress), llm.UnknownModel},
		{egress.ErrProtocol, llm.Protocol},
		{fmt.Errorf("x: %w", llm.Fail(llm.Rate, nil)), llm.Rate},
	} {
		if got := llm.Broken(tt.err); got.Kind != tt.kind || !errors.Is(got, got.Fault) {
			t.Errorf("%v: got %v, want %v", tt.err, got.Kind, tt.kind)
		}
	}
	if errors.Is(llm.Fail(llm.Server, nil), llm.ErrCut) || !errors.Is(fmt.Errorf("x: %w", llm.Fail(llm.Cut, io.EOF)), llm.ErrCut) {
		t.Error("ErrCut is not told from other failures")
	}
	if !errors.Is(llm.Fail(llm.Server, nil), llm.ErrUpstream) || fault.From(llm.ErrCut).Code != "upstream_error" {
		t.Error("the fault of a failure is lost")
	}
}

func TestBoundedUsage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in   llm.Usage
		ctx  int64
		out  int64
		want llm.Usage
	}{
		{llm.Usage{Input: 120, Output: 12}, 100, 10, llm.Usage{Input: 120, Output: 12}},
		{llm.Usage{Input: 121, Output: 13}, 100, 10, llm.Usage{Input: 120, Output: 12, Suspect: true}},
		{llm.Usage{Input: 90, CacheRead: 80}, 100, 0, llm.Usage{Input: 40, CacheRead: 80, Suspect: true}},
		{llm.Usage{Input: 900, CacheRead: 800}, 100, 0, llm.Usage{CacheRead: 120, Suspect: true}},
		{llm.Usage{Input: math.MaxInt64, AudioInput: math.MaxInt64, Reasoning: math.MaxInt64}, 100, 100, llm.Usage{AudioInput: 120, Reasoning: 120, Suspect: true}},
		{llm.Usage{Input: math.MaxInt64}, 0, 0, llm.Usage{Input: math.MaxInt64}},
	} {
		got := tt.in.Bounded(tt.ctx, tt.out)
		if tt.in.Input+tt.in.CacheRead < 0 {
			continue
		}
		if got != tt.want {
			t.Errorf("%+v: got %+v, want %+v", tt.in, got, tt.want)
		}
		if tt.ctx > 0 && got.Inputs() > tt.ctx*6/5 {
			t.Errorf("%+v: %d input", tt.in, got.Inputs())
		}
	}
}
