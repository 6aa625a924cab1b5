package credit_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/obs"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest/faulty"
)

// failure is something that goes wrong with the database, and what must be seen
// of it until it is over.
type failure struct {
	name   string
	fault  func(t *testing.T, url string) faulty.Fault
	only   sqldb.Engine // empty: both
	refuse error        // what new calls are told
	health string       // a word of the reason
}

// sqliteError makes SQLite itself say what it says then.
func sqliteError(t *testing.T, statements ...string) error {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+t.TempDir()+"/scratch.db")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, q := range statements {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			return err
		}
	}
	t.Fatalf("%v went well", statements)
	return nil
}

var failures = []failure{
	{"the connection is gone", func(*testing.T, string) faulty.Fault { return faulty.Fault{Kind: faulty.Fail} }, "", credit.ErrUnavailable, "does not take batches"},
	{"it hangs", func(*testing.T, string) faulty.Fault { return faulty.Fault{Hang: -1} }, "", credit.ErrUnavailable, "does not take batches"},
	{"it is a standby that takes no writes", func(*testing.T, string) faulty.Fault {
		return faulty.Fault{Kind: faulty.Refuse, Err: &pgconn.PgError{Severity: "ERROR", Code: "25006", Message: "cannot execute UPDATE in a read-only transaction"}}
	}, sqldb.Postgres, credit.ErrUnavailable, "does not take batches"},
	{"its connections are used up", func(*testing.T, string) faulty.Fault {
		return faulty.Fault{Kind: faulty.Fail, Err: &pgconn.PgError{Severity: "FATAL", Code: "53300", Message: "sorry, too many clients already"}}
	}, sqldb.Postgres, credit.ErrUnavailable, "does not take batches"},
	{"its disk is full", func(*testing.T, string) faulty.Fault {
		return faulty.Fault{Kind: faulty.Refuse, Err: &pgconn.PgError{Severity: "ERROR", Code: "53100", Message: "could not extend file: No space left on device"}}
	}, sqldb.Postgres, credit.ErrStorageFull, "full"},
	{"the disk is full", func(t *testing.T, _ string) faulty.Fault {
		return faulty.Fault{Kind: faulty.Refuse, Err: sqliteError(t, `CREATE TABLE x (a BLOB)`, `PRAGMA max_page_count = 3`, `INSERT INTO x VALUES (zeroblob(100000))`)}
	}, sqldb.SQLite, credit.ErrStorageFull, "full"},
}

// While something is wrong with the database, calls are refused before they
// cost anything, the endings of open ones are kept, health and metrics say what
// is wrong, and all of it is over by itself.
func TestHealthAndMetricsTellWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, f := range failures {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			dbtest.RunURL(t, func(t *testing.T, url string) {
				if f.only != "" && (f.only == sqldb.SQLite) != local(url) {
					t.Skip("of the other engine")
				}
				fail(t, url, f)
			})
		})
	}
}

func fail(t *testing.T, url string, f failure) {
	faults := faulty.New()
	db, err := sqldb.OpenThrough(t.Context(), url, faults.Through)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, db: db, records: newRecords(t, db), clock: newClock(), spool: t.TempDir() + "/spool", metrics: obs.NewMetrics("test")}
	w.useRealTime()
	w.start("node", credit.Policy{Sweep: time.Hour, TakeOver: time.Hour, Spool: 1 << 20, Beat: 200 * time.Millisecond, Lanes: 1})
	t.Cleanup(func() { w.stop(); w.clean() })
	shows := func(want ...string) func() bool {
		return func() bool {
			text := shows(w.metrics)
			for _, line := range want {
				if !strings.Contains(text, "\nrephlo_"+line+"\n") {
					return false
				}
			}
			return true
		}
	}
	w.grant("ada", "pay:1", 100*money.Credit, time.Time{})
	holds := w.holds(5, "call_")
	if !shows("reservations_open 5", "spool_endings 0")() {
		t.Error("before: not five open holds and an empty spool")
	}
	faults.Set(faulty.All(f.fault(t, url)))

	n := 0
	until(t, "calls are refused", func() bool {
		n++
		h, err := w.Reserve(t.Context(), credit.Call{User: "ada", Ref: fmt.Sprint("call_no", n), Need: 1, Journal: []byte("{}")})
		if err == nil { // not yet: it has nothing durable and must not go out
			short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			if h.Durable(short) == nil {
				t.Error("a hold is durable without a database")
			}
			_, _ = h.Release(short, outcome(h, 0))
		}
		return errors.Is(err, f.refuse)
	})
	if state, reason := w.Health(); state != "down" || !strings.Contains(reason, f.health) {
		t.Errorf("health: %s, %s", state, reason)
	}
	short, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	for _, err := range w.settleAll(short, holds) {
		// On SQLite the spool counts: nobody else can resolve the hold.
		if local(url) && err != nil || !local(url) && !errors.Is(err, credit.ErrNotDurable) {
			t.Errorf("settling meanwhile: %v", err)
		}
	}
	until(t, "the endings are in the spool, and metrics say so", shows("spool_endings 5"))
	if !shows(`ledger_uncollected_credits_total{cause="late"} 0`)() {
		t.Error("something is uncollected")
	}

	faults.Heal()
	until(t, "the ledger is well", func() bool { state, _ := w.Health(); return state == "ok" })
	until(t, "metrics say so", shows("spool_endings 0", "reservations_open 0", `ledger_queue_operations{lane="1"} 0`, `credits_total{kind="charge"} 2.5`))
	for _, err := range w.settleAll(t.Context(), holds) {
		if err != nil {
			t.Errorf("settling again: %v", err)
		}
	}
	w.expect(97*money.Credit+money.Credit/2, 0)
	w.settle(w.reserve("ada", "call_again", 1), 0)
}

// A disk that hangs keeps nobody from stopping.
func TestStopDoesNotWaitForADiskThatHangs(t *testing.T) {
	t.Parallel()
	faults := faulty.New()
	db, err := sqldb.OpenThrough(t.Context(), dbtest.SQLite(t), faults.Through)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, db: db, records: newRecords(t, db), clock: newClock()}
	w.start("node", quiet)
	w.grant("ada", "pay:1", 10*money.Credit, time.Time{})
	h := w.reserve("ada", "call_1", money.Credit)
	if err := h.Durable(t.Context()); err != nil {
		t.Fatal(err)
	}
	faults.Set(faulty.All(faulty.Fault{Hang: -1}))
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := h.Settle(short, outcome(h, money.Credit)); !errors.Is(err, credit.ErrNotDurable) {
		t.Errorf("settling on a disk that hangs: %v", err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- w.Stop(short) }()
	select {
	case err := <-stopped:
		if !errors.Is(err, credit.ErrUnavailable) {
			t.Errorf("Stop: %v, want ErrUnavailable", err)
		}
	case <-time.After(time.Minute):
		t.Error("Stop waits for the disk")
	}
	faults.Heal()
	until(t, "what hung has ended", func() bool {
		b, err := w.Balance(t.Context(), "ada")
		return err == nil && b.Held == 0
	})
	w.start("node", quiet) // the next process
	w.expect(9*money.Credit, 0)
	w.stop()
	w.clean()
}
