package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// worker uses one connection. Its first wrong answer ends it.
type worker struct {
	job    job
	times  []time.Duration // of the answers that were right
	firsts []time.Duration // of these, to the first event with content
	err    error
}

// timeout bounds one answer.
const timeout = 30 * time.Second

func (w *worker) run() {
	c, err := net.Dial("tcp", w.job.addr)
	if err != nil {
		w.err = err
		return
	}
	defer c.Close()
	r := bufio.NewReaderSize(c, 64<<10)
	for {
		begin := time.Now()
		if begin.After(w.job.until) {
			return
		}
		if err := c.SetDeadline(begin.Add(timeout)); err != nil {
			w.err = err
			return
		}
		if _, err := c.Write(w.job.request); err != nil {
			w.err = err
			return
		}
		var first time.Time
		if first, w.err = w.job.check(r); w.err != nil {
			return
		}
		end := time.Now()
		if first.IsZero() {
			first = end
		}
		w.times, w.firsts = append(w.times, end.Sub(begin)), append(w.firsts, first.Sub(begin))
	}
}

// check reads one answer and says what is wrong with it, and when its first
// event with content came.
func (j *job) check(r *bufio.Reader) (first time.Time, err error) {
	status, length, err := readHead(r)
	if err != nil {
		return first, fmt.Errorf("head: %w", err)
	}
	body := content{stream: j.stream}
	if length >= 0 {
		err = body.read(r, length)
	} else {
		err = body.readChunks(r)
	}
	switch {
	case err != nil:
		return first, fmt.Errorf("body: %w", err)
	case status != "200":
		return first, fmt.Errorf("status %s: %s", status, body.start)
	case !j.stream && j.length > 0 && body.length != j.length:
		return first, fmt.Errorf("%d bytes, want %d: %s", body.length, j.length, body.start)
	case j.stream && (body.deltas != j.events || !body.done):
		return first, fmt.Errorf("%d events, want %d; ended with [DONE]: %t", body.deltas, j.events, body.done)
	}
	return body.first, nil
}

// readHead returns the status and the length of the body, -1 for chunked.
func readHead(r *bufio.Reader) (status string, length int, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return "", 0, err
	}
	if len(line) < 12 {
		return "", 0, errors.New("short status line")
	}
	status, length = string(line[9:12]), -2
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return "", 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return "", 0, err
			}
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			length = -1
		}
	}
	if length == -2 {
		return "", 0, errors.New("neither a length nor chunks")
	}
	return status, length, nil
}

// content is what is checked of a body, without keeping it.
type content struct {
	stream bool
	start  []byte // its first bytes, for messages
	length int
	deltas int       // events with content
	first  time.Time // when the first of them came
	done   bool
	line   []byte // an unfinished line
}

// read takes n bytes of the body.
func (b *content) read(r *bufio.Reader, n int) error {
	for n > 0 {
		part, err := r.Peek(min(n, max(r.Buffered(), 1)))
		if err != nil {
			return err
		}
		b.take(part)
		n -= len(part)
		if _, err := r.Discard(len(part)); err != nil {
			return err
		}
	}
	return nil
}

// readChunks takes a chunked body, with its trailers.
func (b *content) readChunks(r *bufio.Reader) error {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(string(bytes.TrimRight(line, "\r\n")), 16, 31)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		if err := b.read(r, int(n)); err != nil {
			return err
		}
		if _, err := r.Discard(2); err != nil {
			return err
		}
	}
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return nil
		}
	}
}

func (b *content) take(part []byte) {
	b.length += len(part)
	if room := 200 - len(b.start); room > 0 {
		b.start = append(b.start, part[:min(room, len(part))]...)
	}
	if !b.stream {
		return
	}
	for {
		i := bytes.IndexByte(part, '\n')
		if i < 0 {
			b.line = append(b.line, part...)
			return
		}
		line := part[:i]
		if len(b.line) > 0 {
			b.line = append(b.line, line...)
			line = b.line
		}
		b.event(line)
		b.line, part = b.line[:0], part[i+1:]
	}
}

func (b *content) event(line []byte) {
	switch {
	case bytes.Equal(line, []byte("data: [DONE]")):
		b.done = true
	case bytes.Contains(line, []byte(`"delta":{"content":`)):
		if b.deltas++; b.deltas == 1 {
			b.first = time.Now()
		}
	}
}
