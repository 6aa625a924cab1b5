package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rephlo/rephlo/bench/lab"
)

// duel is the ledger against the naive way in one set-up. Rates are calls per
// second; CPU is this process's, in microseconds a call, without that of a
// PostgreSQL server.
type duel struct {
	Engine             string
	Users, Parallel    int
	Naive, Ledger      float64 // medians
	NaiveAll           []float64
	LedgerAll          []float64
	Ratio              float64
	NaiveCPU, CPU      float64
	Others             float64 // share of the machine that other work took, at most; on PostgreSQL its server's is in it
	Bound              float64 // of Ratio; 0 is none
	Repeated, TooNoisy bool
}

// noisy is the share of others above which a set-up is measured once more.
const noisy = 0.15

// bounds of the ratio, by engine, users and how many call in parallel.
var bounds = map[string]float64{
	sqlite + "/1000/256": 8, sqlite + "/1000/1024": 10, sqlite + "/1/256": 10, sqlite + "/1/1024": 12,
	postgres + "/1000/256": 5, postgres + "/1000/1024": 8, postgres + "/1/256": 25,
}

func fight(ctx context.Context, s *scratch, p plan, engine string, users, parallel int) (duel, error) {
	d := duel{Engine: engine, Users: users, Parallel: parallel, Bound: bounds[fmt.Sprintf("%s/%d/%d", engine, users, parallel)]}
	if err := d.rounds(ctx, s, p); err != nil {
		return d, err
	}
	if engine == sqlite && d.Others > noisy {
		again := duel{Engine: engine, Users: users, Parallel: parallel, Bound: d.Bound, Repeated: true}
		if err := again.rounds(ctx, s, p); err != nil {
			return d, err
		}
		d = again
		d.TooNoisy = d.Others > noisy
	}
	return d, nil
}

func (d *duel) rounds(ctx context.Context, s *scratch, p plan) error {
	defer s.clean()
	all := names(d.Users)
	var cpu, naiveCPU []float64
	for range p.rounds {
		for _, kind := range []string{"naive", "ledger"} {
			db, err := s.open(ctx, d.Engine)
			if err != nil {
				return err
			}
			var w way
			if kind == "naive" {
				w, err = openNaive(ctx, db, all)
			} else {
				w, err = openLedger(ctx, db, all)
			}
			if err != nil {
				return err
			}
			before := lab.Now()
			n, took, err := run(ctx, w, all, d.Parallel, p.time)
			after := lab.Now()
			if err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
			if err := w.close(ctx); err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
			own := after.Own - before.Own
			d.Others = max(d.Others, after.Others(before, own))
			rate, each := float64(n)/took.Seconds(), float64(own.Microseconds())/float64(n)
			if kind == "naive" {
				d.NaiveAll, naiveCPU = append(d.NaiveAll, rate), append(naiveCPU, each)
			} else {
				d.LedgerAll, cpu = append(d.LedgerAll, rate), append(cpu, each)
			}
		}
	}
	d.Naive, d.Ledger, d.NaiveCPU, d.CPU = median(d.NaiveAll), median(d.LedgerAll), median(naiveCPU), median(cpu)
	d.Ratio = d.Ledger / d.Naive
	return nil
}

// run makes calls from parallel callers for a while and returns how many ended.
func run(ctx context.Context, w way, users []string, parallel int, length time.Duration) (int64, time.Duration, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var done, next atomic.Int64
	began := time.Now()
	var wg sync.WaitGroup
	for range parallel {
		wg.Go(func() {
			for time.Since(began) < length && ctx.Err() == nil {
				c, err := newCall(users[next.Add(1)%int64(len(users))])
				if err == nil {
					err = w.call(ctx, c)
				}
				if err != nil {
					stop(err)
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	return done.Load(), time.Since(began), context.Cause(ctx)
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(v))
	return sorted[len(sorted)/2]
}

func (d *duel) print() (missed bool) {
	verdict := ""
	if d.Bound > 0 {
		verdict = fmt.Sprintf("at least %g  ok", d.Bound)
		if d.Ratio < d.Bound {
			verdict, missed = fmt.Sprintf("at least %g  MISS", d.Bound), true
		}
	}
	noise := fmt.Sprintf("others %.0f %%", 100*d.Others)
	if d.TooNoisy {
		noise += " (too many, twice)"
	}
	fmt.Printf("  %4d users, %4d at once: naive %6.0f (%.0f-%.0f), ledger %6.0f (%.0f-%.0f) calls/s, CPU %4.0f against %4.0f us, ratio %5.1f  %s; %s\n",
		d.Users, d.Parallel, d.Naive, slices.Min(d.NaiveAll), slices.Max(d.NaiveAll), d.Ledger, slices.Min(d.LedgerAll), slices.Max(d.LedgerAll),
		d.CPU, d.NaiveCPU, d.Ratio, verdict, noise)
	return missed
}
