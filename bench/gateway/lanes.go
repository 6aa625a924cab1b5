package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// gates are the largest ratios to the bare proxy, one per lane; 0 is none.
type gates [laneCount]float64

// lane is one kind of load.
type lane struct {
	name string
	args []string
	ours []string // more arguments for rephlo
	rss  float64  // MiB that rephlo may have; 0 is no bound
}

const laneCount = 6

// In the translated lanes the bare proxy passes the vendor's answer in OpenAI's
// protocol on, and rephlo translates one in Anthropic's.
var lanes = [laneCount]lane{
	{name: "JSON 1 KB, c=64", args: []string{"-c", "64", "-size", "1024"}},
	{name: "JSON 108 KB prompt, c=16", args: []string{"-c", "16", "-size", "110592"}},
	{name: "SSE 200 events, c=32", args: []string{"-c", "32", "-stream"}},
	{name: "translated JSON, c=64", args: []string{"-c", "64", "-size", "1024"}, ours: []string{"-model", translatedModel, "-length", "0"}},
	{name: "translated SSE, c=32", args: []string{"-c", "32", "-stream"}, ours: []string{"-model", translatedModel}},
	{name: "500 open streams", args: []string{"-c", "500", "-stream", "-model", slowModel, "-events", "20"}, rss: 60},
}

// round is what one process took for one stretch of load.
type round struct {
	requests int
	cpu      float64 // µs a request
	rss      float64 // MiB, largest seen
	foreign  float64 // share of the machine that others took
	p50      float64 // ms
}

// table holds the rounds of each lane.
type table struct {
	bare, ours [laneCount][]round
	missed     bool
	err        error
}

// spares are how many rounds a lane may void.
const spares = 3

func runLanes(ctx context.Context, b *bench, r *rephlo, e engine) *table {
	t := &table{}
	for i, l := range lanes {
		if !strings.Contains(l.name, b.plan.lane) {
			continue
		}
		for _, p := range []*process{b.bare, r.process} { // warm up
			if _, err := b.round(ctx, l.of(p == r.process), p, r, time.Second/2); err != nil {
				t.err = err
				return t
			}
		}
		voids := 0
		for len(t.ours[i]) < b.plan.rounds {
			bare, err := b.round(ctx, l, b.bare, r, b.plan.lasting)
			ours := round{}
			if err == nil {
				profiled := b.profile(ctx, r, fmt.Sprintf("%s-%d", strings.ToLower(e.name), i))
				ours, err = b.round(ctx, l.of(true), r.process, r, b.plan.lasting)
				err = errors.Join(err, <-profiled)
			}
			if err == nil {
				t.bare[i], t.ours[i] = append(t.bare[i], bare), append(t.ours[i], ours)
				continue
			}
			fmt.Printf("%s: a round is void: %v\n", l.name, err)
			if voids++; voids > spares || ctx.Err() != nil {
				t.err = errors.New("too many void rounds")
				return t
			}
		}
	}
	return t
}

// of returns the lane for the bare proxy, or for rephlo.
func (l lane) of(rephlo bool) lane {
	if rephlo {
		l.args = slices.Concat(l.args, l.ours)
	}
	return l
}

// profile takes rephlo's profiles of CPU and of allocations during a round, if
// they are asked for.
func (b *bench) profile(ctx context.Context, r *rephlo, name string) <-chan error {
	kinds := map[string]string{"profile": "cpu", "allocs": "allocs"}
	if b.plan.profile == "" {
		clear(kinds)
	}
	done := make(chan error, 1)
	all := make(chan error, len(kinds))
	for kind, suffix := range kinds {
		go func() { all <- b.fetchProfile(ctx, r, kind, name+"-"+suffix) }()
	}
	go func() {
		var err error
		for range kinds {
			err = errors.Join(err, <-all)
		}
		done <- err
	}()
	return done
}

func (b *bench) fetchProfile(ctx context.Context, r *rephlo, kind, name string) error {
	address := fmt.Sprintf("http://%s/debug/pprof/%s?seconds=%d", r.ops, kind, max(1, int(b.plan.lasting/time.Second)))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return errors.Join(err, os.WriteFile(filepath.Join(b.plan.profile, name+".pprof"), text, 0o600))
}

// result is what the load generator prints.
type result struct {
	Requests, Errors int
	FirstError       string
	P50              float64 `json:"p50ms"`
	FirstP50         float64 `json:"firstP50ms"`
}

