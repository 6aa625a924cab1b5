package faulty_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest/faulty"
)

// open returns a database with a table of names, whose calls f decides about.
func open(t *testing.T, url string, f *faulty.Faults) *sqldb.DB {
	t.Helper()
	db, err := sqldb.OpenThrough(t.Context(), url, f.Through)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := db.Q(t.Context()).ExecContext(t.Context(), `CREATE TABLE thing (name TEXT PRIMARY KEY)`); err != nil {
		t.Fatal(err)
	}
	return db
}

// add writes two names in one transaction of five calls: begin, two exec, a
// query and the commit.
func add(ctx context.Context, db *sqldb.DB, prefix string) error {
	return db.InSteadyTx(ctx, func(ctx context.Context) error {
		for _, name := range []string{prefix + "1", prefix + "2"} {
			if _, err := db.Q(ctx).ExecContext(ctx, `INSERT INTO thing (name) VALUES ($1)`, name); err != nil {
				return err
			}
		}
		var n int
		return db.Q(ctx).QueryRowContext(ctx, `SELECT COUNT(*) FROM thing`).Scan(&n)
	})
}

func count(t *testing.T, db *sqldb.DB) (n int) {
	t.Helper()
	if err := db.Q(t.Context()).QueryRowContext(t.Context(), `SELECT COUNT(*) FROM thing`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Each of the five calls fails in each way; only a commit whose answer is lost
// has written.
func TestEveryCallOfATransactionFailsInEveryWay(t *testing.T) {
	t.Parallel()
	dbtest.RunURL(t, func(t *testing.T, url string) {
		f := faulty.New()
		db := open(t, url, f)
		const calls = 5
		want := 0
		for k := int64(1); k <= calls; k++ {
			for _, kind := range []faulty.Kind{faulty.Fail, faulty.Lose, faulty.Refuse} {
				f.Set(faulty.Nth(k, faulty.Fault{Kind: kind}))
				err := add(t.Context(), db, string(rune('a'+k))+string(rune('0'+kind)))
				if !errors.Is(err, faulty.ErrGone) || !sqldb.IsUnavailable(err) {
					t.Errorf("call %d, kind %d: %v, want ErrGone", k, kind, err)
				}
				if k == calls && kind == faulty.Lose {
					want += 2
				}
				f.Heal()
				if got := count(t, db); got != want {
					t.Fatalf("after call %d, kind %d: %d rows, want %d", k, kind, got, want)
				}
			}
		}
		f.Set(nil)
		if err := add(t.Context(), db, "z"); err != nil || f.Calls() != calls {
			t.Errorf("after all: %v and %d calls, want %d", err, f.Calls(), calls)
		}
	})
}

func TestACallHangsUntilItsContextEndsOrTheDatabaseIsBack(t *testing.T) {
	t.Parallel()
	dbtest.RunURL(t, func(t *testing.T, url string) {
		f := faulty.New()
		db := open(t, url, f)
		f.Set(faulty.All(faulty.Fault{Hang: -1}))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if err := add(ctx, db, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while it hangs: %v", err)
		}
		done := make(chan error)
		before := f.Hits()
		go func() { done <- add(t.Context(), db, "b") }()
		for f.Hits() == before {
			time.Sleep(time.Millisecond)
		}
		f.Heal()
		if err := <-done; err != nil {
			t.Errorf("what hung: %v", err)
		}
		if n := count(t, db); n != 2 {
			t.Errorf("%d rows, want 2", n)
		}
	})
}
