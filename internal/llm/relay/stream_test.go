package relay_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/llmtest"
	"github.com/rephlo/rephlo/internal/llm/relay"
)

// events joins payloads with a line end.
func events(eol string, payloads ...string) string {
	var b strings.Builder
	for _, p := range payloads {
		b.WriteString("data: " + p + eol + eol)
	}
	return b.String()
}

// result is all that a Stream lets through.
type result struct {
	bytes    string
	chunks   []string
	content  int // index of the first chunk with content, -1 without
	terminal bool
	usage    llm.Usage
	out      int64
	text     string
	err      error
}

func drain(r io.Reader, o relay.StreamOptions) result {
	s := relay.NewStream(r, o)
	res := result{content: -1}
	for {
		c, err := s.Next()
		if err != nil {
			res.err, res.usage, res.out, res.text = err, s.Usage(), s.OutputBytes(), string(s.OutputText())
			return res
		}
		if c.Content && res.content < 0 {
			res.content = len(res.chunks)
		}
		res.terminal = res.terminal || c.Terminal
		res.bytes += string(c.Bytes)
		res.chunks = append(res.chunks, string(c.Bytes))
	}
}

// pieces reads the given strings one after the other.
type pieces []string

func (p *pieces) Read(b []byte) (int, error) {
	if len(*p) == 0 {
		return 0, io.EOF
	}
	n := copy(b, (*p)[0])
	if (*p)[0] = (*p)[0][n:]; (*p)[0] == "" {
		*p = (*p)[1:]
	}
	return n, nil
}

var whole = llmtest.StreamOf("Grüße, 世界 👋 !", llmtest.UsageCached)

func TestStreamLetsWholeStreamsThrough(t *testing.T) {
	t.Parallel()
	want := llm.Usage{Input: 40, CacheRead: 60, Output: 12, Reasoning: 8, Reported: true}
	for _, eol := range []string{"\n", "\r\n", "\r"} {
		in := events(eol, whole...)
		for _, keep := range []bool{false, true} {
			got := drain(strings.NewReader(in), relay.StreamOptions{KeepUsage: keep})
			wantBytes := in
			if !keep {
				wantBytes = events(eol, append(append([]string(nil), whole[:len(whole)-2]...), "[DONE]")...)
			}
			if !errors.Is(got.err, io.EOF) || !got.terminal || got.bytes != wantBytes {
				t.Errorf("%q, keep %v: %v, got %q, want %q", eol, keep, got.err, got.bytes, wantBytes)
			}
			if got.usage != want {
				t.Errorf("%q: usage %+v, want %+v", eol, got.usage, want)
			}
			if got.text != "Grüße, 世界 👋 !" || got.out != int64(len(got.text)) {
				t.Errorf("%q: output %q, %d bytes", eol, got.text, got.out)
			}
			if len(got.chunks) != 2 || got.chunks[1] != events(eol, "[DONE]") {
				t.Errorf("%q: chunks %q, want the events of one read together and [DONE] alone", eol, got.chunks)
			}
		}
	}
}

// However the bytes arrive, the same ones leave.
func TestStreamIsIndependentOfReads(t *testing.T) {
	t.Parallel()
	for _, eol := range []string{"\n", "\r\n", "\r"} {
		in := "\ufeff: hello" + eol + eol + "id: 1" + eol + events(eol, whole...) + events(eol, "[DONE]")
		want := drain(strings.NewReader(in), relay.StreamOptions{})
		if !errors.Is(want.err, io.EOF) {
			t.Fatal(want.err)
		}
		check := func(how string, r io.Reader) {
			got := drain(r, relay.StreamOptions{})
			if !errors.Is(got.err, io.EOF) || got.bytes != want.bytes || got.usage != want.usage || got.out != want.out {
				t.Errorf("%q, %s: %v, got %q, want %q", eol, how, got.err, got.bytes, want.bytes)
			}
		}
		for i := range in {
			check(fmt.Sprint("split at ", i), &pieces{in[:i], in[i:]})
		}
		check("byte by byte", iotest.OneByteReader(strings.NewReader(in)))
		check("with the error beside the data", iotest.DataErrReader(strings.NewReader(in)))
	}
}

func TestStreamDropsWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	one := llmtest.Delta(`"content":"a"`, "")
	in := ": OPENROUTER PROCESSING\n\n:\n: keep\ndata:" + one + "\nid: 7\nretry: 100\n\nevent: ping\n\n\n\nid\n\ndata: " + one + "\n\nfoo: bar\ndata: [DONE]\n\ndata: [DONE]\n\ndata: {}\n\n"
	want := "data:" + one + "\n\ndata: " + one + "\n\ndata: [DONE]\n\n"
	for _, r := range []io.Reader{strings.NewReader(in), iotest.OneByteReader(strings.NewReader(in))} {
		if got := drain(r, relay.StreamOptions{}); got.bytes != want || !errors.Is(got.err, io.EOF) {
			t.Errorf("%v, got %q, want %q", got.err, got.bytes, want)
		}
	}
}

func TestStreamSkipsTheByteOrderMark(t *testing.T) {
	t.Parallel()
	in := events("\n", llmtest.Delta(`"content":"a"`, ""), "[DONE]")
	for _, r := range []io.Reader{strings.NewReader("\ufeff" + in), iotest.OneByteReader(strings.NewReader("\ufeff" + in))} {
		if got := drain(r, relay.StreamOptions{}); got.bytes != in || got.text != "a" || !errors.Is(got.err, io.EOF) {
			t.Errorf("%v: got %q with text %q", got.err, got.bytes, got.text)
		}
	}
}

func TestStreamJoinsDataLines(t *testing.T) {
	t.Parallel()
	in := "data: {\"choices\":[{\"delta\":\ndata: {\"content\":\"ab\"}}]}\n\ndata: [DONE]\n\n"
	got := drain(iotest.OneByteReader(strings.NewReader(in)), relay.StreamOptions{})
	if got.bytes != in || got.text != "ab" || !errors.Is(got.err, io.EOF) {
		t.Errorf("%v: got %q with text %q", got.err, got.bytes, got.text)
	}
}

