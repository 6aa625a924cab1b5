package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/gateway"
	"github.com/rephlo/rephlo/internal/money"
)

// within fails the test unless ch has something soon.
func within(t *testing.T, limit time.Duration, what string, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(limit):
		t.Errorf("%s did not happen within %s", what, limit)
	}
}

const words = "one two three four five six seven "

// Who leaves a stream after event k pays for the input and what had arrived,
// and the vendor stops at once.
func TestAClientThatLeavesAStream(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		for k := range 4 { // events that the client has read
			events := []string{role}
			for range k {
				events = append(events, token(words))
			}
			w.one.does(streams(append(events, "wait")...))
			reads, all := w.watched.watch("vm"), 0
			for _, e := range events {
				all += len(e)
			}
			ctx, leave := context.WithCancel(t.Context())
			answered := make(chan struct{})
			go func() {
				defer close(answered)
				res, err := w.client.Do(w.request(ctx, chat("single", `,"stream":true`)))
				if err != nil {
					return
				}
				defer res.Body.Close()
				_, _ = io.ReadAll(res.Body)
			}()
			want := record{"cancelled", "client_gone", "estimated", "one", false, 36, 0, int64(7 * k), 0, 0}
			waitFor(t, func() bool { return w.one.calls.Load() == int64(k+1) })
			waitFor(t, func() bool { return reads.waitsAfter(int64(all)) }) // the last event is out
			leave()
			<-answered
			within(t, time.Second, fmt.Sprintf("the end of the vendor's call after %d events", k), w.one.gone)
			got := w.last(k + 1)
			if k > 0 && (got.Output < want.Output || got.Output > want.Output+int64(k)) {
				t.Errorf("after %d events: record %+v", k, got)
			}
			want.Charged = (money.Credits(36+2*got.Output)*150 + 9_999) / 10_000 * 10_000 // 1.5 x µ$ in cents
			got.Output, want.Output = 0, 0
			if got != want {
				t.Errorf("after %d events: record %+v, want %+v", k, got, want)
			}
		}
	})
}

func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("waited too long")
		}
		time.Sleep(time.Millisecond)
	}
}

// Before the vendor has begun to answer, leaving costs nothing.
func TestAClientThatLeavesBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.one.does(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		ctx, leave := context.WithCancel(t.Context())
		go func() {
			waitFor(t, func() bool { return w.one.calls.Load() == 1 })
			leave()
		}()
		if res, err := w.client.Do(w.request(ctx, chat("single", `,"stream":true`))); err == nil {
			res.Body.Close()
			t.Error("there was an answer")
		}
		within(t, time.Second, "the end of the vendor's call", w.one.gone)
		if got := w.last(1); got.Charged != 0 || got.Status != "cancelled" || got.Ending != "client_gone" {
			t.Errorf("record %+v", got)
		}
	})
}

// A call without stream is read to its end when its client leaves, because it
// will be billed; but not for ever, and not too many at once.
func TestAClientThatLeavesACallWithoutStream(t *testing.T) {
	t.Parallel()
	leaveAfter := func(t *testing.T, w *world, calls int64) {
		ctx, leave := context.WithCancel(t.Context())
		go func() {
			waitFor(t, func() bool { return w.one.calls.Load() == calls })
			leave()
		}()
		if res, err := w.client.Do(w.request(ctx, chat("single", ""))); err == nil {
			res.Body.Close()
			t.Error("there was an answer")
		}
	}
	t.Run("read on", func(t *testing.T) {
		t.Parallel()
		run(t, quick(), plenty, func(t *testing.T, w *world) {
			release := make(chan struct{})
			w.one.does(func(rw http.ResponseWriter, r *http.Request) {
				<-release
				says(200, okAnswer)(rw, r)
			})
			leaveAfter(t, w, 1)
			time.Sleep(50 * time.Millisecond)
			close(release)
			if got, want := w.last(1), (record{"cancelled", "client_gone", "reported", "one", false, 10, 0, 5, 0, 10_000}); got != want {
				t.Errorf("record %+v, want %+v", got, want)
			}
		})
	})
	for name, change := range map[string]func(l *gateway.Limits){
		"not for ever": func(l *gateway.Limits) { l.Linger = 30 * time.Millisecond },
		"not too many": func(l *gateway.Limits) { l.Detached = -1 },
	} {
		limits := quick()
		change(&limits)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, limits, plenty, func(t *testing.T, w *world) {
				w.one.does(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
				leaveAfter(t, w, 1)
				within(t, time.Second, "the end of the vendor's call", w.one.gone)
				if got, want := w.last(1), (record{"cancelled", "client_gone", "estimated", "one", false, 30, 0, 0, 0, 10_000}); got != want && got.Input < 20 {
					t.Errorf("record %+v, want %+v", got, want)
				}
			})
		})
	}
}

