// Package throttle slows down those who guess: it counts attempts by key and
// says how long the next has to wait. It counts in this process only.
package throttle

import (
	"net/netip"
	"sync"
	"time"
)

// Throttle counts attempts by key. It is safe for concurrent use. Its memory is bounded: keys live in two
// generations of at most half entries, and a full young generation makes the
// old one forgotten. Every counted attempt costs its maker a password hash or
// a mail, so pushing a key out takes longer than its window lasts.
type Throttle struct {
	now    func() time.Time
	window time.Duration // without attempts this long, a key is forgotten
	half   int
	// rising makes the wait grow from a second to a minute; otherwise a key
	// waits until the window of its first attempt ends.
	rising bool

	mu         sync.Mutex
	young, old map[string]*counter // guarded by mu
}

type counter struct {
	count        int
	first, last  time.Time
	blockedUntil time.Time
}

const (
	defaultHalf = 1 << 16
	longestWait = time.Minute
)

// New returns a Throttle that forgets a key after window. With rising, a key at
// its limit waits a second, then two, at most a minute; without, until the
// window of its first attempt ends.
func New(now func() time.Time, window time.Duration, rising bool) *Throttle {
	return &Throttle{now: now, window: window, half: defaultHalf, rising: rising, young: map[string]*counter{}, old: map[string]*counter{}}
}

// Take counts an attempt of key before it is made, so that many at once are not
// all let through. It returns how many are left until there is a pause, or how
// long key has to wait.
func (t *Throttle) Take(key string, limit int) (left int, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	c := t.counter(key, now)
	if wait := c.blockedUntil.Sub(now); wait > 0 {
		return 0, wait
	}
	c.count++
	c.last = now
	if c.count >= limit {
		c.blockedUntil = t.pause(c, limit, now)
	}
	return max(0, limit-c.count), 0
}

func (t *Throttle) pause(c *counter, limit int, now time.Time) time.Time {
	if !t.rising {
		return c.first.Add(t.window)
	}
	over := min(c.count-limit, 6)
	return now.Add(min(longestWait, time.Second<<over))
}

// counter returns the counter of key, begun anew when its window has passed.
func (t *Throttle) counter(key string, now time.Time) *counter {
	c, ok := t.young[key]
	if !ok {
		if len(t.young) >= t.half {
			t.young, t.old = make(map[string]*counter, t.half), t.young
		}
		if c, ok = t.old[key]; !ok {
			c = &counter{}
		}
		t.young[key] = c
	}
	since := c.last
	if !t.rising {
		since = c.first
	}
	if now.Sub(since) >= t.window {
		*c = counter{first: now, last: now}
	}
	return c
}

// GiveBack takes an attempt back that turned out not to count: the password was
// right, or nobody looked at it.
func (t *Throttle) GiveBack(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.young[key]; c != nil && c.count > 0 {
		c.count--
		c.blockedUntil = time.Time{}
	}
}

// Forget ends the counting of key.
func (t *Throttle) Forget(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.young, key)
	delete(t.old, key)
}

// Network returns the part of an address that one party controls: an IPv4
// address or an IPv6 /64. It is empty for loopback and unreadable addresses:
// behind a proxy on the same machine everybody has that one, and a limit would
// let one visitor shut out all others.
func Network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	ip = ip.Unmap().WithZone("")
	if ip.IsLoopback() {
		return ""
	}
	if ip.Is6() {
		p, err := ip.Prefix(64)
		if err != nil {
			return ""
		}
		return p.String()
	}
	return ip.String()
}
