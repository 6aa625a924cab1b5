package app

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"syscall"
	"time"

	"github.com/rephlo/rephlo/internal/config"
	"github.com/rephlo/rephlo/internal/web"
)

// opsTimeout bounds how long a stop waits for somebody who reads metrics or
// records a profile.
const opsTimeout = time.Second

// listenOps opens the port for operators. When nobody chose it and it is taken,
// as by another server on this machine, the process goes without.
func (s *Server) listenOps(ctx context.Context) error {
	addr := s.core.Config.OpsAddr
	if addr == config.Off {
		return nil
	}
	ops := web.NewServer("operations", addr, s.core.Log)
	err := ops.Listen(ctx)
	if errors.Is(err, syscall.EADDRINUSE) && s.core.Config.Origin("ops_addr").Source == config.SourceDefault {
		s.core.Log.WarnContext(ctx, "no metrics: the port is taken; choose another with ops_addr, or switch it off", "addr", addr)
		return nil
	}
	if err != nil {
		return err
	}
	s.ops = ops
	return nil
}

// serveOps answers operators: metrics, health and profiles.
func (s *Server) serveOps() {
	if s.ops == nil {
		return
	}
	m := http.NewServeMux()
	m.Handle("GET /metrics", s.core.Metrics.Handler())
	m.HandleFunc("GET /debug/pprof/", pprof.Index)
	m.HandleFunc("GET /debug/pprof/cmdline", http.NotFound) // flags may name files with secrets
	m.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	m.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	m.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	s.ops.Serve(named(s.ops.Addr(), m))
	s.core.Log.Info("metrics", "url", "http://"+s.ops.Addr()+"/metrics")
}

// named refuses requests for a name where only this machine can ask: a page in
// a browser here could have its own name point at us.
func named(addr string, next http.Handler) http.Handler {
	if !config.Loopback(addr) {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if host != "localhost" && net.ParseIP(host) == nil {
			http.Error(w, "Ask by the address or as localhost.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// OpsAddr returns where metrics are shown, or "".
func (s *Server) OpsAddr() string {
	if s.ops == nil {
		return ""
	}
	return s.ops.Addr()
}

// stopOps closes the port for operators, the last of all: how the process
// drains can be watched.
func (s *Server) stopOps(ctx context.Context) {
	if s.ops == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, opsTimeout)
	defer cancel()
	_ = s.ops.Stop(ctx) // whoever was cut off can ask again
}
