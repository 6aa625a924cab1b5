package relay_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/relay"
)

const messagesStream = "event: message_start\n" +
	`data: {"type":"message_start","message":{"id":"msg_1","usage":{"input_tokens":25,"cache_creation_input_tokens":30,"cache_read_input_tokens":7,"cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20},"output_tokens":1}}}` + "\n\n" +
	"event: ping\ndata: {\"type\": \"ping\"}\n\n" +
	`event: content_block_start` + "\n" + `data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}` + "\n\n" +
	`event: content_block_delta` + "\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm \"ß\""}}` + "\n\n" +
	`event: content_block_delta` + "\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"Eq=="}}` + "\n\n" +
	`event: content_block_start` + "\n" + `data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"look","input":{}}}` + "\n\n" +
	`event: content_block_delta` + "\n" + `data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}}` + "\n\n" +
	`event: message_delta` + "\n" + `data: {"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":15,"output_tokens_details":{"thinking_tokens":4}}}` + "\n\n" +
	"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"

var messagesUsage = llm.Usage{Input: 25, CacheRead: 7, CacheWrite: 10, CacheWriteLong: 20, Output: 11, Reasoning: 4, Reported: true}

func readMessages(r io.Reader) (out, text string, u llm.Usage, content int, err error) {
	s := relay.NewStream(r, relay.StreamOptions{Op: llm.OpMessages})
	content = -1
	for {
		c, err := s.Next()
		if err != nil {
			return out, string(s.OutputText()), s.Usage(), content, err
		}
		if c.Content && content < 0 {
			content = len(out)
		}
		out += string(c.Bytes)
	}
}

func TestMessagesStreamsAreRelayedAndCounted(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(io.Reader) io.Reader{"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader} {
		out, text, u, content, err := readMessages(wrap(strings.NewReader(messagesStream + "data: more\n\n")))
		if !errors.Is(err, io.EOF) || out != messagesStream || u != messagesUsage || text != `Hm "ß"look{"a":1}` {
			t.Errorf("%s: %v, %q, %+v\n%s", name, err, text, u, out)
		}
		if want := strings.Index(messagesStream, "event: content_block_delta"); name != "at once" && content != want {
			t.Errorf("content begins at %d, want %d", content, want)
		}
	}
	// Without its last event the stream is cut, wherever that is.
	for cut := range len(messagesStream) {
		if _, _, _, _, err := readMessages(strings.NewReader(messagesStream[:cut])); llm.KindOf(err) != llm.Cut {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
}

func TestMessagesErrorsInAStreamAreFailures(t *testing.T) {
	t.Parallel()
	for data, kind := range map[string]llm.Kind{
		`{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`: llm.Server,
		`{"type":"error","error":{"type":"rate_limit_error"}}`:                        llm.Rate,
		`{"type":"error"}`: llm.Server,
		`{"x":1}`:          llm.Protocol,
		`<html>`:           llm.Protocol,
		`[]`:               llm.Protocol,
	} {
		if _, _, _, _, err := readMessages(strings.NewReader("event: error\ndata: " + data + "\n\n")); llm.KindOf(err) != kind {
			t.Errorf("%s: %v", data, err)
		}
	}
}

func TestWholeMessagesAreCounted(t *testing.T) {
	t.Parallel()
	body := []byte(`{"type":"message","content":[{"type":"text","text":"Hi "},{"type":"thinking","thinking":"hm"},{"type":"tool_use","name":"f","input":{"a": 1}}],"usage":{"input_tokens":3,"output_tokens":9}}`)
	u, err := relay.ScanAnswer(llm.OpMessages, body)
	if want := (llm.Usage{Input: 3, Output: 9, Reported: true}); err != nil || u != want {
		t.Errorf("%+v, %v", u, err)
	}
	if text, size := relay.AnswerText(llm.OpMessages, body); string(text) != `Hi hmf{"a": 1}` || size != int64(len(text)) {
		t.Errorf("%q, %d", text, size)
	}
	for body, kind := range map[string]llm.Kind{`{"type":"message"}`: llm.Protocol, `{`: llm.Protocol, `{"type":"error","error":{"type":"overloaded_error"}}`: llm.Server} {
		if _, err := relay.ScanAnswer(llm.OpMessages, []byte(body)); llm.KindOf(err) != kind {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestReportsOfOneMessageAreNotAddedTwice(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		reports []string
		want    llm.Usage
	}{
		{nil, llm.Usage{}},
		{[]string{`{"input_tokens":5,"output_tokens":1}`, `{"input_tokens":5,"output_tokens":9}`}, llm.Usage{Input: 5, Output: 9, Reported: true}},
		{[]string{`{"input_tokens":5}`, `{"output_tokens":null}`}, llm.Usage{Input: 5}},
		{[]string{`{"input_tokens":0,"output_tokens":0}`}, llm.Usage{Reported: true}},
		{[]string{`{"input_tokens":-5,"output_tokens":"x"}`}, llm.Usage{Suspect: true}},
		{[]string{`{"input_tokens":1,"output_tokens":2,"output_tokens_details":{"thinking_tokens":5}}`}, llm.Usage{Input: 1, Reasoning: 5, Reported: true, Suspect: true}},
		{[]string{`{"input_tokens":1,"output_tokens":2,"cache_creation_input_tokens":8}`}, llm.Usage{Input: 1, CacheWrite: 8, Output: 2, Reported: true}},
		{[]string{`[]`, `{`}, llm.Usage{}},
	} {
		var m relay.MessagesUsage
		for _, r := range tt.reports {
			m.Add([]byte(r))
		}
		if got := m.Usage(); got != tt.want {
			t.Errorf("%q: got %+v, want %+v", tt.reports, got, tt.want)
		}
	}
}

func TestMessagesRequestsAreScanned(t *testing.T) {
	t.Parallel()
	s, err := relay.ScanRequest(llm.OpMessages, []byte(`{"model":"m","max_tokens":9,"stream":true,"system":"x","tools":[{"name":"f"}],"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA"}}]}]}`))
	if err != nil || s.Model != "m" || s.MaxTokens != 9 || !s.Stream || s.Messages != 1 || s.Tools != 1 || s.Images != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, body := range []string{
		`{"model":"m","messages":[],"container":"c"}`, `{"model":"m","messages":[],"mcp_servers":[{}]}`, `{"model":"m","messages":[],"tools":[{"type":"web_search_20250305"}]}`,
		`{"model":"m","messages":[{"role":"user","content":[{"type":"document","source":{"type":"file","file_id":"f"}}]}]}`, `{"model":"m"}`, `{"model":"m","messages":[],"thinking":{"type":"a","type":"b"}}`,
	} {
		if _, err := relay.ScanRequest(llm.OpMessages, []byte(body)); err == nil {
			t.Errorf("%s was accepted", body)
		}
	}
}

func FuzzMessagesStream(f *testing.F) {
	f.Add([]byte(messagesStream))
	f.Add([]byte("event: error\ndata: {\"type\":\"error\"}\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, _, u, _, err := readMessages(strings.NewReader(string(b)))
		again, _, u2, _, err2 := readMessages(iotest.OneByteReader(strings.NewReader(string(b))))
		if out != again || u != u2 || errors.Is(err, io.EOF) != errors.Is(err2, io.EOF) {
			t.Fatalf("%q and %q, %v and %v", out, again, err, err2)
		}
		if _, err := relay.ScanAnswer(llm.OpMessages, b); err == nil {
			relay.AnswerText(llm.OpMessages, b)
		}
	})
}