func TestStreamEnds(t *testing.T) {
	t.Parallel()
	one := events("\n", llmtest.Delta(`"role":"assistant"`, ""), llmtest.Delta(`"content":"a"`, ""))
	long := `{"choices":[{"delta":{"content":"` + strings.Repeat("x", 1<<20) + `"}}]}`
	for _, tt := range []struct {
		name, in string
		kind     llm.Kind // 0: the proper end
		code     string
		out      int64
	}{
		{"without its last blank line", one + "data: [DONE]", 0, "", 1},
		{"with one line end", one + "data: [DONE]\r\n", 0, "", 1},
		{"without [DONE]", one, llm.Cut, "upstream_error", 1},
		{"after the finish", one + events("\n", llmtest.Delta("", "stop")), llm.Cut, "upstream_error", 1},
		{"in an event", one + "data: {\"choices\":[]}", llm.Cut, "upstream_error", 1},
		{"at once", "", llm.Cut, "upstream_error", 0},
		{"with HTML", "<html>\n\n<body>\n\n", llm.Cut, "upstream_error", 0},
		{"with text", one + "data: hello\n\n", llm.Protocol, "upstream_error", 1},
		{"with half of an object", one + "data: {\"choices\":[\n\n", llm.Protocol, "upstream_error", 1},
		{"with two objects", one + "data: {}{}\n\n", llm.Protocol, "upstream_error", 1},
		{"with a bad byte", one + "data: {\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}\n\n", llm.Protocol, "upstream_error", 1},
		{"with a long line", one + events("\n", long), llm.Protocol, "upstream_error", 1},
		{"with a line that never ends", one + "data: " + strings.Repeat("x", 5<<20), llm.Protocol, "upstream_error", 1},
		{"with a thousand lines", one + strings.Repeat("data: 1\n", 1001) + "\n", llm.Protocol, "upstream_error", 1},
		{"with an error", one + `data: {"error":{"message":"secret sk-12345678","type":"server_error","code":null}}` + "\n\n", llm.Server, "upstream_error", 1},
		{"with an error at first", `data: {"error":{"message":"Slow down","type":"rate_limit_error"}}` + "\n\n", llm.Rate, "upstream_rate_limited", 0},
		{"with an error and a code", `data: {"choices":[],"error":{"message":"x","code":502}}` + "\n\n", llm.Server, "upstream_error", 0},
		{"with an error that is text", `data: {"error":"boom"}` + "\n\n", llm.Server, "upstream_error", 0},
		{"with a context error", `data: {"error":{"code":"context_length_exceeded","message":"too long","type":"invalid_request_error"}}` + "\n\n", llm.Context, "context_length_exceeded", 0},
		{"with an event called error", "event: error\ndata: {\"message\":\"overloaded\",\"type\":\"overloaded_error\"}\n\n", llm.Server, "upstream_error", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for how, r := range map[string]io.Reader{"whole": strings.NewReader(tt.in), "in halves": iotest.HalfReader(strings.NewReader(tt.in))} {
				got := drain(r, relay.StreamOptions{})
				if tt.kind == 0 {
					if !errors.Is(got.err, io.EOF) || !strings.HasSuffix(got.bytes, "data: [DONE]\n\n") && !strings.HasSuffix(got.bytes, "data: [DONE]\r\n") {
						t.Errorf("%s: got %v after %q", how, got.err, got.bytes)
					}
					continue
				}
				if llm.KindOf(got.err) != tt.kind || fault.From(got.err).Code != tt.code {
					t.Errorf("%s: got %v, want %v", how, got.err, tt.kind)
				}
				if got.terminal || got.out != tt.out || strings.Contains(got.bytes, "sk-1") || strings.Contains(got.err.Error(), "sk-1") {
					t.Errorf("%s: let through %q, %d bytes of output", how, got.bytes, got.out)
				}
				if errors.Is(got.err, llm.ErrCut) != (tt.kind == llm.Cut) {
					t.Errorf("%s: errors.Is(%v, ErrCut) is wrong", how, got.err)
				}
			}
		})
	}
}

func TestStreamReportsABrokenConnection(t *testing.T) {
	t.Parallel()
	in := events("\n", llmtest.Delta(`"content":"abc"`, ""))
	got := drain(io.MultiReader(strings.NewReader(in), iotest.ErrReader(io.ErrUnexpectedEOF)), relay.StreamOptions{})
	if !errors.Is(got.err, llm.ErrCut) || got.bytes != in {
		t.Errorf("got %v after %q", got.err, got.bytes)
	}
	got = drain(io.MultiReader(strings.NewReader(in), iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(in)))), relay.StreamOptions{})
	if llm.KindOf(got.err) != llm.Cut { // iotest's timeout is a plain error
		t.Errorf("got %v", got.err)
	}
}

func TestStreamTellsContent(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]bool{
		llmtest.Delta(`"role":"assistant","content":""`, ""):                                                        false,
		llmtest.Delta(`"role":"assistant","content":null,"refusal":null`, ""):                                       false,
		`{"choices":[],"prompt_filter_results":[]}`:                                                                 false,
		`{"choices":[{"delta":{},"finish_reason":null}],"usage":null}`:                                              false,
		llmtest.Delta(`"content":"a"`, ""):                                                                          true,
		llmtest.Delta(`"reasoning_content":"a"`, ""):                                                                true,
		llmtest.Delta(`"reasoning":"a"`, ""):                                                                        true,
		llmtest.Delta(`"refusal":"a"`, ""):                                                                          true,
		llmtest.Delta(`"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":""}}]`, ""):             true,
		llmtest.Delta(`"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]`, ""):               true,
		llmtest.Delta(`"tool_calls":[]`, ""):                                                                        false,
		llmtest.Delta("", "stop"):                                                                                   true,
		`{"choices":[{"text":"a","finish_reason":null}]}`:                                                           true,
		"{\"choices\":[{\"d\\u0065lta\":{\"content\":\"a\"}}]}":                                                     true,
		`{"content":"a","x":{"choices":[{"delta":{"content":"a"}}]}}`:                                               false,
		`{"choices":[{"delta":{"content":"\u0061"}}],"x_groq":{"usage":{"prompt_tokens":1,"completion_tokens":2}}}`: true,
	} {
		got := drain(strings.NewReader(events("\n", payload, "[DONE]")), relay.StreamOptions{})
		if (got.content == 0) != want || !errors.Is(got.err, io.EOF) {
			t.Errorf("%s: content %v, want %v (%v)", payload, got.content == 0, want, got.err)
		}
	}
}

