package turn_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/rephlo/rephlo/internal/gateway/turn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const wait = 2 * time.Second

func full(limit int64, most int) *turn.Queue {
	q := turn.New(turn.Options{Limit: limit, Wait: wait, Most: most})
	for range limit {
		if !q.Try() {
			panic("no place in an empty queue")
		}
	}
	return q
}

// served lets calls of these weights wait for one place and returns the weights
// in the order in which they got it.
func served(t *testing.T, q *turn.Queue, weights []int64) []int64 {
	t.Helper()
	var order []int64 // only who has the place appends
	var all sync.WaitGroup
	for _, w := range weights {
		all.Go(func() {
			if err := q.Enter(t.Context(), w); err != nil {
				t.Errorf("weight %d: %v", w, err)
				return
			}
			order = append(order, w)
			q.Leave()
		})
		synctest.Wait() // so that they come one after the other
	}
	q.Leave()
	all.Wait()
	return order
}

// At any moment each class that still waits has got places in the ratio of the
// weights, to within one.
func TestPlacesGoByWeight(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		classes := rapid.SliceOfNDistinct(rapid.SampledFrom([]int64{1, 5, 10, 15, 20, 30, 100}), 2, 4, rapid.ID).Draw(r, "weights")
		const each = 24
		var come []int64
		for range each {
			come = append(come, classes...)
		}
		come = rapid.Permutation(come).Draw(r, "order")
		var order []int64
		synctest.Test(t, func(t *testing.T) { order = served(t, full(1, 1000), come) })
		if len(order) != len(come) {
			r.Fatalf("%d of %d got a place", len(order), len(come))
		}
		got := map[int64]int64{}
		for n, w := range order {
			got[w]++
			if slices.ContainsFunc(classes, func(c int64) bool { return got[c] == each }) {
				break // one class has all it wants, the others share its part
			}
			for _, a := range classes {
				for _, b := range classes {
					// a's places by its weight are within one of b's: |x/a - y/b| <= 1/a + 1/b.
					if d := got[a]*b - got[b]*a; d > a+b || -d > a+b {
						r.Fatalf("after %d places weight %d has %d and weight %d has %d: %v", n+1, a, got[a], b, got[b], order[:n+1])
					}
				}
			}
		}
	})
}

func TestWithinAClassTheFirstGoesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := full(1, 100)
		var order []int
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				if err := q.Enter(t.Context(), 10); err == nil {
					order = append(order, i)
					q.Leave()
				}
			})
			synctest.Wait()
		}
		q.Leave()
		all.Wait()
		if !slices.IsSorted(order) || len(order) != 20 {
			t.Errorf("served %v", order)
		}
	})
}

func TestTheLightestAreSentAwayFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := full(1, 3)
		got := map[string]error{}
		var mu sync.Mutex
		var all sync.WaitGroup
		come := func(name string, weight int64) {
			all.Go(func() {
				err := q.Enter(t.Context(), weight)
				mu.Lock()
				defer mu.Unlock()
				got[name] = err
			})
			synctest.Wait()
		}
		known := func() string {
			mu.Lock()
			defer mu.Unlock()
			return fmt.Sprint(got)
		}
		come("free 1", 10)
		come("pro", 15)
		come("free 2", 10) // now it is full
		come("free 3", 10)
		if want := "map[free 3:no place came free in time]"; known() != want {
			t.Errorf("the queue is full of equals and better: %s, want %s", known(), want)
		}
		come("max 1", 30)
		come("max 2", 30)
		if want := "map[free 1:no place came free in time free 2:no place came free in time free 3:no place came free in time]"; known() != want {
			t.Errorf("two heavy ones came: %s, want %s", known(), want)
		}
		come("max 3", 30)
		come("pro 2", 15)
		if _, sent := got["pro"]; !sent || got["pro 2"] == nil || len(got) != 5 {
			t.Errorf("another came, then a lighter one: %s", known())
		}
		for range 4 {
			q.Leave()
			synctest.Wait()
		}
		all.Wait()
		if got["max 1"] != nil || got["max 2"] != nil || got["max 3"] != nil || q.Running() != 0 || q.Waiting() != 0 {
			t.Errorf("the heavy ones: %s, %d running, %d waiting", known(), q.Running(), q.Waiting())
		}
	})
}

func TestNobodyWaitsLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := full(2, 10)
		began := time.Now()
		if err := q.Enter(t.Context(), 10); !errors.Is(err, turn.ErrSent) || time.Since(began) != wait {
			t.Errorf("%v after %s, want to be sent away after %s", err, time.Since(began), wait)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		if err := q.Enter(ctx, 10); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("who leaves: %v after %s", err, time.Since(began))
		}
		if q.Running() != 2 || q.Waiting() != 0 {
			t.Errorf("%d running, %d waiting", q.Running(), q.Waiting())
		}
		q.Leave()
		if !q.Try() || q.Try() {
			t.Error("the free place is not one")
		}
	})
}

