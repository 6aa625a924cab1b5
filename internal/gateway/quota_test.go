package gateway_test

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/gateway/route"
)

// bounds gives the deployment of "m" at a provider limits of its own.
func (w *world) bounds(provider string, l catalog.RouteLimits) {
	w.t.Helper()
	w.change("limits", func() error {
		_, err := w.models.EditEntry(w.t.Context(), "m", byTest, func(e *catalog.Entry) {
			for i := range e.Routes {
				if e.Routes[i].Provider == provider {
					e.Routes[i].Limits = l
				}
			}
		})
		return err
	}, func() bool {
		for _, r := range w.model("m").Routes {
			if r.Provider.Name == provider {
				return r.Limits == l
			}
		}
		return false
	})
}

// many makes n calls at once and returns how many had each status.
func (w *world) many(n int, body string) map[int]int {
	var mu sync.Mutex
	var wg sync.WaitGroup
	out := map[int]int{}
	for range n {
		wg.Go(func() {
			r := w.post(body)
			mu.Lock()
			defer mu.Unlock()
			out[r.status]++
		})
	}
	wg.Wait()
	return out
}

// Of 30 calls at once a deployment that takes 10 a minute gets 10, the next one
// in order 15, and the others learn how long to wait.
func TestADeploymentGetsSoManyRequestsAndTheNextTheRest(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.remembers = true
		w.one.does(says(200, okAnswer))
		w.two.does(says(200, okAnswer))
		w.bounds("one", catalog.RouteLimits{RequestsPerMinute: 10})
		w.bounds("two", catalog.RouteLimits{RequestsPerMinute: 15})
		began := time.Now()
		got := w.many(30, chat("m", ""))
		refilled := int(time.Since(began).Seconds()/4) + 1 // 25 a minute are less than one in 2 s
		one, two := int(w.one.calls.Load()), int(w.two.calls.Load())
		if one < 10 || one > 10+refilled || two < 15 || two > 15+refilled || got[200] != one+two || got[200]+got[429] != 30 {
			t.Errorf("%d and %d calls, %v", one, two, got)
		}
		r := w.post(chat("m", ""))
		for r.status == 200 { // a permit has come meanwhile
			r = w.post(chat("m", ""))
		}
		wait, _ := strconv.Atoi(r.header.Get("Retry-After"))
		if r.status != 429 || r.code() != "upstream_rate_limited" || wait < 1 || wait > 6 {
			t.Errorf("%d %s, wait %q", r.status, r.body, r.header.Get("Retry-After"))
		}
	})
}

func TestADeploymentHasSoManyCallsAtOnce(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.remembers = true
		release := make(chan struct{})
		var inside, most atomic.Int64
		w.one.does(func(rw http.ResponseWriter, r *http.Request) {
			n := inside.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			<-release
			inside.Add(-1)
			says(200, okAnswer)(rw, r)
		})
		w.two.does(says(200, okAnswer))
		w.bounds("one", catalog.RouteLimits{ConcurrentRequests: 3})
		done := make(chan map[int]int)
		go func() { done <- w.many(12, chat("m", "")) }()
		for end := time.Now().Add(10 * time.Second); (w.two.calls.Load() < 9 || inside.Load() < 3) && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		close(release)
		if got := <-done; got[200] != 12 || w.one.calls.Load() != 3 || most.Load() != 3 || w.two.calls.Load() != 9 {
			t.Errorf("%v, %d calls at the first, at most %d at once, %d at the second", got, w.one.calls.Load(), most.Load(), w.two.calls.Load())
		}
		// Its places are free again, also those of calls that fail or are left.
		w.one.does(says(500, "{}"))
		for range 4 {
			w.post(chat("m", ""))
			w.routes.Forget(func(route.ID) bool { return false })
		}
		w.one.does(streams(role, token("a"), "wait"))
		for range 4 {
			ctx, cancel := context.WithCancel(t.Context())
			e := w.open(ctx, chat("m", `,"stream":true`))
			if _, err := e.next(); err != nil {
				t.Fatal(err)
			}
			cancel()
			_ = e.res.Body.Close()
			w.check(context.Background())
		}
		if n := w.one.calls.Load(); n != 3+4+4 {
			t.Errorf("the first had %d calls, want 11: a place was lost", n)
		}
	})
}

// A call may use more tokens than there are; the next ones go elsewhere.
func TestADeploymentWithoutTokensIsPassedOver(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.one.does(says(200, okAnswer)) // 15 tokens
		w.two.does(says(200, okAnswer))
		w.bounds("one", catalog.RouteLimits{TokensPerMinute: 4})
		for range 5 {
			if r := w.post(chat("m", "")); r.status != 200 {
				t.Fatalf("%d %s", r.status, r.body)
			}
		}
		if w.one.calls.Load() != 1 || w.two.calls.Load() != 4 {
			t.Errorf("%d and %d calls, want 1 and 4", w.one.calls.Load(), w.two.calls.Load())
		}
		w.bounds("two", catalog.RouteLimits{RequestsPerMinute: 1, ConcurrentRequests: 1, TokensPerMinute: 1})
		for range 2 { // the first of them takes what there is, if it is not taken yet
			w.post(chat("m", ""))
		}
		if r := w.post(chat("m", "")); r.status != 429 || w.one.calls.Load() != 1 || w.two.calls.Load() != 5 {
			t.Errorf("%d, %d and %d calls", r.status, w.one.calls.Load(), w.two.calls.Load())
		}
	})
}

// A model whose deployments are full has its fallbacks.
func TestAFallbackAnswersForFullDeployments(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.one.does(says(200, okAnswer))
		w.two.does(says(200, okAnswer))
		w.change("limits", func() error {
			_, err := w.models.EditEntry(t.Context(), "failing", byTest, func(e *catalog.Entry) { e.Routes[0].Limits.RequestsPerMinute = 1 })
			return err
		}, func() bool { return w.model("failing").Routes[0].Limits.RequestsPerMinute == 1 })
		for i, want := range []string{"failing", "dear", "dear"} {
			if r := w.post(chat("failing", "")); r.status != 200 || r.header.Get("X-Rephlo-Model") != want {
				t.Errorf("%d: %d by %s, want %s", i, r.status, r.header.Get("X-Rephlo-Model"), want)
			}
		}
	})
}
