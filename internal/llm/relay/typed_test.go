package relay_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/relay"
)

// typed makes a stream of typed events; each payload begins with its type.
func typed(payloads ...string) string {
	var b strings.Builder
	for _, p := range payloads {
		kind := strings.SplitN(p, `"`, 5)[3]
		b.WriteString("event: " + kind + "\ndata: " + p + "\n\n")
	}
	return b.String()
}

// The events of https://platform.openai.com/docs/api-reference/responses-streaming
// shortened to the fields that matter here.
var (
	created   = `{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","status":"in_progress","error":null,"usage":null}}`
	added     = `{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"msg_1","type":"message","content":[]}}`
	delta     = `{"type":"response.output_text.delta","sequence_number":2,"item_id":"msg_1","delta":"Grüße \u00e9","logprobs":[]}`
	textDone  = `{"type":"response.output_text.done","sequence_number":3,"item_id":"msg_1","text":"Grüße \u00e9"}`
	completed = `{"type":"response.completed","sequence_number":4,"response":{"id":"resp_1","status":"completed","error":null,"output":[],"usage":{"input_tokens":100,"input_tokens_details":{"cached_tokens":60},"output_tokens":20,"output_tokens_details":{"reasoning_tokens":8},"total_tokens":120}}}`
	failed    = `{"type":"response.failed","sequence_number":4,"response":{"id":"resp_1","status":"failed","error":{"code":"server_error","message":"sk-secret-0123456789"},"usage":{"input_tokens":100,"output_tokens":20,"total_tokens":120}}}`
	broke     = `{"type":"error","code":"rate_limit_exceeded","message":"slow down","param":null,"sequence_number":5}`
)

func TestTypedStreamsEndByTheirType(t *testing.T) {
	t.Parallel()
	used := llm.Usage{Input: 40, CacheRead: 60, Output: 12, Reasoning: 8, Reported: true}
	for _, tt := range []struct {
		name    string
		events  []string
		kind    llm.Kind // 0: to its end
		text    string
		content int
		usage   llm.Usage
	}{
		{"whole", []string{created, added, delta, textDone, completed}, 0, "Grüße é", 2, used},
		{"only what is done", []string{created, added, textDone, completed}, 0, "Grüße é", 2, used},
		{"incomplete", []string{created, strings.Replace(completed, "response.completed", "response.incomplete", 1)}, 0, "", -1, used},
		{"failed", []string{created, added, delta, failed}, llm.Server, "Grüße é", 2, llm.Usage{Input: 100, Output: 20, Reported: true}},
		{"an error", []string{created, broke}, llm.Rate, "", -1, llm.Usage{}},
		{"an object error", []string{created, delta, `{"type":"error","error":{"message":"x","type":"server_error"}}`}, llm.Server, "Grüße é", 1, llm.Usage{}},
		{"cut", []string{created, added, delta, textDone}, llm.Cut, "Grüße é", 2, llm.Usage{}},
		{"done is no end of such a stream", []string{created, delta}, llm.Cut, "Grüße é", 1, llm.Usage{}},
		{"no type", []string{created, `{"x":"response.completed"}`}, llm.Protocol, "", -1, llm.Usage{}},
		{"a call is content", []string{created, `{"type":"response.output_item.added","item":{"type":"function_call","name":"f"}}`, completed}, 0, "f", 1, used},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := typed(tt.events...)
			got := drain(iotest.OneByteReader(strings.NewReader(in)), relay.StreamOptions{Op: llm.OpResponses})
			if tt.kind == 0 && (!errors.Is(got.err, io.EOF) || got.bytes != in || !got.terminal) {
				t.Errorf("%v, %q", got.err, got.bytes)
			}
			if tt.kind != 0 && (llm.KindOf(got.err) != tt.kind || got.terminal || !strings.HasPrefix(in, got.bytes)) {
				t.Errorf("%v, want %v: %q", got.err, tt.kind, got.bytes)
			}
			if got.text != tt.text || got.content != tt.content || got.usage != tt.usage {
				t.Errorf("text %q, content at %d, usage %+v", got.text, got.content, got.usage)
			}
			if got.err != nil && strings.Contains(got.err.Error(), "sk-secret") {
				t.Errorf("the failure repeats what the vendor said: %v", got.err)
			}
		})
	}
	if got := drain(strings.NewReader(typed(created, delta)+"data: [DONE]\n\n"), relay.StreamOptions{Op: llm.OpResponses}); llm.KindOf(got.err) != llm.Protocol {
		t.Errorf("[DONE] ends it: %v", got.err)
	}
}

