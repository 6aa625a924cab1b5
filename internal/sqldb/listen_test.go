package sqldb_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

func TestWhatIsNotifiedIsHeardAfterTheCommit(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		heard := make(chan string, 10)
		l := db.Listen("news", func(payload string) { heard <- payload })
		defer l.Close()
		other := db.Listen("else", func(payload string) { t.Errorf("heard %q on another channel", payload) })
		defer other.Close()
		wait(t, l.Hearing)
		bad := errors.New("bad")
		err := db.InTx(t.Context(), func(ctx context.Context) error {
			return errors.Join(db.Notify(ctx, "news", "never"), bad)
		})
		if !errors.Is(err, bad) {
			t.Fatal(err)
		}
		err = db.InTx(t.Context(), func(ctx context.Context) error {
			err := db.Notify(ctx, "news", "inside")
			if len(heard) != 0 {
				t.Error("heard before the commit")
			}
			return err
		})
		if err := errors.Join(err, db.Notify(t.Context(), "news", "alone")); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"inside", "alone"} {
			if got := <-heard; got != want {
				t.Errorf("heard %q, want %q", got, want)
			}
		}
	})
}

func TestAListenerConnectsAgain(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t, dbtest.Postgres(t))
	heard := make(chan string, 10)
	l := db.Listen("news", func(payload string) { heard <- payload })
	defer l.Close()
	wait(t, l.Hearing)
	const kill = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()`
	if _, err := db.Q(t.Context()).ExecContext(t.Context(), kill); err != nil {
		t.Fatal(err)
	}
	wait(t, func() bool { return !l.Hearing() })
	wait(t, l.Hearing)
	if err := db.Notify(t.Context(), "news", "again"); err != nil {
		t.Fatal(err)
	}
	if got := <-heard; got != "again" {
		t.Errorf("heard %q", got)
	}
}

// A process that stops in the middle of a transaction does not keep its locks.
func TestASteadyTransactionEndsWhenItsProcessStops(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t, dbtest.Postgres(t))
	err := db.InSteadyTx(t.Context(), func(ctx context.Context) error {
		var limit string
		err := db.Q(ctx).QueryRowContext(ctx, `SHOW idle_in_transaction_session_timeout`).Scan(&limit)
		if limit != "5s" {
			t.Errorf("the limit is %q, want 5s", limit)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSteadyTransactionsNeedNoConnectionOfThePool(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t, dbtest.Postgres(t))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	busy := make(chan error, 32)
	started := make(chan bool, 32)
	for range 20 { // all there are
		go func() {
			busy <- db.InTx(ctx, func(ctx context.Context) error {
				started <- true
				<-ctx.Done()
				return ctx.Err()
			})
		}()
	}
	for range 20 {
		<-started
	}
	err := db.InSteadyTx(t.Context(), func(ctx context.Context) error {
		_, err := db.Q(ctx).ExecContext(ctx, insert, "steady")
		return err
	})
	if err != nil {
		t.Error(err)
	}
	cancel()
	for range 20 {
		<-busy
	}
	if n := count(t, db); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

func TestClockOffset(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t, dbtest.Postgres(t))
	late := func() time.Time { return time.Now().Add(-time.Hour) }
	d, err := db.ClockOffset(t.Context(), late)
	if err != nil || d < 59*time.Minute || d > 61*time.Minute {
		t.Errorf("offset %s, %v; want an hour", d, err)
	}
}

// wait returns when is is true.
func wait(t *testing.T, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("it did not become true")
		}
	}
}
