package gateway_test

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
)

// said is the usage that a vendor reports, in classes that do not overlap; nil
// reports none.
type said struct{ input, cached, output, reasoning int64 }

// protocol is how a vendor answers in a dialect.
type protocol struct {
	// first comes before the content, and may report the input already.
	first func(u *said) string
	token func(text string) string
	// reports are events that report usage and do not end the stream; nil where
	// only its last event does.
	reports func(u *said) string
	last    func(finish string, u *said) string
	body    func(text, finish string, u *said) string
	failure string   // an event that says that the vendor failed
	refusal string   // the body of a refusal
	finish  []string // why a model can stop
}

var messagesDialect = dialect{
	name: "messages", vendor: "anthropic",
	path: func(string, bool) string { return "/v1/messages" },
	request: func(model string, stream, _ bool) string {
		return fmt.Sprintf(`{"model":%q,"max_tokens":%d,"stream":%t,"messages":[{"role":"user","content":"Say hello"}]}`, model, limitSent, stream)
	},
	cases: protocol{
		first: func(u *said) string {
			usage := ""
			if u != nil {
				usage = fmt.Sprintf(`,"usage":{"input_tokens":%d,"cache_read_input_tokens":%d,"output_tokens":1}`, u.input, u.cached)
			}
			return claudeEvent("message_start", `,"message":{"id":"msg_v","role":"assistant","content":[]`+usage+`}`) +
				claudeEvent("content_block_start", `,"index":0,"content_block":{"type":"text","text":""}`)
		},
		token: func(text string) string {
			return claudeEvent("content_block_delta", `,"index":0,"delta":{"type":"text_delta","text":"`+text+`"}`)
		},
		reports: func(u *said) string {
			return claudeEvent("message_delta", `,"delta":{"stop_reason":"end_turn"}`+claudeUsage(u))
		},
		last: func(finish string, u *said) string {
			return claudeEvent("content_block_stop", `,"index":0`) + claudeEvent("message_delta", `,"delta":{"stop_reason":"`+finish+`"}`+claudeUsage(u)) +
				claudeEvent("message_stop", "")
		},
		body: func(text, finish string, u *said) string {
			return `{"id":"msg_v","type":"message","role":"assistant","content":[{"type":"text","text":"` + text + `"}],"stop_reason":"` + finish + `"` + claudeUsage(u) + `}`
		},
		failure: claudeEvent("error", `,"error":{"type":"overloaded_error","message":"over `+plantedKey+`"}`),
		refusal: `{"type":"error","error":{"type":"api_error","message":"no, ` + plantedKey + `"}}`,
		finish:  []string{"end_turn", "max_tokens", "tool_use", "refusal", "something_new"},
	}.all,
}

func claudeEvent(kind, rest string) string {
	return "event: " + kind + "\ndata: {\"type\":\"" + kind + "\"" + rest + "}\n\n"
}

// claudeUsage repeats the input, as Anthropic does for its own tools.
func claudeUsage(u *said) string {
	if u == nil {
		return ""
	}
	return fmt.Sprintf(`,"usage":{"input_tokens":%d,"cache_read_input_tokens":%d,"output_tokens":%d,"output_tokens_details":{"thinking_tokens":%d}}`,
		u.input, u.cached, u.output+u.reasoning, u.reasoning)
}

var responsesDialect = dialect{
	name: "responses", vendor: "compat", options: catalog.Options{Native: []string{"responses"}},
	path: func(string, bool) string { return "/v1/responses" },
	request: func(model string, stream, _ bool) string {
		return fmt.Sprintf(`{"model":%q,"max_output_tokens":%d,"stream":%t,"input":"Say hello"}`, model, limitSent, stream)
	},
	cases: protocol{
		first: func(*said) string {
			return claudeEvent("response.created", `,"sequence_number":0,"response":{"id":"resp_v","status":"in_progress","usage":null}`) +
				claudeEvent("response.output_item.added", `,"sequence_number":1,"item":{"id":"msg_1","type":"message","content":[]}`)
		},
		token: func(text string) string {
			return claudeEvent("response.output_text.delta", `,"sequence_number":2,"item_id":"msg_1","delta":"`+text+`"`)
		},
		last: func(finish string, u *said) string {
			return claudeEvent("response.output_item.done", `,"sequence_number":3,"item":{"id":"msg_1","type":"message"}`) +
				claudeEvent("response."+finish, `,"sequence_number":4,"response":{"id":"resp_v","status":"`+finish+`","output":[]`+responsesUsage(u)+`}`)
		},
		body: func(text, finish string, u *said) string {
			return `{"id":"resp_v","object":"response","status":"` + finish + `","output":[{"type":"message","content":[{"type":"output_text","text":"` + text + `"}]}]` + responsesUsage(u) + `}`
		},
		failure: claudeEvent("response.failed", `,"response":{"id":"resp_v","error":{"code":"server_error","message":"over `+plantedKey+`"}}`),
		refusal: `{"error":{"message":"no, ` + plantedKey + `","type":"x","code":"y"}}`,
		finish:  []string{"completed", "incomplete"},
	}.all,
}

