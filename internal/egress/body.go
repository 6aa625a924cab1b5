package egress

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"
)

const (
	maxChunkLine = 256
	maxTrailers  = 32
	drainBytes   = 64 << 10
	drainFor     = time.Second
)

// Response is an answer whose body is unread.
type Response struct {
	Status int
	// Length of the body; -1 when it is not known.
	Length int64
	// Body frees the connection when it is read to its end, and closes it when
	// it is closed before. If the caller knows by itself that the content has
	// ended, it says so with Done, and Close waits a second for the formal end.
	Body interface {
		io.ReadCloser
		Done()
	}
	cn   *conn
	body body
}

// Header returns a header of the answer, empty without it; name is in lower
// case. It may be called until the first read of Body.
func (r *Response) Header(name string) string { return find(r.cn.head, name) }

// Within leaves the body no more than d from now.
func (r *Response) Within(d time.Duration) {
	if until := r.body.client.now().Add(d); until.Before(r.body.until) {
		r.body.until, r.body.idle = until, 0
	}
}

// open chooses how the body is read.
func (r *Response) open(h head) error {
	r.Length, r.Body = h.length, &r.body
	if h.chunked {
		r.body.left = 0
	}
	switch h.encoding {
	case "":
	case "gzip", "x-gzip":
		r.Length, r.Body = -1, &unzipped{body: &r.body, limit: r.body.limit}
		r.body.limit = 0
	default:
		return protocol("unknown content encoding")
	}
	return nil
}

// framing is which line of the chunked coding is due.
type framing uint8

const (
	atSize framing = iota
	afterChunk
	inTrailers
)

// body reads the answer's content.
type body struct {
	client   *Client
	cn       *conn
	ctx      context.Context //nolint:containedctx // it bounds the reads, as with net/http
	stop     func() bool     // ends the watch on ctx
	head     head
	left     int64 // bytes of the content, or of the chunk; -1 until the end
	at       framing
	trailers int
	idle     time.Duration
	until    time.Time // the end of Total
	deadline time.Time // what is set on the connection
	limit    int64     // of the content, 0 is none
	total    int64
	done     bool  // the caller has all it wants
	err      error // what every further read returns
}

// Read implements io.Reader. It returns what is there and waits only when
// nothing is.
func (b *body) Read(p []byte) (int, error) {
	n := 0
	for b.err == nil && n < len(p) {
		if b.left == 0 {
			if n > 0 && !b.ready() {
				return n, nil
			}
			b.advance()
			continue
		}
		m, err := b.some(p[n:], n == 0)
		if m == 0 && err == nil {
			return n, nil
		}
		n += m
		b.count(m, err)
	}
	if n > 0 {
		return n, nil
	}
	return 0, b.err
}

// ready reports whether advance can go on without waiting.
func (b *body) ready() bool { return !b.head.chunked || b.cn.buffered() }

// some reads part of the content; without wait only what is buffered.
func (b *body) some(p []byte, wait bool) (int, error) {
	if b.left > 0 && int64(len(p)) > b.left {
		p = p[:b.left]
	}
	cn := b.cn
	if cn.r == cn.w {
		if !wait {
			return 0, nil
		}
		b.arm()
		if len(p) >= bufferSize { // no need to copy
			return cn.Read(p)
		}
		if err := cn.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, cn.buf[cn.r:cn.w])
	cn.r += n
	return n, nil
}

// count books n bytes of content, or the failure to read them.
func (b *body) count(n int, err error) {
	b.total += int64(n)
	if b.left > 0 {
		b.left -= int64(n)
	}
	switch {
	case err == io.EOF && b.left < 0: //nolint:errorlint // io.Reader's contract
		b.finish()
	case err != nil:
		b.fail(err)
	case b.limit > 0 && b.total > b.limit:
		b.fail(protocol("answer too large"))
	}
}

// advance takes one line of the framing when the content before it is read.
func (b *body) advance() {
	if !b.head.chunked {
		b.finish()
		return
	}
	b.arm()
	l, err := b.cn.line(maxChunkLine)
	switch {
	case err != nil:
		b.fail(err)
	case b.at == afterChunk && len(l) > 0:
		b.fail(protocol("chunk longer than stated"))
	case b.at == afterChunk:
		b.at = atSize
	case b.at == atSize:
		b.chunk(l)
	case len(l) == 0:
		b.finish()
	default:
		b.trailer(l)
	}
}

// chunk begins the chunk that l announces.
func (b *body) chunk(l []byte) {
	size, ok := chunkSize(l)
	switch {
	case !ok:
		b.fail(protocol("malformed chunk size"))
	case size > 0:
		b.left, b.at = size, afterChunk
	default:
		b.at = inTrailers
	}
}

// trailer skips a field after the last chunk.
func (b *body) trailer(l []byte) {
	b.trailers++
	if err := (&head{length: -1}).field(l); err != nil || b.trailers > maxTrailers {
		b.fail(orProtocol(err, "too many trailers"))
	}
}

// chunkSize reads the hexadecimal size of a chunk line. Extensions are skipped;
// they begin with a semicolon (RFC 9112 section 7.1.1). Blanks may end the
// line, but not stand before an extension: not every reader takes those, and
// two that read one message differently are how requests are smuggled.
func chunkSize(l []byte) (size int64, ok bool) {
	i := 0
	for ; i < len(l); i++ {
		c := l[i]
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			rest := bytes.TrimRight(l[i:], " \t")
			return size, i > 0 && isValue(rest) && (len(rest) == 0 || rest[0] == ';')
		}
		if size > 1<<58 {
			return 0, false
		}
		size = size<<4 | int64(c)
	}
	return size, i > 0
}

// arm moves the deadline before a read that may wait. Moving it costs, so one
// that is nearly right stays.
func (b *body) arm() {
	want := b.until
	if b.idle > 0 {
		if t := b.client.now().Add(b.idle); t.Before(want) {
			want = t
		}
	}
	if d := want.Sub(b.deadline); d > b.idle/16 || d < 0 || b.idle <= 0 && d != 0 {
		b.deadline = want
		_ = b.cn.SetReadDeadline(want) // on a closed connection the read fails too
	}
}

// finish ends a body that was read completely.
func (b *body) finish() {
	b.err = io.EOF
	cn := b.cn
	alive := b.stop() // false: ctx has ended and the connection is being closed
	if alive && !b.head.last && b.left == 0 && cn.r == cn.w {
		b.client.put(cn, b.head)
		return
	}
	cn.abort()
}

// fail ends a body that broke.
func (b *body) fail(err error) {
	b.err = ended(b.ctx, "read answer", err)
	b.stop()
	b.cn.abort()
}

// Done says that the content has ended, whatever still comes.
func (b *body) Done() { b.done = true }

// Close implements io.Closer.
func (b *body) Close() error {
	if b.err != nil {
		return nil
	}
	if b.done || b.left == 0 && !b.head.chunked {
		b.drain()
	}
	if b.err == nil {
		b.fail(errClosed)
	}
	return nil
}

var errClosed = fmt.Errorf("body closed: %w", io.ErrClosedPipe)

// drain waits a moment for the formal end, so that the connection can be used
// again.
func (b *body) drain() {
	b.until = b.client.now().Add(drainFor)
	b.idle = 0
	var scratch [512]byte
	for n := 0; b.err == nil && n < drainBytes; {
		m, _ := b.Read(scratch[:])
		n += m
	}
}

func orProtocol(err error, what string) error {
	if err != nil {
		return err
	}
	return protocol(what)
}
