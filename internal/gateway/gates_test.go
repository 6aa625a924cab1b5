package gateway_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/gateway"
)

// stall keeps the ledger's lanes from writing until the returned function is
// called.
func (w *world) stall() (release func()) {
	w.t.Helper()
	locked, end, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		done <- w.db.InTx(context.Background(), func(ctx context.Context) error {
			_, err := w.db.Q(ctx).ExecContext(ctx, `UPDATE credit_lane SET issued = issued`)
			close(locked)
			<-end
			return err
		})
	}()
	<-locked
	return func() {
		w.t.Helper()
		close(end)
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	}
}

// impatient are limits whose gates close soon.
func impatient() gateway.Limits {
	l := quick()
	l.Gate = 100 * time.Millisecond
	return l
}

// warm makes one call, so that the user's credits are leased.
func (w *world) warm() {
	w.t.Helper()
	w.one.does(says(http.StatusOK, okAnswer))
	if r := w.post(chat("m", "")); r.status != http.StatusOK {
		w.t.Fatalf("%d %s", r.status, r.body)
	}
}

// The hold cannot be written: whatever the vendor does, nothing of it goes out,
// it is cancelled, and nobody pays.
func TestWithoutADurableHoldNothingGoesOut(t *testing.T) {
	t.Parallel()
	for name, vendor := range map[string]http.HandlerFunc{
		"answers at once":       streams(role, token("a"), stop, total, done),
		"streams on":            streams(role, token("a"), "wait"),
		"thinks for long":       func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"answers without usage": streams(role, token("a"), stop, done),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, impatient(), plenty, func(t *testing.T, w *world) {
				w.warm()
				w.one.does(vendor)
				release := w.stall()
				began := time.Now()
				r := w.post(chat("m", `,"stream":true`))
				took := time.Since(began)
				if r.status != http.StatusServiceUnavailable || r.code() != "service_unavailable" || r.header.Get("Retry-After") == "" || strings.Contains(r.body, "data:") {
					t.Errorf("%d %s %q, want 503 service_unavailable", r.status, r.body, r.header.Get("Retry-After"))
				}
				if took > 1500*time.Millisecond {
					t.Errorf("the refusal took %s", took)
				}
				if name == "streams on" || name == "thinks for long" {
					within(t, time.Second, "the end of the vendor's call", w.one.gone)
				}
				release()
				if got := w.last(2); got.Charged != 0 || got.Status != "failed" {
					t.Errorf("record %+v", got)
				}
			})
		})
	}
}

// The same without stream: an answer that came is not given away.
func TestWithoutADurableHoldNoAnswerGoesOut(t *testing.T) {
	t.Parallel()
	for name, vendor := range map[string]http.HandlerFunc{
		"answers at once": says(http.StatusOK, okAnswer),
		"thinks for long": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, impatient(), plenty, func(t *testing.T, w *world) {
				w.warm()
				w.one.does(vendor)
				release := w.stall()
				r := w.post(chat("m", ""))
				if r.status != http.StatusServiceUnavailable || r.code() != "service_unavailable" || r.header.Get("Retry-After") == "" {
					t.Errorf("%d %s, want 503 service_unavailable", r.status, r.body)
				}
				release()
				if got := w.last(2); got.Charged != 0 {
					t.Errorf("record %+v", got)
				}
			})
		})
	}
}

