package apikey

import (
	"context"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"github.com/rephlo/rephlo/internal/obs"
)

// Bounds of what is remembered.
const (
	maxKnown    = 100_000
	maxUnknown  = 10_000
	knownLife   = 5 * time.Minute // then the key is read again
	unknownLife = 10 * time.Second
	maxLoads    = 8 // reads at a time: strangers must not take the database's pool
	loadTimeout = 3 * time.Second
)

// cache remembers keys by their hash, and hashes that are no keys. When full
// it forgets what is used least.
type cache struct {
	known   *otter.Cache[hash, *entry]
	unknown *otter.Cache[hash, time.Time] // until when
	flight  singleflight.Group
	loads   chan struct{}
	results [3]atomic.Int64 // by how a key that was presented was found

	mu         sync.Mutex
	generation int // guarded by mu: counts messages, so that no read that began before one is stored after it
}

// How a well-formed key was found.
const (
	hit     = iota // in memory
	refused        // as one that there is not, in memory
	miss           // by asking the database
)

// Observe shows in m how keys were found.
func (s *Service) Observe(m *obs.Metrics) {
	m.Counter("auth_cache_total", "API keys that were presented, by how they were found.", []string{"result"}, func(emit obs.Emit) {
		for i, result := range [...]string{hit: "hit", refused: "refused", miss: "miss"} {
			emit(float64(s.cache.results[i].Load()), result)
		}
	})
}

// entry is a known key. The key never changes.
type entry struct {
	key    Key
	loaded time.Time
	noted  atomic.Int64 // Unix second of the use that was noted last
}

func newCache() *cache {
	return &cache{
		known:   otter.Must(&otter.Options[hash, *entry]{MaximumSize: maxKnown}),
		unknown: otter.Must(&otter.Options[hash, time.Time]{MaximumSize: maxUnknown}),
		loads:   make(chan struct{}, maxLoads),
	}
}

// forget handles a message of the bus.
func (c *cache) forget(subject string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	var h hash
	if n, err := hex.Decode(h[:], []byte(subject)); err == nil && n == len(h) {
		c.known.Invalidate(h)
		c.unknown.Invalidate(h)
		c.flight.Forget(string(h[:])) // who asks from now on must not get an earlier read
	}
}

func (c *cache) started() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.generation
}

// keep stores what a read found, unless a message came since it began.
func (c *cache) keep(h hash, e *entry, generation int, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case generation != c.generation:
	case e == nil:
		c.known.Invalidate(h)
		c.unknown.Set(h, now.Add(unknownLife))
	default:
		c.unknown.Invalidate(h)
		c.known.Set(h, e)
	}
}

// Cached is Lookup without the database: decided says whether memory (or the
// form of the text alone) was enough to answer.
func (s *Service) Cached(presented string) (k Key, decided bool, err error) {
	h, ok := parse(presented)
	if !ok {
		return Key{}, true, ErrInvalid
	}
	now := s.now()
	if e, ok := s.cache.known.GetIfPresent(h); ok && now.Sub(e.loaded) < knownLife {
		s.cache.results[hit].Add(1)
		k, err := s.use(e, now)
		return k, true, err
	}
	if until, ok := s.cache.unknown.GetIfPresent(h); ok && now.Before(until) {
		s.cache.results[refused].Add(1)
		return Key{}, true, ErrInvalid
	}
	return Key{}, false, nil
}

// Lookup returns the key that was presented, and notes its use. It asks the
// database only for a well-formed key that is not in memory, once for all who
// ask at the same time. Its faults are ErrInvalid, ErrExpired, ErrRevoked, ErrPlan
// and ErrUnavailable.
func (s *Service) Lookup(ctx context.Context, presented string) (Key, error) {
	k, decided, err := s.Cached(presented)
	if decided {
		return k, err
	}
	s.cache.results[miss].Add(1)
	h, _ := parse(presented) // Cached has checked it
	v, err, _ := s.cache.flight.Do(string(h[:]), func() (any, error) { return s.load(ctx, h) })
	if err != nil {
		return Key{}, err
	}
	e, ok := v.(*entry)
	if !ok || e == nil {
		return Key{}, ErrInvalid
	}
	return s.use(e, s.now())
}

// load reads a key for all who wait for it; a nil entry says that there is
// none.
func (s *Service) load(ctx context.Context, h hash) (*entry, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
	defer cancel()
	select {
	case s.cache.loads <- struct{}{}:
		defer func() { <-s.cache.loads }()
	case <-ctx.Done():
		return nil, ErrUnavailable.Because(ctx.Err())
	}
	generation := s.cache.started()
	k, found, err := s.store.byHash(ctx, h, s.now())
	if err != nil {
		return nil, ErrUnavailable.Because(fmt.Errorf("read api key: %w", err))
	}
	now := s.now()
	var e *entry
	if found {
		e = &entry{key: k, loaded: now}
	}
	s.cache.keep(h, e, generation, now)
	return e, nil
}

// use checks a known key and notes that it was used, once a minute.
func (s *Service) use(e *entry, now time.Time) (Key, error) {
	if err := e.key.check(now); err != nil {
		return Key{}, err
	}
	if s.Surplus(e.key) {
		return Key{}, ErrPlan
	}
	second := now.Unix()
	if last := e.noted.Load(); second-last >= noteEvery && e.noted.CompareAndSwap(last, second) {
		s.uses.note(e.key.ID, now)
	}
	return e.key, nil
}