func TestStreamsOfMediaReportTheirUsage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		op     llm.Op
		events []string
		want   llm.Usage
	}{
		{llm.OpImages, []string{`{"type":"image_generation.partial_image","b64_json":"AAAA"}`, `{"type":"image_generation.completed","b64_json":"AAAA","usage":{"input_tokens":50,"output_tokens":272,"total_tokens":322,"input_tokens_details":{"text_tokens":40,"image_tokens":10}}}`}, llm.Usage{Input: 40, ImageInput: 10, ImageOutput: 272, Images: 1, Reported: true}},
		{llm.OpTranscriptions, []string{`{"type":"transcript.text.delta","delta":"Hi"}`, `{"type":"transcript.text.done","text":"Hi","usage":{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":4,"audio_tokens":10},"output_tokens":5,"total_tokens":19}}`}, llm.Usage{Input: 4, AudioInput: 10, Output: 5, Reported: true}},
		{llm.OpTranscriptions, []string{`{"type":"transcript.text.done","text":"Hi","usage":{"type":"duration","seconds":3.2}}`}, llm.Usage{AudioSeconds: 4}},
		{llm.OpSpeech, []string{`{"type":"speech.audio.delta","audio":"AAAA"}`, `{"type":"speech.audio.done","usage":{"input_tokens":4,"output_tokens":30,"total_tokens":34}}`}, llm.Usage{Input: 4, Output: 30, Reported: true}},
	} {
		got := drain(strings.NewReader(typed(tt.events...)), relay.StreamOptions{Op: tt.op})
		if !errors.Is(got.err, io.EOF) || got.usage != tt.want {
			t.Errorf("%s: %v, %+v, want %+v", tt.op, got.err, got.usage, tt.want)
		}
	}
}

func TestAnswersReportTheirUsage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		op   llm.Op
		body string
		kind llm.Kind
		want llm.Usage
		text string
	}{
		{llm.OpResponses, `{"object":"response","error":null,"output":[{"type":"reasoning","summary":[{"type":"summary_text","text":"a"}]},{"type":"message","content":[{"type":"output_text","text":"b"}]},{"type":"function_call","name":"f","arguments":"{}"}],"usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":4},"output_tokens":5,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":15}}`, 0, llm.Usage{Input: 6, CacheRead: 4, Output: 3, Reasoning: 2, Reported: true}, "abf{}"},
		{llm.OpResponses, `{"object":"response","error":{"code":"server_error","message":"x"},"output":[]}`, llm.Server, llm.Usage{}, ""},
		{llm.OpResponses, `{"object":"response"}`, llm.Protocol, llm.Usage{}, ""},
		{llm.OpEmbeddings, `{"object":"list","data":[{"embedding":[1]}],"usage":{"prompt_tokens":7,"total_tokens":7}}`, 0, llm.Usage{Input: 7, Reported: true}, ""},
		{llm.OpEmbeddings, `{"object":"list","data":[],"usage":{"prompt_tokens":0,"total_tokens":0}}`, 0, llm.Usage{Reported: true}, ""},
		{llm.OpEmbeddings, `{"data":[]}`, 0, llm.Usage{}, ""},
		{llm.OpEmbeddings, `{"data":"x"}`, 0, llm.Usage{}, ""},
		{llm.OpImages, `{"created":1,"data":[{"b64_json":"A"},{"b64_json":"B"}]}`, 0, llm.Usage{Images: 2}, ""},
		{llm.OpModerations, `{"results":[{}]}`, 0, llm.Usage{}, ""},
		{llm.OpTranscriptions, `{"text":"Hi","usage":{"type":"duration","seconds":61.2}}`, 0, llm.Usage{AudioSeconds: 62}, "Hi"},
		{llm.OpTranscriptions, `{"text":"Hi","duration":"8.47"}`, 0, llm.Usage{AudioSeconds: 9}, "Hi"},
		{llm.OpTranscriptions, `[]`, llm.Protocol, llm.Usage{}, ""},
	} {
		got, err := relay.ScanAnswer(tt.op, []byte(tt.body))
		if llm.KindOf(err) != tt.kind || tt.kind == 0 && err != nil || got != tt.want {
			t.Errorf("%s %s: %+v, %v", tt.op, tt.body, got, err)
		}
		if text, _ := relay.AnswerText(tt.op, []byte(tt.body)); string(text) != tt.text {
			t.Errorf("%s: text %q, want %q", tt.body, text, tt.text)
		}
	}
}

// Of any bytes only whole events come out, and they are the vendor's.
func FuzzTypedStream(f *testing.F) {
	f.Add([]byte(typed(created, added, delta, textDone, completed)))
	f.Add([]byte(typed(created, failed)))
	f.Add([]byte(typed(created, broke)))
	f.Add([]byte("data: {\"type\":\"response.completed\"}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, op := range []llm.Op{llm.OpResponses, llm.OpImages, llm.OpTranscriptions, llm.OpSpeech} {
			got := drain(bytes.NewReader(b), relay.StreamOptions{Op: op})
			if errors.Is(got.err, io.EOF) != got.terminal {
				t.Errorf("%v, terminal %v", got.err, got.terminal)
			}
			if got.usage.Input < 0 || got.usage.Output < 0 || got.usage.AudioSeconds < 0 {
				t.Errorf("%+v", got.usage)
			}
			if small := drain(iotest.OneByteReader(bytes.NewReader(b)), relay.StreamOptions{Op: op}); small.bytes != got.bytes || small.usage != got.usage {
				t.Errorf("byte by byte: %q, at once: %q", small.bytes, got.bytes)
			}
			_, _ = relay.ScanAnswer(op, b)
			_, _ = relay.AnswerText(op, b)
		}
	})
}