// A vendor that breaks after event k is paid by nobody before content, and
// counted after it; the client gets one error event and never a bare end.
func TestAVendorThatBreaks(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		n := 0
		for name, broken := range map[string]string{
			"cut": "cut", "bare end": "", "bad JSON": "data: {\"choices\":[\n\n", "bad line": "\x00\xff\n\n", "html": "<html>" + plantedKey + "</html>\n\n",
			"error event": `data: {"error":{"message":"key ` + plantedKey + ` is over its limit","type":"server_error"}}` + "\n\n",
		} {
			for k := range 3 {
				events := []string{role}
				want := role
				for range k {
					events, want = append(events, token(words)), want+token(words)
				}
				w.one.does(streams(append(events, broken)...))
				r := w.post(chat("single", `,"stream":true`))
				got := w.last(n + 1)
				n++
				if strings.Contains(r.body, plantedKey) {
					t.Errorf("%s after %d: the client sees the key", name, k)
				}
				if k == 0 {
					if r.status != 502 || r.code() != "upstream_error" || got.Charged != 0 || got.Ending != "failed" {
						t.Errorf("%s before content: %d %s, record %+v", name, r.status, r.body, got)
					}
					continue
				}
				rest, ok := strings.CutPrefix(r.body, want)
				if !ok || strings.Count(rest, "data: ") != 1 || !strings.HasPrefix(rest, `data: {"error":{`) || !strings.HasSuffix(rest, "\n\n") || r.err != nil {
					t.Errorf("%s after %d: %v %q", name, k, r.err, r.body)
				}
				if r.trailer.Get("X-Rephlo-Credits-Charged") != "" {
					t.Errorf("%s after %d: a charge was named", name, k)
				}
				if got.Ending != "provider_broke" || got.Status != "failed" || got.Output < int64(7*k) || got.Output > int64(8*k) || got.Charged != 10_000 {
					t.Errorf("%s after %d: record %+v", name, k, got)
				}
			}
		}
	})
}

// What a vendor reported before it broke is what is charged.
func TestAVendorThatBreaksAfterItsUsage(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.one.does(streams(role, token(words), stop, total, "cut"))
		r := w.post(chat("single", `,"stream":true`))
		if got, want := w.last(1), (record{"failed", "provider_broke", "reported", "one", false, 10, 0, 5, 0, 10_000}); got != want || !strings.Contains(r.body, `"error"`) {
			t.Errorf("record %+v, want %+v; %s", got, want, r.body)
		}
	})
}

// A stream that is quiet gets its head and heartbeats; what comes then is as it
// would have been, and a failure is an error event.
func TestAQuietStreamIsToldThatWeAreHere(t *testing.T) {
	t.Parallel()
	limits := quick()
	limits.Head, limits.Ping = 30*time.Millisecond, 30*time.Millisecond
	run(t, limits, plenty, func(t *testing.T, w *world) {
		release := make(chan struct{})
		w.one.does(func(rw http.ResponseWriter, r *http.Request) {
			<-release
			streams(role, token("a"))(rw, r)
			<-release
			send(rw, r, token("b"), stop, total, done)
		})
		e := w.open(t.Context(), chat("single", `,"stream":true`))
		for range 3 {
			if line, err := e.next(); line != ": ping" || err != nil {
				t.Fatalf("%q, %v, want a heartbeat", line, err)
			}
		}
		release <- struct{}{}
		time.Sleep(100 * time.Millisecond)
		release <- struct{}{}
		rest, err := io.ReadAll(e.b)
		got := strings.ReplaceAll(string(rest), ": ping\n", "")
		if got != role+token("a")+token("b")+stop+done || err != nil || strings.Count(string(rest), ": ping") == 0 {
			t.Errorf("%v %q", err, rest)
		}
		e.res.Body.Close()

		fail := make(chan struct{})
		w.one.does(func(rw http.ResponseWriter, r *http.Request) {
			<-fail
			says(429, "{}")(rw, r)
		})
		e = w.open(t.Context(), chat("single", `,"stream":true`))
		defer e.res.Body.Close()
		if line, err := e.next(); line != ": ping" || err != nil {
			t.Fatalf("%q, %v, want a heartbeat", line, err)
		}
		close(fail)
		rest, err = io.ReadAll(e.b)
		if got := strings.ReplaceAll(string(rest), ": ping\n", ""); err != nil || !strings.HasPrefix(got, `data: {"error":{"code":"upstream_rate_limited"`) {
			t.Errorf("%v %q", err, rest)
		}
		if got := w.last(2); got.Charged != 0 {
			t.Errorf("record %+v", got)
		}
	})
}

