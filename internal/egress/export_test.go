package egress

import (
	"bytes"
	"context"
	"io"
	"net"
	"time"
)

// ParseResponse reads one answer from b, size bytes at a time.
func ParseResponse(b []byte, size int) (status int, content []byte, err error) {
	c := NewClient(Options{})
	defer c.Close()
	raw := &fakeConn{r: bytes.NewReader(b), size: size}
	res, err := c.exchange(context.Background(), &conn{Conn: raw, raw: raw, buf: make([]byte, 64)}, &Request{Template: &Template{}, Timeouts: Timeouts{}.withDefaults()})
	if err != nil {
		return 0, nil, err
	}
	if _, ok := res.Body.(*unzipped); ok {
		return 0, nil, ErrProtocol // not what is compared
	}
	content, err = io.ReadAll(res.Body)
	return res.Status, content, err
}

// fakeConn reads from memory and forgets what is written.
type fakeConn struct {
	net.Conn
	r    *bytes.Reader
	size int
}

func (c *fakeConn) Read(p []byte) (int, error)      { return c.r.Read(p[:min(len(p), c.size)]) }
func (c *fakeConn) Write(p []byte) (int, error)     { return len(p), nil }
func (c *fakeConn) Close() error                    { return nil }
func (c *fakeConn) SetDeadline(time.Time) error     { return nil }
func (c *fakeConn) SetReadDeadline(time.Time) error { return nil }
func (c *fakeConn) LocalAddr() net.Addr             { return nil }

// AnyPort lets f try other ports than 443; before the first fetch.
func (f *Images) AnyPort() { f.own = true }

// Allows is allows.
func (f *Images) Allows(address string) bool { return f.allows(address) }
