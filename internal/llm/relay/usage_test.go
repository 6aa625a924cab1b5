package relay_test

import (
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/llmtest"
	"github.com/rephlo/rephlo/internal/llm/relay"
)

func TestUsageIsReadInDisjointClasses(t *testing.T) {
	t.Parallel()
	const most = 1_000_000_000_000
	for _, tt := range []struct {
		usage string
		want  llm.Usage
	}{
		{llmtest.Usage, llm.Usage{Input: 10, Output: 5, Reported: true}},
		{llmtest.UsageCached, llm.Usage{Input: 40, CacheRead: 60, Output: 12, Reasoning: 8, Reported: true}},
		{`{"prompt_tokens":0,"completion_tokens":0}`, llm.Usage{Reported: true}},
		{
			`{"prompt_tokens":100,"completion_tokens":50,"prompt_tokens_details":{"cached_tokens":10,"cache_write_tokens":20,"audio_tokens":30,"image_tokens":5},"completion_tokens_details":{"audio_tokens":20,"reasoning_tokens":10,"accepted_prediction_tokens":5,"rejected_prediction_tokens":5}}`,
			llm.Usage{Input: 35, CacheRead: 10, CacheWrite: 20, AudioInput: 30, ImageInput: 5, Output: 20, AudioOutput: 20, Reasoning: 10, Reported: true},
		},
		// xAI: reasoning beside the completion; others: inside of it.
		{`{"prompt_tokens":10120,"completion_tokens":1499,"total_tokens":14428,"completion_tokens_details":{"reasoning_tokens":2809}}`, llm.Usage{Input: 10120, Output: 1499, Reasoning: 2809, Reported: true}},
		{`{"prompt_tokens":500,"completion_tokens":500,"total_tokens":1000,"completion_tokens_details":{"reasoning_tokens":200}}`, llm.Usage{Input: 500, Output: 300, Reasoning: 200, Reported: true}},
		{`{"prompt_tokens":500,"completion_tokens":500,"completion_tokens_details":{"reasoning_tokens":200}}`, llm.Usage{Input: 500, Output: 300, Reasoning: 200, Reported: true}},
		{`{"prompt_tokens":100,"completion_tokens":5,"prompt_cache_hit_tokens":70,"prompt_cache_miss_tokens":30}`, llm.Usage{Input: 30, CacheRead: 70, Output: 5, Reported: true}},
		{`{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":null,"completion_tokens_details":{"reasoning_tokens":null}}`, llm.Usage{Input: 10, Output: 5, Reported: true}},
		{llmtest.UsageNegative, llm.Usage{Reported: true, Suspect: true}},
		{llmtest.UsageHuge, llm.Usage{Input: most, Output: most, Reported: true, Suspect: true}},
		{`{"prompt_tokens":"12","completion_tokens":5}`, llm.Usage{Output: 5, Suspect: true}},
		{`{"prompt_tokens":1.5,"completion_tokens":5}`, llm.Usage{Output: 5, Suspect: true}},
		{`{"prompt_tokens":1e18,"completion_tokens":5}`, llm.Usage{Output: 5, Suspect: true}},
		{`{"prompt_tokens":null,"completion_tokens":5}`, llm.Usage{Output: 5}},
		{`{"prompt_tokens":12}`, llm.Usage{Input: 12}},
		{`{"prompt_tokens":12,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":20}}`, llm.Usage{CacheRead: 20, Output: 3, Reported: true, Suspect: true}},
		{`{"prompt_tokens":12,"completion_tokens":3,"completion_tokens_details":{"reasoning_tokens":4}}`, llm.Usage{Input: 12, Reasoning: 4, Reported: true, Suspect: true}},
		{`{}`, llm.Usage{}},
		{`null`, llm.Usage{}},
		{`[]`, llm.Usage{}},
	} {
		got, err := relay.ScanUsage([]byte(llmtest.Completion("Hi", tt.usage)))
		if err != nil || got != tt.want {
			t.Errorf("%s: got %+v, %v, want %+v", tt.usage, got, err, tt.want)
		}
		if tt.usage == "[]" {
			continue
		}
		stream := drain(strings.NewReader(events("\n", llmtest.StreamOf("Hi", tt.usage)...)), relay.StreamOptions{})
		if stream.usage != tt.want {
			t.Errorf("stream with %s: got %+v, want %+v", tt.usage, stream.usage, tt.want)
		}
	}
}