// Whatever comes, leaves, gives up or is moved: there are never more calls than
// places, nobody waits while there is a place, and at the end all are free.
func TestNoPlaceIsLost(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		limit := rapid.Int64Range(1, 4).Draw(r, "limit")
		most := rapid.IntRange(1, 6).Draw(r, "most")
		steps := rapid.SliceOfN(rapid.IntRange(0, 99), 1, 60).Draw(r, "steps")
		synctest.Test(t, func(t *testing.T) {
			q := turn.New(turn.Options{Limit: limit, Wait: wait, Most: most})
			var all sync.WaitGroup
			var inside atomic.Int64
			leave := make(chan struct{})
			var cancels []context.CancelFunc
			for _, step := range steps {
				switch {
				case step < 50: // comes
					ctx, cancel := context.WithCancel(t.Context())
					cancels = append(cancels, cancel)
					began := time.Now()
					all.Go(func() {
						err := q.Enter(ctx, int64(step%5)*10)
						if time.Since(began) > wait {
							t.Errorf("waited %s", time.Since(began))
						}
						if err != nil {
							return
						}
						if inside.Add(1) > limit {
							t.Errorf("%d are inside of %d", inside.Load(), limit)
						}
						<-leave
						inside.Add(-1)
						q.Leave()
					})
				case step < 75: // leaves
					select {
					case leave <- struct{}{}:
					default:
					}
				case step < 90: // gives up, if it waits
					if len(cancels) > 0 {
						cancels[step%len(cancels)]()
					}
				default:
					time.Sleep(time.Duration(step-88) * 300 * time.Millisecond)
				}
				if step%3 > 0 { // else the next happens at the same time
					synctest.Wait()
					if q.Waiting() > 0 && q.Running() < limit {
						t.Fatalf("%d wait and %d of %d places are taken", q.Waiting(), q.Running(), limit)
					}
				}
			}
			close(leave)
			all.Wait()
			if q.Running() != 0 || q.Waiting() != 0 {
				t.Errorf("at the end %d places are taken and %d wait", q.Running(), q.Waiting())
			}
			for _, cancel := range cancels {
				cancel()
			}
		})
	})
}

// The same with goroutines that really run at the same time.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	q := turn.New(turn.Options{Limit: 3, Wait: time.Minute, Most: 1000})
	var inside, most atomic.Int64
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			for n := range 500 {
				ctx, cancel := context.WithCancel(t.Context())
				if (i+n)%7 == 0 {
					cancel()
				}
				if q.Enter(ctx, int64(i)) == nil {
					n := inside.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					inside.Add(-1)
					q.Leave()
				}
				cancel()
			}
		})
	}
	all.Wait()
	if most.Load() > 3 || q.Running() != 0 || q.Waiting() != 0 {
		t.Errorf("%d were inside at once, then %d running, %d waiting", most.Load(), q.Running(), q.Waiting())
	}
}

func TestTheLimitFollowsWhatTheProcessCanDo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := full(80, 100)
		want := func(what string, limit int64) {
			t.Helper()
			if q.Limit() != limit {
				t.Errorf("%s: %d places, want %d", what, q.Limit(), limit)
			}
		}
		q.Adapt(0, 80)
		want("nobody waits", 80)
		var all sync.WaitGroup
		all.Go(func() {
			if err := q.Enter(t.Context(), 10); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		q.Adapt(0, 80)
		want("somebody waits and there is time", 91)
		all.Wait()
		for range 20 {
			q.Adapt(150*time.Millisecond, 80)
		}
		want("it is late all the time", 40)
		q.Adapt(0, 80)
		want("and again in time, and nobody waits", 40)
		q.Adapt(0, 200)
		want("an operator says so", 200)
		for range 60 {
			_ = q.Enter(expired(t), 1) // who comes in vain
			if q.Running() < q.Limit() {
				for q.Try() {
				}
				_ = q.Enter(expired(t), 1)
			}
			q.Adapt(0, 200)
		}
		want("they keep coming", 3200)
	})
}

func expired(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func BenchmarkBelowTheLimit(b *testing.B) {
	q := turn.New(turn.Options{Limit: 512, Wait: wait, Most: 512})
	b.ReportAllocs()
	for b.Loop() {
		if !q.Try() {
			b.Fatal("full")
		}
		q.Leave()
	}
}
