package openai_test

import (
	"encoding/json"
	"math"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/dialect/openai"
	wire "github.com/rephlo/rephlo/internal/llm/wire/openai"
)

const docs = "https://rephlo.example/errors/"

func TestErrorsHaveAllSevenFields(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		f      *fault.Error
		status int
		body   map[string]any
		header map[string]string
	}{
		{
			fault.New(fault.PaymentRequired, "insufficient_credits", "Not enough.").With("required", 5).At("max_tokens"), 402,
			map[string]any{"code": "insufficient_credits", "message": "Not enough.", "type": "insufficient_quota", "param": "max_tokens", "details": map[string]any{"required": 5.0}},
			map[string]string{"X-Should-Retry": "false"},
		},
		{
			llm.ErrRateLimited.After(1500 * time.Millisecond), 429,
			map[string]any{"code": "upstream_rate_limited", "message": llm.ErrRateLimited.Message, "type": "rate_limit_error", "param": nil, "details": nil},
			map[string]string{"Retry-After-Ms": "1500", "X-Should-Retry": ""},
		},
		{llm.ErrInvalid, 400, map[string]any{"code": "invalid_request", "message": llm.ErrInvalid.Message, "type": "invalid_request_error", "param": nil, "details": nil}, map[string]string{"X-Should-Retry": "false", "Retry-After-Ms": ""}},
		{llm.ErrUpstream, 502, map[string]any{"code": "upstream_error", "message": llm.ErrUpstream.Message, "type": "server_error", "param": nil, "details": nil}, map[string]string{"X-Should-Retry": ""}},
		{llm.ErrUpstream.Final(), 502, map[string]any{"code": "upstream_error", "message": llm.ErrUpstream.Message, "type": "server_error", "param": nil, "details": nil}, map[string]string{"X-Should-Retry": "false"}},
	} {
		w := httptest.NewRecorder()
		w.Header().Set("X-Request-Id", "req_1")
		openai.WriteError(docs)(w, httptest.NewRequest("POST", "/v1/chat/completions", nil), tt.f)
		tt.body["doc_url"], tt.body["request_id"] = docs+tt.f.Code, "req_1"
		var got map[string]map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]map[string]any{"error": tt.body}, got); diff != "" || w.Code != tt.status {
			t.Errorf("%s: status %d, %s", tt.f.Code, w.Code, diff)
		}
		for name, want := range tt.header {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", tt.f.Code, name, got, want)
			}
		}
		if w.Header().Get("Request-Id") != "req_1" {
			t.Errorf("%s: no request-id", tt.f.Code)
		}
	}
}

func TestStreamErrorIsOneEvent(t *testing.T) {
	t.Parallel()
	for _, f := range []*fault.Error{
		llm.ErrTimeout.Saying("Two\nlines"),
		llm.ErrTimeout.With("bad", math.NaN()), // JSON has no such number
	} {
		got := string(openai.Errors{}.AppendStreamError(nil, f, llm.ErrorMeta{RequestID: "req_1", DocURL: docs}))
		payload, ok := strings.CutPrefix(got, "data: ")
		if !ok || strings.Count(got, "\n") != 2 || !strings.HasSuffix(got, "\n\n") {
			t.Fatalf("got %q", got)
		}
		var body wire.ErrorBody
		if err := json.Unmarshal([]byte(payload), &body); err != nil || body.Error.Code != "upstream_timeout" || body.Error.RequestID != "req_1" || body.Error.DocURL != docs+"upstream_timeout" {
			t.Errorf("got %q, %v", got, err)
		}
	}
}
