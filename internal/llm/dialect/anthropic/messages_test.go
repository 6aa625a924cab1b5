package anthropic_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/dialect/anthropic"
)

func TestErrorsHaveAnthropicsShapeAndOurCode(t *testing.T) {
	t.Parallel()
	meta := llm.ErrorMeta{RequestID: "req_1", DocURL: "https://rephlo.test/errors/"}
	for kind, f := range map[string]*fault.Error{
		"invalid_request_error": llm.ErrInvalid.At("messages"), "rate_limit_error": llm.ErrRateLimited, "api_error": llm.ErrUpstream, "overloaded_error": llm.ErrUnavailable,
		"timeout_error": llm.ErrTimeout, "request_too_large": llm.ErrSize, "authentication_error": fault.New(fault.Unauthenticated, "api_key_invalid", "No."),
		"permission_error": fault.New(fault.Forbidden, "forbidden", "No."), "not_found_error": fault.New(fault.NotFound, "model_not_found", "No."),
		"billing_error": fault.New(fault.PaymentRequired, "insufficient_credits", "No \"money\".").With("required", 5).With("bad", math.NaN()),
	} {
		var got struct {
			Type      string
			RequestID string `json:"request_id"`
			Error     struct {
				Type, Message, Code, Param string
				DocURL                     string `json:"doc_url"`
			}
		}
		body := anthropic.Errors{}.AppendError(nil, f, meta)
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if e := got.Error; got.Type != "error" || got.RequestID != "req_1" || e.Type != kind || e.Message != f.Message || e.Code != f.Code || e.Param != f.Param || e.DocURL != meta.DocURL+f.Code {
			t.Errorf("%s: got %s", kind, body)
		}
		event := string(anthropic.Errors{}.AppendStreamError(nil, f, meta))
		if event != "event: error\ndata: "+string(body)+"\n\n" {
			t.Errorf("got %q", event)
		}
	}
}

// Calls whose arguments come interleaved are blocks one after the other.
func TestOneBlockIsOpenAtATime(t *testing.T) {
	t.Parallel()
	c := anthropic.Messages{}.Encoder(llm.Meta{CallID: "call_1", Model: "m"})
	var out []byte
	for _, e := range []llm.Event{
		{Kind: llm.EventStart},
		{Kind: llm.EventToolCall, ID: "a", Name: "f"},
		{Kind: llm.EventToolCall, Index: 1, ID: "b", Name: "g"},
		{Kind: llm.EventArguments, Text: `{"x":`},
		{Kind: llm.EventArguments, Index: 1, Text: `{"y":2`},
		{Kind: llm.EventArguments, Text: `1}`},
		{Kind: llm.EventArguments, Index: 1, Text: `}`},
		{Kind: llm.EventCitation, Citation: &llm.Citation{URL: "https://example.com"}},
		{Kind: llm.EventText, Choice: 1, Text: "another choice"},
	} {
		out = c.Append(out, &e)
	}
	out = c.AppendTerminal(c.AppendEnd(out))
	open, args := -1, map[int]string{}
	for event := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n\n") {
		_, data, _ := strings.Cut(event, "data: ")
		var e struct {
			Type  string
			Index int
			Delta struct {
				Partial string `json:"partial_json"`
			}
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			t.Fatal(err)
		}
		switch e.Type {
		case "content_block_start":
			if open >= 0 || e.Index != len(args) {
				t.Errorf("block %d begins while %d is open", e.Index, open)
			}
			open, args[e.Index] = e.Index, ""
		case "content_block_delta":
			args[e.Index] += e.Delta.Partial
		case "content_block_stop":
			open = -1
		}
	}
	if args[0] != `{"x":1}` || args[1] != `{"y":2}` || c.Lost() != 2 {
		t.Errorf("arguments %v, %d lost", args, c.Lost())
	}
}

func FuzzDecodeMessages(f *testing.F) {
	f.Add([]byte(`{"model":"m","max_tokens":1,"system":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":"a"}]}`))
	f.Add([]byte(`{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"a","signature":"b"},{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"x"}]},{"type":"image","source":{"type":"url","url":"u"}}]}],"tools":[{"name":"f"}],"tool_choice":{"type":"any"},"thinking":{"type":"adaptive"},"output_config":{"effort":"low"},"y":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := anthropic.Messages{}.Decode(b)
		if err != nil {
			if k := fault.From(err).Kind; k != fault.Invalid {
				t.Fatalf("%v is %v", err, k)
			}
			return
		}
		if r == nil || !jsontext.Value(b).IsValid() {
			t.Fatalf("%q was accepted", b)
		}
	})
}
