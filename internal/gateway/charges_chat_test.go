package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
)

var chatDialect = dialect{
	name: "chat completions", vendor: "compat", path: func(string, bool) string { return "/v1/chat/completions" },
	request: chatRequest, cases: chatCases,
}

func chatRequest(model string, stream, usage bool) string {
	rest := fmt.Sprintf(`,"max_tokens":%d`, limitSent)
	if stream {
		rest += `,"stream":true`
	}
	if usage {
		rest += `,"stream_options":{"include_usage":true}`
	}
	return chat(model, rest)
}

// chatCases are the endings of a chat completion.
func chatCases() []ending {
	var b chatBuilder
	b.usages()
	b.finishes()
	b.refusals()
	b.brokenStreams()
	b.brokenAnswers()
	b.leaving()
	b.hanging()
	return b.all
}

// chatBuilder collects cases.
type chatBuilder struct{ all []ending }

// add adds a case in which the client stays.
func (b *chatBuilder) add(e ending, name string, args ...any) {
	e.name = fmt.Sprintf(name, args...)
	if e.leaves == 0 {
		e.leaves = stays
	}
	b.all = append(b.all, e)
}

// modes are the forms in which a client can ask.
var modes = []struct {
	name          string
	stream, usage bool
}{{"answer", false, false}, {"stream", true, false}, {"stream with usage", true, true}}

// hellos are n tokens of text, in n events.
func hellos(n int) []string {
	var out []string
	for i := range n {
		if i == 0 {
			out = append(out, token("hello"))
		} else {
			out = append(out, token(" hello"))
		}
	}
	return out
}

func usageEvent(usage string) string {
	return `data: {"id":"c","choices":[],"usage":` + usage + "}\n\n"
}

// whole answers with n tokens, and a usage object unless it is empty.
func whole(stream bool, n int, finish, usage string) http.HandlerFunc {
	if stream {
		parts := append([]string{role}, hellos(n)...)
		if finish != "" {
			parts = append(parts, strings.Replace(stop, `"stop"`, `"`+finish+`"`, 1))
		}
		if usage != "" {
			parts = append(parts, usageEvent(usage))
		}
		return streams(append(parts, done)...)
	}
	return says(200, wholeBody(n, finish, usage))
}

func wholeBody(n int, finish, usage string) string {
	if usage != "" {
		usage = `,"usage":` + usage
	}
	if finish != "" {
		finish = `,"finish_reason":"` + finish + `"`
	}
	return `{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"` +
		strings.TrimPrefix(strings.Repeat(" hello", n), " ") + `"}` + finish + `}]` + usage + `}`
}