// FuzzStream checks that no bytes make a Stream let anything through but
// checked events, and that it does not matter how they arrive.
func FuzzStream(f *testing.F) {
	for _, eol := range []string{"\n", "\r\n", "\r"} {
		f.Add([]byte(events(eol, whole...)), uint16(3))
	}
	f.Add([]byte("\ufeff: x\n\ndata: {\"choices\":[]}\n\nid:1\ndata:[DONE]"), uint16(1))
	f.Add([]byte("event: error\ndata: {}\n\n"), uint16(9))
	f.Add([]byte("data: {\ndata: \"usage\":{\"prompt_tokens\":-1}}\r\n\r\n"), uint16(9))
	f.Fuzz(func(t *testing.T, in []byte, size uint16) {
		o := relay.StreamOptions{MaxLine: 4096}
		a := drain(bytes.NewReader(in), o)
		b := drain(&sized{in, int(size%64) + 1}, o)
		if bareCR := bytes.Contains(bytes.ReplaceAll(in, []byte("\r\n"), nil), []byte("\r")); !bareCR {
			if a.bytes != b.bytes || llm.KindOf(a.err) != llm.KindOf(b.err) || a.usage != b.usage || a.out != b.out {
				t.Fatalf("the way of arriving matters:\n%q %v\n%q %v", a.bytes, a.err, b.bytes, b.err)
			}
		}
		for _, r := range []result{a, b} {
			if r.err == nil || errors.Is(r.err, io.EOF) != r.terminal {
				t.Fatalf("ended with %v, terminal %v", r.err, r.terminal)
			}
			if r.usage.Inputs() < 0 || r.usage.Outputs() < 0 {
				t.Fatalf("usage %+v", r.usage)
			}
			checkEvents(t, r.bytes)
		}
	})
}

// checkEvents reads what was let through as a client does.
func checkEvents(t *testing.T, text string) {
	t.Helper()
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	for ev := range strings.SplitSeq(text, "\n\n") {
		var data []string
		for line := range strings.SplitSeq(ev, "\n") {
			if d, ok := strings.CutPrefix(line, "data"); ok && (d == "" || d[0] == ':') {
				data = append(data, strings.TrimPrefix(strings.TrimPrefix(d, ":"), " "))
			}
		}
		if p := strings.TrimSpace(strings.Join(data, "\n")); len(data) > 0 && p != "[DONE]" {
			v := jsontext.Value(p)
			if v.Kind() != '{' || !v.IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
				t.Fatalf("let %q through", p)
			}
		}
	}
}

type sized struct {
	b []byte
	n int
}

func (s *sized) Read(p []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.n)], s.b)
	s.b = s.b[n:]
	return n, nil
}

// repeat reads the same event for ever.
type repeat struct{ event []byte }

func (r repeat) Read(p []byte) (int, error) { return copy(p, r.event), nil }

func BenchmarkStreamEvent(b *testing.B) {
	event := []byte(events("\n", `{"id":"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012","object":"chat.completion.chunk","created":1735689600,"model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_0123456789","choices":[{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null}],"usage":null}`))
	s := relay.NewStream(repeat{event}, relay.StreamOptions{})
	b.SetBytes(int64(len(event)))
	b.ReportAllocs()
	for b.Loop() {
		if c, err := s.Next(); err != nil || len(c.Bytes) != len(event) {
			b.Fatal(err)
		}
	}
}
