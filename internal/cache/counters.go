package cache

import (
	"context"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"
)

// Kind is what is counted.
type Kind uint8

// The kinds.
const (
	Requests   Kind = iota // in a minute
	Tokens                 // in a minute; what a call used is known when it ends
	Concurrent             // at the same time
)

var kindNames = [...]string{Requests: "r", Tokens: "t", Concurrent: "c"}

// Needs is what a Counters works with.
type Needs struct {
	Log *slog.Logger
	Now func() time.Time
	// Redis is shared by the processes; nil where there is one, or none.
	Redis *Redis
	// Node names this process among those that share Redis.
	Node string
	// Nodes is how many processes there are now; nil is one.
	Nodes func() int64
}

const (
	shards     = 64
	maxEntries = 4096 // of a shard; above, one that no call uses is forgotten for each that is new
	sweepEvery = 500 * time.Millisecond
	idleAfter  = time.Second     // unused permits go back
	dropAfter  = 2 * time.Minute // a bucket is full again by then
	claimLife  = 15 * time.Second
	claimRenew = 4 * time.Second
)

// Counters are the limits of everybody who calls. They are safe for concurrent
// use.
type Counters struct {
	needs  Needs
	seed   maphash.Seed
	shards [shards]shard
	cancel context.CancelFunc
	done   chan struct{}
	idle   chan *counter // places that are free at once
}

type shard struct {
	mu  sync.Mutex
	all map[Key]*counter // guarded by mu
}

// Key names a limit: what is counted, and of whom.
type Key struct {
	Kind    Kind
	Subject string
}

// New returns Counters in which nobody has used anything.
func New(n Needs) *Counters {
	if n.Nodes == nil {
		n.Nodes = func() int64 { return 1 }
	}
	c := &Counters{needs: n, seed: maphash.MakeSeed(), idle: make(chan *counter, 256)}
	for i := range c.shards {
		c.shards[i].all = map[Key]*counter{}
	}
	return c
}

// Start gives back what is not used, until Stop.
func (c *Counters) Start(ctx context.Context) {
	ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	c.done = make(chan struct{})
	go func() {
		defer close(c.done)
		tick := time.NewTicker(sweepEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case e := <-c.idle:
				e.tidy(c, c.micros(), 0)
			case <-tick.C:
				c.sweep(c.micros())
			}
		}
	}()
}

// Stop ends what Start began and gives everything back. It may be called twice.
func (c *Counters) Stop() {
	if c.cancel == nil {
		return
	}
	c.cancel()
	<-c.done
	for _, e := range c.everything() {
		e.tidy(c, c.micros(), 0)
	}
}

func (c *Counters) micros() int64 { return c.needs.Now().UnixMicro() }

// get returns the counter of a key.
func (c *Counters) get(k Key, now int64) *counter {
	s := &c.shards[maphash.String(c.seed, k.Subject)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.all[k]
	if e == nil {
		if len(s.all) >= maxEntries {
			s.drop(now, true)
		}
		e = newCounter(k)
		s.all[k] = e
	}
	e.last.Store(now) // so that it is not dropped before it is used
	return e
}

// drop forgets the counters that say nothing any more; when it must, and there
// is none, one that no call uses at the moment.
func (s *shard) drop(now int64, must bool) {
	before := len(s.all)
	for k, e := range s.all {
		if e.forgettable(now) {
			delete(s.all, k)
		}
	}
	if !must || len(s.all) < before {
		return
	}
	for k, e := range s.all {
		if e.free() {
			delete(s.all, k)
			return
		}
	}
}

func (c *Counters) everything() []*counter {
	var out []*counter
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for _, e := range s.all {
			out = append(out, e)
		}
		s.mu.Unlock()
	}
	return out
}

// sweep gives back what was not used for a while and renews what is held.
func (c *Counters) sweep(now int64) {
	for _, e := range c.everything() {
		e.tidy(c, now, idleAfter.Microseconds())
	}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.drop(now, false)
		s.mu.Unlock()
	}
}

// shared reports whether the counters are those of all processes.
func (c *Counters) shared() bool { return c.needs.Redis != nil && c.needs.Redis.Up() }

// share is what this process may use of a limit by itself.
func (c *Counters) share(limit int64) int64 {
	return max(limit/max(c.needs.Nodes(), 1), 1)
}

// State is how a limit stands after a question.
type State struct {
	Limit     int64
	Remaining int64
	// Reset is when all of it is there again, and Retry when the next permit
	// may be.
	Reset, Retry time.Duration
}

// Take takes one permit of Requests or one place of Concurrent, and reports
// whether there was one. It waits for Redis only when this process has drawn
// none that is left. ctx ends the wait.
func (c *Counters) Take(ctx context.Context, k Key, limit int64) (State, bool) {
	limit = min(limit, MaxLimit)
	now := c.micros()
	e := c.get(k, now)
	if !c.shared() {
		return e.takeAlone(c.share(limit), limit, now)
	}
	if st, ok, decided := e.takeDrawn(limit, now); decided {
		return st, ok
	}
	if !e.draw(ctx, c, limit, 1) {
		return e.takeAlone(c.share(limit), limit, c.micros())
	}
	st, ok, _ := e.takeDrawn(limit, c.micros())
	return st, ok
}

// Positive reports whether any permit of Tokens is left.
func (c *Counters) Positive(ctx context.Context, k Key, limit int64) (State, bool) {
	limit = min(limit, MaxLimit)
	now := c.micros()
	e := c.get(k, now)
	if !c.shared() {
		return e.positiveAlone(c.share(limit), limit, now)
	}
	if st, ok, decided := e.positiveDrawn(limit, now); decided {
		return st, ok
	}
	if !e.draw(ctx, c, limit, 1) {
		return e.positiveAlone(c.share(limit), limit, c.micros())
	}
	st, ok, _ := e.positiveDrawn(limit, c.micros())
	return st, ok
}

// Spend books n permits of Tokens, also those that are not there. It asks
// nobody.
func (c *Counters) Spend(k Key, limit, n int64) {
	limit = min(limit, MaxLimit)
	now := c.micros()
	c.get(k, now).spend(c.share(limit), limit, now, n, c.shared())
}

// Return gives back what Take took: a place whose call has ended, or a permit of
// a call that was not admitted after all.
func (c *Counters) Return(k Key, limit int64) {
	limit = min(limit, MaxLimit)
	now := c.micros()
	e := c.get(k, now)
	e.giveBack(c.share(limit), limit, now, c.shared())
	if k.Kind == Concurrent && portion(limit) == 1 && c.shared() {
		select {
		case c.idle <- e: // others may wait for the only place
		default:
		}
	}
}

// portion is how much a process draws at once.
func portion(limit int64) int64 { return min(max(limit/16, 1), 128) }
