package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
)

// State says what became of a task.
type State string

// The states. A task that is claimed is still Waiting.
const (
	Waiting State = "waiting"
	Done    State = "done"
	Dead    State = "dead" // every attempt failed; Retry brings it back
)

// Faults of the administrators' endpoints.
var (
	ErrUnknown = fault.New(fault.NotFound, "not_found", "There is no such job.")
	ErrRunning = fault.New(fault.Conflict, "invalid_state", "This job is running or about to run. Wait until it has ended.")
	ErrNotDead = fault.New(fault.Conflict, "invalid_state", "Only a run that has failed for good can be tried again.")
)

// Task is one piece of work.
type Task struct {
	ID, Kind, Key string
	Argument      json.RawMessage
	Attempt       int // 1 at the first try
	DueAt         time.Time
}

// Run is what is known of a task's course.
type Run struct {
	Task
	State                         State
	Running                       bool
	CreatedAt, StartedAt, EndedAt time.Time // zero: not yet
	Error                         string    // of the last attempt
}

// Handler does a task. Its ctx ends when the process stops or loses the task.
// It may run again after it returned nil: see the package comment. It must not
// put secrets or personal data into its errors: they are stored and shown.
type Handler func(ctx context.Context, t Task) error

// Typed makes a Handler of a function that takes the task's argument decoded.
func Typed[T any](do func(ctx context.Context, argument T) error) Handler {
	return func(ctx context.Context, t Task) error {
		var v T
		if err := json.Unmarshal(t.Argument, &v); err != nil {
			return Permanent(fmt.Errorf("read the argument of %s: %w", t.Kind, err))
		}
		return do(ctx, v)
	}
}

// Permanent marks an error that another attempt cannot mend: the task is dead
// at once.
func Permanent(err error) error { return permanent{err} }

type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Options say how a kind of task is done. The zero value is five attempts,
// thirty seconds to six hours apart.
type Options struct {
	Attempts int                             // 5
	Pause    func(attempt int) time.Duration // before the next one; a fifth is added or taken by chance
	AtOnce   int                             // how many in this process; 0 is no limit of its own
	// Apart gives the kind places of its own, AtOnce of them: its tasks may wait
	// long for others without keeping other kinds waiting.
	Apart bool
}

func (o Options) filled() Options {
	if o.Attempts == 0 {
		o.Attempts = 5
	}
	if o.Pause == nil {
		o.Pause = growing
	}
	return o
}

// growing is 30 s, 2 min, 8 min, 32 min, then about two hours, at most six.
func growing(attempt int) time.Duration {
	return min(30*time.Second<<(2*min(max(attempt-1, 0), 8)), 6*time.Hour)
}

// jitter spreads d by a fifth, so that what failed together is not tried again
// together.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)*0.4*float64(d)) //nolint:gosec // spreads load, protects nothing
}

// Every is a schedule: due at Offset past midnight UTC on 1 January 1970 and
// each Period after that. So {24 h, 5 min} is 00:05 UTC each day.
type Every struct{ Period, Offset time.Duration }

// Last returns the latest time at or before now at which e is due.
func (e Every) Last(now time.Time) time.Time {
	us, period, offset := now.UnixMicro(), e.Period.Microseconds(), e.Offset.Microseconds()
	since := (us - offset) % period
	if since < 0 {
		since += period
	}
	return time.UnixMicro(us - since).UTC()
}

// kind is what a process knows of one kind of task.
type kind struct {
	name     string
	do       Handler
	options  Options
	schedule Every     // zero: none
	enqueued time.Time // the last run that this process saw enqueued
	running  int
}

const maxError = 500

// shown returns err's text as it is stored.
func shown(err error) string {
	text := err.Error()
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		text = "cut off: " + text
	}
	if len(text) > maxError {
		text = text[:maxError]
	}
	return text
}
