package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
)

// admission is how long Reserve takes while the user's lease lasts, in
// nanoseconds.
type admission struct {
	Users    int
	P50, P99 float64
}

// Bounds of admission, in nanoseconds.
const (
	boundAdmit50 = 1_000.0
	boundAdmit99 = 20_000.0
)

// admit measures Reserve on SQLite, where a lease is the whole balance: holds
// are made in lots and ended between them, while the writer works.
func admit(ctx context.Context, s *scratch, users int) (admission, error) {
	defer s.clean()
	a := admission{Users: users}
	db, err := s.open(ctx, sqlite)
	if err != nil {
		return a, err
	}
	all := names(users)
	l, err := openLedger(ctx, db, all)
	if err != nil {
		return a, err
	}
	const lot, lots = 2000, 30
	var took []float64
	for n := range lots {
		var holds []*credit.Hold
		var calls []*call
		for i := range lot {
			c, err := newCall(all[i%users])
			if err != nil {
				return a, err
			}
			calls = append(calls, c)
		}
		for _, c := range calls {
			began := time.Now()
			h, err := l.credits.Reserve(ctx, credit.Call{User: c.user, Ref: c.ref, Need: need, Journal: journal, Caps: c.caps})
			if d := time.Since(began); n > 0 { // in the first lot leases are cut
				took = append(took, float64(d.Nanoseconds()))
			}
			if err != nil {
				return a, err
			}
			holds = append(holds, h)
		}
		errs := make([]error, lot)
		var wg sync.WaitGroup
		for i, h := range holds {
			wg.Go(func() { _, errs[i] = h.Settle(ctx, outcome(calls[i])) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return a, err
		}
	}
	slices.Sort(took)
	a.P50, a.P99 = took[len(took)/2], took[len(took)*99/100]
	return a, l.close(ctx)
}

func (a admission) print() (missed bool) {
	verdict := "ok"
	if a.P50 > boundAdmit50 || a.P99 > boundAdmit99 {
		verdict, missed = "MISS", true
	}
	fmt.Printf("  admission, %4d users: p50 %.0f ns (at most %.0f), p99 %.0f ns (at most %.0f)  %s\n",
		a.Users, a.P50, boundAdmit50, a.P99, boundAdmit99, verdict)
	return missed
}

// waits are what a call's client waits for, in milliseconds, at 200 calls a
// second to a vendor that takes firstByte and then lastByte. Off is the same
// without a ledger; Noise is by how much two runs of Off differ.
type waits struct {
	Engine                     string
	First50, First99           float64 // the ledger's minus Off's
	FirstNoise50, FirstNoise99 float64
	Last50, Last99             float64
	BoundLast50, BoundLast99   float64
}

const (
	rate      = 200
	firstByte = 100 * time.Millisecond
	lastByte  = 50 * time.Millisecond
)

func wait(ctx context.Context, s *scratch, p plan, engine string) (waits, error) {
	defer s.clean()
	w := waits{Engine: engine, BoundLast50: 2, BoundLast99: 10}
	if engine == postgres {
		w.BoundLast50 = 4
	}
	db, err := s.open(ctx, engine)
	if err != nil {
		return w, err
	}
	all := names(100)
	l, err := openLedger(ctx, db, all)
	if err != nil {
		return w, err
	}
	var onFirst, onLast [2][]float64 // p50, p99 of each round
	var offFirst, offLast [2][]float64
	for range p.rounds {
		for _, credits := range []*credit.Service{nil, l.credits} {
			first, last, err := paced(ctx, credits, all, p.time)
			if err != nil {
				return w, err
			}
			f, e := &onFirst, &onLast
			if credits == nil {
				f, e = &offFirst, &offLast
			}
			for i, q := range []int{50, 99} {
				f[i] = append(f[i], first[len(first)*q/100])
				e[i] = append(e[i], last[len(last)*q/100])
			}
		}
	}
	spread := func(v []float64) float64 { return slices.Max(v) - slices.Min(v) }
	w.First50, w.First99 = median(onFirst[0])-median(offFirst[0]), median(onFirst[1])-median(offFirst[1])
	w.FirstNoise50, w.FirstNoise99 = spread(offFirst[0]), spread(offFirst[1])
	w.Last50, w.Last99 = median(onLast[0])-median(offLast[0]), median(onLast[1])-median(offLast[1])

	return w, l.close(ctx)
}

// paced makes calls at a fixed rate and returns, sorted, after how many
// milliseconds their first and last byte were free to leave.
func paced(ctx context.Context, credits *credit.Service, users []string, length time.Duration) (first, last []float64, err error) {
	n := int(length.Seconds() * rate)
	first, last = make([]float64, n), make([]float64, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	began := time.Now()
	for i := range n {
		time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / rate)))
		wg.Go(func() { first[i], last[i], errs[i] = one(ctx, credits, users[i%len(users)]) })
	}
	wg.Wait()
	slices.Sort(first)
	slices.Sort(last)
	return first, last, errors.Join(errs...)
}

// one is a call: the vendor works while the hold is written, and the last byte
// waits for the settlement.
func one(ctx context.Context, credits *credit.Service, user string) (first, last float64, err error) {
	began := time.Now()
	ms := func() float64 { return float64(time.Since(began).Microseconds()) / 1000 }
	var h *credit.Hold
	c, err := newCall(user)
	if err != nil {
		return 0, 0, err
	}
	if credits != nil {
		if h, err = credits.Reserve(ctx, credit.Call{User: c.user, Ref: c.ref, Need: need, Journal: journal, Caps: c.caps}); err != nil {
			return 0, 0, err
		}
	}
	time.Sleep(firstByte)
	if h != nil {
		if err := h.Durable(ctx); err != nil {
			return 0, 0, err
		}
	}
	first = ms()
	time.Sleep(lastByte)
	if h != nil {
		if _, err := h.Settle(ctx, outcome(c)); err != nil {
			return 0, 0, err
		}
	}
	return first, ms(), nil
}

func (w waits) print() (missed bool) {
	line := func(what string, value, bound float64) {
		verdict := "ok"
		if value > bound {
			verdict, missed = "MISS", true
		}
		fmt.Printf("  %-24s %+7.2f ms  at most %.2f  %s\n", what, value, bound, verdict)
	}
	line("first byte, p50, added", w.First50, w.FirstNoise50)
	line("first byte, p99, added", w.First99, w.FirstNoise99)
	line("last byte, p50, added", w.Last50, w.BoundLast50)
	line("last byte, p99, added", w.Last99, w.BoundLast99)
	return missed
}
