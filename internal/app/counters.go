package app

import (
	"context"

	"github.com/rephlo/rephlo/internal/cache"
	"github.com/rephlo/rephlo/internal/health"
)

// keptBytes bounds the memory of answers that may be given again.
const keptBytes = 64 << 20

// counters starts what keeps the limits of calls, and answers for a while: by
// itself, or with the Redis that the processes share.
func (s *Server) counters(ctx context.Context) (*cache.Counters, *cache.Kept, error) {
	n := cache.Needs{Log: s.core.Log, Now: s.core.Now, Node: s.node, Nodes: s.domains.Credits.Nodes}
	if url := s.core.Config.RedisURL; !url.Empty() {
		r, err := cache.OpenRedis(url.Reveal(), s.core.Log)
		if err != nil {
			return nil, nil, err
		}
		n.Redis = r
		s.onStop(func(context.Context) error { return r.Close() })
		s.health.Register("counters", func(context.Context) (health.State, string) {
			if r.Up() {
				return health.OK, ""
			}
			return health.Degraded, "Redis does not answer; each server applies its share of the limits"
		})
	}
	c := cache.New(n)
	c.Start(ctx)
	s.onStop(func(context.Context) error { c.Stop(); return nil })
	kept := cache.NewKept(cache.KeptNeeds{Now: s.core.Now, Redis: n.Redis, Box: s.core.Box, Limit: keptBytes})
	return c, kept, nil
}
