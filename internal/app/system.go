package app

import (
	"context"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/system"
)

// systemAPI shows how the installation is.
func (s *Server) systemAPI() system.AdminAPI {
	a := system.AdminAPI{System: s.system, Counters: "process", Parts: s.partStates, Queues: s.queues, Waiting: s.approvalsWaiting}
	if !s.core.Config.RedisURL.Empty() {
		a.Counters = "redis"
	}
	return a
}

func (s *Server) partStates(ctx context.Context) map[string]string {
	out := map[string]string{}
	for name, state := range s.health.Report(ctx).Parts {
		out[name] = string(state)
	}
	return out
}

func (s *Server) queues(ctx context.Context) ([]system.Queue, error) {
	kinds, err := s.core.Jobs.Statuses(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]system.Queue, 0, len(kinds))
	for _, k := range kinds {
		out = append(out, system.Queue{Kind: k.Name, Waiting: int64(k.Waiting), Dead: int64(k.Dead), Lag: k.Lag.Seconds()})
	}
	return out, nil
}

// approvalsWaiting counts what the administrator who asks could decide.
func (s *Server) approvalsWaiting(ctx context.Context) (int, error) {
	a, err := access.From(ctx)
	if err != nil {
		return 0, err
	}
	n, _, err := s.domains.Approvals.Waiting(ctx, a)
	return n, err
}
