package cache_test

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/rephlo/rephlo/internal/cache"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time that a test moves.
type clock struct{ micros atomic.Int64 }

func (c *clock) now() time.Time          { return time.UnixMicro(c.micros.Load()) }
func (c *clock) advance(d time.Duration) { c.micros.Add(d.Microseconds()) }

func alone(c *clock, nodes int64) *cache.Counters {
	c.micros.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMicro())
	return cache.New(cache.Needs{Log: slog.New(slog.DiscardHandler), Now: c.now, Nodes: func() int64 { return nodes }})
}

var (
	requests = cache.Key{Kind: cache.Requests, Subject: "usr_ada"}
	tokens   = cache.Key{Kind: cache.Tokens, Subject: "usr_ada"}
	places   = cache.Key{Kind: cache.Concurrent, Subject: "usr_ada"}
)

// admitted is how many of n that ask at the same time get a permit.
func admitted(t *testing.T, c *cache.Counters, k cache.Key, limit int64, n int) int64 {
	t.Helper()
	var won atomic.Int64
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if _, ok := c.Take(t.Context(), k, limit); ok {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	return won.Load()
}

// 60 in a minute, asked for by 200 at once, across refills: exactly what the
// bucket has, without a moment at which it is reset.
func TestALimitIsExactAcrossRefills(t *testing.T) {
	t.Parallel()
	clock := &clock{}
	c := alone(clock, 1)
	for i, step := range []struct {
		wait time.Duration
		want int64
	}{
		{0, 60},
		{0, 0},
		{time.Second - time.Microsecond, 0},
		{time.Microsecond, 1},
		{2500 * time.Millisecond, 2},
		{500 * time.Millisecond, 1},
		{30 * time.Second, 30},
		{time.Hour, 60},
		{59 * time.Second, 59},
		{time.Second, 1},
	} {
		clock.advance(step.wait)
		if got := admitted(t, c, requests, 60, 200); got != step.want {
			t.Errorf("step %d: %d were admitted, want %d", i, got, step.want)
		}
	}
}

// Whatever is asked and when, no window of time admits more than the limit and
// what it brings.
func TestNoWindowAdmitsMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		clock := &clock{}
		c := alone(clock, 1)
		limit := rapid.Int64Range(1, 300).Draw(rt, "limit")
		var at []int64 // of those who were admitted
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			clock.advance(time.Duration(rapid.Int64Range(0, 20_000_000).Draw(rt, "wait")) * time.Microsecond)
			for range rapid.IntRange(0, 40).Draw(rt, "asks") {
				if _, ok := c.Take(t.Context(), requests, limit); ok {
					at = append(at, clock.micros.Load())
				}
			}
		}
		for i := range at {
			for j := i; j < len(at); j++ {
				if most := limit + (at[j]-at[i])*limit/60_000_000; int64(j-i+1) > most {
					rt.Fatalf("%d were admitted within %d µs of a limit of %d", j-i+1, at[j]-at[i], limit)
				}
			}
		}
	})
}

// One call may take more tokens than are left; the next waits until they are
// back.
func TestTokensAreBookedWhenTheyAreKnown(t *testing.T) {
	t.Parallel()
	clock := &clock{}
	c := alone(clock, 1)
	positive := func() bool { _, ok := c.Positive(t.Context(), tokens, 1000); return ok }
	if !positive() {
		t.Fatal("nothing is left at the start")
	}
	c.Spend(tokens, 1000, 2500)
	if st, ok := c.Positive(t.Context(), tokens, 1000); ok || st.Remaining != 0 || st.Retry.Round(time.Second) != 90*time.Second {
		t.Errorf("after 2500 of 1000: %v, %+v", ok, st)
	}
	clock.advance(89 * time.Second)
	if clock.advance(time.Second); positive() {
		t.Error("it is positive at zero")
	}
	if clock.advance(time.Second); !positive() {
		t.Error("it is not positive a second later")
	}
	c.Spend(tokens, 1000, 1<<60) // what a broken vendor reports is not paid for ever
	if st, _ := c.Positive(t.Context(), tokens, 1000); st.Retry > 6*time.Minute {
		t.Errorf("nothing for %v", st.Retry)
	}
}

func TestPlacesAreFreeWhenCallsEnd(t *testing.T) {
	t.Parallel()
	c := alone(&clock{}, 1)
	if got := admitted(t, c, places, 3, 50); got != 3 {
		t.Errorf("%d run at once, want 3", got)
	}
	c.Return(places, 3)
	c.Return(places, 3)
	if got := admitted(t, c, places, 3, 50); got != 2 {
		t.Errorf("%d of 2 free places were given", got)
	}
	for range 20 { // more than were taken
		c.Return(places, 3)
	}
	if got := admitted(t, c, places, 3, 50); got != 3 {
		t.Errorf("%d run at once after too many ends, want 3", got)
	}
}

// A permit whose call is not admitted after all is there for the next.
func TestAPermitCanBeReturned(t *testing.T) {
	t.Parallel()
	c := alone(&clock{}, 1)
	for range 100 {
		if _, ok := c.Take(t.Context(), requests, 1); !ok {
			t.Fatal("it was not given back")
		}
		c.Return(requests, 1)
	}
}

// Without Redis each process applies its share, of a limit of one still one.
func TestProcessesWithoutRedisApplyTheirShare(t *testing.T) {
	t.Parallel()
	c := alone(&clock{}, 3)
	if got := admitted(t, c, requests, 60, 200); got != 20 {
		t.Errorf("%d of 60 were admitted by one of three, want 20", got)
	}
	if got := admitted(t, c, places, 2, 50); got != 1 {
		t.Errorf("%d of 2 run at once in one of three, want 1", got)
	}
}

func TestCountersThatSayNothingAreForgotten(t *testing.T) {
	t.Parallel()
	clock := &clock{}
	c := alone(clock, 1)
	for i := range 1000 {
		c.Take(t.Context(), cache.Key{Kind: cache.Requests, Subject: fmt.Sprint("usr_", i)}, 10)
	}
	c.Take(t.Context(), places, 1)
	c.Tidy()
	if n := c.Len(); n != 1001 {
		t.Errorf("%d are remembered, want 1001", n)
	}
	clock.advance(3 * time.Minute)
	c.Tidy()
	if n := c.Len(); n != 1 { // its call still runs
		t.Errorf("%d are remembered, want the one that is in use", n)
	}
}

func BenchmarkTake(b *testing.B) {
	c := alone(&clock{}, 1)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.Take(b.Context(), requests, cache.MaxLimit)
		}
	})
}

func TestTakingAllocatesNothing(t *testing.T) {
	c := alone(&clock{}, 1)
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		c.Take(ctx, requests, cache.MaxLimit)
		c.Positive(ctx, tokens, 1000)
		c.Take(ctx, places, 10)
		c.Spend(tokens, 1000, 1)
		c.Return(places, 10)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