// At shutdown running calls go on for a while; then each stream gets one error
// event, its vendor is cancelled and it is settled.
func TestShutdownCutsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.one.does(streams(role, token(words), "wait"))
		var streamsOpen []events
		for range 5 {
			e := w.open(t.Context(), chat("single", `,"stream":true`))
			defer e.res.Body.Close()
			for range 2 {
				if _, err := e.next(); err != nil {
					t.Fatal(err)
				}
			}
			streamsOpen = append(streamsOpen, e)
		}
		w.two.does(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		ctx, cancel := context.WithCancel(t.Context())
		drained := make(chan error, 1)
		go func() { drained <- w.calls.Drain(ctx) }()
		waitFor(t, func() bool { return w.post(chat("single", "")).code() == "server_shutting_down" })
		if w.calls.Open() != 5 {
			t.Errorf("%d calls are open, want 5: a running call was cut early", w.calls.Open())
		}
		cancel()
		for _, e := range streamsOpen {
			rest, err := io.ReadAll(e.b)
			if err != nil || strings.Count(string(rest), "server_shutting_down") == 0 || strings.Contains(string(rest), "[DONE]") {
				t.Errorf("%v %q", err, rest)
			}
		}
		if err := <-drained; err == nil {
			t.Error("Drain says that all calls ended by themselves")
		}
		for _, r := range w.records(5) {
			if r.Ending != "provider_broke" || r.Charged == 0 {
				t.Errorf("record %+v", r)
			}
		}
	})
}

func TestShutdownWaitsForRunningCalls(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		release := make(chan struct{})
		w.one.does(func(rw http.ResponseWriter, r *http.Request) {
			<-release
			says(200, okAnswer)(rw, r)
		})
		var wg sync.WaitGroup
		wg.Go(func() {
			if r := w.post(chat("single", "")); r.status != 200 {
				t.Errorf("%d %s", r.status, r.body)
			}
		})
		waitFor(t, func() bool { return w.one.calls.Load() == 1 })
		drained := make(chan error, 1)
		go func() { drained <- w.calls.Drain(t.Context()) }()
		waitFor(t, func() bool { return w.post(chat("single", "")).status == 503 })
		close(release)
		wg.Wait()
		if err := <-drained; err != nil {
			t.Error(err)
		}
	})
}

// A client that reads nothing is cut, so that it does not hold a vendor for
// ever.
func TestAClientThatDoesNotReadIsCut(t *testing.T) {
	t.Parallel()
	limits := quick()
	limits.Write = 100 * time.Millisecond
	run(t, limits, plenty, func(t *testing.T, w *world) {
		w.one.does(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "text/event-stream")
			for r.Context().Err() == nil {
				send(rw, r, token(strings.Repeat("word ", 2000)))
			}
		})
		e := w.open(t.Context(), chat("single", `,"stream":true`))
		defer e.res.Body.Close()
		within(t, 10*time.Second, "the end of the vendor's call", w.one.gone)
		if got := w.last(1); got.Ending != "client_gone" || got.Charged == 0 {
			t.Errorf("record %+v", got)
		}
	})
}

// A vendor that reports more than was held is charged as what was held.
func TestAChargeIsNeverAboveTheHold(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.one.does(says(200, strings.Replace(okAnswer, `"prompt_tokens":10`, `"prompt_tokens":9000`, 1)))
		r := w.post(chat("m", `,"max_tokens":10`))
		got := w.last(1)
		if r.status != 200 || got.Input != 9000 || got.Charged >= money.Credit || r.header.Get("X-Rephlo-Credits-Charged") != got.Charged.String() {
			t.Errorf("%d %v, record %+v", r.status, r.header, got)
		}
		if n := w.credits.Stats().Overruns; n != 1 {
			t.Errorf("%d overruns were counted", n)
		}
	})
}

// A provider that bills to the end is read on when the client leaves, for its
// usage; but not for long, and not too many at once.
func TestAStreamThatIsBilledToItsEndIsReadOn(t *testing.T) {
	t.Parallel()
	limits := quick()
	limits.Drain, limits.Detached = 300*time.Millisecond, 2
	run(t, limits, plenty, func(t *testing.T, w *world) {
		leave := func(more chan struct{}) {
			t.Helper()
			w.one.does(func(rw http.ResponseWriter, r *http.Request) {
				streams(role, token("one"))(rw, r)
				select {
				case <-more:
					send(rw, r, token("two"), stop, total, done)
				case <-r.Context().Done():
				}
			})
			e := w.open(t.Context(), chat("drained", `,"stream":true`))
			for range 2 {
				if _, err := e.next(); err != nil {
					t.Fatal(err)
				}
			}
			e.res.Body.Close()
		}
		more := make(chan struct{})
		leave(more)
		time.Sleep(50 * time.Millisecond)
		close(more)
		if got, want := w.last(1), (record{"cancelled", "client_gone", "reported", "drains", false, 10, 0, 5, 0, 10_000}); got != want {
			t.Errorf("record %+v, want %+v", got, want)
		}
		leave(make(chan struct{}))
		if got := w.last(2); got.Source != "estimated" || got.Ending != "client_gone" {
			t.Errorf("after the time was over: %+v", got)
		}
		for range 3 {
			leave(make(chan struct{}))
		}
		waitFor(t, func() bool { return w.calls.Open() == 2 }) // the third was cancelled at once
		w.last(5)
	})
}
