package egress_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rephlo/rephlo/internal/egress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newClient(t testing.TB, o egress.Options) *egress.Client {
	c := egress.NewClient(o)
	t.Cleanup(c.Close)
	return c
}

func template(t testing.TB, url string) *egress.Template {
	t.Helper()
	tpl, err := egress.NewTemplate("POST", url, true, egress.Field{Name: "Accept", Value: "*/*"})
	if err != nil {
		t.Fatal(err)
	}
	return tpl
}

// rawServer answers each request of each connection with what reply returns;
// "" closes the connection without an answer. It counts the connections.
func rawServer(t testing.TB, reply func(conn, request int) string) (url string, conns *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	conns = new(atomic.Int64)
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n := int(conns.Add(1))
			wg.Go(func() { answer(c, n, reply) })
		}
	})
	return "http://" + l.Addr().String() + "/x", conns
}

func answer(c net.Conn, n int, reply func(conn, request int) string) {
	defer c.Close()
	br := bufio.NewReader(c)
	for i := 1; ; i++ {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		text := reply(n, i)
		if text == "" {
			return
		}
		text, last := strings.CutSuffix(text, "<close>")
		if _, err := io.WriteString(c, text); err != nil || last {
			return
		}
	}
}

func do(t testing.TB, c *egress.Client, req egress.Request) (int, string, error) {
	t.Helper()
	res, err := c.Do(t.Context(), req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.Status, string(b), err
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"with a length": ok,
		"with chunks":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\no\r\n1\r\nk\r\n0\r\nTrailer: x\r\n\r\n",
		"interim first": "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, conns := rawServer(t, func(int, int) string { return text })
			c := newClient(t, egress.Options{})
			for range 5 {
				if status, body, err := do(t, c, egress.Request{Template: template(t, url), Body: [][]byte{[]byte("a"), []byte("b")}}); status != 200 || body != "ok" || err != nil {
					t.Fatalf("got %d %q %v", status, body, err)
				}
			}
			if n := conns.Load(); n != 1 {
				t.Errorf("%d connections, want 1", n)
			}
		})
	}
}

func TestConnectionsThatEndAreNotUsedAgain(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"said so":       "HTTP/1.1 200 OK\r\nConnection: keep-alive, Close\r\nContent-Length: 2\r\n\r\nok",
		"old":           "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"until the end": "HTTP/1.1 200 OK\r\n\r\nok<close>",
		"says too much": ok + "HTTP/1.1 200 OK\r\n",
		"a short while": "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, conns := rawServer(t, func(int, int) string { return text })
			c := newClient(t, egress.Options{})
			for range 2 {
				if _, body, err := do(t, c, egress.Request{Template: template(t, url)}); body != "ok" || err != nil {
					t.Fatalf("got %q %v", body, err)
				}
			}
			if n := conns.Load(); n != 2 {
				t.Errorf("%d connections, want 2", n)
			}
		})
	}
}

// A connection that the server closed while it was idle costs the caller
// nothing; one that breaks in an answer does.
func TestAStaleConnectionIsReplacedOnce(t *testing.T) {
	t.Parallel()
	t.Run("closed when used again", func(t *testing.T) {
		t.Parallel()
		url, conns := rawServer(t, func(_, request int) string {
			if request == 1 {
				return ok
			}
			return ""
		})
		c := newClient(t, egress.Options{})
		for range 4 {
			if _, body, err := do(t, c, egress.Request{Template: template(t, url), Body: [][]byte{[]byte("x")}}); body != "ok" || err != nil {
				t.Fatalf("got %q %v", body, err)
			}
		}
		if n := conns.Load(); n != 4 {
			t.Errorf("%d connections, want 4", n)
		}
	})
	t.Run("closed at once", func(t *testing.T) {
		t.Parallel()
		url, conns := rawServer(t, func(int, int) string { return "" })
		c := newClient(t, egress.Options{})
		if _, _, err := do(t, c, egress.Request{Template: template(t, url)}); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v", err)
		}
		if n := conns.Load(); n != 1 {
			t.Errorf("%d connections, want 1: a fresh one is not tried again", n)
		}
	})
	t.Run("broken after a byte", func(t *testing.T) {
		t.Parallel()
		url, conns := rawServer(t, func(_, request int) string {
			if request == 1 {
				return ok
			}
			return "H<close>"
		})
		c := newClient(t, egress.Options{})
		_, _, _ = do(t, c, egress.Request{Template: template(t, url)})
		if _, _, err := do(t, c, egress.Request{Template: template(t, url)}); err == nil {
			t.Error("no error")
		}
		if n := conns.Load(); n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
	})
}

