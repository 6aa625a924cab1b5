package llmtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Usage objects as vendors write them.
const (
	Usage         = `{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}`
	UsageCached   = `{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"prompt_tokens_details":{"cached_tokens":60},"completion_tokens_details":{"reasoning_tokens":8}}`
	UsageNegative = `{"prompt_tokens":-1000000,"completion_tokens":-5,"total_tokens":-1000005}`
	UsageHuge     = `{"prompt_tokens":1000000000000000000,"completion_tokens":1000000000000000000}`
)

// Hello answers with "Hello from the fake." and Usage, as a stream if asked.
func Hello(c Call) { Text("Hello from the fake.", Usage)(c) }

// Text answers with a text, as a stream of its words if asked. With an empty
// usage none is reported.
func Text(text, usage string) Reply {
	return func(c Call) {
		if c.Streaming() {
			Events(StreamOf(text, usage)...)(c)
			return
		}
		JSON(Completion(text, usage))(c)
	}
}

// Completion returns a chat completion.
func Completion(text, usage string) string {
	if usage != "" {
		usage = `,"usage":` + usage
	}
	return `{"id":"chatcmpl-fake","object":"chat.completion","created":1,"model":"fake","choices":[{"index":0,"message":{"role":"assistant","content":` +
		quote(text) + `},"finish_reason":"stop"}]` + usage + `}`
}

// StreamOf returns the payloads of a whole stream: the role, the words, the
// finish, the usage unless it is empty, and [DONE].
func StreamOf(text, usage string) []string {
	out := []string{Delta(`"role":"assistant","content":""`, "")}
	for word := range strings.SplitAfterSeq(text, " ") {
		out = append(out, Delta(`"content":`+quote(word), ""))
	}
	out = append(out, Delta("", "stop"))
	if usage != "" {
		out = append(out, `{"id":"chatcmpl-fake","object":"chat.completion.chunk","created":1,"model":"fake","choices":[],"usage":`+usage+`}`)
	}
	return append(out, "[DONE]")
}

// Delta returns the payload of an event with these fields in its delta.
func Delta(fields, finish string) string {
	reason := "null"
	if finish != "" {
		reason = quote(finish)
	}
	return `{"id":"chatcmpl-fake","object":"chat.completion.chunk","created":1,"model":"fake","choices":[{"index":0,"delta":{` +
		fields + `},"finish_reason":` + reason + `}]}`
}

func quote(text string) string {
	b, _ := json.Marshal(text) // a string always encodes
	return string(b)
}

// JSON answers 200 with body.
func JSON(body string) Reply { return Status(http.StatusOK, body) }

// Status answers with a status, a JSON body and headers in pairs.
func Status(code int, body string, headers ...string) Reply {
	return func(c Call) {
		h := c.W.Header()
		h.Set("Content-Type", "application/json")
		h.Set("X-Request-Id", "req_fake")
		h.Set("Openai-Processing-Ms", "12")
		for i := 0; i+1 < len(headers); i += 2 {
			h.Set(headers[i], headers[i+1])
		}
		c.W.WriteHeader(code)
		_, _ = io.WriteString(c.W, body)
	}
}

// Error answers with an error in OpenAI's shape.
func Error(code int, kind, message string, headers ...string) Reply {
	return Status(code, fmt.Sprintf(`{"error":{"message":%s,"type":%s,"param":null,"code":%s}}`, quote(message), quote(kind), quote(kind)), headers...)
}

// HTML answers 200 with a page, as a broken proxy does.
func HTML(c Call) {
	Status(http.StatusOK, "<html><body>It works!</body></html>", "Content-Type", "text/html")(c)
}

// Events answers with a stream of these payloads, each flushed, and ends
// properly.
func Events(payloads ...string) Reply { return Drip(0, payloads...) }

// Drip is Events with a pause before each event.
func Drip(pause time.Duration, payloads ...string) Reply {
	return func(c Call) { c.events(pause, payloads) }
}

// Reset answers with these events and then resets the connection.
func Reset(payloads ...string) Reply {
	return func(c Call) {
		c.events(0, payloads)
		reset(c)
	}
}

// Stall answers with these events and is silent then.
func Stall(payloads ...string) Reply {
	return func(c Call) {
		c.events(0, payloads)
		Hang(c)
	}
}

// Hang does not answer until the client gives up or the Server ends.
func Hang(c Call) {
	select {
	case <-c.R.Context().Done():
	case <-c.Gone:
	}
}

// Raw answers with these bytes instead of HTTP and closes the connection.
func Raw(bytes string) Reply {
	return func(c Call) {
		conn, buf, err := http.NewResponseController(c.W).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = buf.WriteString(bytes)
		_ = buf.Flush()
	}
}

// events writes a stream; without payloads only its head.
func (c Call) events(pause time.Duration, payloads []string) {
	h := c.W.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Request-Id", "req_fake")
	c.W.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(c.W).Flush
	_ = flush()
	for _, p := range payloads {
		if pause > 0 {
			select {
			case <-time.After(pause):
			case <-c.R.Context().Done():
				return
			}
		}
		_, _ = io.WriteString(c.W, "data: "+p+"\n\n")
		_ = flush()
	}
}

func reset(c Call) {
	conn, _, err := http.NewResponseController(c.W).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
