package credit_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/obs"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// What a deduction or a claw-back finds no credits for is counted.
func TestWhatCouldNotBeTakenBackIsCounted(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := &world{t: t, db: db, records: newRecords(t, db), clock: newClock(), metrics: obs.NewMetrics("test")}
		w.start("node", quiet)
		t.Cleanup(func() { w.stop(); w.clean() })
		w.grant("ada", "pay:1", 3*money.Credit, time.Time{})
		for range 2 { // the second changes nothing
			if _, err := w.Deduct(t.Context(), credit.Taking{User: "ada", Ref: "adm:1", Amount: 5 * money.Credit}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Deduct(t.Context(), credit.Taking{User: "ada", Ref: "claw:1", Payment: "pi_1", Amount: money.Credit}); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			`rephlo_ledger_uncollected_credits_total{cause="adjust"} 2`, `rephlo_ledger_uncollected_credits_total{cause="clawback"} 1`,
		} {
			if text := shows(w.metrics); !strings.Contains(text, want+"\n") {
				t.Errorf("%s is not shown:\n%s", want, text)
			}
		}
	})
}

// shows returns what a monitoring system reads.
func shows(m *obs.Metrics) string {
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return rec.Body.String()
}

// Every call, batch and credit is counted once, and nothing names a user or a
// call.
func TestMetricsCountWhatHappened(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := &world{t: t, db: db, records: newRecords(t, db), clock: newClock(), metrics: obs.NewMetrics("test")}
		p := quiet
		p.Lanes = 1
		w.start("node", p)
		t.Cleanup(func() { w.stop(); w.clean() })
		w.grant("ada", "pay:1", 100*money.Credit, time.Time{})
		w.settle(w.reserve("ada", "call_1", 10*money.Credit), 4*money.Credit)
		w.settle(w.reserve("ada", "call_2", money.Credit), 3*money.Credit)
		h := w.reserve("ada", "call_3", 2*money.Credit)
		if err := h.Durable(t.Context()); err != nil {
			t.Fatal(err)
		}
		forgotten := w.reserve("ada", "call_4", money.Credit)
		forgotten.Progress(money.Credit/2, nil)
		w.clock.advance(4 * time.Minute)
		h.Progress(0, nil)
		w.clock.advance(2 * time.Minute)
		w.Sweep()
		if _, err := forgotten.Settle(t.Context(), outcome(forgotten, money.Credit)); err != nil {
			t.Fatal(err)
		}
		w.clean()
		text := shows(w.metrics)
		for _, want := range []string{
			`rephlo_credits_total{kind="grant"} 100`, `rephlo_credits_total{kind="hold"} 14`, `rephlo_credits_total{kind="charge"} 5.5`,
			`rephlo_ledger_endings_total{ending="finished"} 2`, `rephlo_ledger_endings_total{ending="forgotten"} 1`, "rephlo_ledger_forgotten_holds_total 1",
			`rephlo_ledger_uncollected_credits_total{cause="overrun"} 2`, `rephlo_ledger_uncollected_credits_total{cause="late"} 0.5`,
			"rephlo_ledger_admit_seconds_count 4", `rephlo_ledger_gate_seconds_count{gate="a"} 1`, `rephlo_ledger_gate_seconds_count{gate="b"} 3`,
			`rephlo_ledger_cuts_total{result="done"} 1`, `rephlo_ledger_cuts_total{result="failed"} 0`, "rephlo_reservations_open 1",
			`rephlo_ledger_queue_operations{lane="1"} 0`, "rephlo_ledger_verify_findings 0", "rephlo_ledger_verify_age_seconds 0", "rephlo_ledger_direct_users 0",
		} {
			if !strings.Contains(text, want+"\n") {
				t.Errorf("%s is not shown", want)
			}
		}
		for _, private := range []string{`"ada"`, "call_", "pay:"} {
			if strings.Contains(text, private) {
				t.Errorf("%q is shown", private)
			}
		}
		if t.Failed() {
			t.Log(text)
		}
		w.settle(h, 0)
	})
}

// Admission allocates the hold and nothing else, with metrics on.
func TestAdmissionAllocatesOnlyTheHold(t *testing.T) { //nolint:paralleltest // others' allocations would count
	db := dbtest.Open(t, dbtest.SQLite(t))
	w := &world{t: t, db: db, records: newRecords(t, db), clock: newClock(), metrics: obs.NewMetrics("test")}
	w.start("node", quiet)
	t.Cleanup(func() { w.stop(); w.noRecords = true; w.clean() })
	w.grant("ada", "pay:1", 1000*money.Credit, time.Time{})
	w.settle(w.reserve("ada", "call_first", 1), 0)
	refs := make([]string, 1000)
	for i := range refs {
		refs[i] = fmt.Sprint("call_", i)
	}
	unlock := w.block() // so that the writer does not allocate meanwhile
	var holds []*credit.Hold
	for range 200 { // grow the queue's buffers
		h, err := w.Reserve(t.Context(), credit.Call{User: "ada", Ref: refs[len(holds)], Need: 1})
		if err != nil {
			t.Fatal(err)
		}
		holds = append(holds, h)
	}
	n := testing.AllocsPerRun(100, func() {
		h, err := w.Reserve(t.Context(), credit.Call{User: "ada", Ref: refs[len(holds)], Need: 1})
		if err != nil {
			t.Error(err)
			return
		}
		holds = append(holds, h)
	})
	if n > 1.5 { // now and then a buffer grows
		t.Errorf("%v allocations for an admission, want one", n)
	}
	unlock()
	for _, h := range holds {
		if _, err := h.Release(t.Context(), credit.Outcome{Ending: credit.Failed}); err != nil {
			t.Fatal(err)
		}
	}
}