func TestAnswersThatAreRefused(t *testing.T) {
	t.Parallel()
	head := "HTTP/1.1 200 OK\r\n"
	for name, text := range map[string]string{
		"no HTTP":              "SSH-2.0-OpenSSH\r\n\r\n",
		"HTTP/2":               "HTTP/2.0 200 OK\r\n\r\n",
		"a status of two":      "HTTP/1.1 20 OK\r\n\r\n",
		"bare LF":              "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
		"bare LF later":        head + "Content-Length: 0\nX: y\r\n\r\n",
		"CR inside":            head + "X: a\rb\r\n\r\n",
		"a folded line":        head + "X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
		"a space before colon": head + "Content-Length : 2\r\n\r\nok",
		"no name":              head + ": x\r\n\r\n",
		"two lengths":          head + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
		"a list of lengths":    head + "Content-Length: 2, 2\r\n\r\nok",
		"a signed length":      head + "Content-Length: +2\r\n\r\nok",
		"a negative length":    head + "Content-Length: -2\r\n\r\nok",
		"an empty length":      head + "Content-Length:\r\n\r\n",
		"length and chunks":    head + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunks and length":    head + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
		"chunked twice":        head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"gzip and chunked":     head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"brotli":               head + "Content-Encoding: br\r\nContent-Length: 2\r\n\r\nok",
		"switching":            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"too many interim":     strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 6) + ok,
		"a long head":          head + "X: " + strings.Repeat("a", 33<<10) + "\r\n\r\n",
		"many headers":         head + strings.Repeat("X: "+strings.Repeat("a", 1000)+"\r\n", 33) + "\r\n",
		"a malformed chunk":    head + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"a negative chunk":     head + "Transfer-Encoding: chunked\r\n\r\n-1\r\n",
		"an empty chunk size":  head + "Transfer-Encoding: chunked\r\n\r\n\r\n",
		"a huge chunk":         head + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
		"a long chunk line":    head + "Transfer-Encoding: chunked\r\n\r\n2;" + strings.Repeat("x", 256) + "\r\nok\r\n0\r\n\r\n",
		"a chunk line with LF": head + "Transfer-Encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n",
		"a chunk that is long": head + "Transfer-Encoding: chunked\r\n\r\n2\r\noky\r\n0\r\n\r\n",
		"a malformed trailer":  head + "Transfer-Encoding: chunked\r\n\r\n0\r\nno trailer\r\n\r\n",
		"trailers without end": head + "Transfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("A: b\r\n", 40) + "\r\n",
		"a body too large":     head + "Content-Length: 2000\r\n\r\n" + strings.Repeat("x", 2000),
		"a body where none is": "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok",
		"gzip that is not":     head + "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, _ := rawServer(t, func(int, int) string { return text + "<close>" })
			c := newClient(t, egress.Options{})
			if _, body, err := do(t, c, egress.Request{Template: template(t, url), MaxBody: 1000}); !errors.Is(err, egress.ErrProtocol) {
				t.Errorf("got %q, %v", body, err)
			}
		})
	}
}

