package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rephlo/rephlo/internal/llm"
)

// budget bounds the memory of all bodies of the process.
type budget struct {
	limit int64
	used  atomic.Int64
}

const (
	budgetWait = 2 * time.Second
	budgetPoll = 20 * time.Millisecond
)

// take waits a moment for n bytes, else it is ErrOverloaded.
func (b *budget) take(ctx context.Context, n int64) error {
	if b.try(n) {
		return nil
	}
	tick := time.NewTicker(budgetPoll)
	defer tick.Stop()
	for range budgetWait / budgetPoll {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if b.try(n) {
			return nil
		}
	}
	return ErrOverloaded
}

func (b *budget) try(n int64) bool {
	if b.used.Add(n) <= b.limit {
		return true
	}
	b.used.Add(-n)
	return false
}

func (b *budget) give(n int64) { b.used.Add(-n) }

// Buffers of these sizes are kept for the next call; larger ones are not.
const (
	smallBuffer = 4 << 10
	largeBuffer = 256 << 10
)

var (
	smallBuffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, smallBuffer)} }}
	largeBuffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, largeBuffer)} }}
)

// buffer is bytes that come from a pool.
type buffer struct{ b []byte }

// newBuffer returns an empty buffer for n bytes.
func newBuffer(n int64) *buffer {
	switch {
	case n <= smallBuffer:
		return smallBuffers.Get().(*buffer) //nolint:forcetypeassert // the pool has nothing else
	case n <= largeBuffer:
		return largeBuffers.Get().(*buffer) //nolint:forcetypeassert // the pool has nothing else
	default:
		return &buffer{b: make([]byte, 0, n)}
	}
}

// free gives the bytes back; nothing may use them any more.
func (b *buffer) free() {
	b.b = b.b[:0]
	switch cap(b.b) {
	case smallBuffer:
		smallBuffers.Put(b)
	case largeBuffer:
		largeBuffers.Put(b)
	}
}

// fill appends what r has until its end, at most limit bytes and one more.
func (b *buffer) fill(r io.Reader, limit int64) error {
	for int64(len(b.b)) <= limit {
		if len(b.b) == cap(b.b) {
			b.b = append(b.b, 0)[:len(b.b)]
		}
		n, err := r.Read(b.b[len(b.b):cap(b.b)])
		b.b = b.b[:len(b.b)+n]
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unknownLength is what a body without a length is taken to have.
const unknownLength = 1 << 20

// readBody reads the request's body into a buffer that counts in the budget
// until c ends. The pulse cuts one that comes too slowly.
func (s *Service) readBody(c *call, r *http.Request) error {
	if c.op.op == llm.OpTranscriptions {
		if !plainForm(r.Header) {
			return ErrMedia.Saying("Send the body uncompressed with Content-Type: multipart/form-data.")
		}
	} else if !plainJSON(r.Header) {
		return ErrMedia
	}
	size := r.ContentLength
	if size < 0 {
		size = s.limits.Body // counted in full, because it may be
	}
	if err := s.bodies.take(r.Context(), size); err != nil {
		return err
	}
	c.counted = size
	c.body = newBuffer(min(size, max(r.ContentLength, unknownLength)) + 1) // one more, to see the end without growing
	c.enter(phaseBody)
	err := c.body.fill(r.Body, s.limits.Body)
	c.enter(phaseBusy)
	if err == nil && r.ContentLength >= 0 && int64(len(c.body.b)) != r.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	return ErrSlowBody.Because(err)
}

// plainJSON reports whether a body is JSON that is not compressed.
func plainJSON(h http.Header) bool {
	t := h["Content-Type"]
	return plain(h) && len(t) == 1 && isJSON(t[0])
}

// plainForm reports whether a body is a form that is not compressed.
func plainForm(h http.Header) bool {
	t := h["Content-Type"]
	return plain(h) && len(t) == 1 && isMedia(t[0], "multipart/form-data")
}

func plain(h http.Header) bool {
	e := h["Content-Encoding"]
	return len(e) == 0 || len(e) == 1 && e[0] == "identity"
}

func isJSON(contentType string) bool {
	return contentType == "application/json" || isMedia(contentType, "application/json")
}

func isMedia(contentType, want string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(media), want)
}
