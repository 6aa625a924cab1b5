package llm_test

import (
	"errors"
	"iter"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rephlo/rephlo/internal/llm"
)

func TestCollectPutsAnAnswerTogether(t *testing.T) {
	t.Parallel()
	state := func(data string) *llm.State { return &llm.State{Vendor: "v", Data: data} }
	events := []llm.Event{
		{Kind: llm.EventStart, Head: &llm.Head{VendorRequestID: "req_1"}},
		{Kind: llm.EventReasoning, Text: "Let me "},
		{Kind: llm.EventAlive},
		{Kind: llm.EventReasoning, Text: "think"},
		{Kind: llm.EventState, State: state("s1")},
		{Kind: llm.EventState, State: state("s2"), Redacted: true},
		{Kind: llm.EventState, State: state("s3")},
		{Kind: llm.EventText, Text: "One"},
		{Kind: llm.EventText, Text: " two"},
		{Kind: llm.EventBlockEnd},
		{Kind: llm.EventText, Text: "three"},
		{Kind: llm.EventCitation, Citation: &llm.Citation{URL: "https://example.com"}},
		{Kind: llm.EventToolCall, Index: 0, ID: "a", Name: "f"},
		{Kind: llm.EventToolCall, Index: 1, ID: "b", Name: "g"},
		{Kind: llm.EventArguments, Index: 0, Text: `{"x":`},
		{Kind: llm.EventState, Call: true, Index: 1, State: state("s4")},
		{Kind: llm.EventArguments, Index: 0, Text: `1}`},
		{Kind: llm.EventArguments, Index: 7, Text: `of no call`},
		{Kind: llm.EventRefusal, Text: "no"},
		{Kind: llm.EventText, Choice: 1, Text: "other"},
		{Kind: llm.EventUsage, Usage: &llm.Usage{Input: 1}},
		{Kind: llm.EventFinish, Finish: llm.FinishStopSequence, StopSequence: "x"},
		{Kind: llm.EventFinish, Choice: 1, Finish: llm.FinishLength},
		{Kind: llm.EventUsage, Usage: &llm.Usage{Input: 1, Output: 2, Reported: true}},
	}
	got, err := llm.Collect(of(events, nil))
	want := &llm.Answer{
		Head: llm.Head{VendorRequestID: "req_1"}, Usage: llm.Usage{Input: 1, Output: 2, Reported: true},
		Choices: []llm.AnswerChoice{{Finish: llm.FinishStopSequence, StopSequence: "x", Parts: []llm.Part{
			{Kind: llm.PartReasoning, Text: "Let me think", State: state("s1")},
			{Kind: llm.PartReasoning, State: state("s2"), Redacted: true},
			{Kind: llm.PartReasoning, State: state("s3")},
			{Kind: llm.PartText, Text: "One two"},
			{Kind: llm.PartText, Text: "three", Citations: []llm.Citation{{URL: "https://example.com"}}},
			{Kind: llm.PartToolCall, Call: &llm.ToolCall{ID: "a", Name: "f", Arguments: `{"x":1}`}},
			{Kind: llm.PartToolCall, Call: &llm.ToolCall{ID: "b", Name: "g", Arguments: "{}"}, State: state("s4")},
			{Kind: llm.PartRefusal, Text: "no"},
		}}, {Finish: llm.FinishLength, Parts: []llm.Part{{Kind: llm.PartText, Text: "other"}}}},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
	if text := got.Choices[0].Text(llm.PartText); text != "One twothree" {
		t.Errorf("text %q", text)
	}
	got, err = llm.Collect(of(events[:3], llm.ErrCut))
	if !errors.Is(err, llm.ErrCut) || got.Choices[0].Text(llm.PartReasoning) != "Let me " {
		t.Errorf("cut: %v, %+v", err, got)
	}
}

func of(events []llm.Event, err error) iter.Seq2[llm.Event, error] {
	return func(yield func(llm.Event, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
		if err != nil {
			yield(llm.Event{}, err)
		}
	}
}

// Every event of output is content, whatever its kind.
func TestContentIsWhatAClientCanSee(t *testing.T) {
	t.Parallel()
	for kind, want := range map[llm.EventKind]bool{
		llm.EventStart: false, llm.EventText: true, llm.EventRefusal: true, llm.EventReasoning: true, llm.EventState: true, llm.EventToolCall: true,
		llm.EventArguments: true, llm.EventCitation: true, llm.EventBlockEnd: false, llm.EventFinish: true, llm.EventUsage: false, llm.EventAlive: false,
	} {
		if e := (&llm.Event{Kind: kind, Text: "x"}); e.Content() != want {
			t.Errorf("kind %d: got %v", kind, !want)
		}
	}
	if e := (&llm.Event{Kind: llm.EventText}); e.Content() {
		t.Error("an empty text is content")
	}
}

// Only its issuer gets a state, with the exact bytes.
func TestStateReturnsToItsIssuerAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := &llm.State{
			Vendor: rapid.StringMatching(`[a-z][a-z0-9-]{0,9}`).Draw(t, "vendor"), Account: rapid.StringMatching(`[a-z2-7]{0,10}`).Draw(t, "account"),
			Data: rapid.String().Draw(t, "data"),
		}
		if got := llm.Unwrap(s.Wrap(), "other"); !cmp.Equal(got, s) {
			t.Fatalf("got %+v, want %+v", got, s)
		}
	})
	s := llm.Unwrap("EqQBCg==", "anthropic")
	for _, tt := range []struct {
		s    *llm.State
		to   llm.Target
		want bool
	}{
		{s, llm.Target{Issuer: "anthropic", Account: "x"}, true},
		{s, llm.Target{Issuer: "openai", Account: "x"}, false},
		{&llm.State{Vendor: "openai", Account: "x", Data: "1"}, llm.Target{Issuer: "openai", Account: "x"}, true},
		{&llm.State{Vendor: "openai", Account: "y", Data: "1"}, llm.Target{Issuer: "openai", Account: "x"}, false},
		{nil, llm.Target{Issuer: "openai"}, false},
	} {
		if got := tt.s.For(tt.to); got != tt.want {
			t.Errorf("%+v for %+v: %v", tt.s, tt.to, got)
		}
	}
	for _, broken := range []string{"", "rx1.", "rx1.openai", "rx1.openai.x", "rx1..x.YQ", "rx1.openai.x.!"} {
		if got := llm.Unwrap(broken, "anthropic"); got != nil {
			t.Errorf("%q: %+v", broken, got)
		}
	}
}

