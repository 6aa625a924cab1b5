package sqldb_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest/powercut"
)

// noise returns n bytes that are written as they are.
func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

func sizes(t *testing.T, path string) (file, log int64) {
	t.Helper()
	f, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	l, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	return f.Size(), l.Size()
}

func newTable(t *testing.T, path string) *sqldb.DB {
	t.Helper()
	db := dbtest.Open(t, "sqlite:"+path)
	if _, err := db.Q(t.Context()).ExecContext(t.Context(), `CREATE TABLE t (n BIGINT PRIMARY KEY, v BYTEA NOT NULL)`); err != nil {
		t.Fatal(err)
	}
	return db
}

func put(ctx context.Context, db *sqldb.DB, n int, v []byte) error {
	return db.InTx(ctx, func(ctx context.Context) error {
		_, err := db.Q(ctx).ExecContext(ctx, `INSERT INTO t (n, v) VALUES ($1, $2)`, n, v)
		return err
	})
}

// Under writing without a pause the log stays bounded; and once nothing is
// written, all of it is in the file.
func TestTheLogIsCopiedBesideTheTransactions(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	db := newTable(t, path)
	const rows, size = 1200, 128 << 10 // 150 MiB
	v := noise(size)
	for n := range rows {
		if err := put(t.Context(), db, n, v); err != nil {
			t.Fatal(err)
		}
		if n%100 != 0 {
			continue
		}
		if _, log := sizes(t, path); log > 100<<20 {
			t.Fatalf("the log has %d bytes after %d rows", log, n)
		}
	}
	until(t, "everything is in the file", func() bool {
		file, log := sizes(t, path)
		return file > rows*size && log == 0
	})
}

// After a flush of the file that failed, nobody knows what is in it: nothing is
// written any more, so that nothing is promised.
func TestAFileThatCannotBeFlushedTakesNoMoreWrites(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	disk, err := powercut.Watch(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(disk.Forget)
	db := newTable(t, filepath.Join(dir, "x.db"))
	disk.FailFlushes("x.db")
	v := noise(1 << 20)
	n := 0
	until(t, "a write is refused", func() bool {
		err = put(t.Context(), db, n, v)
		n++
		return err != nil
	})
	if !sqldb.IsBroken(err) || !strings.Contains(err.Error(), "copy the log into the database") {
		t.Errorf("%v: want the broken disk by name", err)
	}
	if _, err := db.Q(t.Context()).ExecContext(t.Context(), `DELETE FROM t`); !sqldb.IsBroken(err) {
		t.Errorf("a statement by itself: %v", err)
	}
	var rows int
	if err := db.Q(t.Context()).QueryRowContext(t.Context(), `SELECT COUNT(*) FROM t`).Scan(&rows); err != nil || rows != n-1 {
		t.Errorf("%d rows, %v; want the %d that were committed", rows, err, n-1)
	}
}

// A transaction that its caller gives up writes nothing more.
func TestATransactionEndsWithItsContext(t *testing.T) {
	t.Parallel()
	db := newTable(t, filepath.Join(t.TempDir(), "x.db"))
	ctx, cancel := context.WithCancel(t.Context())
	err := db.InTx(ctx, func(ctx context.Context) error {
		if _, err := db.Q(ctx).ExecContext(ctx, `INSERT INTO t (n, v) VALUES (1, 'a')`); err != nil {
			return err
		}
		cancel()
		_, err := db.Q(ctx).ExecContext(ctx, `INSERT INTO t (n, v) VALUES (2, 'b')`)
		if err == nil {
			err = fmt.Errorf("a statement after the end")
		}
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("%v, want the end of the context", err)
	}
	var rows int
	if err := db.Q(t.Context()).QueryRowContext(t.Context(), `SELECT COUNT(*) FROM t`).Scan(&rows); err != nil || rows != 0 {
		t.Errorf("%d rows, %v; want none", rows, err)
	}
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}
