package job

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// errLost ends the context of a handler whose task another process may have
// by now.
var errLost = errors.New("another process has this task")

// errPanic is how an attempt ends whose handler panicked; the log has more.
var errPanic = errors.New("the handler panicked; the log says where")

// lookLimit bounds one look for work, so that a hanging database does not keep
// Stop waiting.
const lookLimit = 5 * time.Second

func (s *Service) run(loop, tasks context.Context) {
	tick := time.NewTicker(s.policy.Poll)
	defer tick.Stop()
	for {
		if err := s.look(loop, tasks); err != nil && loop.Err() == nil {
			s.log.WarnContext(loop, "looking for jobs failed", "err", err)
		}
		select {
		case <-loop.Done():
			return
		case <-tick.C:
		case <-s.wake:
		}
	}
}

// look enqueues the runs that are due and claims what there is room for.
func (s *Service) look(loop, tasks context.Context) error {
	ctx, cancel := context.WithTimeout(loop, lookLimit)
	defer cancel()
	now := s.now()
	for _, k := range s.known() {
		if err := s.enqueueRun(ctx, k, now); err != nil {
			return err
		}
	}
	due, err := s.store.due(ctx, now)
	if err != nil {
		return err
	}
	for _, name := range due {
		k := s.kind(name)
		if k == nil {
			continue // another process handles it
		}
		room := s.reserve(k)
		claimed, err := s.store.claim(ctx, name, s.node, now, now.Add(s.policy.Claim), room)
		s.release(k, room-len(claimed))
		if err != nil {
			return err
		}
		for _, t := range claimed {
			s.tasks.Go(func() { s.perform(tasks, k, t) })
		}
	}
	return nil
}

// enqueueRun writes the run that is due, unless this process knows that it was
// written.
func (s *Service) enqueueRun(ctx context.Context, k *kind, now time.Time) error {
	if k.schedule.Period == 0 {
		return nil
	}
	due := k.schedule.Last(now)
	if !due.After(k.enqueued) {
		return nil
	}
	if _, err := s.store.addRun(ctx, s.task(k.name, k.name+"@"+due.Format(time.RFC3339), due), now); err != nil {
		return err
	}
	k.enqueued = due // only the loop reads and writes it
	return nil
}

// reserve takes the places that are free for the kind.
func (s *Service) reserve(k *kind) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.policy.AtOnce - s.running
	if own := k.options.AtOnce - k.running; k.options.Apart {
		n = own
	} else if k.options.AtOnce > 0 {
		n = min(n, own)
	}
	n = max(n, 0)
	s.count(k, n)
	return n
}

func (s *Service) release(k *kind, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count(k, -n)
}

// count notes that n more places are taken; s.mu is held.
func (s *Service) count(k *kind, n int) {
	k.running += n
	if !k.options.Apart {
		s.running += n
	}
}

// perform does one task and writes how it ended.
func (s *Service) perform(stop context.Context, k *kind, t Task) {
	defer func() { s.release(k, 1); s.nudge() }()
	if t.Attempt > k.options.Attempts { // its process died each time
		s.end(stop, t, Dead, s.now(), fmt.Sprintf("no attempt of %d came to an end", k.options.Attempts))
		return
	}
	ctx, cancel := context.WithCancelCause(stop)
	renewing := make(chan struct{})
	go func() { defer close(renewing); s.keep(ctx, cancel, t) }()
	err := s.protect(ctx, k.do, t)
	lost := errors.Is(context.Cause(ctx), errLost)
	cancel(nil)
	<-renewing
	switch {
	case lost:
		s.log.WarnContext(stop, "job was taken over", "kind", t.Kind, "id", t.ID)
	case err == nil:
		s.end(stop, t, Done, s.now(), "")
	case stop.Err() != nil:
		ctx, cancel := context.WithTimeout(context.WithoutCancel(stop), lookLimit)
		defer cancel()
		if _, err := s.store.giveBack(ctx, t, s.node); err != nil {
			s.log.WarnContext(ctx, "giving a job back failed", "kind", t.Kind, "id", t.ID, "err", err)
		}
	default:
		s.fail(stop, k, t, err)
	}
}

// protect runs a handler and turns a panic into an error.
func (s *Service) protect(ctx context.Context, do Handler, t Task) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.log.ErrorContext(ctx, "job panicked", "kind", t.Kind, "id", t.ID, "panic", v, "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	return do(ctx, t)
}

// keep renews the claim on t until ctx ends. When it is lost, or could not be
// renewed for as long as it lasts, it ends ctx.
func (s *Service) keep(ctx context.Context, cancel context.CancelCauseFunc, t Task) {
	tick := time.NewTicker(s.policy.Claim / 3)
	defer tick.Stop()
	renewed := time.Now() //nolint:forbidigo // a duration on the monotonic clock
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		began := time.Now() //nolint:forbidigo // as above
		limit, done := context.WithTimeout(ctx, s.policy.Claim/3)
		ours, err := s.store.renew(limit, t, s.node, s.now().Add(s.policy.Claim))
		done()
		switch {
		case err == nil && ours:
			renewed = began
		case err == nil, time.Since(renewed) > s.policy.Claim*2/3:
			cancel(errLost)
			return
		}
	}
}

func (s *Service) fail(ctx context.Context, k *kind, t Task, err error) {
	s.mu.Lock()
	s.failed[t.Kind]++
	s.mu.Unlock()
	now := s.now()
	if _, final := errors.AsType[permanent](err); final || t.Attempt >= k.options.Attempts {
		s.log.ErrorContext(ctx, "job failed for good", "kind", t.Kind, "id", t.ID, "attempt", t.Attempt, "err", err)
		s.end(ctx, t, Dead, now, shown(err))
		return
	}
	pause := jitter(k.options.Pause(t.Attempt))
	s.log.WarnContext(ctx, "job failed and will be tried again", "kind", t.Kind, "id", t.ID, "attempt", t.Attempt, "after", pause, "err", err)
	s.end(ctx, t, Waiting, now.Add(pause), shown(err))
}

// end writes how an attempt ended. When the database does not take it, the
// claim runs out and the task is done again.
func (s *Service) end(ctx context.Context, t Task, state State, due time.Time, text string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookLimit)
	defer cancel()
	ours, err := s.store.end(ctx, t, s.node, state, due, s.now(), text)
	if err != nil {
		s.log.WarnContext(ctx, "writing how a job ended failed", "kind", t.Kind, "id", t.ID, "err", err)
	} else if !ours {
		s.log.WarnContext(ctx, "job ended after it was taken over", "kind", t.Kind, "id", t.ID)
	}
}