// round lets the load run against p and measures p.
func (b *bench) round(ctx context.Context, l lane, p *process, r *rephlo, lasting time.Duration) (round, error) {
	c := b.load(ctx, l, p, r, lasting)
	pid := p.cmd.Process.Pid
	before, known := cpu(pid), b.known(pid)
	worked, possible := machineCPU()
	largest := make(chan float64, 1)
	sampling, stop := context.WithCancel(ctx)
	go func() { largest <- watchRSS(sampling, pid) }()
	out, err := c.Output()
	stop()
	memory := <-largest
	used, knownAfter := cpu(pid)-before, b.known(pid)
	workedAfter, possibleAfter := machineCPU()
	var res result
	if jsonErr := json.Unmarshal(out, &res); jsonErr != nil {
		return round{}, errors.Join(jsonErr, err)
	}
	if err != nil || res.Errors > 0 || res.Requests == 0 {
		return round{}, fmt.Errorf("%d of %d answers were wrong, the first: %s", res.Errors, res.Requests+res.Errors, res.FirstError)
	}
	ours := knownAfter - known + c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	return round{
		requests: res.Requests,
		cpu:      float64(used.Microseconds()) / float64(res.Requests),
		rss:      memory,
		foreign:  max(0, float64(workedAfter-worked-ours)/float64(max(possibleAfter-possible, 1))),
		p50:      res.P50,
	}, nil
}

// load is the generator of l's load for p.
func (b *bench) load(ctx context.Context, l lane, p *process, r *rephlo, lasting time.Duration) *exec.Cmd {
	return exec.CommandContext(ctx, filepath.Join(b.dir, "load"),
		append([]string{"-addr", p.addr, "-d", lasting.String(), "-key-file", r.keys}, l.args...)...)
}

// known returns the CPU time of the processes that belong to a round.
func (b *bench) known(pid int) time.Duration {
	return cpu(pid) + cpu(b.mock.cmd.Process.Pid) + postgresCPU()
}

// watchRSS returns the largest memory that the process has until ctx ends.
func watchRSS(ctx context.Context, pid int) float64 {
	largest := rss(pid)
	for {
		select {
		case <-ctx.Done():
			return max(largest, rss(pid))
		case <-time.After(250 * time.Millisecond):
			largest = max(largest, rss(pid))
		}
	}
}

// print shows the medians, their ratio and every round.
func (t *table) print(e engine, rounds int) {
	fmt.Printf("\n%s: CPU a request in µs, medians of %d rounds\n", e.name, rounds)
	fmt.Printf("%-26s %9s %9s %7s %6s  %-4s %9s %9s %8s\n", "lane", "bare", "rephlo", "ratio", "gate", "", "p50 bare", "p50 ms", "RSS MiB")
	for i, l := range lanes {
		if len(t.ours[i]) == 0 {
			continue
		}
		cost := func(r round) float64 { return r.cpu }
		latency := func(r round) float64 { return r.p50 }
		bare, ours := median(t.bare[i], cost), median(t.ours[i], cost)
		memory := slices.MaxFunc(t.ours[i], func(a, b round) int { return cmp.Compare(a.rss, b.rss) }).rss
		verdict := "ok"
		if e.gates[i] > 0 && ours/bare > e.gates[i] || l.rss > 0 && memory > l.rss {
			verdict, t.missed = "MISS", true
		}
		fmt.Printf("%-26s %9.1f %9.1f %7.2f %6.1f  %-4s %9.2f %9.2f %8.0f\n", l.name, bare, ours, ours/bare, e.gates[i], verdict,
			median(t.bare[i], latency), median(t.ours[i], latency), memory)
	}
	for i, l := range lanes {
		for n, r := range t.ours[i] {
			b := t.bare[i][n]
			fmt.Printf("  %-24s round %d: bare %8.1f µs of %6d (others %2.0f %%), rephlo %8.1f µs of %6d (others %2.0f %%), ratio %s\n", l.name, n+1,
				b.cpu, b.requests, 100*b.foreign, r.cpu, r.requests, 100*r.foreign, strconv.FormatFloat(r.cpu/b.cpu, 'f', 2, 64))
		}
	}
}

func median(rounds []round, of func(round) float64) float64 {
	var values []float64
	for _, r := range rounds {
		values = append(values, of(r))
	}
	slices.Sort(values)
	return values[len(values)/2]
}
