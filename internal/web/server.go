package web

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Server is one listener and its handler.
type Server struct {
	Name     string
	http     *http.Server
	listener net.Listener
	serving  bool
	done     chan error
}

// NewServer returns a Server for addr that has not begun to listen.
func NewServer(name, addr string, logger *slog.Logger) *Server {
	return &Server{Name: name, done: make(chan error, 1), http: &http.Server{
		Addr:              addr,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    4 * maxHeaders, // the Mux refuses above its limit in the route's shape; this bounds memory
		ErrorLog:          log.New(quiet{logger}, "", 0),
	}}
}

// Listen opens the port. Requests wait until Serve.
func (s *Server) Listen(ctx context.Context) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.http.Addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	s.listener = l
	return nil
}

// Addr returns the address that Listen opened; with port 0 it says which.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Serve answers requests with h in the background until Stop.
func (s *Server) Serve(h http.Handler) {
	s.http.Handler = h
	s.serving = true
	go func() { s.done <- s.http.Serve(s.listener) }()
}

// Done gives the error that ended Serve: http.ErrServerClosed after Stop.
func (s *Server) Done() <-chan error { return s.done }

// Stop closes the listener and waits for running requests until ctx ends; then
// it cuts them. It may be called twice.
func (s *Server) Stop(ctx context.Context) error {
	if !s.serving {
		if s.listener != nil {
			_ = s.listener.Close() // nothing was answered yet
		}
		return nil
	}
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	return err
}

// quiet passes what net/http complains about to our log, at debug level: it is
// about clients' connections.
type quiet struct{ log *slog.Logger }

func (q quiet) Write(b []byte) (int, error) {
	q.log.DebugContext(context.Background(), "http server", "text", string(b))
	return len(b), nil
}
