package credit

import "sync"

// opKind is what a lane is asked to do.
type opKind uint8

const (
	opHold     opKind = iota // write a hold
	opEnd                    // settle or release it
	opLate                   // note what came after it was resolved without its caller
	opProgress               // journal what was delivered so far
	opCut                    // lease the user's free credits
	opReturn                 // give the free part of the lease back
	opFold                   // give back what is not held of every lease of the lane
)

// op is one entry of the queue. Which fields are set depends on its kind.
type op struct {
	kind  opKind
	hold  *Hold
	end   *ending
	round *round
}

// group is the operations of one batch. done is closed when each of them has
// been committed or has failed for good; then its results may be read.
type group struct {
	ops  []op
	done chan struct{}
}

// queue holds the groups that wait for a lane's writer. A hold takes two
// places, the second for its settlement, so that a settlement always has one.
type queue struct {
	limit, batch int

	mu     sync.Mutex
	groups []*group // guarded by mu, oldest first
	used   int      // guarded by mu: places taken
	open   int      // guarded by mu: holds without a committed ending
	first  *Hold    // guarded by mu: the open holds, linked
	taken  *group   // guarded by mu: the group that is being written
	closed bool     // guarded by mu: nothing is taken any more
	spare  []op     // guarded by mu: for the next group
	wake   chan struct{}
}

func newQueue(limit, batch int) *queue {
	return &queue{limit: limit, batch: batch, wake: make(chan struct{}, 1)}
}

// put appends o and returns its group, or nil when the queue is closed, or
// when a hold finds no place.
func (q *queue) put(o op) *group {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil
	}
	if o.kind == opHold {
		if q.used+2 > q.limit {
			return nil
		}
		q.used += 2
		q.link(o.hold)
	}
	if o.kind == opEnd && !o.hold.linked {
		q.used++ // a recovered hold, which has no place yet
	}
	var g *group
	if n := len(q.groups); n > 0 && len(q.groups[n-1].ops) < q.batch {
		g = q.groups[n-1]
	} else {
		g = &group{ops: q.spare, done: make(chan struct{})}
		q.spare = nil
		q.groups = append(q.groups, g)
	}
	g.ops = append(g.ops, o)
	if len(g.ops) == 1 && len(q.groups) == 1 {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
	return g
}

// take removes the oldest group. It returns nil when there is none, and
// whether there can be another.
func (q *queue) take() (g *group, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.groups) == 0 {
		return nil, !q.closed
	}
	g = q.groups[0]
	n := copy(q.groups, q.groups[1:])
	q.groups[n] = nil
	q.groups = q.groups[:n]
	q.taken = g
	return g, true
}

// finish frees the places that g's operations took and wakes who waits.
func (q *queue) finish(g *group, places int, ended []*Hold) {
	q.mu.Lock()
	ops := g.ops
	g.ops, q.taken = nil, nil
	clear(ops)
	q.used -= places
	for _, h := range ended {
		q.unlink(h)
	}
	if q.spare == nil {
		q.spare = ops[:0]
	}
	q.mu.Unlock()
	close(g.done)
}

// endings returns the endings that are not in the database.
func (q *queue) endings() (out []pending) {
	q.mu.Lock()
	defer q.mu.Unlock()
	add := func(g *group) {
		for i := range g.ops {
			if o := &g.ops[i]; o.kind == opEnd {
				out = append(out, pending{o.hold, o.end, g})
			}
		}
	}
	if q.taken != nil {
		add(q.taken)
	}
	for _, g := range q.groups {
		add(g)
	}
	return out
}

// close makes put refuse everything.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// ended reports whether nothing is taken any more.
func (q *queue) ended() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

func (q *queue) link(h *Hold) {
	q.open++
	h.next = q.first
	if q.first != nil {
		q.first.prev = h
	}
	q.first = h
	h.linked = true
}

func (q *queue) unlink(h *Hold) {
	if !h.linked {
		return // a recovered hold, which never was
	}
	h.linked = false
	q.open--
	if h.prev != nil {
		h.prev.next = h.next
	} else {
		q.first = h.next
	}
	if h.next != nil {
		h.next.prev = h.prev
	}
	h.prev, h.next = nil, nil
}

// holds returns the open holds.
func (q *queue) holds() []*Hold {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := make([]*Hold, 0, q.open)
	for h := q.first; h != nil; h = h.next {
		out = append(out, h)
	}
	return out
}

func (q *queue) counts() (waiting, open int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, g := range q.groups {
		waiting += len(g.ops)
	}
	return waiting, q.open
}
