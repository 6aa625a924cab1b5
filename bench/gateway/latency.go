package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// far are the lanes of one client and a vendor that answers after 60 ms: what a
// call takes beyond that is what is between them.
var far = []lane{
	{name: "JSON, vendor at 60 ms", args: []string{"-c", "1", "-size", "1024", "-model", farModel}},
	{name: "SSE, first content", args: []string{"-c", "1", "-stream", "-model", farModel}},
}

// latencies measures by turns a client at the vendor, at the bare proxy and at
// rephlo, prints what the two add, and reports whether rephlo adds more.
func (b *bench) latencies(ctx context.Context, r *rephlo) (missed bool, err error) {
	var lines []string
	for _, l := range far {
		if !strings.Contains(l.name, b.plan.lane) {
			continue
		}
		took := map[*process][]float64{}
		all := []*process{b.mock, b.bare, r.process}
		for range b.plan.rounds {
			for _, p := range all {
				ms, err := b.first(ctx, l, p, r)
				if err != nil {
					return false, fmt.Errorf("%s: %w", l.name, err)
				}
				took[p] = append(took[p], ms)
			}
		}
		middle := func(p *process) float64 {
			slices.Sort(took[p])
			return took[p][len(took[p])/2]
		}
		bare, ours := middle(b.bare)-middle(b.mock), middle(r.process)-middle(b.mock)
		verdict := "ok"
		if ours > bare {
			verdict, missed = "MISS", true
		}
		lines = append(lines, fmt.Sprintf("%-26s direct %6.2f ms, the bare proxy adds %5.2f ms, rephlo (%s) %5.2f ms: ratio %.2f, gate 1 %s",
			l.name, middle(b.mock), bare, b.plan.ack, ours, ours/bare, verdict))
	}
	for _, line := range lines {
		fmt.Println(line)
	}
	return missed, nil
}

// first returns the median time to the first content of an answer, in ms.
func (b *bench) first(ctx context.Context, l lane, p *process, r *rephlo) (float64, error) {
	out, err := b.load(ctx, l, p, r, max(b.plan.lasting, time.Second)).Output()
	var res result
	if jsonErr := json.Unmarshal(out, &res); jsonErr != nil {
		return 0, errors.Join(jsonErr, err)
	}
	if err != nil || res.Errors > 0 || res.Requests == 0 {
		return 0, fmt.Errorf("%d answers were wrong, the first: %s", res.Errors, res.FirstError)
	}
	return res.FirstP50, nil
}