func responsesUsage(u *said) string {
	if u == nil {
		return `,"usage":null`
	}
	return fmt.Sprintf(`,"usage":{"input_tokens":%d,"input_tokens_details":{"cached_tokens":%d},"output_tokens":%d,"output_tokens_details":{"reasoning_tokens":%d}}`,
		u.input+u.cached, u.cached, u.output+u.reasoning, u.reasoning)
}

var geminiDialect = dialect{
	name: "gemini", vendor: "google",
	path: func(model string, stream bool) string {
		if stream {
			return "/v1beta/models/" + model + ":streamGenerateContent?alt=sse"
		}
		return "/v1beta/models/" + model + ":generateContent"
	},
	request: func(string, bool, bool) string {
		return fmt.Sprintf(`{"contents":[{"role":"user","parts":[{"text":"Say hello"}]}],"generationConfig":{"maxOutputTokens":%d}}`, limitSent)
	},
	cases: protocol{
		first: func(*said) string { return "" },
		token: func(text string) string {
			return `data: {"candidates":[{"content":{"parts":[{"text":"` + text + `"}],"role":"model"},"index":0}]}` + "\n\n"
		},
		reports: func(u *said) string { return `data: {` + geminiUsage(u)[1:] + "}\n\n" },
		last: func(finish string, u *said) string {
			return `data: {"candidates":[{"content":{"parts":[]},"finishReason":"` + finish + `"}]` + geminiUsage(u) + "}\n\n"
		},
		body: func(text, finish string, u *said) string {
			return `{"candidates":[{"content":{"parts":[{"text":"` + text + `"}]},"finishReason":"` + finish + `"}]` + geminiUsage(u) + `}`
		},
		failure: `data: {"error":{"code":503,"message":"over ` + plantedKey + `","status":"UNAVAILABLE"}}` + "\n\n",
		refusal: `{"error":{"code":500,"message":"no, ` + plantedKey + `","status":"INTERNAL"}}`,
		finish:  []string{"STOP", "MAX_TOKENS", "SAFETY", "SOMETHING_NEW"},
	}.all,
}

func geminiUsage(u *said) string {
	if u == nil {
		return ""
	}
	return fmt.Sprintf(`,"usageMetadata":{"promptTokenCount":%d,"cachedContentTokenCount":%d,"candidatesTokenCount":%d,"thoughtsTokenCount":%d}`,
		u.input+u.cached, u.cached, u.output, u.reasoning)
}

// all are the endings of a call in the protocol.
func (p protocol) all() []ending {
	var b chatBuilder
	p.usages(&b)
	p.refusals(&b)
	p.brokenStreams(&b)
	p.brokenAnswers(&b)
	p.leaving(&b)
	p.hanging(&b)
	return b.all
}

// tokens are the events of n tokens.
func (p protocol) tokens(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(p.token([]string{" hello", "hello"}[max(1-i, 0)]))
	}
	return b.String()
}

// whole answers with n tokens and the usage u.
func (p protocol) whole(stream bool, n int, finish string, u *said) http.HandlerFunc {
	if stream {
		return streams(p.first(u), p.tokens(n), p.last(finish, u))
	}
	return says(200, p.body(strings.TrimPrefix(strings.Repeat(" hello", n), " "), finish, u))
}

func (p protocol) usages(b *chatBuilder) {
	for _, u := range []struct {
		said
		cost func(string) money.Credits
	}{
		{said{10, 0, 5, 0}, costs(10, 0, 5, 0)},
		{said{1, 0, 0, 0}, costs(1, 0, 0, 0)},
		{said{0, 0, 7, 0}, costs(0, 0, 7, 0)},
		{said{0, 0, 0, 0}, nothing},
		{said{7, 33, 5, 0}, costs(7, 33, 5, 0)},
		{said{40, 0, 3, 6}, costs(40, 0, 3, 6)},
		{said{-10, 0, -5, 0}, nothing},
		// Output above the limit that was sent, by more than a fifth; and more
		// than was held.
		{said{10, 0, 121, 0}, costs(10, 0, 120, 0)},
		{said{10, 0, 1_000_000_000_000_000_000, 0}, costs(10, 0, 120, 0)},
		{said{9000, 0, 5, 0}, held},
		{said{13_000, 0, 100, 0}, held},
		{said{1_000_000_000_000_000_000, 0, 5, 0}, held},
	} {
		for _, m := range modes[:2] {
			b.add(ending{stream: m.stream, vendor: p.whole(m.stream, 3, p.finish[0], &u.said), cost: u.cost, end: credit.Finished}, "%s: usage %v", m.name, u.said)
		}
	}
	for _, m := range modes[:2] {
		for n := 1; n <= 8; n++ {
			u := &said{int64(10 + n), 0, int64(n), 0}
			b.add(ending{stream: m.stream, vendor: p.whole(m.stream, n, p.finish[0], u), slow: n%4 == 0, cost: costs(int64(10+n), 0, int64(n), 0), end: credit.Finished}, "%s: %d tokens", m.name, n)
			b.add(ending{stream: m.stream, vendor: p.whole(m.stream, n, p.finish[0], nil), cost: counted(int64(n)), end: credit.Estimated}, "%s: %d tokens and no usage", m.name, n)
		}
		for _, finish := range p.finish {
			b.add(ending{stream: m.stream, vendor: p.whole(m.stream, 3, finish, &said{10, 0, 5, 0}), cost: costs(10, 0, 5, 0), end: credit.Finished}, "%s: finish %s", m.name, finish)
		}
	}
}