func TestUsageIsFoundWhereverItIs(t *testing.T) {
	t.Parallel()
	fake := `\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}`
	for _, body := range []string{
		` {"usage":` + llmtest.Usage + `,"choices":[{"message":{"content":"` + fake + `"}}]} `,
		llmtest.Completion(`"usage":{"prompt_tokens":1,"completion_tokens":1}`, llmtest.Usage),
		`{"choices":[{"usage":{"prompt_tokens":7}}],"us\u0061ge":` + llmtest.Usage + `,"x":{"usage":{"prompt_tokens":9}}}`,
		`{"choices":[],"error":null,"x_groq":{"id":"x","usage":` + llmtest.Usage + `}}`,
	} {
		got, err := relay.ScanUsage([]byte(body))
		if want := (llm.Usage{Input: 10, Output: 5, Reported: true}); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", body, got, err, want)
		}
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	for body, kind := range map[string]llm.Kind{
		``: llm.Protocol, `<html>`: llm.Protocol, `[]`: llm.Protocol, `{}`: llm.Protocol, `{"choices":null}`: llm.Protocol,
		`{"choices":[]`: llm.Protocol, `{"choices":[]}x`: llm.Protocol, `{"choices":[NaN]}`: llm.Protocol, "{\"choices\":[\"\xff\"]}": llm.Protocol,
		`{"error":{"message":"no","type":"insufficient_quota"}}`:                      llm.Quota,
		`{"choices":[],"error":{"message":"no","code":"429"}}`:                        llm.Rate,
		`{"error":{"message":"no","code":"content_filter","type":"invalid_request"}}`: llm.Policy,
		`{"error":"model crashed"}`:                                                   llm.Server,
	} {
		_, err := relay.ScanUsage([]byte(body))
		if llm.KindOf(err) != kind || fault.From(err).Kind == fault.Internal {
			t.Errorf("%q: got %v, want %v", body, err, kind)
		}
	}
}

func TestOutputTextIsWhatTheModelWrote(t *testing.T) {
	t.Parallel()
	body := `{"choices":[{"message":{"role":"assistant","reasoning_content":"hm\n","content":"Gr\u00fc\u00dfe","tool_calls":[{"id":"c1","function":{"name":"f","arguments":"{\"a\":1}"}}]}}],"usage":null}`
	text, size := relay.OutputText([]byte(body))
	if want := "hm\nGrüße" + `f{"a":1}`; string(text) != want || size != int64(len(want)) {
		t.Errorf("got %q, %d bytes, want %q", text, size, want)
	}
}

// What is kept for counting is bounded, what is counted is not.
func TestOutputTextIsBounded(t *testing.T) {
	t.Parallel()
	piece := strings.Repeat("x", 1000)
	var in []string
	for range 2000 {
		in = append(in, llmtest.Delta(`"content":"`+piece+`"`, ""))
	}
	got := drain(strings.NewReader(events("\n", append(in, "[DONE]")...)), relay.StreamOptions{})
	if got.out != 2_000_000 || len(got.text) > 1<<20 || len(got.text) < 1<<19 {
		t.Errorf("counted %d, kept %d", got.out, len(got.text))
	}
}

func TestUsageIsBoundedByWhatWasAsked(t *testing.T) {
	t.Parallel()
	in := events("\n", llmtest.StreamOf("Hi", `{"prompt_tokens":1000,"completion_tokens":900,"prompt_tokens_details":{"cached_tokens":100}}`)...)
	got := drain(strings.NewReader(in), relay.StreamOptions{Context: 500, OutputSent: 100}).usage
	if want := (llm.Usage{Input: 500, CacheRead: 100, Output: 120, Reported: true, Suspect: true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
