package egress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// ErrProtocol is an answer that is not HTTP/1.1 as we take it.
var ErrProtocol = errors.New("answer is not valid HTTP")

func protocol(what string) error { return fmt.Errorf("%w: %s", ErrProtocol, what) }

const (
	bufferSize = 16 << 10
	// joinBelow is up to where a request is copied together for one write;
	// larger ones are written as slices.
	joinBelow = 64 << 10
)

// conn is a connection and what it reuses between calls. One call at a time
// has it.
type conn struct {
	net.Conn          // what is read and written: plain or TLS
	raw      net.Conn // the socket
	to       address
	idleFor  time.Duration
	since    time.Time // when it became idle

	buf  []byte // read and not consumed: buf[r:w]
	r, w int
	read bool // something arrived since the request was sent

	out  []byte // scratch of the request
	vec  [][]byte
	head []byte // scratch of the answer's head
}

// abort ends whatever runs on the connection. It does not say goodbye in TLS,
// which could block.
func (cn *conn) abort() { _ = cn.raw.Close() }

// fill reads once into the buffer.
func (cn *conn) fill() error {
	if cn.r == cn.w {
		cn.r, cn.w = 0, 0
	}
	if cn.w == len(cn.buf) {
		cn.w = copy(cn.buf, cn.buf[cn.r:cn.w])
		cn.r = 0
		if cn.w == len(cn.buf) {
			cn.buf = append(cn.buf, make([]byte, len(cn.buf))...)
		}
	}
	n, err := cn.Read(cn.buf[cn.w:])
	cn.w += n
	cn.read = cn.read || n > 0
	if n > 0 {
		return nil // the error comes again
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// line returns the next line without its CRLF, at most limit bytes with it. It
// is valid until the next fill.
func (cn *conn) line(limit int) ([]byte, error) {
	for from := 0; ; {
		if i := bytes.IndexByte(cn.buf[cn.r+from:cn.w], '\n'); i >= 0 {
			end := cn.r + from + i
			l := cn.buf[cn.r:end]
			if len(l)+1 > limit {
				return nil, protocol("line too long")
			}
			cn.r = end + 1
			// RFC 9112 section 2.2 lets a recipient take a bare LF; we do not,
			// since another one on the way may not.
			if len(l) == 0 || l[len(l)-1] != '\r' || bytes.IndexByte(l[:len(l)-1], '\r') >= 0 {
				return nil, protocol("line does not end in CRLF")
			}
			return l[:len(l)-1], nil
		}
		from = cn.w - cn.r
		if from >= limit {
			return nil, protocol("line too long")
		}
		if err := cn.fill(); err != nil {
			return nil, err
		}
	}
}

// buffered reports whether a whole line is there.
func (cn *conn) buffered() bool { return bytes.IndexByte(cn.buf[cn.r:cn.w], '\n') >= 0 }

// send writes the request.
func (cn *conn) send(req *Request) error {
	cn.read = false
	out, err := req.appendHead(cn.out[:0])
	if err != nil {
		return err
	}
	cn.out = out
	if len(out)+req.size() <= joinBelow {
		for _, p := range req.Body {
			cn.out = append(cn.out, p...)
		}
		_, err = cn.Write(cn.out)
		return err
	}
	cn.vec = append(append(cn.vec[:0], cn.out), req.Body...)
	v := net.Buffers(cn.vec)
	_, err = v.WriteTo(cn.Conn)
	clear(cn.vec) // do not keep the caller's body alive
	return err
}

// ended says why a call could not go on: the end of ctx, if that is what
// closed the connection.
func ended(ctx context.Context, doing string, err error) error {
	if cause := ctx.Err(); cause != nil {
		return fmt.Errorf("%s: %w", doing, cause)
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%s: %w", doing, err)
}