func (p protocol) refusals(b *chatBuilder) {
	for _, status := range []int{400, 401, 403, 404, 408, 413, 429, 500, 502, 503, 504, 529} {
		for _, m := range modes[:2] {
			b.add(ending{stream: m.stream, vendor: says(status, p.refusal, "Retry-After", "30"), cost: nothing, end: credit.Failed, failed: true}, "%s: refused with %d", m.name, status)
		}
	}
}

// brokenStreams break after k tokens, before or after they report.
func (p protocol) brokenStreams(b *chatBuilder) {
	for name, last := range map[string]string{
		"cut": "cut", "end": "", "half an event": p.token("hello")[:20], "bad JSON": "data: {\"type\":[\n\n", "error": p.failure,
	} {
		for k := range 5 {
			cost, end := counted(int64(k)), credit.ProviderBroke
			if k == 0 {
				cost, end = nothing, credit.Failed
			}
			b.add(ending{stream: true, vendor: streams(p.first(nil), p.tokens(k), last), cost: cost, end: end, failed: true}, "stream: %s after %d tokens", name, k)
		}
		if p.reports != nil {
			u := &said{10, 0, 5, 0}
			b.add(ending{stream: true, vendor: streams(p.first(u), p.tokens(1), p.reports(u), last), cost: costs(10, 0, 5, 0), end: credit.ProviderBroke, failed: true}, "stream: %s after the usage", name)
		}
	}
}

// brokenAnswers are answers without stream that are none.
func (p protocol) brokenAnswers(b *chatBuilder) {
	body := p.body("hello hello", p.finish[0], &said{10, 0, 5, 0})
	bad := func(stream bool, h http.HandlerFunc, name string, args ...any) {
		b.add(ending{stream: stream, vendor: h, cost: nothing, end: credit.Failed, failed: true}, name, args...)
	}
	for k := 0; k < len(body); k += 23 {
		bad(false, partly(body, k, func(*http.Request) { panic(http.ErrAbortHandler) }), "answer: cut after %d bytes", k)
		bad(false, says(200, body[:k]), "answer: only %d bytes", k)
	}
	bad(false, says(200, "<html></html>"), "answer: a page")
	bad(false, says(200, p.refusal), "answer: an error with status 200")
	bad(true, says(200, body), "stream: an answer without stream")
}

// leaving is a client that leaves after k bytes of the vendor's answer.
func (p protocol) leaving(b *chatBuilder) {
	text := p.first(nil) + p.tokens(4)
	for k := 1; k <= len(text); k += 13 {
		n := int64(strings.Count(completeEvents(text[:k]), "hello"))
		b.add(ending{stream: true, leaves: k, vendor: streams(text[:k], "wait"), cost: counted(n), end: credit.ClientGone}, "stream: left after %d bytes", k)
	}
	if p.reports != nil {
		u := &said{10, 0, 5, 0}
		text = p.first(u) + p.tokens(4) + p.reports(u)
		b.add(ending{stream: true, leaves: len(text), vendor: streams(text, "wait"), cost: costs(10, 0, 5, 0), end: credit.ClientGone}, "stream: left after the usage")
	}
	b.add(ending{stream: true, leaves: beforeAnswer, vendor: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, cost: nothing, end: credit.ClientGone}, "stream: left before the answer")
}

// hanging are vendors that say nothing more, and clients that wait or leave.
func (p protocol) hanging(b *chatBuilder) {
	forever := func(r *http.Request) { <-r.Context().Done() }
	body := p.body("hello", p.finish[0], &said{10, 0, 5, 0})
	for _, m := range modes[:2] {
		b.add(ending{stream: m.stream, vendor: func(_ http.ResponseWriter, r *http.Request) { forever(r) }, cost: nothing, end: credit.Failed, failed: true}, "hang %s: from the beginning", m.name)
	}
	for k := range 3 {
		cost, end := counted(int64(k)), credit.ProviderBroke
		if k == 0 {
			cost, end = nothing, credit.Failed
		}
		b.add(ending{stream: true, vendor: streams(p.first(nil), p.tokens(k), "wait"), cost: cost, end: end, failed: true}, "hang stream: after %d tokens", k)
		b.add(ending{vendor: partly(body, 1+k*30, forever), cost: nothing, end: credit.Failed, failed: true}, "hang answer: after %d bytes", 1+k*30)
		b.add(ending{leaves: 1 + k*30, vendor: partly(body, 1+k*30, forever), cost: counted(0), end: credit.ClientGone}, "hang answer: left after %d bytes", 1+k*30)
	}
}
