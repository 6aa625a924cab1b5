package test_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/relay"
	"github.com/rephlo/rephlo/internal/llm/vendors/test"
)

func body(model, text string, fields ...string) []byte {
	quoted, _ := json.Marshal(text)
	fields = append(fields, `"model":"`+model+`"`, `"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":`+string(quoted)+`}]`)
	return []byte("{" + strings.Join(fields, ",") + "}")
}

const streamed, withUsage = `"stream":true`, `"stream_options":{"include_usage":true}`

func forward(ctx context.Context, b []byte, stream bool) (llm.Reply, error) {
	return test.New().Forward(ctx, llm.Target{Model: "test-echo"}, llm.Call{Op: llm.OpChat, Parts: [][]byte{b[:5], b[5:]}, Stream: stream})
}

// whole returns an answer in one piece and what is read from it.
func whole(t *testing.T, b []byte) (string, llm.Usage, error) {
	t.Helper()
	reply, err := forward(t.Context(), b, false)
	if err != nil {
		return "", llm.Usage{}, err
	}
	got, err := io.ReadAll(reply.Body)
	if err != nil {
		return string(got), llm.Usage{}, err
	}
	if reply.Length >= 0 && reply.Length != int64(len(got)) {
		t.Errorf("length %d, got %d bytes", reply.Length, len(got))
	}
	u, err := relay.ScanUsage(got)
	return string(got), u, err
}

type streamResult struct {
	bytes, text string
	events      int
	usage       llm.Usage
	err         error
}

func stream(t *testing.T, b []byte) streamResult {
	t.Helper()
	reply, err := forward(t.Context(), b, true)
	if err != nil {
		return streamResult{err: err}
	}
	defer reply.Body.Close()
	s := relay.NewStream(reply.Body, relay.StreamOptions{KeepUsage: true})
	var out streamResult
	for {
		c, err := s.Next()
		if err != nil {
			out.err, out.usage, out.text = err, s.Usage(), string(s.OutputText())
			out.events = strings.Count(out.bytes, "\n\n")
			return out
		}
		out.bytes += string(c.Bytes)
	}
}

func TestTheSameRequestHasTheSameAnswer(t *testing.T) {
	t.Parallel()
	b := body("test-echo", "Grüße, 世界! How are you?")
	first, u, err := whole(t, b)
	if err != nil {
		t.Fatal(err)
	}
	if again, _, _ := whole(t, b); again != first {
		t.Errorf("got %s and %s", first, again)
	}
	if other, _, _ := whole(t, body("test-echo", "x")); other[:40] == first[:40] {
		t.Error("another request has the same id")
	}
	if want := (llm.Usage{Input: 10, Output: 8, Reported: true}); u != want {
		t.Errorf("usage %+v, want %+v", u, want)
	}
	text, _ := relay.OutputText([]byte(first))
	s := stream(t, body("test-echo", "Grüße, 世界! How are you?", streamed, withUsage))
	if !errors.Is(s.err, io.EOF) || s.text != string(text) || s.text != "Grüße, 世界! How are you?" || s.usage != u {
		t.Errorf("stream: %v, %q, %+v", s.err, s.text, s.usage)
	}
	if again := stream(t, body("test-echo", "Grüße, 世界! How are you?", streamed, withUsage)); again.bytes != s.bytes {
		t.Error("the same stream has other bytes")
	}
	if bare := stream(t, body("test-echo", "Hi", streamed)); bare.usage.Reported || strings.Contains(bare.bytes, "usage") {
		t.Errorf("usage that nobody asked for: %s", bare.bytes)
	}
}

func TestScripts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		script, contains string
		usage            llm.Usage
	}{
		{"tokens=3", `"content":"word word wo"`, llm.Usage{Output: 3}},
		{"tokens=2 reasoning=5", `"reasoning_content":"think think think th"`, llm.Usage{Output: 2, Reasoning: 5}},
		{`tool=f:{"a": 1} tool=g`, `"name":"f","arguments":"{\"a\": 1}"`, llm.Usage{Output: 3}},
		{`json={"x": [1, 2]}`, `"content":"{\"x\": [1, 2]}"`, llm.Usage{Output: 4}},
		{"finish=length tokens=1", `"finish_reason":"length"`, llm.Usage{Output: 1}},
		{"finish=refusal", `"refusal":"I cannot help with that."`, llm.Usage{Output: 6}},
		{"tokens=1 cached=2", `"cached_tokens":2`, llm.Usage{CacheRead: 2, Output: 1}},
	} {
		got, u, err := whole(t, body("test-echo", "Hello\n#test "+tt.script))
		if err != nil || !strings.Contains(got, tt.contains) {
			t.Errorf("%s: %v, got %s", tt.script, err, got)
		}
		u.Input, tt.usage.Reported = 0, true
		if u != tt.usage {
			t.Errorf("%s: usage %+v, want %+v", tt.script, u, tt.usage)
		}
		s := stream(t, body("test-echo", "Hello\n#test "+tt.script, streamed, withUsage))
		s.usage.Input = 0
		if !errors.Is(s.err, io.EOF) || s.usage != tt.usage {
			t.Errorf("%s as a stream: %v, %+v, %s", tt.script, s.err, s.usage, s.bytes)
		}
	}
	if got, _, _ := whole(t, body("test-echo", "one\n#test tokens=100", `"max_tokens":2`, `"n":2`)); strings.Count(got, `"content":"word wor"`) != 2 || !strings.Contains(got, `"length"`) || !strings.Contains(got, `"completion_tokens":4,`) {
		t.Errorf("two choices within a limit: %s", got)
	}
}