// usages are calls that end well, with every kind of usage.
func (b *chatBuilder) usages() {
	own := counted(3)
	everything := held
	for _, u := range []struct {
		usage string
		cost  func(string) money.Credits
		end   credit.Ending
	}{
		{`{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}`, costs(10, 0, 5, 0), credit.Finished},
		{`{"prompt_tokens":1,"completion_tokens":0}`, costs(1, 0, 0, 0), credit.Finished},
		{`{"prompt_tokens":0,"completion_tokens":7}`, costs(0, 0, 7, 0), credit.Finished},
		{`{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}`, nothing, credit.Finished},
		{`{"prompt_tokens":40,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":33}}`, costs(7, 33, 5, 0), credit.Finished},
		{`{"prompt_tokens":40,"completion_tokens":9,"completion_tokens_details":{"reasoning_tokens":6}}`, costs(40, 0, 3, 6), credit.Finished},
		{`{"prompt_tokens":40,"completion_tokens":9,"total_tokens":55,"completion_tokens_details":{"reasoning_tokens":6}}`, costs(40, 0, 9, 6), credit.Finished},
		{`{"prompt_tokens":10,"prompt_cache_hit_tokens":4,"completion_tokens":5}`, costs(6, 4, 5, 0), credit.Finished},
		{`{"input_tokens":10,"output_tokens":5}`, costs(10, 0, 5, 0), credit.Finished},
		{`{"prompt_tokens":10,"completion_tokens":5,"cost":0.001,"more":{"a":[1]}}`, costs(10, 0, 5, 0), credit.Finished},
		{``, own, credit.Estimated},
		{`null`, own, credit.Estimated},
		{`{}`, own, credit.Estimated},
		{`[]`, own, credit.Estimated},
		{`{"prompt_tokens":null,"completion_tokens":null}`, own, credit.Estimated},
		// Only one of the two: what is missing is counted.
		{`{"completion_tokens":9}`, counted(9), credit.Estimated},
		{`{"prompt_tokens":21}`, costs(21, 0, 3, 0), credit.Estimated},
		{`{"prompt_tokens":21,"completion_tokens":null}`, costs(21, 0, 3, 0), credit.Estimated},
		// Not whole numbers: as if they were missing.
		{`{"prompt_tokens":"10","completion_tokens":"5"}`, own, credit.Estimated},
		{`{"prompt_tokens":10.5,"completion_tokens":5.5}`, own, credit.Estimated},
		{`{"prompt_tokens":1e9,"completion_tokens":1e9}`, own, credit.Estimated},
		{`{"prompt_tokens":true,"completion_tokens":[5]}`, own, credit.Estimated},
		{`{"prompt_tokens":10,"completion_tokens":"NaN"}`, costs(10, 0, 3, 0), credit.Estimated},
		// Impossible: bounded.
		{`{"prompt_tokens":-10,"completion_tokens":-5}`, nothing, credit.Finished},
		{`{"prompt_tokens":-1000000,"completion_tokens":5}`, costs(0, 0, 5, 0), credit.Finished},
		{`{"prompt_tokens":10,"completion_tokens":-9223372036854775808}`, costs(10, 0, 0, 0), credit.Finished},
		{`{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":60}}`, costs(0, 60, 5, 0), credit.Finished},
		{`{"prompt_tokens":10,"completion_tokens":5,"completion_tokens_details":{"reasoning_tokens":8}}`, costs(10, 0, 0, 8), credit.Finished},
		// Output above the limit that was sent, by more than a fifth.
		{`{"prompt_tokens":10,"completion_tokens":121}`, costs(10, 0, 120, 0), credit.Finished},
		{`{"prompt_tokens":10,"completion_tokens":1000000000000000000}`, costs(10, 0, 120, 0), credit.Finished},
		// More than was held.
		{`{"prompt_tokens":9000,"completion_tokens":5}`, everything, credit.Finished},
		{`{"prompt_tokens":13000,"completion_tokens":100}`, everything, credit.Finished},
		{`{"prompt_tokens":1000000000000000000,"completion_tokens":1000000000000000000}`, everything, credit.Finished},
		{`{"prompt_tokens":99999999999999999999999999,"completion_tokens":0}`, everything, credit.Finished},
	} {
		for _, m := range modes {
			b.add(ending{stream: m.stream, usage: m.usage, vendor: whole(m.stream, 3, "stop", u.usage), cost: u.cost, end: u.end}, "%s: usage %s", m.name, u.usage)
		}
	}
	for n := 1; n <= 8; n++ {
		usage := fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":%d}`, 10+n, n)
		for _, m := range modes {
			b.add(ending{stream: m.stream, usage: m.usage, vendor: whole(m.stream, n, "stop", usage), slow: n%4 == 0, cost: costs(int64(10+n), 0, int64(n), 0), end: credit.Finished}, "%s: %d tokens", m.name, n)
			b.add(ending{stream: m.stream, usage: m.usage, vendor: whole(m.stream, n, "stop", ""), cost: counted(int64(n)), end: credit.Estimated}, "%s: %d tokens and no usage", m.name, n)
		}
	}
	// A vendor that reports again and again: the last report counts.
	b.add(ending{stream: true, vendor: streams(role, usageEvent(`{"prompt_tokens":9,"completion_tokens":1}`), token("a"),
		usageEvent(`{"prompt_tokens":10,"completion_tokens":2}`), token("b"), stop, total, total, done), cost: costs(10, 0, 5, 0), end: credit.Finished}, "usage again and again")
	b.add(ending{stream: true, vendor: streams(role, token("a"), stop, total, "data: [DONE]"), cost: costs(10, 0, 5, 0), end: credit.Finished}, "no blank line behind the last event")
}

// finishes are the ways in which a model stops.
func (b *chatBuilder) finishes() {
	const usage = `{"prompt_tokens":10,"completion_tokens":5}`
	for _, finish := range []string{"", "length", "content_filter", "tool_calls", "something_new"} {
		for _, m := range modes[:2] {
			b.add(ending{stream: m.stream, vendor: whole(m.stream, 3, finish, usage), cost: costs(10, 0, 5, 0), end: credit.Finished}, "%s: finish %s", m.name, finish)
		}
	}
}

// refusals come before any content, and cost nothing.
func (b *chatBuilder) refusals() {
	for _, status := range []int{400, 401, 402, 403, 404, 405, 408, 409, 413, 415, 422, 429, 500, 501, 502, 503, 504, 529} {
		for form, body := range map[string]string{
			"error": `{"error":{"message":"no, ` + plantedKey + `","type":"x","code":"y"}}`, "page": "<html>no</html>",
			"usage": `{"error":"no","usage":{"prompt_tokens":10,"completion_tokens":5}}`,
		} {
			for _, m := range modes[:2] {
				b.add(ending{stream: m.stream, vendor: says(status, body, "Retry-After", "30"), cost: nothing, end: credit.Failed, failed: true}, "%s: refused with %d and %s", m.name, status, form)
			}
		}
	}
}

