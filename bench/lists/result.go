package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// entry is how long one way to ask took, in seconds.
type entry struct {
	Path, Query string
	Status      int
	Times       int
	P50, P99    float64
	Plans       []string `json:",omitempty"` // of what is over the budget
}

// result is what was measured on one engine.
type result struct {
	Engine  string
	Size    size
	Fill    float64 // seconds
	Others  float64 // the share of the machine that other work took
	Entries []entry
}

// print writes the slowest way of each path, and how the database ran what is
// over the budget. It reports whether something is.
func (r result) print(w io.Writer, budget time.Duration) (missed bool) {
	slowest := map[string]entry{}
	count := map[string]int{}
	for _, e := range r.Entries {
		count[e.Path]++
		if e.P99 >= slowest[e.Path].P99 {
			slowest[e.Path] = e
		}
	}
	var all []entry
	for _, e := range slowest {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b entry) int { return int((b.P99 - a.P99) * 1e9) })
	over := 0
	for _, e := range r.Entries {
		if e.P99 > budget.Seconds() {
			over++
		}
	}
	fmt.Fprintf(w, "%s: %d ways to ask of %d paths, %d over %s; others used %.0f %% of the machine\n", r.Engine, len(r.Entries), len(all), over, budget, 100*r.Others)
	fmt.Fprintln(w, "| path | ways | the slowest | status | p50 ms | p99 ms |\n|---|---|---|---|---|---|")
	for _, e := range all {
		fmt.Fprintf(w, "| %s | %d | %s | %d | %.1f | %.1f |\n", e.Path, count[e.Path], e.Query, e.Status, 1e3*e.P50, 1e3*e.P99)
	}
	for _, e := range r.Entries {
		if e.P99 <= budget.Seconds() {
			continue
		}
		fmt.Fprintf(w, "\n%s?%s: %.0f ms\n", e.Path, e.Query, 1e3*e.P99)
		for _, p := range e.Plans {
			fmt.Fprintln(w, p)
		}
	}
	return over > 0
}
