package app

import (
	"net/http"

	"github.com/rephlo/rephlo/internal/obs"
)

// tracer returns what sends traces, or nil where nobody wants them.
func (s *Server) tracer() *obs.Tracer {
	cfg := s.core.Config
	if s.traces != nil || cfg.OTLPEndpoint == "" {
		return s.traces
	}
	header := http.Header{}
	if !cfg.OTLPToken.Empty() {
		header.Set("Authorization", "Bearer "+cfg.OTLPToken.Reveal())
	}
	s.traces = obs.NewTracer(obs.TraceOptions{
		Endpoint: cfg.OTLPEndpoint, Header: header, OneIn: uint64(max(cfg.TraceOneIn, 1)), Version: Version(), Log: s.core.Log,
	})
	s.onStop(s.traces.Stop)
	return s.traces
}
