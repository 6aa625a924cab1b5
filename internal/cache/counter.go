package cache

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// counter is one limit in this process. Each of its two ways of counting has
// its own numbers; which one counts, the Counters say at each call.
type counter struct {
	key  Key
	turn chan struct{} // holds one while somebody asks Redis
	last atomic.Int64  // when it was used last, microseconds

	mu    sync.Mutex
	limit int64 // guarded by mu
	used  int64 // guarded by mu: places in use, of Concurrent

	// When Redis is not there; guarded by mu.
	alone bucket
	begun bool

	// Drawn from the bucket that all share; guarded by mu, and drawn places are
	// changed by who has the turn only.
	drawn    int64         // permits that are left of it, or places that we may use; below zero for tokens that others have to wait for
	left     int64         // in the shared bucket when it was asked last
	refill   time.Duration // until it had another permit then
	lastDraw int64         // when that was
	emptyTo  int64         // until when it is not asked again
}

func newCounter(k Key) *counter { return &counter{key: k, turn: make(chan struct{}, 1)} }

// forgettable reports whether a new counter would say the same.
func (e *counter) forgettable(now int64) bool {
	unused := now - e.last.Load()
	if unused < dropAfter.Microseconds() {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.used == 0 && e.drawn == 0 && (e.alone.level >= 0 || unused > (debtWindows+1)*window)
}

// free reports whether no call needs the counter at the moment.
func (e *counter) free() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.used == 0 && e.drawn == 0
}

// begin prepares the bucket of this process by itself, and brings it to now.
func (e *counter) begin(share, now int64) {
	if !e.begun {
		e.begun, e.alone = true, newBucket(share, now)
	}
	e.alone.fill(share, now)
}

func (e *counter) takeAlone(share, limit, now int64) (State, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.begin(share, now)
	if e.key.Kind == Concurrent {
		return e.place(share, limit)
	}
	ok := e.alone.take(share, now)
	return State{Limit: limit, Remaining: e.alone.left(), Reset: e.alone.full(share), Retry: e.alone.next(share)}, ok
}

// place takes a place of those that this process may use.
func (e *counter) place(of, limit int64) (State, bool) {
	ok := e.used < of
	if ok {
		e.used++
	}
	return State{Limit: limit, Remaining: max(of-e.used, 0), Retry: placeRetry}, ok
}

// placeRetry is when somebody without a place may ask again: nobody knows how
// long calls run.
const placeRetry = time.Second

// takeDrawn takes of what was drawn. It is undecided when there is nothing left
// and the shared bucket may have more.
func (e *counter) takeDrawn(limit, now int64) (st State, ok, decided bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.limit = limit
	if e.key.Kind == Concurrent {
		if e.used < e.drawn {
			e.used++
			return State{Limit: limit, Remaining: max(e.left+e.drawn-e.used, 0), Retry: placeRetry}, true, true
		}
		return State{Limit: limit, Retry: placeRetry}, false, now < e.emptyTo
	}
	if e.drawn > 0 {
		e.drawn--
		return e.state(limit, now), true, true
	}
	return e.state(limit, now), false, now < e.emptyTo
}

// state is how a shared bucket stands, as far as this process knows.
func (e *counter) state(limit, now int64) State {
	b := bucket{level: e.left * window, at: e.lastDraw}
	b.fill(limit, now)
	st := State{Limit: limit, Remaining: min(b.left()+max(e.drawn, 0), limit), Reset: b.full(limit)}
	if st.Remaining == 0 {
		st.Retry = max(e.refill-time.Duration(now-e.lastDraw)*time.Microsecond, time.Millisecond)
	}
	return st
}

func (e *counter) positiveAlone(share, limit, now int64) (State, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.begin(share, now)
	return State{Limit: limit, Remaining: e.alone.left(), Reset: e.alone.full(share), Retry: e.alone.next(share)}, e.alone.level > 0
}

func (e *counter) positiveDrawn(limit, now int64) (st State, ok, decided bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.limit = limit
	return e.state(limit, now), e.drawn > 0, e.drawn > 0 || now < e.emptyTo
}

