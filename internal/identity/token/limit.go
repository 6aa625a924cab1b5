package token

import (
	"net/netip"
	"sync"
	"time"

	"github.com/rephlo/rephlo/internal/identity/oauth"
)

// limiter counts the refused requests of each address within a minute.
type limiter struct {
	most int
	now  func() time.Time

	mu      sync.Mutex
	windows map[string]*window // guarded by mu
}

type window struct {
	failures int
	until    time.Time
}

const (
	windowLife = time.Minute
	// maxWindows bounds the memory. An attacker with more addresses than this
	// is not stopped by counting them.
	maxWindows = 50_000
)

func newLimiter(most int, now func() time.Time) *limiter {
	return &limiter{most: most, now: now, windows: map[string]*window{}}
}

// check refuses an address that has failed too often.
func (l *limiter) check(address string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.windows[network(address)]
	if now := l.now(); w != nil && w.failures >= l.most && w.until.After(now) {
		return oauth.ErrSlowDown.After(w.until.Sub(now))
	}
	return nil
}

// failed counts a refusal.
func (l *limiter) failed(address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, key := l.now(), network(address)
	w := l.windows[key]
	if w == nil || !w.until.After(now) {
		if len(l.windows) >= maxWindows {
			clear(l.windows)
		}
		w = &window{until: now.Add(windowLife)}
		l.windows[key] = w
	}
	w.failures++
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