func TestACutBodyIsAnError(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
	} {
		url, _ := rawServer(t, func(int, int) string { return text + "<close>" })
		_, body, err := do(t, newClient(t, egress.Options{}), egress.Request{Template: template(t, url)})
		if !errors.Is(err, io.ErrUnexpectedEOF) || body != "ok" {
			t.Errorf("%q: got %q, %v", text, body, err)
		}
	}
}

func TestPhasesTimeOut(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			_, _ = io.WriteString(w, "ok")
			_ = http.NewResponseController(w).Flush()
		}
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer srv.Close()
	defer close(hang)
	for name, tt := range map[string]struct {
		path string
		t    egress.Timeouts
	}{
		"first byte": {"/head", egress.Timeouts{FirstByte: 30 * time.Millisecond}},
		"total":      {"/head", egress.Timeouts{Total: 30 * time.Millisecond}},
		"idle":       {"/body", egress.Timeouts{FirstByte: 5 * time.Second, Idle: 30 * time.Millisecond}},
		"total body": {"/body", egress.Timeouts{FirstByte: 5 * time.Second, Total: 60 * time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := do(t, newClient(t, egress.Options{}), egress.Request{Template: template(t, srv.URL+tt.path), Timeouts: tt.t})
			var slow net.Error
			if !errors.As(err, &slow) || !slow.Timeout() {
				t.Errorf("got %v, want a timeout", err)
			}
		})
	}
}

// The end of the context ends the call, in every phase, and its connection.
func TestCancelClosesTheConnection(t *testing.T) {
	t.Parallel()
	arrived, gone := make(chan struct{}), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			_, _ = io.WriteString(w, "ok")
			_ = http.NewResponseController(w).Flush()
		}
		arrived <- struct{}{}
		<-r.Context().Done()
		gone <- struct{}{}
	}))
	defer srv.Close()
	c := newClient(t, egress.Options{})
	for _, path := range []string{"/head", "/body"} {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			<-arrived
			cancel()
		})
		res, err := c.Do(ctx, egress.Request{Template: template(t, srv.URL+path)})
		if err == nil {
			_, err = io.ReadAll(res.Body)
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", path, err)
		}
		<-gone // the server sees that the connection is closed
		wg.Wait()
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Do(done, egress.Request{Template: template(t, srv.URL)}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Closing a body early closes the connection, unless the caller knows that the
// content has ended.
func TestCloseBeforeTheEnd(t *testing.T) {
	t.Parallel()
	url, conns := rawServer(t, func(int, int) string {
		return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
	})
	c := newClient(t, egress.Options{})
	call := func(done bool) {
		res, err := c.Do(t.Context(), egress.Request{Template: template(t, url)})
		if err != nil {
			t.Fatal(err)
		}
		var b [2]byte
		if _, err := io.ReadFull(res.Body, b[:]); err != nil {
			t.Fatal(err)
		}
		if done {
			res.Body.Done()
		}
		_ = res.Body.Close()
		_ = res.Body.Close()
		if _, err := res.Body.Read(b[:]); err == nil {
			t.Error("a closed body can be read")
		}
	}
	call(true)
	call(true)
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	call(false)
	call(true)
	if n := conns.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

func TestCompressedAnswersAreDecoded(t *testing.T) {
	t.Parallel()
	want := strings.Repeat("data: {}\n\n", 10_000)
	var conns sync.Map
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conns.Store(r.RemoteAddr, true)
		w.Header().Set("Content-Encoding", "gzip")
		zw := gzip.NewWriter(w)
		_, _ = io.WriteString(zw, want)
		_ = zw.Close()
	}))
	defer srv.Close()
	c := newClient(t, egress.Options{})
	for range 3 {
		if _, got, err := do(t, c, egress.Request{Template: template(t, srv.URL)}); got != want || err != nil {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
	}
	n := 0
	conns.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	if _, _, err := do(t, c, egress.Request{Template: template(t, srv.URL), MaxBody: 1000}); !errors.Is(err, egress.ErrProtocol) {
		t.Errorf("an answer that is large when decoded: %v", err)
	}
}

