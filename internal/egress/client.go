package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// ErrConnect is a connection that could not be made, TLS included.
var ErrConnect = errors.New("cannot connect")

// Options of a Client. The zero value is good.
type Options struct {
	Now     func() time.Time // the real clock: deadlines of connections follow it
	RootCAs *x509.CertPool   // nil: the system's
	IdleFor time.Duration    // how long a connection waits for its next call; 50 s
	MaxIdle int              // connections that wait, per address; 256
}

// maxIdleAll bounds the connections that wait for all addresses together.
const maxIdleAll = 2048

// Client makes calls. It is safe for concurrent use.
type Client struct {
	now      func() time.Time
	roots    *x509.CertPool
	sessions tls.ClientSessionCache
	idleFor  time.Duration
	maxIdle  int

	mu     sync.Mutex
	idle   map[address][]*conn // guarded by mu; the last used at the end
	count  int                 // guarded by mu; of idle
	sweep  *time.Timer         // guarded by mu; nil while nothing is idle
	closed bool                // guarded by mu
}

// NewClient returns a client. Close it to end its idle connections.
func NewClient(o Options) *Client {
	c := &Client{
		now: o.Now, roots: o.RootCAs, idleFor: o.IdleFor, maxIdle: o.MaxIdle,
		sessions: tls.NewLRUClientSessionCache(128), idle: map[address][]*conn{},
	}
	if c.now == nil {
		c.now = time.Now //nolint:forbidigo // the default of an injectable clock
	}
	if c.idleFor <= 0 {
		c.idleFor = 50 * time.Second
	}
	if c.maxIdle <= 0 {
		c.maxIdle = 256
	}
	return c
}

// Close ends the idle connections. Running calls finish, theirs are not kept.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, list := range c.idle {
		for _, cn := range list {
			cn.abort()
		}
	}
	clear(c.idle)
	c.count = 0
	if c.sweep != nil {
		c.sweep.Stop()
		c.sweep = nil
	}
}

// Do sends a request and returns when the head of its answer is there. Every
// status is an answer. The caller reads the body to its end or closes it;
// until then ctx cancels the call by closing its connection. Errors are
// ErrRequest, ErrAddress, ErrConnect, ErrProtocol, a timeout (net.Error), the
// error of ctx, or one of the connection.
func (c *Client) Do(ctx context.Context, req Request) (*Response, error) {
	req.Timeouts = req.withDefaults()
	cn := c.take(req.to)
	if cn != nil {
		res, err := c.exchange(ctx, cn, &req)
		if err == nil || cn.read || !stale(ctx, err) {
			return res, err
		}
		// The server closed the connection while it was idle, which we could
		// not know before we used it. The request was not answered, so it
		// goes out once more on a connection that cannot be old.
	}
	cn, err := c.dial(ctx, &req)
	if err != nil {
		return nil, err
	}
	return c.exchange(ctx, cn, &req)
}

// stale reports whether an error may come from the connection being old.
func stale(ctx context.Context, err error) bool {
	var slow net.Error
	return ctx.Err() == nil && !errors.Is(err, ErrProtocol) && !errors.Is(err, ErrRequest) && (!errors.As(err, &slow) || !slow.Timeout())
}

// exchange sends the request on cn and reads the head of the answer. It owns
// cn: on an error it is closed.
func (c *Client) exchange(ctx context.Context, cn *conn, req *Request) (*Response, error) {
	start := c.now()
	until := start.Add(req.Total)
	first := until
	if req.FirstByte > 0 && req.FirstByte < req.Total {
		first = start.Add(req.FirstByte)
	}
	if err := cn.SetDeadline(first); err != nil {
		cn.abort()
		return nil, ended(ctx, "send request", err)
	}
	stop := context.AfterFunc(ctx, cn.abort)
	failed := func(doing string, err error) (*Response, error) {
		stop()
		cn.abort()
		return nil, ended(ctx, doing, err)
	}
	sent := cn.send(req)
	if errors.Is(sent, ErrRequest) {
		return failed("send request", sent)
	}
	// A server may answer without reading the whole request, and close. What
	// it said explains more than that the rest could not be written.
	h, err := cn.readHead()
	switch {
	case sent != nil && (err != nil || h.status < 400):
		return failed("send request", sent)
	case err != nil:
		return failed("read answer", err)
	}
	h.last = h.last || sent != nil
	res := &Response{Status: h.status, cn: cn}
	res.body = body{client: c, cn: cn, ctx: ctx, stop: stop, head: h, left: h.length, idle: req.Idle, until: until, deadline: first, limit: req.MaxBody}
	if err := res.open(h); err != nil {
		return failed("read answer", err)
	}
	return res, nil
}

// dial makes a connection.
func (c *Client) dial(ctx context.Context, req *Request) (*conn, error) {
	d := net.Dialer{Timeout: req.Connect, Control: control(req.to.private)}
	raw, err := d.DialContext(ctx, "tcp", req.to.hostport)
	if err != nil {
		return nil, connectError(ctx, err)
	}
	cn := &conn{Conn: raw, raw: raw, to: req.to, buf: make([]byte, bufferSize)}
	if req.to.serverName == "" {
		return cn, nil
	}
	secure := tls.Client(raw, &tls.Config{
		ServerName: req.to.serverName, RootCAs: c.roots, ClientSessionCache: c.sessions,
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, Time: c.now,
	})
	limited, cancel := context.WithTimeout(ctx, req.TLS)
	defer cancel()
	if err := secure.HandshakeContext(limited); err != nil {
		cn.abort()
		return nil, connectError(ctx, err)
	}
	cn.Conn = secure
	return cn, nil
}

func connectError(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		return fmt.Errorf("connect: %w", cause)
	}
	return fmt.Errorf("%w: %w", ErrConnect, err)
}
