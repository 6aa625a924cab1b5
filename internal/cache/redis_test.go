package cache_test

import (
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/cache"
	"github.com/rephlo/rephlo/internal/cache/redistest"
)

// nodes are processes that share a Redis, with real clocks.
func nodes(t *testing.T, url string, names ...string) []*cache.Counters {
	t.Helper()
	var out []*cache.Counters
	for _, name := range names {
		r, err := cache.OpenPatiently(url, slog.New(slog.NewTextHandler(t.Output(), nil)))
		if err != nil {
			t.Fatal(err)
		}
		c := cache.New(cache.Needs{Log: slog.New(slog.DiscardHandler), Now: time.Now, Redis: r, Node: name, Nodes: func() int64 { return int64(len(names)) }})
		c.Start(t.Context())
		t.Cleanup(func() {
			c.Stop()
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
		out = append(out, c)
	}
	return out
}

// race lets callers of all nodes ask until they were refused often, or for a
// hundred times.
func race(nodes []*cache.Counters, ask func(c *cache.Counters) bool) int64 {
	var won atomic.Int64
	var wg sync.WaitGroup
	for _, c := range nodes {
		for range 40 {
			wg.Go(func() {
				for refusals, asked := 0, 0; refusals < 20 && asked < 100; asked++ {
					if ask(c) {
						won.Add(1)
					} else {
						refusals++
					}
				}
			})
		}
	}
	wg.Wait()
	return won.Load()
}

// Three processes, one limit: together they admit what the bucket has, and no
// more.
func TestProcessesShareABucket(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for _, limit := range []int64{1, 7, 60, 500} {
		all := nodes(t, server.URL, "a", "b", "c")
		key := cache.Key{Kind: cache.Requests, Subject: "usr_" + time.Duration(limit).String()}
		began := time.Now()
		won := race(all, func(c *cache.Counters) bool { _, ok := c.Take(t.Context(), key, limit); return ok })
		most := limit + int64(time.Since(began))*limit/int64(time.Minute) + 1
		if won < limit || won > most {
			t.Errorf("limit %d: %d were admitted, want %d to %d", limit, won, limit, most)
		}
	}
}

func TestProcessesShareTokens(t *testing.T) {
	t.Parallel()
	all := nodes(t, redistest.Start(t).URL, "a", "b", "c")
	const limit, each, callers = 10_000, 10, 120
	began := time.Now()
	won := race(all, func(c *cache.Counters) bool {
		if _, ok := c.Positive(t.Context(), tokens, limit); !ok {
			return false
		}
		c.Spend(tokens, limit, each)
		return true
	})
	most := limit + int64(time.Since(began))*limit/int64(time.Minute) + callers*each // each caller may overdraw by one call
	if used := won * each; used < limit || used > most {
		t.Errorf("%d tokens were used, want %d to %d", used, limit, most)
	}
}

func TestProcessesSharePlaces(t *testing.T) {
	t.Parallel()
	all := nodes(t, redistest.Start(t).URL, "a", "b", "c")
	for _, limit := range []int64{1, 5, 50} {
		key := cache.Key{Kind: cache.Concurrent, Subject: "usr_" + time.Duration(limit).String()}
		var running, most atomic.Int64
		won := race(all, func(c *cache.Counters) bool {
			if _, ok := c.Take(t.Context(), key, limit); !ok {
				return false
			}
			if n := running.Add(1); n > most.Load() {
				most.Store(n)
			}
			running.Add(-1)
			c.Return(key, limit)
			return true
		})
		if won == 0 || most.Load() > limit {
			t.Errorf("limit %d: %d calls, %d at once", limit, won, most.Load())
		}
		eventually(t, "the places of all are free for one", func() bool {
			_, ok := all[2].Take(t.Context(), key, limit)
			return ok
		})
		all[2].Return(key, limit)
	}
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// What one process has drawn and does not use is there for another.
func TestUnusedPermitsGoBack(t *testing.T) {
	t.Parallel()
	all := nodes(t, redistest.Start(t).URL, "a", "b")
	const limit = 64 // a portion is four
	if _, ok := all[0].Take(t.Context(), requests, limit); !ok {
		t.Fatal("the first was refused")
	}
	won := int64(0)
	eventually(t, "the rest is used by the other", func() bool {
		if _, ok := all[1].Take(t.Context(), requests, limit); ok {
			won++
		}
		return won >= limit-1
	})
}

// A Redis that hangs or is dead refuses nobody: each process applies its share,
// and goes back when Redis does.
func TestARedisThatIsGoneTurnsNobodyAway(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string]func(s *redistest.Server, t *testing.T){
		"hangs": func(s *redistest.Server, t *testing.T) { t.Helper(); s.Pause(t) },
		"dies":  func(s *redistest.Server, t *testing.T) { t.Helper(); s.Kill(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			r, err := cache.OpenRedis(server.URL, slog.New(slog.NewTextHandler(t.Output(), nil)))
			if err != nil {
				t.Fatal(err)
			}
			c := cache.New(cache.Needs{Log: slog.New(slog.DiscardHandler), Now: time.Now, Redis: r, Node: "a", Nodes: func() int64 { return 3 }})
			t.Cleanup(func() {
				c.Stop()
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			})
			eventually(t, "it is used", func() bool { _, ok := c.Take(t.Context(), requests, 60); return ok && r.Up() })
			gone(server, t)
			began := time.Now()
			won := admitted(t, c, cache.Key{Kind: cache.Requests, Subject: "usr_bob"}, 60, 200)
			if share := int64(20); won < share || won > share+int64(time.Since(began).Seconds())+1 || r.Up() {
				t.Errorf("%d were admitted, want the share of %d; up %v", won, share, r.Up())
			}
			if name == "hangs" {
				server.Resume(t)
				eventually(t, "it is used again", r.Up)
			}
		})
	}
}

func TestAnAddressOfRedisIsNeverRepeated(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"http://user:planted-password@host", "redis://user:planted-password@host:port", "planted-password"} {
		if _, err := cache.OpenRedis(url, nil); err == nil || strings.Contains(err.Error(), "planted") {
			t.Errorf("%v", err)
		}
	}
}
