package health

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// State is how well a part works.
type State string

// The states, from good to bad.
const (
	OK       State = "ok"
	Degraded State = "degraded" // it works, with less
	Down     State = "down"     // requests that need it fail
)

// Check says how a part is; the reason goes to the log when the state changes.
// It must return soon after ctx ends.
type Check func(ctx context.Context) (state State, reason string)

const (
	checkTimeout = 2 * time.Second
	keptFor      = time.Second
)

// Report is the outcome of all checks.
type Report struct {
	State    State
	Draining bool
	Parts    map[string]State
}

// Ready reports whether the process should be sent requests.
func (r Report) Ready() bool { return !r.Draining && r.State != Down }

// Health holds the checks. It is safe for concurrent use.
type Health struct {
	log      *slog.Logger
	now      func() time.Time
	draining atomic.Bool
	started  atomic.Bool // it was ready once

	turn   chan struct{} // holds one value while the fields below are in use
	checks map[string]Check
	last   map[string]State
	at     time.Time
}

// New returns a Health without checks, which is ready.
func New(log *slog.Logger, now func() time.Time) *Health {
	return &Health{log: log, now: now, turn: make(chan struct{}, 1), checks: map[string]Check{}}
}

// Register adds the check of a part.
func (h *Health) Register(part string, c Check) {
	h.turn <- struct{}{}
	defer func() { <-h.turn }()
	h.checks[part] = c
	h.at = time.Time{}
}

// Ping turns a function that fails, such as a database's Ping, into a Check.
func Ping(ping func(ctx context.Context) error) Check {
	return func(ctx context.Context) (State, string) {
		if err := ping(ctx); err != nil {
			return Down, err.Error()
		}
		return OK, ""
	}
}

// Drain makes the process not ready from now on: it is about to stop.
func (h *Health) Drain() { h.draining.Store(true) }

// Report runs the checks, or returns what they said within the last second.
// Who asks while they run waits for the same answer.
func (h *Health) Report(ctx context.Context) Report {
	h.turn <- struct{}{}
	defer func() { <-h.turn }()
	if h.at.IsZero() || h.now().Sub(h.at) >= keptFor {
		h.run(ctx)
		h.at = h.now() // so that those who waited meanwhile share it
	}
	r := Report{State: OK, Draining: h.draining.Load(), Parts: h.last}
	for _, s := range h.last {
		if s == Down || s == Degraded && r.State == OK {
			r.State = s
		}
	}
	if r.Ready() {
		h.started.Store(true)
	}
	return r
}

// Started reports whether the process has been ready: whether a Report said so.
func (h *Health) Started() bool { return h.started.Load() }

// run runs the checks side by side; who asked may leave, the checks go on. The
// caller has the turn.
func (h *Health) run(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()
	type outcome struct {
		part, reason string
		state        State
	}
	results := make(chan outcome, len(h.checks))
	for part, check := range h.checks {
		go func() {
			state, reason := check(ctx)
			results <- outcome{part, reason, state}
		}()
	}
	found := make(map[string]State, len(h.checks))
	for range h.checks {
		o := <-results
		found[o.part] = o.state
		if before, ok := h.last[o.part]; ok && before != o.state || !ok && o.state != OK {
			h.log.WarnContext(ctx, "health changed", "part", o.part, "state", string(o.state), "reason", o.reason)
		}
	}
	h.last = found
}
