package egress

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ErrRequest is a call that cannot be sent as it is: its URL or a header is
// malformed.
var ErrRequest = errors.New("request cannot be sent")

// Timeouts bound the phases of a call. Zero means 3 s for Connect and TLS,
// 10 min for Total and no limit of their own for FirstByte and Idle.
type Timeouts struct {
	Connect   time.Duration
	TLS       time.Duration
	FirstByte time.Duration // from the request to the answer's head
	Idle      time.Duration // between two reads of the body
	Total     time.Duration // from the request to the end of the body
}

func (t Timeouts) withDefaults() Timeouts {
	if t.Connect <= 0 {
		t.Connect = 3 * time.Second
	}
	if t.TLS <= 0 {
		t.TLS = 3 * time.Second
	}
	if t.Total <= 0 {
		t.Total = 10 * time.Minute
	}
	return t
}

// Field is a header.
type Field struct{ Name, Value string }

// Template is the part of a request that all calls to an endpoint share. It is
// immutable.
type Template struct {
	to   address
	head []byte // request line, Host and fixed headers
}

// address is what a connection is good for.
type address struct {
	hostport   string
	serverName string // of TLS; empty is plain
	private    bool
}

// NewTemplate prepares requests to a URL. The scheme is https, or http when
// private addresses are allowed: credentials do not cross the internet in the
// clear.
func NewTemplate(method, rawURL string, allowPrivate bool, fixed ...Field) (*Template, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("%w: the URL is malformed", ErrRequest) // err repeats the URL
	}
	t := &Template{to: address{private: allowPrivate}}
	port := u.Port()
	switch {
	case u.User != nil || u.Fragment != "" || u.Opaque != "" || u.Hostname() == "":
		return nil, fmt.Errorf("%w: the URL needs a host and no user or fragment", ErrRequest)
	case u.Scheme == "https":
		t.to.serverName = u.Hostname()
		if port == "" {
			port = "443"
		}
	case u.Scheme == "http" && allowPrivate:
		if port == "" {
			port = "80"
		}
	default:
		return nil, fmt.Errorf("%w: the URL must begin with https://", ErrRequest)
	}
	t.to.hostport = net.JoinHostPort(u.Hostname(), port)
	t.head = append(t.head, method+" "+u.RequestURI()+" HTTP/1.1\r\nHost: "+u.Host+"\r\n"...)
	for _, r := range t.head {
		if r > '~' {
			return nil, fmt.Errorf("%w: the URL has characters outside ASCII", ErrRequest)
		}
	}
	t.head, err = appendFields(t.head, fixed)
	return t, err
}

// Host returns the name or address that is called.
func (t *Template) Host() string {
	host, _, _ := net.SplitHostPort(t.to.hostport) // joined above
	return host
}

// Request is one call. Body is sent as it is, in order, and must not change
// until Do returns.
type Request struct {
	*Template
	Header []Field
	Body   [][]byte
	Timeouts
	// MaxBody bounds the answer's decoded body; 0 does not.
	MaxBody int64
}

func (r *Request) size() (n int) {
	for _, p := range r.Body {
		n += len(p)
	}
	return n
}

// appendHead appends the request's head to b.
func (r *Request) appendHead(b []byte) ([]byte, error) {
	b, err := appendFields(append(b, r.head...), r.Header)
	if err != nil {
		return nil, err
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(r.size()), 10)
	return append(b, "\r\n\r\n"...), nil
}

func appendFields(b []byte, fields []Field) ([]byte, error) {
	for _, f := range fields {
		if !isName(f.Name) || !isValue(f.Value) {
			return nil, fmt.Errorf("%w: header %q is malformed", ErrRequest, f.Name)
		}
		b = append(b, f.Name...)
		b = append(b, ": "...)
		b = append(b, f.Value...)
		b = append(b, "\r\n"...)
	}
	return b, nil
}

// isName checks for the token of RFC 9110 section 5.6.2.
func isName[T string | []byte](s T) bool {
	for i := range len(s) {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return len(s) > 0
}

// isValue checks for the field value of RFC 9110 section 5.5.
func isValue[T string | []byte](s T) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
