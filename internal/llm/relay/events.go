package relay

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/rephlo/rephlo/internal/llm"
)

const (
	firstBuffer = 16 << 10
	// keptBuffer is the largest buffer that goes back to the pool.
	keptBuffer = 64 << 10
	maxLines   = 1000 // of an event
	maxEmpty   = 100  // reads without a byte
)

var errLong = errors.New("line or event too long")

// events cuts a byte stream into events in place (WHATWG HTML, section 9.2).
// Lines end in LF, CRLF or CR. Dropped lines are overwritten by those behind
// them, so the common stream, which has none, is never copied:
//
//	buf[:ready]        whole events that may go out
//	buf[ready:kept]    lines of the event that is being read
//	buf[next:end]      not yet looked at
type events struct {
	from                   io.Reader
	max                    int
	buf                    []byte
	ready, kept, next, end int

	searched int   // no line end in buf[next:searched]
	data     []int // starts and ends of the data lines, from ready
	lines    int   // kept of the event
	isError  bool  // the event is called error
	joined   []byte
	begun    bool // the first line is behind us, and with it the BOM
	bareCR   bool // lines have ended in CR alone, so one does not wait for an LF
	afterCR  bool // a line has ended in CR where its LF may follow
}

var buffers = sync.Pool{New: func() any { b := make([]byte, firstBuffer); return &b }}

func newEvents(r io.Reader, limit int) events {
	return events{from: r, max: limit, buf: *buffers.Get().(*[]byte)} //nolint:forcetypeassert // the pool has nothing else
}

// release gives the buffer back.
func (e *events) release() {
	if b := e.buf; b != nil && cap(b) <= keptBuffer {
		b = b[:cap(b)]
		buffers.Put(&b)
	}
	e.buf = nil
	e.ready, e.kept, e.next, e.end = 0, 0, 0, 0
}

// compact forgets the events that are out and closes the gap that dropped
// lines have left.
func (e *events) compact() {
	if e.ready == 0 && e.kept == e.next {
		return
	}
	kept := copy(e.buf, e.buf[e.ready:e.kept])
	n := copy(e.buf[kept:], e.buf[e.next:e.end])
	e.searched = max(0, e.searched-e.next) + kept
	e.ready, e.kept, e.next, e.end = 0, kept, kept, kept+n
}

// fill reads once.
func (e *events) fill() error {
	e.compact()
	if e.end-e.ready > e.max {
		return llm.Fail(llm.Protocol, errLong)
	}
	if e.end == len(e.buf) {
		e.buf = append(e.buf, make([]byte, len(e.buf))...)
	}
	for range maxEmpty {
		n, err := e.from.Read(e.buf[e.end:])
		e.end += n
		if n > 0 {
			return nil // the error comes again
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// scan reads lines until an event with data has ended. The caller accepts or
// drops it. It is false when more must be read.
func (e *events) scan() (bool, error) {
	for {
		end, after, ok := e.lineEnd()
		if !ok {
			return false, nil
		}
		if end-e.next > e.max {
			return false, llm.Fail(llm.Protocol, errLong)
		}
		blank := e.line(end, after)
		if e.lines > maxLines {
			return false, llm.Fail(llm.Protocol, errLong)
		}
		if blank && len(e.data) > 0 {
			return true, nil
		}
		if blank {
			e.drop()
		}
	}
}

// lineEnd finds the end of the line at next, and where the one after begins.
func (e *events) lineEnd() (end, after int, ok bool) {
	if e.afterCR && e.next < e.end {
		if e.afterCR = false; e.buf[e.next] == '\n' {
			e.next++
		}
	}
	e.searched = max(e.searched, e.next)
	b := e.buf[e.searched:e.end]
	lf := bytes.IndexByte(b, '\n')
	if lf >= 0 {
		b = b[:lf]
	}
	cr := bytes.IndexByte(b, '\r')
	at := e.searched
	switch {
	case cr >= 0 && cr == lf-1:
		return at + cr, at + lf + 1, true
	case cr >= 0 && cr == len(b)-1 && !e.bareCR:
		e.searched += cr
		return 0, 0, false
	case cr >= 0:
		e.bareCR, e.afterCR = true, cr == len(b)-1
		return at + cr, at + cr + 1, true
	case lf >= 0:
		return at + lf, at + lf + 1, true
	}
	e.searched = e.end
	return 0, 0, false
}

var bom = []byte("\ufeff")

// line takes the line buf[next:end] and goes on at after. It reports whether
// the line is blank.
func (e *events) line(end, after int) (blank bool) {
	if !e.begun {
		e.begun = true
		if bytes.HasPrefix(e.buf[e.next:end], bom) {
			e.next += len(bom)
		}
	}
	l := e.buf[e.next:end]
	keep := len(l) == 0
	if len(l) > 0 && l[0] != ':' { // not a comment
		name, value := l, len(l)
		if colon := bytes.IndexByte(l, ':'); colon >= 0 {
			name, value = l[:colon], colon+1
			if value < len(l) && l[value] == ' ' {
				value++
			}
		}
		switch string(name) {
		case "data":
			keep = true
			from := e.kept - e.ready
			e.data = append(e.data, from+value, from+len(l))
		case "event":
			keep = true
			e.isError = string(l[value:]) == "error"
		}
	}
	if keep {
		if e.kept != e.next {
			copy(e.buf[e.kept:], e.buf[e.next:after])
		}
		e.kept += after - e.next
		e.lines++
	}
	e.next = after
	return len(l) == 0
}

// payload joins the data lines of the event.
func (e *events) payload() []byte {
	b := e.buf[e.ready:e.kept]
	if len(e.data) == 2 {
		return b[e.data[0]:e.data[1]]
	}
	e.joined = e.joined[:0]
	for i := 0; i < len(e.data); i += 2 {
		if i > 0 {
			e.joined = append(e.joined, '\n')
		}
		e.joined = append(e.joined, b[e.data[i]:e.data[i+1]]...)
	}
	return e.joined
}

// accept lets the event go out, drop does not.
func (e *events) accept() {
	e.ready = e.kept
	e.reset()
}

func (e *events) drop() {
	e.kept = e.ready
	e.reset()
}

func (e *events) reset() { e.data, e.lines, e.isError = e.data[:0], 0, false }
