package route

import (
	"sync"
	"time"

	"github.com/rephlo/rephlo/internal/llm"
)

const (
	faultsInRow  = 5
	windowFaults = 2  // one in so many calls
	windowCalls  = 20 // below, the window says nothing
	firstOpen    = 5 * time.Second
	lastOpen     = 60 * time.Second
	closeAfter   = 3 // trials that succeed

	firstCooling = 15 * time.Second
	lastCooling  = 5 * time.Minute
	quotaCooling = time.Hour
	authCooling  = time.Minute
	authStrikes  = 3
)

// deployment is what is known of one.
type deployment struct {
	id ID

	mu       sync.Mutex
	inFlight int64 // guarded by mu

	// The breaker; guarded by mu.
	window  window
	inRow   int
	open    time.Duration // how long it opens next; 0: it is closed
	openTo  time.Time
	trying  bool // a trial is running
	healthy int  // trials in a row that succeeded

	// Cooling; guarded by mu.
	coolTo   time.Time
	coolFor  llm.Kind      // Rate, Quota or Auth
	cool     time.Duration // the last wait that was our own choice
	strikes  int           // credentials refused in a row
	struck   time.Time     // the first of them
	answered time.Time     // the last success
	disabled bool
}

// fit reports whether a call may begin, and how many are in flight.
func (d *deployment) fit(now time.Time) (bool, int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.usable(now), d.inFlight
}

// usable is fit with d.mu held.
func (d *deployment) usable(now time.Time) bool {
	return !d.disabled && !now.Before(d.coolTo) && (d.open == 0 || !now.Before(d.openTo) && !d.trying)
}

// begin takes the deployment for a try, if it still may be taken.
func (d *deployment) begin(now time.Time) (trial, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.usable(now) {
		return false, false
	}
	d.inFlight++
	if d.open > 0 {
		d.trying = true
	}
	return d.open > 0, true
}

// cooling returns how long the vendor's limit still holds; 0 when it does not.
func (d *deployment) cooling(now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.disabled || !now.Before(d.coolTo) {
		return 0
	}
	return d.coolTo.Sub(now)
}

// end notes how a try went. It returns what the operator should know.
func (d *deployment) end(now time.Time, trial bool, r Result) (event string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inFlight--
	if trial {
		d.trying = false
	}
	if r.Void {
		return ""
	}
	switch r.Kind { //nolint:exhaustive // the others are the request's fault, not the deployment's
	case llm.Rate:
		d.rest(now, r.RetryAfter)
		return ""
	case llm.Quota:
		d.coolTo, d.coolFor = now.Add(quotaCooling), llm.Quota
		return "the provider's quota is exhausted; the deployment rests for an hour"
	case llm.Auth:
		return d.strike(now)
	}
	if r.Kind.Breaks() {
		return d.fault(now, trial)
	}
	d.success(now, trial, r.Kind == 0)
	return ""
}

// strike counts a refusal of the credential.
func (d *deployment) strike(now time.Time) (event string) {
	d.coolTo, d.coolFor = now.Add(authCooling), llm.Auth
	if d.strikes == 0 {
		d.struck = now
	}
	if d.strikes++; d.strikes < authStrikes || d.disabled {
		return "the provider refused its credential"
	}
	d.disabled = true
	return "the provider refuses its credential; it is switched off until it changes"
}

// askable reports whether a probe could tell something: whether what failed
// answers again, or whether the credential is taken. Of a limit it tells
// nothing.
func (d *deployment) askable(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.disabled && (d.open > 0 && now.Before(d.openTo) || d.coolFor == llm.Auth && now.Before(d.coolTo))
}

// probed notes how a probe went. A success closes nothing: it lets the next
// call try. It forgives no refusal of the credential either, since a list of
// models may be free to see.
func (d *deployment) probed(now time.Time, kind llm.Kind) (event string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.disabled:
	case kind == llm.Auth:
		return d.strike(now)
	case kind.Breaks() && d.open > 0:
		d.openTo = now.Add(d.open)
	case kind == 0:
		if d.open > 0 && now.Before(d.openTo) {
			d.openTo = now
		}
		if d.coolFor == llm.Auth && now.Before(d.coolTo) {
			d.coolTo = now
		}
	}
	return ""
}

// off reports whether the credential was refused too often, and since when.
func (d *deployment) off() (since time.Time, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.struck, d.disabled
}

// spare lets the deployment cool instead of being switched off: its credential
// is good, and only this model is refused.
func (d *deployment) spare() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.disabled = false
}

// answeredSince reports whether a call has succeeded after t.
func (d *deployment) answeredSince(t time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.answered.After(t)
}

// rest lets the deployment cool after its vendor said that it is at its limit.
func (d *deployment) rest(now time.Time, asked time.Duration) {
	wait := min(asked, lastCooling)
	if asked <= 0 {
		d.cool = min(max(2*d.cool, firstCooling), lastCooling)
		wait = d.cool
	}
	if to := now.Add(wait); to.After(d.coolTo) {
		d.coolTo, d.coolFor = to, llm.Rate
	}
}

// fault counts against the breaker.
func (d *deployment) fault(now time.Time, trial bool) (event string) {
	d.window.add(now, true)
	d.inRow++
	d.healthy = 0
	calls, faults := d.window.sums(now)
	switch {
	case d.open > 0 && !trial:
		return "" // it began before the breaker opened
	case d.open > 0:
		d.open = min(2*d.open, lastOpen)
	case d.inRow >= faultsInRow || calls >= windowCalls && windowFaults*faults >= calls:
		d.open = firstOpen
		event = "the deployment fails; its breaker opens"
	default:
		return ""
	}
	d.openTo = now.Add(d.open)
	return event
}

// success counts for the breaker; answered says that the vendor did what was
// asked, not only that it is well.
func (d *deployment) success(now time.Time, trial, answered bool) {
	d.window.add(now, false)
	d.inRow = 0
	if answered {
		d.strikes, d.cool, d.answered = 0, 0, now
	}
	if trial {
		if d.healthy++; d.healthy >= closeAfter {
			d.open, d.healthy, d.window = 0, 0, window{}
		}
	}
}

func (d *deployment) status(now time.Time) Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Status{ID: d.id, State: Active, InFlight: d.inFlight}
	s.Calls, s.Faults = d.window.sums(now)
	switch {
	case d.disabled:
		s.State, s.Why = Disabled, llm.Auth
	case now.Before(d.coolTo):
		s.State, s.Until, s.Why = Cooling, d.coolTo, d.coolFor
	case d.open > 0 && now.Before(d.openTo):
		s.State, s.Until = Open, d.openTo
	case d.open > 0:
		s.State = Trial
	}
	return s
}

// window counts the calls of the last ten seconds, in steps of one.
type window struct {
	steps [10]struct{ second, calls, faults int64 }
}

func (w *window) add(now time.Time, fault bool) {
	second := now.Unix()
	s := &w.steps[second%int64(len(w.steps))]
	if s.second != second {
		s.second, s.calls, s.faults = second, 0, 0
	}
	s.calls++
	if fault {
		s.faults++
	}
}

func (w *window) sums(now time.Time) (calls, faults int64) {
	oldest := now.Unix() - int64(len(w.steps))
	for i := range w.steps {
		if s := &w.steps[i]; s.second > oldest {
			calls += s.calls
			faults += s.faults
		}
	}
	return calls, faults
}