// All bytes arrive, whatever their number and however the body is cut up, and
// at the same time as others.
func TestBodiesArriveWhole(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if len(b)%2 == 0 {
			_ = http.NewResponseController(w).Flush() // chunks
		}
		for len(b) > 0 {
			n := min(len(b), 1+len(b)/3)
			_, _ = w.Write(b[:n])
			b = b[n:]
		}
	}))
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	c := newClient(t, egress.Options{RootCAs: roots})
	var wg sync.WaitGroup
	for i, size := range []int{0, 1, 100, 16 << 10, 16<<10 + 1, 64 << 10, 108 << 10, 1 << 20, 5<<20 + 3} {
		wg.Go(func() {
			body := bytes.Repeat([]byte{byte('a' + i)}, size)
			_, got, err := do(t, c, egress.Request{Template: template(t, srv.URL), Body: [][]byte{body[:size/2], body[size/2:]}})
			if err != nil || sha256.Sum256([]byte(got)) != sha256.Sum256(body) {
				t.Errorf("%d bytes: %v, got %d", size, err, len(got))
			}
		})
	}
	wg.Wait()
	strict := newClient(t, egress.Options{})
	if _, _, err := do(t, strict, egress.Request{Template: template(t, srv.URL)}); !errors.Is(err, egress.ErrConnect) {
		t.Errorf("an unknown certificate: %v", err)
	}
}

// A server that refuses a large body without reading it is heard.
func TestAnEarlyAnswerIsHeard(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = c.Read(make([]byte, 1024))
		_, _ = io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
		time.Sleep(50 * time.Millisecond) // let the answer arrive before the reset
		_ = c.Close()
	})
	status, _, err := do(t, newClient(t, egress.Options{}), egress.Request{Template: template(t, "http://"+l.Addr().String()), Body: [][]byte{make([]byte, 32<<20)}})
	_ = l.Close()
	wg.Wait()
	if status != 413 && err == nil {
		t.Errorf("got %d, %v", status, err)
	}
}

func TestPrivateAddressesAreRefused(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()
	c := newClient(t, egress.Options{})
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "169.254.169.254"} {
		tpl, err := egress.NewTemplate("POST", "https://"+host+":"+port, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := do(t, c, egress.Request{Template: tpl}); !errors.Is(err, egress.ErrAddress) {
			t.Errorf("%s: got %v", host, err)
		}
	}
}

func TestTemplatesThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"http://example.com", "ftp://example.com", "//example.com", "https://", "https://u:p@example.com", "https://example.com/#x", "https://exämple.com", ":", "https://example.com\r\nX: y"} {
		if _, err := egress.NewTemplate("POST", url, false); !errors.Is(err, egress.ErrRequest) {
			t.Errorf("%s: got %v", url, err)
		}
	}
	url, conns := rawServer(t, func(int, int) string { return ok })
	c := newClient(t, egress.Options{}) // ends first, and with it the server's connections
	for _, f := range []egress.Field{{Name: "X", Value: "a\r\nY: b"}, {Name: "X\n", Value: "a"}, {Name: "", Value: "a"}, {Name: "X", Value: "a\x00"}, {Name: "X Y", Value: "a"}} {
		if _, _, err := do(t, c, egress.Request{Template: template(t, url), Header: []egress.Field{f}}); !errors.Is(err, egress.ErrRequest) {
			t.Errorf("%q: got %v", f, err)
		}
	}
	if _, _, err := do(t, c, egress.Request{Template: template(t, url)}); err != nil || conns.Load() == 0 {
		t.Errorf("after them: %v", err)
	}
}

