package app

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rephlo/rephlo/internal/job"
	"github.com/rephlo/rephlo/internal/setting"
)

// chore is a task that every process repeats for itself, because it also
// refreshes what the process keeps in memory.
type chore struct {
	name  string
	every time.Duration
	do    func(context.Context) error
}

// expireBatch is how many grants one transaction expires.
const expireBatch = 1000

// expireAfter is how long what has expired, and cannot be used any more, stays
// in its grant: the end of a credit cycle rolls a part of it over, and an unpaid
// renewal brings it back.
const expireAfter = time.Hour

// jobPatience is how long running jobs have at a stop before they are cut off;
// another process, or the next start, does them again.
const jobPatience = 10 * time.Second

// schedule says what one process among all does, and when (UTC).
func (s *Server) schedule() {
	core, d, jobs := s.core, s.domains, s.core.Jobs
	jobs.Schedule("account.sweep", job.Every{Period: time.Hour}, d.Accounts.Sweep)
	jobs.Schedule("access.expire", job.Every{Period: time.Minute}, func(ctx context.Context) error {
		return errors.Join(d.Roles.Expire(ctx), d.Accounts.EndSuspensions(ctx), d.Approvals.Expire(ctx))
	})
	jobs.Schedule("audit.checkpoint", job.Every{Period: time.Hour}, core.Audit.Checkpoint)
	jobs.Schedule("audit.verify", job.Every{Period: 24 * time.Hour, Offset: 3 * time.Hour}, core.Audit.Check)
	jobs.Schedule("audit.prune", job.Every{Period: 24 * time.Hour, Offset: 4*time.Hour + 30*time.Minute}, func(ctx context.Context) error {
		_, err := core.Audit.Prune(ctx, core.Now().AddDate(-int(setting.AuditYears.Of(core.Settings)), 0, 0))
		return err
	})
	jobs.Schedule("idempotency.cleanup", job.Every{Period: time.Hour, Offset: 11 * time.Minute}, s.keys.Sweep)
	jobs.Schedule("branding.cleanup", job.Every{Period: time.Hour, Offset: 29 * time.Minute}, s.branding.Sweep)
	jobs.Schedule("capture.cleanup", job.Every{Period: time.Hour, Offset: 37 * time.Minute}, d.Captures.Sweep)
	jobs.Schedule("limit.sweep", job.Every{Period: 24 * time.Hour, Offset: 4 * time.Hour}, d.Limits.Sweep)
	jobs.Schedule("mfa.sweep", job.Every{Period: time.Hour}, d.Factors.Sweep)
	jobs.Schedule("usage.summarise", job.Every{Period: 5 * time.Minute}, d.Usage.Summarise)
	jobs.Schedule("usage.rebuild", job.Every{Period: 24 * time.Hour, Offset: 3 * time.Hour}, d.Usage.Rebuild)
	jobs.Schedule("subscription.due", job.Every{Period: 5 * time.Minute}, d.Plans.Due)
	jobs.Schedule("tier.rollout", job.Every{Period: time.Minute, Offset: 20 * time.Second}, func(ctx context.Context) error {
		return d.Levels.RollOut(ctx, d.Plans.RollOut(d.tellPrice(core)))
	})
	jobs.Schedule("credit.expire", job.Every{Period: 5 * time.Minute}, func(ctx context.Context) error {
		for {
			n, err := d.Credits.Expire(ctx, core.Now().Add(-expireAfter), expireBatch)
			if err != nil || n < expireBatch {
				return err
			}
		}
	})
	jobs.Schedule("credit.alert", job.Every{Period: 5 * time.Minute, Offset: 2 * time.Minute}, func(ctx context.Context) error {
		return d.Credits.TellUse(ctx, d.used(core))
	})
	jobs.Schedule("credit.root", job.Every{Period: time.Hour, Offset: 5 * time.Minute}, func(ctx context.Context) error {
		_, err := d.Credits.SignRoots(ctx, core.Now())
		return err
	})
	// After two the roots of the day before are signed, and few calls run.
	jobs.Schedule("credit.reconcile", job.Every{Period: 24 * time.Hour, Offset: 2 * time.Hour}, func(ctx context.Context) error {
		return verifyLedger(ctx, core, d.Credits)
	})
}

// startHousekeeping repeats the chores until the server stops. A failure is
// logged and tried again at the next turn.
func (s *Server) startHousekeeping(ctx context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	for _, c := range s.chores {
		wg.Go(func() { s.repeat(ctx, c) })
	}
	wg.Go(func() { s.domains.Trail.Run(ctx) })
	wg.Go(func() { s.domains.Captures.Run(ctx) })
	s.core.Jobs.Schedule("account.trail", job.Every{Period: 24 * time.Hour}, s.domains.Trail.Sweep)
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
