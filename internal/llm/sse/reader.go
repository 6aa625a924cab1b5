package sse

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/rephlo/rephlo/internal/llm"
)

// MaxLine is the usual limit for a line and for the data of an event, in bytes.
const MaxLine = 1 << 20

const (
	bufferSize = 8 << 10
	maxLines   = 1000 // of an event
	maxEmpty   = 100  // reads without a byte
)

var (
	errLong  = errors.New("line or event too long")
	errLines = errors.New("event has too many lines")
)

// Event is one event. Its bytes are valid until the next call of Next.
type Event struct {
	Name []byte // empty when the stream names none
	Data []byte
}

// Reader cuts a stream into events. Lines end in LF, CRLF or CR; a BOM,
// comments, the fields id and retry, and events without data are passed over.
// It is not safe for concurrent use.
type Reader struct {
	from     io.Reader
	limit    int
	buf      []byte // read and not looked at: buf[at:end]
	at, end  int
	searched int // no line end in buf[at:searched]
	begun    bool
	afterCR  bool // an LF at at belongs to the line before
	bareCR   bool // lines have ended in CR alone
	name     []byte
	data     []byte
	comments int
	err      error
}

var pool = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}

// NewReader returns a Reader of from. Lines and the data of events are at most
// limit bytes long; 0 is MaxLine.
func NewReader(from io.Reader, limit int) *Reader {
	if limit <= 0 {
		limit = MaxLine
	}
	return &Reader{from: from, limit: limit, buf: *pool.Get().(*[]byte)} //nolint:forcetypeassert // the pool has nothing else
}

// Release gives the buffer back; the Reader is at its end then.
func (r *Reader) Release() {
	if cap(r.buf) == bufferSize {
		b := r.buf[:bufferSize]
		pool.Put(&b)
	}
	r.buf, r.at, r.end, r.searched = nil, 0, 0, 0
	if r.err == nil {
		r.err = io.ErrClosedPipe
	}
}

// Ready reports whether more of the stream has been read that looks like a whole
// event, so that Next will not wait. It may be false although there is one.
func (r *Reader) Ready() bool {
	rest := r.buf[r.at:r.end]
	return bytes.Contains(rest, []byte("\n\n")) || bytes.Contains(rest, []byte("\r\n\r\n"))
}

// Comments is how many comment lines came: vendors send them to show that they
// are still there.
func (r *Reader) Comments() int { return r.comments }

// Next returns the next event that has data. At the end of the stream it is
// io.EOF; an event whose blank line is missing then is not returned, because
// nobody knows whether it is whole, unless its data is [DONE]. A line or an
// event over the limit is a *llm.Failure; other errors are from's.
func (r *Reader) Next() (Event, error) {
	r.name, r.data = r.name[:0], r.data[:0]
	lines, has := 0, false
	for {
		line, err := r.line()
		if errors.Is(err, io.EOF) && has && bytes.Equal(bytes.TrimSpace(r.data), done) {
			return Event{Data: r.data}, nil // the error comes again
		}
		if err != nil {
			return Event{}, err
		}
		if len(line) == 0 {
			if has {
				return Event{Name: r.name, Data: r.data}, nil
			}
			lines, r.name = 0, r.name[:0]
			continue
		}
		if lines++; lines > maxLines {
			return Event{}, r.fail(errLines)
		}
		has = r.field(line, has)
		if len(r.data) > r.limit {
			return Event{}, r.fail(errLong)
		}
	}
}

var done = []byte("[DONE]")

// field takes one line of an event.
func (r *Reader) field(line []byte, has bool) bool {
	if line[0] == ':' {
		r.comments++
		return has
	}
	name, value, found := bytes.Cut(line, []byte(":"))
	if found && len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	switch string(name) {
	case "data":
		if has {
			r.data = append(r.data, '\n')
		}
		r.data = append(r.data, value...)
		return true
	case "event":
		r.name = append(r.name[:0], value...)
	}
	return has
}

func (r *Reader) fail(err error) error {
	r.err = llm.Fail(llm.Protocol, err)
	return r.err
}

// line returns the next line without its end. It is valid until the next call.
func (r *Reader) line() ([]byte, error) {
	for {
		line, ok := r.take()
		if r.searched-r.at > r.limit || len(line) > r.limit {
			return nil, r.fail(errLong)
		}
		if ok {
			if !r.begun {
				r.begun = true
				line = bytes.TrimPrefix(line, []byte("\ufeff"))
			}
			return line, nil
		}
		if r.err != nil {
			if rest := r.buf[r.at:r.end]; errors.Is(r.err, io.EOF) && len(rest) > 0 {
				r.at, r.searched = r.end, r.end // the last line, without its end
				return bytes.TrimSuffix(rest, []byte("\r")), nil
			}
			return nil, r.err
		}
		r.fill()
	}
}

// take cuts a whole line off the buffer.
func (r *Reader) take() ([]byte, bool) {
	if r.afterCR && r.at < r.end {
		if r.afterCR = false; r.buf[r.at] == '\n' {
			r.at++
		}
	}
	r.searched = max(r.searched, r.at)
	i := bytes.IndexAny(r.buf[r.searched:r.end], "\r\n")
	if i < 0 {
		r.searched = r.end
		return nil, false
	}
	stop := r.searched + i
	line, after := r.buf[r.at:stop], stop+1
	if r.buf[stop] == '\r' {
		switch {
		case after < r.end && r.buf[after] == '\n':
			after++
		case after == r.end && !r.bareCR && r.err == nil:
			// Whether an LF follows will be seen; a stream whose lines end in CR
			// alone must not wait for it.
			r.searched = stop
			return nil, false
		default:
			r.bareCR, r.afterCR = true, true
		}
	}
	r.at, r.searched = after, after
	return line, true
}

// fill reads once.
func (r *Reader) fill() {
	if r.at > 0 {
		n := copy(r.buf, r.buf[r.at:r.end])
		r.searched, r.at, r.end = max(r.searched-r.at, 0), 0, n
	}
	if r.end == len(r.buf) {
		r.buf = append(r.buf, make([]byte, max(len(r.buf), bufferSize))...)
	}
	for range maxEmpty {
		n, err := r.from.Read(r.buf[r.end:])
		r.end += n
		if err != nil {
			r.err = err
		}
		if n > 0 || err != nil {
			return
		}
	}
	r.err = io.ErrNoProgress
}
