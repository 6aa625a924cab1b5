package gateway

import (
	"context"
	"sync"
)

// registry is the open calls: a list that a call enters and leaves without an
// allocation.
type registry struct {
	mu       sync.Mutex
	head     call  // guarded by mu: the ring's anchor
	n        int   // guarded by mu
	detached int64 // guarded by mu: calls that are read on without their client
	closed   bool  // guarded by mu
	idle     chan struct{}
}

func (o *registry) init() {
	o.head.prev, o.head.next = &o.head, &o.head
	o.idle = make(chan struct{})
}

// add enters c, or reports false because no more calls are taken.
func (o *registry) add(c *call) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	c.prev, c.next = o.head.prev, &o.head
	c.prev.next, o.head.prev = c, c
	o.n++
	return true
}

func (o *registry) remove(c *call) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c.prev.next, c.next.prev = c.next, c.prev
	o.n--
	if c.detached {
		o.detached--
	}
	if o.closed && o.n == 0 {
		close(o.idle)
	}
}

// each calls f for every open call, holding the lock.
func (o *registry) each(f func(c *call)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := o.head.next; c != &o.head; c = c.next {
		f(c)
	}
}

// drains returns how many calls are read on without their client.
func (o *registry) drains() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.detached
}

// streams returns how many streams have begun.
func (o *registry) streams() (n int) {
	o.each(func(c *call) {
		if c.started.Load() {
			n++
		}
	})
	return n
}

// close takes no more calls. It reports whether it was the first to say so.
func (o *registry) close() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	o.closed = true
	if o.n == 0 {
		close(o.idle)
	}
	return true
}

// Open returns how many calls are running.
func (s *Service) Open() int {
	s.open.mu.Lock()
	defer s.open.mu.Unlock()
	return s.open.n
}

// Drain takes no more calls and waits for the running ones. When ctx ends it
// cuts them: their vendors are cancelled, streams get an error event, and each
// is settled by what arrived. It returns ctx's error then. It may be called
// twice.
func (s *Service) Drain(ctx context.Context) error {
	first := s.open.close()
	var err error
	select {
	case <-s.open.idle:
	case <-ctx.Done():
		err = ctx.Err()
		s.open.each(func(c *call) {
			c.stopped.Store(true)
			c.cancel()
			if c.phase() == phaseBody {
				c.cutBody()
			}
		})
		<-s.open.idle // each settles and writes within the limits of the pulse
	}
	if first {
		s.begin.Do(func() {}) // no call came, so there is no pulse to end
		if s.pulse.stop != nil {
			s.pulse.stop()
			<-s.pulse.done
		}
	}
	return err
}
