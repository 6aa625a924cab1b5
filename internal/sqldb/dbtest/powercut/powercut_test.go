package powercut_test

import (
	"database/sql"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/rephlo/rephlo/internal/sqldb/dbtest/powercut"
)

// With a flush at every commit no cut loses a commit; without, this package
// must find cuts that do: else it proves nothing.
func TestACutLosesWhatWasNotFlushed(t *testing.T) {
	t.Parallel()
	for synchronous, safe := range map[string]bool{"full": true, "normal": false, "off": false} {
		t.Run(synchronous, func(t *testing.T) {
			t.Parallel()
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			r := rand.New(rand.NewPCG(seed, 0))
			dir := t.TempDir()
			disk, err := powercut.Watch(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer disk.Forget()
			open := func(dir string) *sql.DB {
				db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "x.db")+"?_pragma=journal_mode(wal)&_pragma=wal_autocheckpoint(20)&_pragma=synchronous("+synchronous+")")
				if err != nil {
					t.Fatal(err)
				}
				return db
			}
			db := open(dir)
			defer db.Close()
			if _, err := db.ExecContext(t.Context(), `CREATE TABLE x (n BIGINT PRIMARY KEY, text BLOB)`); err != nil {
				t.Fatal(err)
			}
			lost := 0
			for n := 1; n <= 200; n++ {
				if _, err := db.ExecContext(t.Context(), `INSERT INTO x VALUES ($1, randomblob(3000))`, n); err != nil {
					t.Fatal(err)
				}
				if n%4 != 0 {
					continue
				}
				to := t.TempDir()
				if _, err := disk.Cut(to, r); err != nil {
					t.Fatal(err)
				}
				after := open(to)
				var rows int
				var sound string
				if err := after.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM x`).Scan(&rows); err != nil || rows != n {
					lost++
				}
				if err := after.QueryRowContext(t.Context(), `PRAGMA integrity_check`).Scan(&sound); safe && (err != nil || sound != "ok") {
					t.Errorf("after a cut: %s, %v", sound, err)
				}
				if err := after.Close(); err != nil {
					t.Error(err)
				}
			}
			t.Logf("%d of 50 cuts lost commits", lost)
			if safe != (lost == 0) {
				t.Errorf("%d cuts lost commits", lost)
			}
		})
	}
}
