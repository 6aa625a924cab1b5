// Package turn bounds how many calls a process carries at once. Below the limit
// taking a place is one atomic step and knows nobody. At the limit calls wait in
// a weighted fair queue: whoever weighs more gets more of the places that come
// free, and is the last to be sent away.
//
// # The queue
//
// Calls of one weight are a class, in the order in which they came. Each call
// gets a start time on a virtual clock: its class's last start, moved on by one
// over the weight, or now if that is later (start-time fair queueing, Goyal, Vin
// and Cheng 1996). The earliest goes first, so of classes that always wait each
// gets places in the ratio of the weights, and a class that comes late has
// saved nothing up. The queue is bounded: beyond it the newest call of the least
// weight is sent away, which may be the one that comes.
//
// # No place is lost
//
// Who leaves gives the place back before it looks whether somebody waits; who
// waits says so before it tries once more for a place. One of the two sees the
// other. While somebody waits, nobody takes a place past the queue.
//
// # The limit
//
// Adapt moves it: up while calls wait and this process keeps its time, down
// while it does not. Most of a call is waiting for somebody else, so a limit
// that stands still would send calls away from a machine that has nothing to do.
package turn

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// ErrSent says that there was no place in time, or that the queue was full.
var ErrSent = errors.New("no place came free in time")

// Options are what New takes.
type Options struct {
	Limit int64         // places at the beginning, above 0
	Wait  time.Duration // the longest that a call waits
	Most  int           // calls that may wait
}

// Queue has the places. It is safe for concurrent use.
type Queue struct {
	wait time.Duration
	most int

	limit   atomic.Int64
	running atomic.Int64 // places that are taken
	waiting atomic.Int64 // calls that wait, or are about to
	needed  atomic.Bool  // a call had to wait since Adapt looked

	mu      sync.Mutex
	base    int64     // guarded by mu: what the limit began with
	classes []*class  // guarded by mu: those that have waited since the queue was empty
	length  int       // guarded by mu
	clock   virtually // guarded by mu: the start of the call that was let in last
}

// New returns a Queue in which all places are free.
func New(o Options) *Queue {
	q := &Queue{wait: o.Wait, most: o.Most, base: o.Limit}
	q.limit.Store(o.Limit)
	return q
}

// Try takes a place if there is one and nobody waits. Whoever has a place calls
// Leave once.
func (q *Queue) Try() bool { return q.waiting.Load() == 0 && q.take() }

// Enter takes a place, and waits for it if need be. A weight below 1 counts as 1.
// ErrSent: none came free in time, or heavier calls fill the queue; ctx's error:
// it ended before. With an error nothing is taken.
func (q *Queue) Enter(ctx context.Context, weight int64) error {
	if q.Try() {
		return nil
	}
	q.needed.Store(true)
	q.waiting.Add(1)
	w, err := q.line(max(weight, 1))
	if w == nil {
		return err
	}
	late := time.NewTimer(q.wait)
	defer late.Stop()
	select {
	case <-w.called:
	case <-late.C:
		err = ErrSent
	case <-ctx.Done():
		err = ctx.Err()
	}
	switch {
	case err != nil && q.abandon(w):
		return err
	case w.sent:
		return ErrSent
	case ctx.Err() != nil: // it was let in, and nobody is there any more
		q.Leave()
		return ctx.Err()
	}
	return nil
}

// Leave gives a place back.
func (q *Queue) Leave() {
	q.running.Add(-1)
	if q.waiting.Load() > 0 {
		q.mu.Lock()
		q.call()
		q.mu.Unlock()
	}
}

// take takes a place if there is one.
func (q *Queue) take() bool {
	for {
		n := q.running.Load()
		if n >= q.limit.Load() {
			return false
		}
		if q.running.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Running returns how many places are taken.
func (q *Queue) Running() int64 { return q.running.Load() }

// Waiting returns how many calls wait.
func (q *Queue) Waiting() int64 { return q.waiting.Load() }

// Limit returns how many places there are now.
func (q *Queue) Limit() int64 { return q.limit.Load() }