func TestIdleConnectionsEnd(t *testing.T) {
	t.Parallel()
	url, conns := rawServer(t, func(int, int) string { return ok })
	var now atomic.Int64
	start := time.Now()
	c := newClient(t, egress.Options{Now: func() time.Time { return start.Add(time.Duration(now.Load())) }, IdleFor: 50 * time.Second, MaxIdle: 2})
	call := func() { _, _, _ = do(t, c, egress.Request{Template: template(t, url)}) }
	call()
	now.Store(int64(49 * time.Second))
	call()
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections after 49 s, want 1", n)
	}
	now.Store(int64(100 * time.Second))
	call()
	if n := conns.Load(); n != 2 {
		t.Errorf("%d connections after 51 s more, want 2", n)
	}
}

// FuzzResponse compares with net/http: what we take, it takes too, and reads
// the same from it.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		ok, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n" + ok,
		"HTTP/1.0 200 OK\r\n\r\nok", "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\n folded\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a\r\nok\r\n0\r\nA: b\r\n\r\n",
	} {
		f.Add([]byte(s), uint8(1))
	}
	f.Fuzz(func(t *testing.T, in []byte, size uint8) {
		status, body, err := egress.ParseResponse(in, int(size)+1)
		if err != nil {
			return
		}
		br := bufio.NewReader(bytes.NewReader(in))
		for {
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatalf("took %q, net/http says %v", in, err)
			}
			if res.StatusCode < 200 {
				continue
			}
			want, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if res.StatusCode != status || err != nil || !bytes.Equal(want, body) {
				t.Fatalf("read %d %q from %q, net/http %d %q %v", status, body, in, res.StatusCode, want, err)
			}
			return
		}
	})
}

// benchmark reports the CPU of the call and of a server that costs next to
// nothing, which is the same for both clients.
func benchmark(b *testing.B, size int, call func(url string, body []byte) error) {
	url := cheapServer(b)
	body := make([]byte, size)
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		if err := call(url, body); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
}

func cpu() int64 {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return r.Utime.Nano() + r.Stime.Nano()
}

// cheapServer answers every request with a kilobyte.
func cheapServer(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: req_0123456789\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("x", 1024))
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 256<<10)
				n := 0
				for {
					m, err := c.Read(buf[n:])
					if err != nil {
						return
					}
					n += m
					head, length := bytes.Index(buf[:n], []byte("\r\n\r\n")), 0
					if head < 0 {
						continue
					}
					at := bytes.Index(buf[:head], []byte("Content-Length: "))
					_, _ = fmt.Sscan(string(buf[at+16:head]), &length)
					if n == head+4+length {
						n = 0
						_, _ = c.Write(answer)
					}
				}
			}()
		}
	}()
	return "http://" + l.Addr().String() + "/v1/chat/completions"
}

func BenchmarkCall(b *testing.B) {
	for _, size := range []int{1 << 10, 108 << 10} {
		b.Run(fmt.Sprintf("egress/%dKB", size>>10), func(b *testing.B) {
			c := newClient(b, egress.Options{})
			var tpl *egress.Template
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			buf := make([]byte, 2048)
			benchmark(b, size, func(url string, body []byte) error {
				if tpl == nil {
					tpl = template(b, url)
				}
				res, err := c.Do(ctx, egress.Request{Template: tpl, Body: [][]byte{body}})
				if err != nil {
					return err
				}
				_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{res.Body}, buf)
				_ = res.Body.Close()
				return err
			})
		})
		b.Run(fmt.Sprintf("http/%dKB", size>>10), func(b *testing.B) {
			tr := &http.Transport{DisableCompression: true}
			defer tr.CloseIdleConnections()
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			buf := make([]byte, 2048)
			benchmark(b, size, func(url string, body []byte) error {
				req, err := http.NewRequestWithContext(ctx, "POST", url, bytes.NewReader(body))
				if err != nil {
					return err
				}
				req.Header.Set("Accept", "*/*")
				res, err := tr.RoundTrip(req)
				if err != nil {
					return err
				}
				_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{res.Body}, buf)
				_ = res.Body.Close()
				return err
			})
		})
	}
}
