package llmtest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// Request is a request that a Server received.
type Request struct {
	Method, Path, Query string
	Header              http.Header
	Body                []byte
}

// Server is a fake of OpenAI's service. It is safe for concurrent use.
type Server struct {
	// URL is the base URL for a target, "/v1" included.
	URL string

	http *httptest.Server
	gone chan struct{}

	mu       sync.Mutex
	requests []Request // guarded by mu
	replies  []Reply   // guarded by mu
	canceled int       // guarded by mu
}

// Start starts a Server for a program; a test uses NewOpenAI. Close it.
func Start() *Server {
	s := &Server{gone: make(chan struct{})}
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	s.URL = s.http.URL + "/v1"
	return s
}

// NewOpenAI starts a Server that ends with the test.
func NewOpenAI(t testing.TB) *Server {
	t.Helper()
	s := Start()
	t.Cleanup(s.Close)
	return s
}

// Close ends the Server and every reply that hangs.
func (s *Server) Close() {
	close(s.gone)
	s.http.CloseClientConnections()
	s.http.Close()
}

// Answer sets how the next requests are answered, one reply each; the last one
// stays. Without replies a request is answered with Hello.
func (s *Server) Answer(replies ...Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replies = replies
}

// Requests returns what was received so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// Hits returns how many requests were received.
func (s *Server) Hits() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

// Canceled returns how many requests the client gave up before their end.
func (s *Server) Canceled() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.canceled
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	reply := s.record(Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Header: r.Header.Clone(), Body: body})
	reply(Call{W: w, R: r, Body: body, Gone: s.gone})
	if r.Context().Err() != nil {
		s.mu.Lock()
		s.canceled++
		s.mu.Unlock()
	}
}

func (s *Server) record(r Request) Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
	if len(s.replies) == 0 {
		return Hello
	}
	reply := s.replies[0]
	if len(s.replies) > 1 {
		s.replies = s.replies[1:]
	}
	return reply
}

// Call is one request to answer.
type Call struct {
	W    http.ResponseWriter
	R    *http.Request
	Body []byte
	Gone <-chan struct{} // closed when the Server ends
}

// Streaming reports whether the request asks for a stream.
func (c Call) Streaming() bool { return bytes.Contains(c.Body, []byte(`"stream":true`)) }

// Reply answers one request.
type Reply func(c Call)