// The settlement cannot be written in time: the answer ends as it should, but
// names no charge; it is charged once the database is back.
func TestWithoutADurableSettlementNoChargeIsNamed(t *testing.T) {
	t.Parallel()
	run(t, impatient(), plenty, func(t *testing.T, w *world) {
		w.warm()
		proceed := make(chan struct{})
		w.one.does(func(rw http.ResponseWriter, r *http.Request) {
			streams(role, token("a"))(rw, r)
			<-proceed
			send(rw, r, stop, total, done)
		})
		e := w.open(t.Context(), chat("m", `,"stream":true,"stream_options":{"include_usage":true}`))
		defer e.res.Body.Close()
		for range 2 {
			if _, err := e.next(); err != nil {
				t.Fatal(err)
			}
		}
		release := w.stall()
		close(proceed)
		var rest strings.Builder
		for {
			line, err := e.next()
			rest.WriteString(line)
			if err != nil {
				break
			}
		}
		if got := rest.String(); !strings.HasSuffix(got, "[DONE]") || strings.Contains(got, "credits") || strings.Contains(got, "error") {
			t.Errorf("the stream ends with %q", got)
		}
		if charged := e.res.Trailer.Get("X-Rephlo-Credits-Charged"); charged != "" {
			t.Errorf("a charge of %s was named", charged)
		}
		release()
		if got := w.last(2); got.Charged != 10_000 || got.Ending != "finished" {
			t.Errorf("record %+v", got)
		}
	})
}

// And without stream: the answer leaves without the headers.
func TestAnAnswerWithoutADurableSettlementNamesNoCharge(t *testing.T) {
	t.Parallel()
	run(t, impatient(), plenty, func(t *testing.T, w *world) {
		w.warm()
		arrived, proceed := make(chan struct{}), make(chan struct{})
		w.one.does(func(rw http.ResponseWriter, r *http.Request) {
			close(arrived)
			<-proceed
			says(http.StatusOK, okAnswer)(rw, r)
		})
		answered := make(chan reply, 1)
		go func() { answered <- w.post(chat("m", ""), "X-Rephlo-Include", "credits") }()
		<-arrived
		waitFor(t, func() bool { return w.credits.Stats().Queued == 0 }) // the hold is written
		waitFor(t, func() bool {
			b, err := w.credits.Balance(t.Context(), user)
			return err == nil && b.Held > 0
		})
		release := w.stall()
		close(proceed)
		r := <-answered
		if r.status != http.StatusOK || r.body != okAnswer || r.header.Get("X-Rephlo-Credits-Charged") != "" || r.header.Get("X-Rephlo-Credits-Remaining") != "" {
			t.Errorf("%d %s %v", r.status, r.body, r.header)
		}
		release()
		if got := w.last(2); got.Charged != 10_000 {
			t.Errorf("record %+v", got)
		}
	})
}

// With HoldFirst a vendor is not even asked.
func TestTheHoldComesFirstWhenAskedFor(t *testing.T) {
	t.Parallel()
	limits := impatient()
	run(t, limits, plenty, func(t *testing.T, w *world) {
		w.calls.HoldFirst()
		w.warm()
		before := w.one.calls.Load()
		release := w.stall()
		for _, rest := range []string{"", `,"stream":true`} {
			if r := w.post(chat("m", rest)); r.status != http.StatusServiceUnavailable || r.code() != "service_unavailable" {
				t.Errorf("%d %s, want 503", r.status, r.body)
			}
		}
		if n := w.one.calls.Load() - before; n != 0 {
			t.Errorf("the vendor was asked %d times without a durable hold", n)
		}
		release()
		w.records(3)
	})
}

// After three seconds without the database, calls are refused before the vendor
// is asked.
func TestALongOutageRefusesBeforeTheVendor(t *testing.T) {
	t.Parallel()
	run(t, impatient(), plenty, func(t *testing.T, w *world) {
		w.warm()
		w.one.does(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		release := w.stall()
		w.post(chat("m", "")) // something that waits to be written
		waitFor(t, func() bool { state, _ := w.credits.Health(); return state == "down" })
		before := w.one.calls.Load()
		began := time.Now()
		for _, rest := range []string{"", `,"stream":true`} {
			if r := w.post(chat("m", rest)); r.status != http.StatusServiceUnavailable || r.code() != "service_unavailable" || r.header.Get("Retry-After") == "" {
				t.Errorf("%d %s, want 503 service_unavailable", r.status, r.body)
			}
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("the refusals took %s", took)
		}
		if n := w.one.calls.Load() - before; n != 0 {
			t.Errorf("the vendor was asked %d times", n)
		}
		release()
		waitFor(t, func() bool { state, _ := w.credits.Health(); return state == "ok" })
		w.records(2)
	})
}
