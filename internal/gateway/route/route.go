package route

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rephlo/rephlo/internal/llm"
)

// ID names a deployment.
type ID struct {
	Provider, Model string
	// Credential tells one secret of the provider from the next, so that a new
	// one begins without the failures of the old. It is no secret itself.
	Credential uint64
}

// Candidate is a deployment that could answer.
type Candidate struct {
	ID
	Priority int64 // lower is better
	Weight   int64 // share among those of the same priority; above 0
}

// MaxCandidates is how many candidates a Choose looks at.
const MaxCandidates = 64

// Tried marks candidates, by index, that a call has been tried at.
type Tried uint64

// Has reports whether candidate i was tried.
func (t Tried) Has(i int) bool { return t>>i&1 == 1 }

// Table knows the deployments.
type Table struct {
	log *slog.Logger
	now func() time.Time

	mu  sync.RWMutex
	all map[ID]*deployment // guarded by mu

	struckMu sync.Mutex
	struck   []ID // guarded by struckMu

	calls, retries atomic.Int64
}

// NewTable returns a Table that has seen nothing.
func NewTable(log *slog.Logger, now func() time.Time) *Table {
	return &Table{log: log, now: now, all: map[ID]*deployment{}}
}

func (t *Table) get(id ID) *deployment {
	t.mu.RLock()
	d := t.all[id]
	t.mu.RUnlock()
	if d != nil {
		return d
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if d = t.all[id]; d == nil {
		d = &deployment{id: id}
		t.all[id] = d
	}
	return d
}

// Forget drops what is known of deployments that keep refuses, for instance
// because they were configured away. Tries that are running end as usual.
func (t *Table) Forget(keep func(ID) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := range t.all {
		if !keep(id) {
			delete(t.all, id)
		}
	}
}

// Try is one use of a deployment. It must be ended, once.
type Try struct {
	table *Table
	d     *deployment
	trial bool
	began time.Time
}

// Refusal is why no deployment was chosen. The zero value: there are none left
// to try.
type Refusal struct {
	// Cooling is when the first of the deployments that are at their vendor's
	// limit may be asked again; 0 when that is not what is missing.
	Cooling time.Duration
}

// Choose picks a candidate that was not tried, or reports false. The affinity
// is the same for calls that should meet the same deployment.
func (t *Table) Choose(cs []Candidate, affinity uint64, tried Tried) (int, Try, Refusal, bool) {
	now := t.now()
	var refusal Refusal
	for skip := tried; ; {
		i := t.best(cs, affinity, skip, now)
		if i < 0 {
			break
		}
		d := t.get(cs[i].ID)
		if trial, ok := d.begin(now); ok {
			return i, Try{table: t, d: d, trial: trial, began: now}, Refusal{}, true
		}
		skip |= 1 << i // somebody took the only permit
	}
	for i := range min(len(cs), MaxCandidates) {
		if tried.Has(i) {
			continue
		}
		if rest := t.get(cs[i].ID).cooling(now); rest > 0 && (refusal.Cooling == 0 || rest < refusal.Cooling) {
			refusal.Cooling = rest
		}
	}
	return -1, Try{}, refusal, false
}

// best returns the index of the best fit candidate outside of skip, or -1.
func (t *Table) best(cs []Candidate, affinity uint64, skip Tried, now time.Time) int {
	var (
		fit      [MaxCandidates]int
		flight   [MaxCandidates]int64
		n        int
		priority int64
		all      int64
		weights  int64
	)
	for i := range min(len(cs), MaxCandidates) {
		c := &cs[i]
		if skip.Has(i) || n > 0 && c.Priority > priority {
			continue
		}
		ok, inFlight := t.get(c.ID).fit(now)
		if !ok {
			continue
		}
		if n > 0 && c.Priority < priority {
			n, all, weights = 0, 0, 0
		}
		priority = c.Priority
		fit[n], flight[n] = i, inFlight
		n++
		all += inFlight
		weights += c.Weight
	}
	best, score := -1, 0.0
	fallback, least := -1, 0.0
	for k := range n {
		c := &cs[fit[k]]
		if load := float64(flight[k]) / float64(c.Weight); fallback < 0 || load < least {
			fallback, least = fit[k], load
		}
		if n > 1 && flight[k]+1 > fairShare(all+1, c.Weight, weights) {
			continue
		}
		if s := rendezvous(affinity, c); best < 0 || s > score {
			best, score = fit[k], s
		}
	}
	if best < 0 {
		return fallback // all are above their share by rounding
	}
	return best
}

// fairShare is one and a half times what weight of weights has of all, rounded
// up.
func fairShare(all, weight, weights int64) int64 {
	return (3*all*weight + 2*weights - 1) / (2 * weights)
}

// Began returns when the try began.
func (t Try) Began() time.Time { return t.began }

// Result is how a try went.
type Result struct {
	Kind       llm.Kind      // 0: the deployment answered
	RetryAfter time.Duration // what the vendor asked for; 0 is nothing
	// Void says that the end says nothing about the deployment: the client left,
	// or we stopped it.
	Void bool
}

// End tells how the try went.
func (t Try) End(r Result) {
	if event := t.d.end(t.table.now(), t.trial, r); event != "" {
		t.table.tell(t.d, event, r.Kind)
	}
}

// tell passes on what the operator should know of d.
func (t *Table) tell(d *deployment, event string, kind llm.Kind) {
	t.log.Warn("a deployment failed", "state", event, "provider", d.id.Provider, "model", d.id.Model, "kind", kind.String())
	since, off := d.off()
	switch {
	case kind != llm.Auth || !off:
	case t.taken(d.id, since):
		d.spare()
	default:
		t.struckMu.Lock()
		t.struck = append(t.struck, d.id)
		t.struckMu.Unlock()
	}
}

// taken reports whether the credential of a deployment has had an answer at
// another model since.
func (t *Table) taken(id ID, since time.Time) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for other, d := range t.all {
		if other.Provider == id.Provider && other.Credential == id.Credential && other != id && d.answeredSince(since) {
			return true
		}
	}
	return false
}

