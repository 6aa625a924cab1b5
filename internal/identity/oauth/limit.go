package oauth

import (
	"net/netip"
	"sync"
	"time"
)

// Limiter counts what each address does within a span of time. It is safe for
// concurrent use.
type Limiter struct {
	most int
	span time.Duration
	now  func() time.Time

	mu      sync.Mutex
	windows map[string]*window // guarded by mu
}

type window struct {
	count int
	until time.Time
}

// maxWindows bounds the memory. An attacker with more addresses than this is
// not stopped by counting them.
const maxWindows = 50_000

// NewLimiter returns a Limiter that lets each address do most things in span.
func NewLimiter(most int, span time.Duration, now func() time.Time) *Limiter {
	return &Limiter{most: most, span: span, now: now, windows: map[string]*window{}}
}

// Check refuses an address that has done too much, with ErrSlowDown.
func (l *Limiter) Check(address string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.windows[network(address)]
	if now := l.now(); w != nil && w.count >= l.most && w.until.After(now) {
		return ErrSlowDown.After(w.until.Sub(now))
	}
	return nil
}

// Count counts one thing that the address did.
func (l *Limiter) Count(address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, key := l.now(), network(address)
	w := l.windows[key]
	if w == nil || !w.until.After(now) {
		if len(l.windows) >= maxWindows {
			clear(l.windows)
		}
		w = &window{until: now.Add(l.span)}
		l.windows[key] = w
	}
	w.count++
}

// network is what is counted: an IPv4 address, or the /64 of an IPv6 one,
// which belongs to one subscriber.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	a = a.Unmap()
	if p, err := a.Prefix(64); err == nil && a.Is6() {
		return p.String()
	}
	return a.String()
}