func TestScriptedUsage(t *testing.T) {
	t.Parallel()
	for how, want := range map[string]llm.Usage{
		"none": {}, "zero": {Reported: true}, "negative": {Reported: true, Suspect: true},
		"huge": {Input: 1_000_000_000_000, Output: 1_000_000_000_000, Reported: true, Suspect: true},
	} {
		if got, u, err := whole(t, body("test-echo", "#test usage="+how)); err != nil || u != want {
			t.Errorf("%s: %v, %+v, %s", how, err, u, got)
		}
		if s := stream(t, body("test-echo", "#test usage="+how, streamed, withUsage)); !errors.Is(s.err, io.EOF) || s.usage != want {
			t.Errorf("%s as a stream: %v, %+v", how, s.err, s.usage)
		}
	}
}

func TestScriptedFailures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		model, script string
		kind          llm.Kind
		events        int
	}{
		{"test-echo", "#test error=529", llm.Server, 0},
		{"test-error-429", "", llm.Rate, 0},
		{"test-echo", "#test error=503@4 tokens=9", llm.Server, 4},
		{"test-cut-stream", "#test tokens=9", llm.Cut, 5},
		{"test-echo", "#test cut=2 tokens=9", llm.Cut, 2},
		{"test-echo", "#test bad=json@3 tokens=9", llm.Protocol, 2},
		{"test-echo", "#test bad=utf8@1 tokens=9", llm.Protocol, 0},
		{"test-echo", "#test bad=line@3 tokens=9", llm.Protocol, 2},
	} {
		s := stream(t, body(tt.model, tt.script, streamed))
		if llm.KindOf(s.err) != tt.kind || s.events != tt.events {
			t.Errorf("%s %s: got %v after %d events: %s", tt.model, tt.script, s.err, s.events, s.bytes)
		}
	}
	for script, kind := range map[string]llm.Kind{"error=400": llm.Invalid, "error=503@4": llm.Server, "cut=1": llm.Cut, "bad=line": llm.Protocol, "bad=json": llm.Protocol, "bad=utf8": llm.Protocol} {
		_, _, err := whole(t, body("test-echo", "#test "+script))
		if got := llm.Broken(err).Kind; got != kind {
			t.Errorf("%s in one piece: %v", script, err)
		}
	}
	_, _, err := whole(t, body("test-error-429", "Hi"))
	if f, ok := errors.AsType[*llm.Failure](err); !ok || f.RetryAfter != time.Second {
		t.Errorf("got %v", err)
	}
}

func TestDelaysAndCancel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if s := stream(t, body("test-slow", "12345678", streamed)); !errors.Is(s.err, io.EOF) || time.Since(start) != 2*time.Second+4*100*time.Millisecond {
			t.Errorf("%v after %v", s.err, time.Since(start))
		}
		start = time.Now()
		if _, _, err := whole(t, body("test-slow", "x")); err != nil || time.Since(start) != 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		start = time.Now()
		if s := stream(t, body("test-echo", "#test stall=2", streamed)); llm.KindOf(s.err) != llm.Timeout || time.Since(start) != time.Minute {
			t.Errorf("%v after %v", s.err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := forward(ctx, body("test-slow", "x"), false); llm.KindOf(err) != llm.Timeout {
			t.Errorf("got %v", err)
		}
	})
}

// The vendor takes whatever the scan lets through.
func FuzzForward(f *testing.F) {
	f.Add(body("test-echo", "#test tokens=3 tool=f:{\"a\":1} reasoning usage=none", streamed, withUsage))
	f.Add(body("test-cut-stream", "#test bad=json@2 json={", streamed))
	f.Add([]byte(`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"},{"x":1}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := relay.ScanChat(b)
		if err != nil || strings.Contains(string(b), "delay") || strings.Contains(string(b), "interval") || strings.Contains(string(b), "stall") || strings.Contains(s.Model, "slow") {
			return
		}
		reply, err := forward(t.Context(), b, s.Stream)
		if err != nil {
			return
		}
		_, err = io.Copy(io.Discard, io.LimitReader(reply.Body, 1<<20))
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
	})
}
