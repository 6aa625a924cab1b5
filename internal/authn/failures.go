package authn

import (
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Bounds of wrong credentials from one address.
const (
	maxFailures  = 60 // in a minute
	maxAddresses = 50_000
	window       = time.Minute
)

// failures counts wrong credentials by address. When it is full, all further
// addresses are counted together.
type failures struct {
	mu    sync.Mutex
	start time.Time            // of the minute that is counted, guarded by mu
	count map[netip.Prefix]int // guarded by mu
}

func newFailures() *failures { return &failures{count: map[netip.Prefix]int{}} }

// check returns errTooMany when the address of r has failed too often: before
// work is spent on a credential that was not seen yet.
func (f *failures) check(r *http.Request, now time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.roll(now)
	return f.verdict(f.count[f.bucket(r)], now)
}

// add counts a failure, and returns errTooMany when there were too many
// before.
func (f *failures) add(r *http.Request, now time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.roll(now)
	b := f.bucket(r)
	before := f.count[b]
	f.count[b] = before + 1
	return f.verdict(before, now)
}

// verdict, roll and bucket are called with mu held.
func (f *failures) verdict(count int, now time.Time) error {
	if count < maxFailures {
		return nil
	}
	return errTooMany.After(f.start.Add(window).Sub(now))
}

func (f *failures) roll(now time.Time) {
	if now.Sub(f.start) >= window || now.Before(f.start) {
		f.start = now
		clear(f.count)
	}
}

// bucket returns what the address of r is counted under: IPv6 networks are
// given out as /64.
func (f *failures) bucket(r *http.Request) netip.Prefix {
	var p netip.Prefix
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		addr := ap.Addr().Unmap().WithZone("")
		bits := addr.BitLen()
		if addr.Is6() {
			bits = 64
		}
		p, _ = addr.Prefix(bits) // bits fit the address
	}
	if _, ok := f.count[p]; !ok && len(f.count) >= maxAddresses {
		return netip.Prefix{}
	}
	return p
}