func FuzzUnwrap(f *testing.F) {
	f.Add("rx1.openai.abc.YQ")
	f.Add("EqQB")
	f.Fuzz(func(t *testing.T, text string) {
		if s := llm.Unwrap(text, "v"); s != nil && strings.HasPrefix(text, "rx1.") && s.Wrap() != text {
			t.Fatalf("%q became %q", text, s.Wrap())
		}
	})
}

func TestToolIDsAreKeptOrComeBack(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"call_1": "call_1", "toolu_01A-b": "toolu_01A-b", "functions.Bash:0": "toolu_rx_MZ2W4Y3UNFXW44ZOIJQXG2B2GA", "": "toolu_rx_",
	} {
		if got := llm.ToolID(id, llm.MessagesID); got != want {
			t.Errorf("%q: got %q, want %q", id, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.StringN(1, 40, 60).Draw(t, "id")
		mark := rapid.SampledFrom([]string{llm.ChatID, llm.MessagesID}).Draw(t, "mark")
		out := llm.ToolID(id, mark)
		if !llm.PlainName(out, 64) {
			t.Fatalf("%q became %q", id, out)
		}
		if back := llm.OriginalID(out); len(id) <= 34 && back != id && llm.OriginalID(id) == id {
			t.Fatalf("%q came back as %q", id, back)
		}
		if llm.ToolID(id, mark) != out {
			t.Fatal("the same id has two replacements")
		}
	})
	long := strings.Repeat("a.", 40)
	if got := llm.ToolID(long, llm.ChatID); got == llm.ToolID(long+"x", llm.ChatID) || llm.OriginalID(got) != got {
		t.Errorf("a long id became %q", got)
	}
	if a := llm.ShortID("call_1"); len(a) != 9 || a != llm.ShortID("call_1") || llm.ShortID(a) != a || strings.ContainsAny(a, "_-") {
		t.Errorf("short id %q", a)
	}
	if llm.MissingID("a", 0) == llm.MissingID("a", 1) || !llm.PlainName(llm.MissingID("a", 0), 21) {
		t.Error("missing ids")
	}
}