// Spare takes back that a deployment of Struck is switched off: its credential
// was found to be good. It cools as after any refusal.
func (t *Table) Spare(id ID) {
	t.mu.RLock()
	d := t.all[id]
	t.mu.RUnlock()
	if d != nil {
		d.spare()
	}
}

// Struck returns, once, the deployments whose credential was refused three
// times in a row since it was asked last, and had no answer at another model
// meanwhile.
func (t *Table) Struck() []ID {
	t.struckMu.Lock()
	defer t.struckMu.Unlock()
	out := t.struck
	t.struck = nil
	return out
}

// Askable returns the deployments that a probe may bring back earlier: those
// whose breaker is open, and those that rest because their credential was
// refused.
func (t *Table) Askable() []ID {
	now := t.now()
	t.mu.RLock()
	defer t.mu.RUnlock()
	var out []ID
	for id, d := range t.all {
		if d.askable(now) {
			out = append(out, id)
		}
	}
	return out
}

// Probed tells how a probe of a deployment went; 0 is that it answered.
func (t *Table) Probed(id ID, kind llm.Kind) {
	t.mu.RLock()
	d := t.all[id]
	t.mu.RUnlock()
	if d == nil {
		return
	}
	if event := d.probed(t.now(), kind); event != "" {
		t.tell(d, event, kind)
	}
}

// Enter counts a call in flight; Leave takes it out again.
func (t *Table) Enter() { t.calls.Add(1) }

// Leave is the end of a call that entered.
func (t *Table) Leave() { t.calls.Add(-1) }

// minRetries is how many retries may always run at once.
const minRetries = 3

// Retry asks for a second or third try and reports whether there is room for
// one. If so, DoneRetry gives it back.
func (t *Table) Retry() bool {
	limit := max(t.calls.Load()/5, minRetries)
	if t.retries.Add(1) > limit {
		t.retries.Add(-1)
		return false
	}
	return true
}

// RetryRatio returns running retries divided by running calls.
func (t *Table) RetryRatio() float64 {
	return float64(t.retries.Load()) / float64(max(t.calls.Load(), 1))
}

// DoneRetry is the end of a try that Retry allowed.
func (t *Table) DoneRetry() { t.retries.Add(-1) }

// Status is how a deployment does, for people and metrics.
type Status struct {
	ID
	State    State
	InFlight int64
	Until    time.Time // when it may be asked again; zero while it may be
	Why      llm.Kind  // it cools or is disabled: Rate, Quota or Auth
	// Calls and Faults are those of the last ten seconds.
	Calls, Faults int64
}

// State is whether a deployment takes calls.
type State string

// The states of a deployment.
const (
	Active   State = "active"
	Cooling  State = "cooling"
	Open     State = "open"     // the breaker
	Trial    State = "trial"    // the breaker is half open
	Disabled State = "disabled" // its credential was refused again and again
)

// Statuses returns how every deployment does that was ever used, in no order.
func (t *Table) Statuses() []Status {
	now := t.now()
	t.mu.RLock()
	defer t.mu.RUnlock()
	out := make([]Status, 0, len(t.all))
	for _, d := range t.all {
		out = append(out, d.status(now))
	}
	return out
}
