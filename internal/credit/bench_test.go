package credit_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// engines are the databases to measure on.
func engines(b *testing.B, f func(b *testing.B, db *sqldb.DB)) {
	b.Run("sqlite", func(b *testing.B) { f(b, dbtest.Open(b, dbtest.SQLite(b))) })
	b.Run("postgres", func(b *testing.B) {
		if os.Getenv(dbtest.Env) == "" {
			b.Skip("no PostgreSQL")
		}
		f(b, dbtest.Open(b, dbtest.Postgres(b)))
	})
}

// BenchmarkReserve measures admission: it allocates the Hold and nothing else.
// Holds are written and ended outside the measured time.
func BenchmarkReserve(b *testing.B) {
	for _, users := range []int{1, 1000} {
		b.Run(fmt.Sprintf("users=%d", users), func(b *testing.B) {
			db := dbtest.Open(b, dbtest.SQLite(b))
			const round = 4000
			w := open(b, db, quiet)
			w.noRecords = true
			w.useRealTime()
			names, warm := make([]string, users), make([]*credit.Hold, 0, users)
			for i := range names {
				names[i] = fmt.Sprint("usr_", i)
				w.grant(names[i], fmt.Sprint("g:", i), money.MaxTransfer, time.Time{})
				warm = append(warm, w.reserve(names[i], fmt.Sprint("warm_", i), 1))
			}
			for _, h := range warm {
				w.settle(h, 0)
			}
			holds := make([]*credit.Hold, 0, round)
			calls := make([]credit.Call, round)
			var before, after runtime.MemStats
			var mallocs uint64
			b.ResetTimer()
			b.StopTimer()
			for done := 0; done < b.N; {
				n := min(round, b.N-done)
				for i := range n {
					calls[i] = credit.Call{User: names[(done+i)%users], Ref: "call_" + strconv.Itoa(done+i), Need: money.Credit}
				}
				unlock := w.block() // what the writer allocates is not admission's
				runtime.ReadMemStats(&before)
				b.StartTimer()
				for i := range n {
					h, err := w.Reserve(b.Context(), calls[i])
					if err != nil {
						b.Fatal(err)
					}
					holds = append(holds, h)
				}
				b.StopTimer()
				runtime.ReadMemStats(&after)
				mallocs += after.Mallocs - before.Mallocs
				unlock()
				endAll(b, holds)
				holds = holds[:0]
				done += n
			}
			b.ReportMetric(float64(mallocs)/float64(b.N), "mallocs/op")
		})
	}
}

func endAll(b *testing.B, holds []*credit.Hold) {
	var wg sync.WaitGroup
	for _, h := range holds {
		wg.Go(func() {
			if _, err := h.Settle(b.Context(), credit.Outcome{Price: 1, Ending: credit.Finished}); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
}

// BenchmarkCalls measures whole calls, a durable hold and then its durable
// settlement, in parallel through the real database. cpu-us/op is the CPU time
// of this process; a PostgreSQL server's is not in it.
func BenchmarkCalls(b *testing.B) {
	for _, users := range []int{1, 1000} {
		for _, parallel := range []int{64, 256, 1024} {
			for _, gate := range []bool{true, false} {
				name := fmt.Sprintf("users=%d/parallel=%d/gateA=%t", users, parallel, gate)
				b.Run(name, func(b *testing.B) {
					engines(b, func(b *testing.B, db *sqldb.DB) { benchCalls(b, db, users, parallel, gate) })
				})
			}
		}
	}
}

func benchCalls(b *testing.B, db *sqldb.DB, users, parallel int, gate bool) {
	w := open(b, db, quiet)
	w.useRealTime()
	if bits := os.Getenv("CHUNK_BITS"); bits != "" {
		n, _ := strconv.Atoi(bits)
		w.SetChunkBits(b, n)
	}
	names := make([]string, users)
	for i := range names {
		names[i] = fmt.Sprint("usr_", i)
		w.grant(names[i], fmt.Sprint("g:", i), money.MaxTransfer, time.Time{})
	}
	journal := []byte(`{"id":"call_01k8x3v9q2m7h4","model":"gpt-4o","prices":{"input":2500000,"output":10000000},"keyId":"key_01k8x3v9"}`)
	batches := w.Stats().Batches
	cpu := cpuTime()
	b.ResetTimer()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range parallel {
		wg.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(b.N) {
					return
				}
				h, err := w.Reserve(b.Context(), credit.Call{User: names[i%int64(users)], Ref: "call_01k8x3v9q2m7h4" + strconv.FormatInt(1e12+i, 36), Need: 5000, Journal: journal})
				if err != nil {
					b.Error(err)
					return
				}
				if gate {
					if err := h.Durable(b.Context()); err != nil {
						b.Error(err)
					}
				}
				if _, err := h.Settle(b.Context(), credit.Outcome{Price: 2500, Ending: credit.Finished}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-us/op")
	b.ReportMetric(2*float64(b.N)/float64(w.Stats().Batches-batches), "ops/batch")
	w.noRecords = true
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
