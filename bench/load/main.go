// Command load asks a chat endpoint for answers as fast as a fixed number of
// connections can (closed loop), and checks each one: the status, the length
// of a JSON answer, the events of a stream up to [DONE]. It prints one JSON
// object. A single wrong answer makes it exit with status 1.
package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Result is what load prints.
type Result struct {
	Requests int     `json:"requests"`
	Errors   int     `json:"errors"`
	First    string  `json:"firstError,omitempty"`
	Seconds  float64 `json:"seconds"`
	P50      float64 `json:"p50ms"`
	P99      float64 `json:"p99ms"`
	FirstP50 float64 `json:"firstP50ms"`        // to the first event with content; of a JSON answer to its end
	Busiest  int     `json:"busiestConnection"` // most requests of one connection
}

type job struct {
	addr    string
	request []byte
	stream  bool
	events  int // that a stream must have
	length  int // that a JSON answer must have
	until   time.Time
}

func main() {
	addr := flag.String("addr", "127.0.0.1:9100", "host and port")
	conns := flag.Int("c", 16, "connections")
	lasting := flag.Duration("d", 3*time.Second, "how long to begin requests")
	size := flag.Int("size", 1024, "bytes of a request's body")
	stream := flag.Bool("stream", false, "ask for streams")
	events := flag.Int("events", 200, "events with content that a stream must have")
	length := flag.Int("length", 1024, "bytes that a JSON answer must have; 0: any")
	model := flag.String("model", "bench", "the model")
	key := flag.String("key-file", "", "a file with API keys, one a line; connections take turns")
	flag.Parse()
	keys, err := readKeys(*key)
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(2)
	}
	start := time.Now()
	workers := make([]worker, *conns)
	var running sync.WaitGroup
	for i := range workers {
		w := &workers[i]
		w.job = job{
			addr: *addr, stream: *stream, events: *events, length: *length, until: start.Add(*lasting),
			request: request(*addr, *model, keys[i%len(keys)], *size, *stream),
		}
		running.Go(w.run)
	}
	running.Wait()
	r := summarise(workers, time.Since(start))
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil || r.Errors > 0 || r.Requests == 0 {
		os.Exit(1)
	}
}

// readKeys returns the keys in the file, or one empty key.
func readKeys(file string) ([]string, error) {
	if file == "" {
		return []string{""}, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	keys := strings.Fields(string(text))
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s has no keys", file)
	}
	return keys, nil
}

// request returns the bytes of a whole request whose body has size bytes.
func request(addr, model, key string, size int, stream bool) []byte {
	open := fmt.Sprintf(`{"model":%q,"max_tokens":300,"messages":[{"role":"user","content":"`, model)
	end := `"}]}`
	if stream {
		open = fmt.Sprintf(`{"model":%q,"stream":true,"max_tokens":300,"messages":[{"role":"user","content":"`, model)
	}
	words := strings.Repeat("some words to read ", size/19+1)
	body := open + words[:max(size-len(open)-len(end), 1)] + end
	var auth string
	if key != "" {
		auth = "Authorization: Bearer " + key + "\r\n"
	}
	return fmt.Appendf(nil, "POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", addr, auth, len(body), body)
}

func summarise(workers []worker, took time.Duration) Result {
	r := Result{Seconds: took.Seconds()}
	var times, firsts []time.Duration
	for _, w := range workers {
		r.Requests += len(w.times)
		r.Busiest = max(r.Busiest, len(w.times))
		times, firsts = append(times, w.times...), append(firsts, w.firsts...)
		if w.err != nil {
			r.Errors++
			r.First = cmp.Or(r.First, w.err.Error())
		}
	}
	if len(times) > 0 {
		slices.Sort(times)
		slices.Sort(firsts)
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		r.P50, r.P99 = ms(times[len(times)/2]), ms(times[len(times)*99/100])
		r.FirstP50 = ms(firsts[len(firsts)/2])
	}
	return r
}
