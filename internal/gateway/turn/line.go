package turn

import "container/list"

// virtually is a time on the queue's own clock, on which a call of weight w
// takes scale/w.
type virtually uint64

// scale is large against weights, and small enough for 10^13 calls without a
// moment in which nobody waits.
const scale = 1 << 20

// class is the calls of one weight.
type class struct {
	weight int64
	calls  list.List // of *waiter, the oldest first
	next   virtually // where the class's next call starts
}

func (c *class) head() *waiter { return c.calls.Front().Value.(*waiter) } //nolint:forcetypeassert // only stored here

// waiter is a call that waits. All is guarded by the queue's lock until called
// is closed, and does not change after that.
type waiter struct {
	class  *class
	place  *list.Element
	start  virtually
	called chan struct{} // closed when it was let in or sent away
	sent   bool          // away
	over   bool
}

// line puts a call at the end of its class, unless it gets a place at once (nil,
// nil) or is sent away (nil, ErrSent). waiting counts the call already.
func (q *Queue) line(weight int64) (*waiter, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.length == 0 && q.take() {
		q.waiting.Add(-1)
		return nil, nil //nolint:nilnil // it has a place
	}
	if q.length >= q.most {
		least := q.least()
		if least == nil || least.weight >= weight {
			q.waiting.Add(-1)
			return nil, ErrSent
		}
		last := least.calls.Back().Value.(*waiter) //nolint:forcetypeassert // only stored here
		least.next = last.start
		last.sent = true
		q.end(last)
	}
	c := q.classOf(weight)
	w := &waiter{class: c, start: max(q.clock, c.next), called: make(chan struct{})}
	c.next = w.start + virtually(max(scale/weight, 1))
	w.place = c.calls.PushBack(w)
	q.length++
	q.call()
	return w, nil
}

// call lets those in whose turn it is while there are places.
func (q *Queue) call() {
	for q.length > 0 && q.take() {
		w := q.first()
		q.clock = w.start
		q.end(w)
	}
	if q.length == 0 {
		q.classes, q.clock = nil, 0
	}
}

// first is the call that starts earliest; of several the heaviest.
func (q *Queue) first() (first *waiter) {
	for _, c := range q.classes {
		if c.calls.Len() == 0 {
			continue
		}
		if w := c.head(); first == nil || w.start < first.start || w.start == first.start && c.weight > first.class.weight {
			first = w
		}
	}
	return first
}

// least is the lightest class of which somebody waits.
func (q *Queue) least() (least *class) {
	for _, c := range q.classes {
		if c.calls.Len() > 0 && (least == nil || c.weight < least.weight) {
			least = c
		}
	}
	return least
}

func (q *Queue) classOf(weight int64) *class {
	for _, c := range q.classes {
		if c.weight == weight {
			return c
		}
	}
	c := &class{weight: weight}
	q.classes = append(q.classes, c)
	return c
}

// end takes a call off the queue and tells it.
func (q *Queue) end(w *waiter) {
	w.class.calls.Remove(w.place)
	q.length--
	q.waiting.Add(-1)
	w.over = true
	close(w.called)
}

// abandon takes a call off the queue that waits no longer. It reports false when
// the call was let in or sent away before.
func (q *Queue) abandon(w *waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w.over {
		return false
	}
	q.end(w)
	q.call() // forgets the classes when it was the last
	return true
}
