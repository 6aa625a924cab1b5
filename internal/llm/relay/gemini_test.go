package relay_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/relay"
)

// Events as https://ai.google.dev/api/generate-content describes them.
const (
	gFirst = `{"candidates":[{"content":{"role":"model","parts":[{"text":"Grü"}]},"index":0}],"usageMetadata":{"promptTokenCount":9,"totalTokenCount":9}}`
	gCall  = `{"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}}]},"index":0}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":3}}`
	gStop  = `{"candidates":[{"content":{"role":"model","parts":[{"text":""}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":100,"cachedContentTokenCount":60,"toolUsePromptTokenCount":5,"candidatesTokenCount":12,"thoughtsTokenCount":8,"totalTokenCount":125}}`
	gAfter = `{"candidates":[],"usageMetadata":{"promptTokenCount":100,"cachedContentTokenCount":60,"toolUsePromptTokenCount":5,"candidatesTokenCount":12,"thoughtsTokenCount":9,"totalTokenCount":126}}`
	gError = `{"error":{"code":429,"message":"Key AIzaSyA1234567890123456789012345678901 is out","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerDayPerProject"}]}]}}`
	gBlock = `{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":9}}`
)

func TestGeminiStreamsEndWithTheirBytes(t *testing.T) {
	t.Parallel()
	last := llm.Usage{Input: 45, CacheRead: 60, Output: 12, Reasoning: 8, Reported: true}
	after := last
	after.Reasoning = 9
	for _, tt := range []struct {
		name   string
		events []string
		kind   llm.Kind
		text   string
		usage  llm.Usage
		tail   int // events in the terminal chunk
	}{
		{"whole", []string{gFirst, gStop}, 0, "Grü", last, 1},
		{"usage behind the end", []string{gFirst, gStop, gAfter}, 0, "Grü", after, 2},
		{"a call", []string{gCall, gStop}, 0, `"name":"f","args":{}`, last, 1},
		{"cut", []string{gFirst, gCall}, llm.Cut, `Grü"name":"f","args":{}`, llm.Usage{Input: 9, Output: 3, Reported: true}, 0},
		{"a quota of the day", []string{gFirst, gError}, llm.Quota, "Grü", llm.Usage{Input: 9, Reported: true}, 0},
		{"a refused prompt", []string{gBlock}, llm.Policy, "", llm.Usage{Input: 9, Reported: true}, 0},
		{"nothing of it", []string{`{"x":1}`}, llm.Protocol, "", llm.Usage{}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := events("\r\n", tt.events...)
			got := drain(iotest.OneByteReader(strings.NewReader(in)), relay.StreamOptions{Op: llm.OpGenerate})
			array := drain(strings.NewReader(in), relay.StreamOptions{Op: llm.OpGenerate, Array: true})
			if tt.kind == 0 {
				if !errors.Is(got.err, io.EOF) || got.bytes != in || !got.terminal {
					t.Errorf("%v, %q", got.err, got.bytes)
				}
				if want := "[" + strings.Join(tt.events, ",\r\n") + "]"; array.bytes != want || !array.terminal {
					t.Errorf("array %q, want %q", array.bytes, want)
				}
				if n := strings.Count(got.chunks[len(got.chunks)-1], "data:"); n != tt.tail {
					t.Errorf("the last chunk has %d events, want %d", n, tt.tail)
				}
			} else if llm.KindOf(got.err) != tt.kind || got.terminal || !strings.HasPrefix(in, got.bytes) {
				t.Errorf("%v, want %v: %q", got.err, tt.kind, got.bytes)
			}
			if got.text != tt.text || got.usage != tt.usage || array.usage != tt.usage {
				t.Errorf("text %q, usage %+v", got.text, got.usage)
			}
			if strings.Contains(got.err.Error(), "AIza") {
				t.Errorf("%v repeats the vendor", got.err)
			}
		})
	}
}

func TestGeminiUsageIsDisjoint(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]llm.Usage{
		`{"promptTokenCount":100,"promptTokensDetails":[{"modality":"TEXT","tokenCount":40},{"modality":"AUDIO","tokenCount":50},{"modality":"IMAGE","tokenCount":10}],"cachedContentTokenCount":30,"cacheTokensDetails":[{"modality":"AUDIO","tokenCount":20}],"candidatesTokenCount":1300,"candidatesTokensDetails":[{"modality":"IMAGE","tokenCount":1290}]}`: {
			Input: 30, CacheRead: 30, AudioInput: 30, ImageInput: 10, Output: 10, ImageOutput: 1290, Reported: true,
		},
		`{"promptTokenCount":5,"cachedContentTokenCount":9}`:  {CacheRead: 9, Reported: true, Suspect: true},
		`{"promptTokenCount":-5,"candidatesTokenCount":"12"}`: {Reported: true, Suspect: true},
		`{"candidatesTokenCount":12}`:                         {Output: 12},
		`[]`:                                                  {},
	} {
		if got := relay.GeminiUsage([]byte(in)); got != want {
			t.Errorf("%s: %+v, want %+v", in, got, want)
		}
	}
}

func FuzzGeminiStream(f *testing.F) {
	f.Add([]byte(events("\r\n", gFirst, gCall, gStop, gAfter)))
	f.Add([]byte(events("\n", gFirst, gError)))
	f.Add([]byte(events("\n", gBlock)))
	f.Fuzz(func(t *testing.T, b []byte) {
		got := drain(bytes.NewReader(b), relay.StreamOptions{Op: llm.OpGenerate})
		if errors.Is(got.err, io.EOF) != got.terminal {
			t.Errorf("%v, terminal %v", got.err, got.terminal)
		}
		if u := got.usage; u.Input < 0 || u.Output < 0 || u.Reasoning < 0 {
			t.Errorf("%+v", got.usage)
		}
		array := drain(bytes.NewReader(b), relay.StreamOptions{Op: llm.OpGenerate, Array: true})
		if array.terminal && !jsontext.Value(array.bytes).IsValid(jsontext.AllowDuplicateNames(true)) {
			t.Errorf("array %q", array.bytes)
		}
		if array.usage != got.usage || array.text != got.text {
			t.Errorf("as an array: %+v, %q", array.usage, array.text)
		}
		_, _ = relay.ScanAnswer(llm.OpGenerate, b)
		_, _ = relay.AnswerText(llm.OpGenerate, b)
	})
}