// brokenStreams break after k tokens, before or after they report.
func (b *chatBuilder) brokenStreams() {
	breaks := map[string]string{
		"cut": "cut", "end": "", "half an event": `data: {"choices":[{"index":0,"delta":{"content":"lo`, "bad JSON": "data: {\"choices\":[\n\n", "bad bytes": "\x00\xff\n\n",
		"page": "<html></html>\n\n", "error": `data: {"error":{"message":"over ` + plantedKey + `","type":"server_error"}}` + "\n\n",
		"error event": "event: error\ndata: {\"message\":\"no\"}\n\n", "long line": "data: " + strings.Repeat("x", 2<<20) + "\n\n",
	}
	for name, last := range breaks {
		for k := range 6 {
			cost, end := counted(int64(k)), credit.ProviderBroke
			if k == 0 {
				cost, end = nothing, credit.Failed
			}
			b.add(ending{stream: true, vendor: streams(append(append([]string{role}, hellos(k)...), last)...), cost: cost, end: end, failed: true}, "stream: %s after %d tokens", name, k)
		}
		b.add(ending{stream: true, usage: true, vendor: streams(role, token("hello"), stop, total, last), cost: costs(10, 0, 5, 0), end: credit.ProviderBroke, failed: true}, "stream: %s after the usage", name)
	}
}

// brokenAnswers are answers without stream that are none.
func (b *chatBuilder) brokenAnswers() {
	body := wholeBody(3, "stop", `{"prompt_tokens":10,"completion_tokens":5}`)
	bad := func(h http.HandlerFunc, name string, args ...any) {
		b.add(ending{vendor: h, cost: nothing, end: credit.Failed, failed: true}, name, args...)
	}
	for k := 0; k < len(body); k += 9 {
		bad(partly(body, k, func(*http.Request) { panic(http.ErrAbortHandler) }), "answer: cut after %d bytes", k)
		bad(says(200, body[:k]), "answer: only %d bytes", k)
	}
	bad(says(200, "<html></html>"), "answer: a page")
	bad(says(200, "<html></html>", "Content-Type", "text/html"), "answer: a page that says so")
	bad(says(200, body+"x"), "answer: more than one value")
	bad(says(200, `{"error":{"message":"no"},"usage":{"prompt_tokens":10,"completion_tokens":5}}`), "answer: an error with status 200")
	b.add(ending{stream: true, vendor: says(200, body), cost: nothing, end: credit.Failed, failed: true}, "stream: an answer without stream")
}

// partly promises a body and sends k bytes of it.
func partly(body string, k int, then func(r *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = io.WriteString(w, body[:k])
		w.(http.Flusher).Flush()
		then(r)
	}
}

// leaving is a client that leaves after k bytes of the vendor's answer.
func (b *chatBuilder) leaving() {
	parts := append(append([]string{role}, hellos(5)...), stop)
	text := strings.Join(parts, "")
	for k := 1; k <= len(text); k += 6 {
		n := int64(strings.Count(completeEvents(text[:k]), "hello"))
		b.add(ending{stream: true, leaves: k, vendor: streams(text[:k], "wait"), cost: counted(n), end: credit.ClientGone}, "stream: left after %d bytes", k)
	}
	text += total
	b.add(ending{stream: true, leaves: len(text), vendor: streams(text, "wait"), cost: costs(10, 0, 5, 0), end: credit.ClientGone}, "stream: left after the usage")
	b.add(ending{stream: true, leaves: beforeAnswer, vendor: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, cost: nothing, end: credit.ClientGone}, "stream: left before the answer")
}

func completeEvents(s string) string { return s[:strings.LastIndex("\n\n"+s, "\n\n")] }

// hanging are vendors that say nothing more, and clients that wait or leave.
func (b *chatBuilder) hanging() {
	forever := func(r *http.Request) { <-r.Context().Done() }
	body := wholeBody(3, "stop", `{"prompt_tokens":10,"completion_tokens":5}`)
	for _, m := range modes[:2] {
		b.add(ending{stream: m.stream, vendor: func(_ http.ResponseWriter, r *http.Request) { forever(r) }, cost: nothing, end: credit.Failed, failed: true}, "hang %s: from the beginning", m.name)
	}
	for k := range 4 {
		cost, end := counted(int64(k)), credit.ProviderBroke
		if k == 0 {
			cost, end = nothing, credit.Failed
		}
		b.add(ending{stream: true, vendor: streams(append(append([]string{role}, hellos(k)...), "wait")...), cost: cost, end: end, failed: true}, "hang stream: after %d tokens", k)
		b.add(ending{vendor: partly(body, 1+k*60, forever), cost: nothing, end: credit.Failed, failed: true}, "hang answer: after %d bytes", 1+k*60)
		b.add(ending{leaves: 1 + k*60, vendor: partly(body, 1+k*60, forever), cost: counted(0), end: credit.ClientGone}, "hang answer: left after %d bytes", 1+k*60)
	}
}
