package app

import (
	"context"
	"sync"
	"time"
)

// chore is work that is done again and again.
type chore struct {
	name  string
	every time.Duration
	do    func(context.Context) error
}

// expireBatch bounds how many grants one transaction expires.
const expireBatch = 1000

func (s *Server) startHousekeeping(ctx context.Context) {
	chores := append(s.chores,
		chore{"account.sweep", time.Hour, s.domains.Accounts.Sweep},
		chore{"credit.expire", 5 * time.Minute, func(ctx context.Context) error {
			_, err := s.domains.Credits.Expire(ctx, s.core.Now(), expireBatch)
			return err
		}},
		chore{"credit.root", time.Minute, func(ctx context.Context) error {
			_, err := s.domains.Credits.SignRoots(ctx, s.core.Now())
			return err
		}},
		chore{"credit.reconcile", time.Hour, s.nightly()})
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	for _, c := range chores {
		wg.Go(func() { s.repeat(ctx, c) })
	}
	s.onStop(func(context.Context) error { cancel(); wg.Wait(); return nil })
}

func (s *Server) repeat(ctx context.Context, c chore) {
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := c.do(ctx); err != nil && ctx.Err() == nil {
			s.core.Log.WarnContext(ctx, "housekeeping failed", "chore", c.name, "err", err)
		}
	}
}
