package egress

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

const (
	maxHead    = 32 << 10
	maxInterim = 5
)

// head is what the head of an answer says about the connection.
type head struct {
	status    int
	length    int64 // -1: none stated
	chunked   bool
	last      bool          // the connection cannot be used again
	keepAlive time.Duration // how long the server keeps it; 0: not said
	encoding  string
	old       bool // HTTP/1.0
}

// readHead reads the head of the final answer; its fields stay in cn.head.
func (cn *conn) readHead() (head, error) {
	for range maxInterim + 1 {
		h, err := cn.readOneHead()
		if err != nil || h.status >= 200 {
			return h, err
		}
		if h.status == 101 {
			return h, protocol("switching protocols")
		}
		if h.length >= 0 || h.chunked {
			return h, protocol("interim answer with a body")
		}
	}
	return head{}, protocol("too many interim answers")
}

func (cn *conn) readOneHead() (head, error) {
	cn.head = cn.head[:0]
	left := maxHead
	l, err := cn.line(left)
	if err != nil {
		return head{}, err
	}
	left -= len(l) + 2
	h, err := parseStatus(l)
	if err != nil {
		return h, err
	}
	for {
		l, err := cn.line(left)
		if err != nil {
			return h, err
		}
		left -= len(l) + 2
		if len(l) == 0 {
			return h, h.conclude()
		}
		cn.head = append(append(cn.head, l...), '\n')
		if err := h.field(l); err != nil {
			return h, err
		}
	}
}

// parseStatus takes "HTTP/1.1 200 OK".
func parseStatus(l []byte) (head, error) {
	h := head{length: -1}
	if len(l) < 12 || string(l[:7]) != "HTTP/1." || l[7] != '1' && l[7] != '0' || l[8] != ' ' || len(l) > 12 && l[12] != ' ' || !isValue(l) {
		return h, protocol("malformed status line")
	}
	for _, c := range l[9:12] {
		if c < '0' || c > '9' {
			return h, protocol("malformed status")
		}
		h.status = h.status*10 + int(c-'0')
	}
	if h.status < 100 || h.status > 599 {
		return h, protocol("status out of range")
	}
	h.old = l[7] == '0'
	h.last = h.old
	return h, nil
}

// field reads one header line.
func (h *head) field(l []byte) error {
	colon := bytes.IndexByte(l, ':')
	// A line that begins with a space would continue the one before (RFC 9112
	// section 5.2); its name is not a token, so it is refused here.
	if colon < 1 || !isName(l[:colon]) || !isValue(l[colon+1:]) {
		return protocol("malformed header")
	}
	name, value := l[:colon], bytes.Trim(l[colon+1:], " \t")
	switch {
	case is(name, "content-length"):
		if h.length >= 0 {
			return protocol("two lengths")
		}
		n, err := strconv.ParseUint(string(value), 10, 63)
		if err != nil || value[0] == '+' {
			return protocol("malformed length")
		}
		h.length = int64(n)
	case is(name, "transfer-encoding"):
		if h.chunked || !is(value, "chunked") || h.old {
			return protocol("unknown transfer encoding")
		}
		h.chunked = true
	case is(name, "connection"):
		for option := range bytes.SplitSeq(value, []byte(",")) {
			h.last = h.last || is(bytes.Trim(option, " \t"), "close")
		}
	case is(name, "keep-alive"):
		h.keepAlive = max(h.keepAlive, keepAlive(string(value)))
	case is(name, "content-encoding"):
		if h.encoding != "" {
			return protocol("two encodings")
		}
		if !is(value, "identity") {
			h.encoding = strings.ToLower(string(value))
		}
	}
	return nil
}

// keepAlive reads "timeout=5, max=100"; at least a second for anything stated.
func keepAlive(value string) time.Duration {
	for option := range strings.SplitSeq(value, ",") {
		name, seconds, _ := strings.Cut(strings.TrimSpace(option), "=")
		if n, err := strconv.ParseUint(strings.Trim(seconds, `"`), 10, 31); err == nil && strings.EqualFold(name, "timeout") {
			return max(time.Second, time.Duration(n)*time.Second)
		}
	}
	return 0
}

// conclude checks what only the whole head shows.
func (h *head) conclude() error {
	if h.chunked && h.length >= 0 {
		return protocol("both a length and chunks")
	}
	if h.status == 204 || h.status == 304 { // RFC 9112 section 6.3: no body
		if h.chunked || h.length > 0 {
			return protocol("a body where there is none")
		}
		h.length = 0
	}
	return nil
}

// is compares with a word in lower case.
func is(b []byte, word string) bool {
	return len(b) == len(word) && strings.EqualFold(string(b), word)
}

// find returns the value of a header in head lines; name is in lower case.
func find(lines []byte, name string) string {
	for len(lines) > 0 {
		l := lines
		if i := bytes.IndexByte(lines, '\n'); i >= 0 {
			l, lines = lines[:i], lines[i+1:]
		}
		if len(l) > len(name) && l[len(name)] == ':' && is(l[:len(name)], name) {
			return intern(bytes.Trim(l[len(name)+1:], " \t"))
		}
	}
	return ""
}

// intern saves the copy of the values that nearly every answer has.
func intern(b []byte) string {
	switch string(b) {
	case "application/json":
		return "application/json"
	case "text/event-stream":
		return "text/event-stream"
	case "text/event-stream; charset=utf-8":
		return "text/event-stream; charset=utf-8"
	}
	return string(b)
}