func (e *counter) spend(share, limit, now, n int64, shared bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if shared {
		e.limit = limit
		e.drawn = max(e.drawn-n, -debtWindows*limit)
		return
	}
	e.begin(share, now)
	e.alone.spend(share, now, n)
}

func (e *counter) giveBack(share, limit, now int64, shared bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.key.Kind == Concurrent:
		e.used = max(e.used-1, 0)
	case shared:
		e.drawn = min(e.drawn+1, limit)
	default:
		e.begin(share, now)
		e.alone.fill(share, now)
		e.alone.level = min(e.alone.level+window, share*window)
	}
}

// retryEmpty is how long an empty bucket is not asked again: others may have
// put permits back.
const retryEmpty = 50 * time.Millisecond

// draw gets a portion from the shared bucket, unless somebody else has just done
// so. It is false when Redis does not answer, or ctx has ended first.
func (e *counter) draw(ctx context.Context, c *Counters, limit, need int64) bool {
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return true // who left is not admitted
	}
	now := c.micros()
	e.mu.Lock()
	enough := e.drawn >= need
	if e.key.Kind == Concurrent {
		enough = e.drawn-e.used >= need
	}
	if enough || now < e.emptyTo {
		e.mu.Unlock()
		return true
	}
	have, debt := max(e.drawn, e.used), max(-e.drawn, 0)
	e.mu.Unlock()
	if e.key.Kind == Concurrent {
		return e.drawPlaces(c, limit, have, portion(limit))
	}
	return e.drawPermits(c, limit, portion(limit), debt)
}

func (e *counter) drawPermits(c *Counters, limit, want, debt int64) bool {
	got, err := c.needs.Redis.run(drawScript, e.redisKey(), limit, want, debt)
	if err != nil || len(got) != 2 {
		return false
	}
	now := c.micros()
	shared := bucket{level: got[1], at: now}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.drawn += got[0] + debt
	e.left, e.lastDraw, e.refill, e.emptyTo = shared.left(), now, shared.next(limit), 0
	if got[0] == 0 && want > 0 {
		e.emptyTo = now + min(retryEmpty, e.refill).Microseconds()
	}
	return true
}

func (e *counter) drawPlaces(c *Counters, limit, have, want int64) bool {
	got, err := c.needs.Redis.run(claimScript, e.redisKey(), c.needs.Node, limit, have, want, claimLife.Milliseconds())
	if err != nil || len(got) != 2 {
		return false
	}
	now := c.micros()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.drawn = have + got[0]
	e.left, e.lastDraw, e.emptyTo = max(limit-got[1], 0), now, 0
	if got[0] == 0 && want > 0 {
		e.emptyTo = now + retryEmpty.Microseconds()/5
	}
	return true
}

func (e *counter) redisKey() string {
	return "rephlo:limit:" + kindNames[e.key.Kind] + ":" + e.key.Subject
}

// tidy gives back what was not used for idle microseconds, books what was spent
// beyond, and renews the claim to places that are in use.
func (e *counter) tidy(c *Counters, now, idle int64) {
	if !c.shared() {
		return
	}
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	default:
		return // somebody draws, so it is not idle
	}
	unused := now-e.last.Load() >= idle
	if e.key.Kind == Concurrent {
		e.tidyPlaces(c, now, unused)
		return
	}
	e.mu.Lock()
	back, limit := e.drawn, e.limit
	if back == 0 || back > 0 && !unused {
		e.mu.Unlock()
		return
	}
	e.drawn = 0
	e.mu.Unlock()
	if _, err := c.needs.Redis.run(drawScript, e.redisKey(), limit, 0, -back); err != nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.drawn += back
	}
}

func (e *counter) tidyPlaces(c *Counters, now int64, unused bool) {
	e.mu.Lock()
	limit, have := e.limit, max(e.drawn, e.used)
	spare := unused && e.drawn > e.used
	renew := have > 0 && now-e.lastDraw >= claimRenew.Microseconds()
	if spare {
		e.drawn, have = e.used, e.used
	}
	e.mu.Unlock()
	if spare || renew {
		e.drawPlaces(c, limit, have, 0) // else the claim ends by itself
	}
}
