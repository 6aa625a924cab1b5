package sim

import (
	"flag"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

var (
	// A thousand take about a minute of two cores, ten times that with the race
	// detector; a plain run of the tests takes few, make faults a thousand.
	seeds = flag.Int("sim.seeds", 10, "how many seeds to run")
	from  = flag.Uint64("sim.from", 1, "the first of them")
	only  = flag.Uint64("sim.seed", 0, "run this seed alone and print what happened")
)

// migrated returns a database file with the schema.
func migrated(t *testing.T) []byte {
	t.Helper()
	path, _ := strings.CutPrefix(dbtest.SQLite(t), "sqlite:")
	db := dbtest.Open(t, "sqlite:"+path)
	for _, q := range []string{createRecords, `PRAGMA wal_checkpoint(TRUNCATE)`} {
		if _, err := db.Q(t.Context()).ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// one runs a seed in a bubble and reports what it found.
func one(t *testing.T, dir string, image []byte, seed uint64) (w *sim) {
	synctest.Test(t, func(t *testing.T) { w = run(t, dir, image, seed) })
	for _, f := range w.failures {
		t.Errorf("seed %d: %s (again with: make sim SEED=%d)", seed, f, seed)
	}
	return w
}

// Whatever goes wrong, in whatever order: the books are right afterwards.
func TestTheBooksAreRightAfterAnyFaults(t *testing.T) {
	image := migrated(t)
	if *only != 0 {
		w := one(t, t.TempDir(), image, *only)
		t.Logf("seed %d, trace %x\n%s", *only, w.trace(), strings.Join(w.log, "\n"))
		return
	}
	n := *seeds
	if testing.Short() {
		n /= 10
	}
	var next, calls, refusals, messages atomic.Int64
	t.Run("seeds", func(t *testing.T) {
		for range runtime.GOMAXPROCS(0) {
			t.Run("worker", func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				for i := next.Add(1); i <= int64(n) && !t.Failed(); i = next.Add(1) {
					w := one(t, dir, image, *from+uint64(i)-1)
					calls.Add(int64(len(w.calls)))
					refusals.Add(int64(w.refusals))
					messages.Add(int64(w.post.sent))
				}
			})
		}
	})
	t.Logf("%d seeds from %d: %d calls held, %d refused, %d messages", n, *from, calls.Load(), refusals.Load(), messages.Load())
	if n > 0 && (calls.Load() == 0 || refusals.Load() == 0 || messages.Load() == 0) {
		t.Error("nothing happened")
	}
}
