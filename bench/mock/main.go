// Command mock is a vendor for benchmarks: it speaks OpenAI chat completions and
// Anthropic messages, as JSON and as an event stream, over raw TCP, so that it takes as little CPU
// as a vendor can from what is measured beside it.
//
// Every answer is the same bytes. A request is answered with a stream if its
// body says "stream":true, and the stream reports usage if it asks for that.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

type vendor struct {
	delay, interval time.Duration
	json            []byte   // the whole answer, head and body
	events          [][]byte // the chunks of a stream, each one event
	usage           []byte   // the chunk that reports usage
	slow            [][]byte // as events, for the model bench-slow
	// The same in Anthropic's protocol.
	message       []byte
	messageEvents [][]byte // to the end
}

// A stream of the model bench-slow is open for three seconds. The model bench-far
// answers like the others, but as late as a vendor.
const (
	farDelay = 60 * time.Millisecond

	slowEvents   = 20
	slowInterval = 150 * time.Millisecond
)

const streamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"

var streamEnd = []byte("e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")

func main() {
	addr := flag.String("addr", "127.0.0.1:9100", "where to listen")
	delay := flag.Duration("delay", 0, "wait before each answer")
	interval := flag.Duration("interval", 0, "wait before each event")
	events := flag.Int("events", 200, "events with content in a stream")
	body := flag.Int("body", 1024, "bytes of a JSON answer")
	flag.Parse()
	v := newVendor(*delay, *interval, *events, *body)
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(v.serve(l))
}

func newVendor(delay, interval time.Duration, events, size int) *vendor {
	v := &vendor{delay: delay, interval: interval}
	const open = `{"id":"chatcmpl-bench","object":"chat.completion","created":1774000000,"model":"bench-1","choices":[{"index":0,"message":{"role":"assistant","content":"`
	usage := fmt.Sprintf(`{"prompt_tokens":20,"completion_tokens":%d,"total_tokens":%d}`, events, events+20)
	end := `"},"finish_reason":"stop"}],"usage":` + usage + `}`
	body := open + strings.Repeat("x", max(size-len(open)-len(end), 1)) + end
	v.json = whole(body)
	const head = `data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1774000000,"model":"bench-1",`
	for i := range events {
		v.events = append(v.events, chunk(fmt.Sprintf(`%s"choices":[{"index":0,"delta":{"content":" word%d"},"finish_reason":null}]}`, head, i)))
	}
	last := chunk(head + `"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`)
	v.slow = append(slices.Clone(v.events[:min(slowEvents, events)]), last)
	v.events = append(v.events, last)
	v.usage = chunk(head + `"choices":[],"usage":` + usage + `}`)
	v.speakMessages(events, size)
	return v
}

// speakMessages makes the answers in Anthropic's protocol.
func (v *vendor) speakMessages(events, size int) {
	usage := fmt.Sprintf(`{"input_tokens":20,"output_tokens":%d}`, events)
	const open = `{"id":"msg_bench","type":"message","role":"assistant","model":"bench-a","content":[{"type":"text","text":"`
	end := `"}],"stop_reason":"end_turn","stop_sequence":null,"usage":` + usage + `}`
	v.message = whole(open + strings.Repeat("x", max(size-len(open)-len(end), 1)) + end)
	add := func(kind, members string) {
		v.messageEvents = append(v.messageEvents, chunk("event: "+kind+"\ndata: {\"type\":\""+kind+"\""+members+"}"))
	}
	add("message_start", `,"message":{"id":"msg_bench","type":"message","role":"assistant","model":"bench-a","content":[],"stop_reason":null,"stop_sequence":null,`+
		`"usage":{"input_tokens":20,"output_tokens":1}}`)
	add("content_block_start", `,"index":0,"content_block":{"type":"text","text":""}`)
	for i := range events {
		add("content_block_delta", fmt.Sprintf(`,"index":0,"delta":{"type":"text_delta","text":" word%d"}`, i))
	}
	add("content_block_stop", `,"index":0`)
	add("message_delta", `,"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":`+usage)
	add("message_stop", "")
	v.messageEvents = append(v.messageEvents, []byte("0\r\n\r\n"))
}

// whole is an answer without stream, with its head.
func whole(body string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// chunk frames one event for chunked transfer coding.
func chunk(event string) []byte {
	event += "\n\n"
	return fmt.Appendf(nil, "%x\r\n%s\r\n", len(event), event)
}

// serve answers connections until l fails.
func (v *vendor) serve(l net.Listener) error {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		running.Go(func() {
			defer c.Close()
			if err := v.connection(c); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				log.Printf("connection: %v", err)
			}
		})
	}
}

// connection answers the requests of one connection.
func (v *vendor) connection(c net.Conn) error {
	r := bufio.NewReaderSize(c, 64<<10)
	var path, body []byte
	for {
		var n int
		var err error
		path, n, err = readHead(r, path[:0])
		if err != nil {
			return err
		}
		if cap(body) < n {
			body = make([]byte, n)
		}
		body = body[:n]
		if _, err := io.ReadFull(r, body); err != nil {
			return err
		}
		if err := v.answer(c, path, body); err != nil {
			return nil //nolint:nilerr // the client left, which is its right
		}
	}
}

// readHead reads a request's head and returns its path, in room's memory, and
// the length of its body.
func readHead(r *bufio.Reader, room []byte) (path []byte, length int, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return nil, 0, err
	}
	_, rest, _ := bytes.Cut(line, []byte(" "))
	target, _, _ := bytes.Cut(rest, []byte(" "))
	path = append(room, target...)
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return nil, 0, err
		}
		if len(line) <= 2 {
			return path, length, nil
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if ok && bytes.EqualFold(name, []byte("content-length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return nil, 0, err
			}
		}
		if ok && bytes.EqualFold(name, []byte("transfer-encoding")) {
			return nil, 0, errors.New("the mock reads bodies with a length only")
		}
	}
}

// answer writes the answer to a request with body.
func (v *vendor) answer(c net.Conn, path, body []byte) error {
	if v.delay > 0 {
		time.Sleep(v.delay)
	}
	// The client may put its options first or last, never in the middle of a
	// long prompt.
	edges := body
	if len(body) > 2048 {
		edges = append(append([]byte{}, body[:1024]...), body[len(body)-1024:]...)
	}
	if bytes.Contains(edges, []byte(`"bench-far"`)) {
		time.Sleep(farDelay)
	}
	messages := bytes.HasSuffix(path, []byte("/messages"))
	if !bytes.Contains(edges, []byte(`"stream":true`)) {
		whole := v.json
		if messages {
			whole = v.message
		}
		_, err := c.Write(whole)
		return err
	}
	if _, err := io.WriteString(c, streamHead); err != nil {
		return err
	}
	if messages {
		return writeEach(c, v.messageEvents, v.interval)
	}
	events, interval := v.events, v.interval
	if bytes.Contains(edges, []byte(`"bench-slow"`)) {
		events, interval = v.slow, slowInterval
	}
	if err := writeEach(c, events, interval); err != nil {
		return err
	}
	end := streamEnd
	if bytes.Contains(edges, []byte(`"include_usage":true`)) {
		end = append(append([]byte{}, v.usage...), streamEnd...)
	}
	_, err := c.Write(end)
	return err
}

func writeEach(c net.Conn, events [][]byte, interval time.Duration) error {
	for _, e := range events {
		if interval > 0 {
			time.Sleep(interval)
		}
		if _, err := c.Write(e); err != nil {
			return err
		}
	}
	return nil
}