func TestNamesThatAreRefusedComeBack(t *testing.T) {
	t.Parallel()
	var n llm.Names
	long := strings.Repeat("n", 65)
	out := n.Out(long, llm.PlainName(long, 64))
	if !llm.PlainName(out, 12) || n.Back(out) != long || n.Out("f", true) != "f" || n.Back("f") != "f" {
		t.Errorf("got %q", out)
	}
}

func TestNotesRefuseWarnOrStaySilent(t *testing.T) {
	t.Parallel()
	req := &llm.Request{
		Spelling: map[string]string{"top_k": "topK"},
		Extra:    []llm.Extra{{Name: "safety", Class: llm.Tuning}, {Name: "labels", Class: llm.Hint}, {Name: "kept", Class: llm.Meaning}},
	}
	n := llm.NewNotes(req)
	n.LacksNumber(llm.Tuning, "top_k", "3")
	n.LacksNumber(llm.Tuning, "top_k", "3")
	n.LacksNumber(llm.Meaning, "seed", "")
	n.Warn(llm.Adjusted, "reasoning_effort", "high")
	n.Rest("kept")
	warnings, err := n.Done()
	if got, want := llm.WarningsHeader(warnings), `dropped;param="topK", adjusted;param="reasoning_effort";to="high", dropped;param="safety"`; err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	n.Lacks(llm.Meaning, "n")
	_, err = n.Done()
	f, ok := errors.AsType[*llm.Failure](err)
	if !ok || f.Kind != llm.Unable || f.Fault.Param != "n" || f.Fault.Code != "unsupported_parameter" || !f.Kind.NextTarget() || f.Kind.Breaks() {
		t.Errorf("got %+v", err)
	}
	req.Strict = true
	n = llm.NewNotes(req)
	if _, err := n.Done(); err != nil {
		t.Errorf("strict without warnings: %v", err)
	}
	n.Lacks(llm.Tuning, "top_k")
	if _, err := n.Done(); !errors.As(err, &f) || f.Fault.Param != "topK" || f.Fault.Details["warnings"] != `dropped;param="topK"` {
		t.Errorf("strict: %+v", err)
	}
}

func TestWarningsAreSafeInAHeader(t *testing.T) {
	t.Parallel()
	w := llm.Warning{Kind: llm.Unknown, Param: "a\"b\\\r\nX-Evil: 1 世" + strings.Repeat("z", 200)}
	got := w.String()
	if strings.ContainsAny(got, "\r\n") || !strings.HasPrefix(got, `unknown;param="a\"b\\??X-Evil: 1 ???z`) || len(got) > 130 {
		t.Errorf("got %s", got)
	}
	many := make([]llm.Warning, 25)
	for i := range many {
		many[i] = llm.Warning{Kind: llm.Dropped}
	}
	if got := llm.WarningsHeader(many[:3], many[3:]); strings.Count(got, "dropped") != 20 || !strings.HasSuffix(got, ", more;count=5") {
		t.Errorf("got %s", got)
	}
}

func TestEffortsAndBudgetsStandForEachOther(t *testing.T) {
	t.Parallel()
	for e := llm.EffortNone; e <= llm.EffortMax; e++ {
		if got := llm.EffortOf(e.Budget()); got != e {
			t.Errorf("%s: its budget is %s", e, got)
		}
		if llm.EffortNamed(e.String()) != e {
			t.Errorf("%s is not found by its name", e)
		}
	}
	if llm.EffortNamed("ultra") != 0 || llm.Effort(0).String() != "" || llm.EffortOf(4097) != llm.EffortMedium {
		t.Error("bounds")
	}
	levels := []llm.Effort{llm.EffortLow, llm.EffortHigh}
	for e, want := range map[llm.Effort]llm.Effort{llm.EffortMinimal: llm.EffortLow, llm.EffortMedium: llm.EffortLow, llm.EffortHigh: llm.EffortHigh, llm.EffortMax: llm.EffortHigh} {
		if got := e.Clamp(levels); got != want {
			t.Errorf("%s: got %s", e, got)
		}
	}
	if (llm.Reasoning{}).On() || (llm.Reasoning{}).Off() || !(llm.Reasoning{Effort: llm.EffortNone}).Off() || (llm.Reasoning{Budget: 5000}).Level() != llm.EffortMedium {
		t.Error("what is unsaid is neither on nor off")
	}
}
