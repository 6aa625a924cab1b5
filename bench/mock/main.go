// Command mock is a vendor for benchmarks: it speaks OpenAI chat completions,
// as JSON and as an event stream, over raw TCP, so that it takes as little CPU
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
}

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
	v.json = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	const head = `data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1774000000,"model":"bench-1",`
	for i := range events {
		v.events = append(v.events, chunk(fmt.Sprintf(`%s"choices":[{"index":0,"delta":{"content":" word%d"},"finish_reason":null}]}`, head, i)))
	}
	v.events = append(v.events, chunk(head+`"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`))
	v.usage = chunk(head + `"choices":[],"usage":` + usage + `}`)
	return v
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
	var body []byte
	for {
		n, err := readHead(r)
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
		if err := v.answer(c, body); err != nil {
			return nil //nolint:nilerr // the client left, which is its right
		}
	}
}

// readHead reads a request's head and returns the length of its body.
func readHead(r *bufio.Reader) (length int, err error) {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if len(line) <= 2 {
			return length, nil
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if ok && bytes.EqualFold(name, []byte("content-length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, err
			}
		}
		if ok && bytes.EqualFold(name, []byte("transfer-encoding")) {
			return 0, errors.New("the mock reads bodies with a length only")
		}
	}
}

// answer writes the answer to a request with body.
func (v *vendor) answer(c net.Conn, body []byte) error {
	if v.delay > 0 {
		time.Sleep(v.delay)
	}
	// The client may put its options first or last, never in the middle of a
	// long prompt.
	edges := body
	if len(body) > 2048 {
		edges = append(append([]byte{}, body[:1024]...), body[len(body)-1024:]...)
	}
	if !bytes.Contains(edges, []byte(`"stream":true`)) {
		_, err := c.Write(v.json)
		return err
	}
	if _, err := io.WriteString(c, streamHead); err != nil {
		return err
	}
	for _, e := range v.events {
		if v.interval > 0 {
			time.Sleep(v.interval)
		}
		if _, err := c.Write(e); err != nil {
			return err
		}
	}
	end := streamEnd
	if bytes.Contains(edges, []byte(`"include_usage":true`)) {
		end = append(append([]byte{}, v.usage...), streamEnd...)
	}
	_, err := c.Write(end)
	return err
}
