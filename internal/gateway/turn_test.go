package gateway_test

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// A server that is full lets calls in by the weight of their tier, sends away
// who waits too long, and keeps no place of who has left.
func TestAFullServerServesByWeight(t *testing.T) {
	t.Parallel()
	limits := quick()
	limits.Resolution = time.Hour // the limit stands still
	limits.Turn = 5 * time.Second
	run(t, limits, plenty, func(t *testing.T, w *world) {
		w.plans.of["usr_bob"] = "pro_max" // weighs 30
		w.plans.set("free")               // weighs 10
		w.calls.Places(1)
		release := make(chan struct{})
		var (
			mu     sync.Mutex
			served []string
			all    sync.WaitGroup
		)
		w.one.does(func(rw http.ResponseWriter, r *http.Request) {
			<-release
			says(200, okAnswer)(rw, r)
		})
		w.grant("usr_bob", plenty)
		ask := func(who string, waiting int64) {
			all.Go(func() {
				r := w.post(chat("single", ""), "Authorization", "Bearer "+who)
				mu.Lock()
				defer mu.Unlock()
				if served = append(served, who); r.status != 200 {
					t.Errorf("%s: %d %s", who, r.status, r.body)
				}
			})
			waitFor(t, func() bool { _, n := w.calls.Turns(); return n == waiting })
		}
		ask("live", 0)
		waitFor(t, func() bool { n, _ := w.calls.Turns(); return n == 1 })
		for i := range int64(3) { // light and heavy ones, in turn
			ask("live", 2*i+1)
			ask("bob", 2*i+2)
		}
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.api.URL+"/v1/chat/completions", http.NoBody)
			if err == nil {
				r.Header.Set("Authorization", "Bearer live")
				if resp, err := w.client.Do(r); err == nil {
					_ = resp.Body.Close()
				}
			}
		}()
		waitFor(t, func() bool { _, n := w.calls.Turns(); return n == 7 })
		cancel()
		<-gone
		waitFor(t, func() bool { _, n := w.calls.Turns(); return n == 6 })
		for n := range 7 {
			release <- struct{}{}
			waitFor(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(served) == n+1 })
		}
		all.Wait()
		// The heavy ones come at 0, 1/30 and 2/30 of the virtual clock, the light
		// ones at 0, 1/10 and 2/10; of two at 0 the heavy one goes first.
		if want := []string{"live", "bob", "live", "bob", "bob", "live", "live"}; !slices.Equal(served, want) {
			t.Errorf("served %v, want %v", served, want)
		}
		waitFor(t, func() bool { n, _ := w.calls.Turns(); return n == 0 })
	})
}

func TestAFullServerSendsAwayWhoWaitsTooLong(t *testing.T) {
	t.Parallel()
	limits := quick()
	limits.Resolution = time.Hour
	limits.Turn = 20 * time.Millisecond
	run(t, limits, plenty, func(t *testing.T, w *world) {
		w.calls.Places(1)
		release := make(chan struct{})
		w.one.does(func(rw http.ResponseWriter, r *http.Request) {
			<-release
			says(200, okAnswer)(rw, r)
		})
		first := make(chan int)
		go func() { first <- w.post(chat("single", "")).status }()
		waitFor(t, func() bool { n, _ := w.calls.Turns(); return n == 1 })
		if r := w.post(chat("single", "")); r.status != 503 || r.code() != "overloaded" || r.header.Get("Retry-After") == "" {
			t.Errorf("%d %s", r.status, r.body)
		}
		close(release)
		if status := <-first; status != 200 {
			t.Errorf("who had the place: %d", status)
		}
		if r := w.post(chat("single", "")); r.status != 200 {
			t.Errorf("when it is free again: %d %s", r.status, r.body)
		}
	})
}
