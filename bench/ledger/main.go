package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

const (
	sqlite   = "SQLite"
	postgres = "PostgreSQL"
)

// plan is what the flags ask for.
type plan struct {
	rounds   int
	time     time.Duration
	engines  string
	users    []int
	parallel []int
	out      string
	gate     bool
}

// report is what the JSON file holds.
type report struct {
	Admission []admission
	Waits     []waits
	Calls     []duel
}

func main() {
	var p plan
	flag.IntVar(&p.rounds, "rounds", 5, "how often each way has its turn")
	flag.DurationVar(&p.time, "time", 5*time.Second, "how long a turn takes")
	flag.StringVar(&p.engines, "db", "all", "sqlite, postgres or all")
	users := flag.String("users", "1,1000", "how many users share the calls, separated by commas")
	parallel := flag.String("parallel", "64,256,1024", "how many calls are made at once, separated by commas")
	flag.StringVar(&p.out, "json", "", "file to write the results to")
	flag.BoolVar(&p.gate, "gate", false, "exit with status 1 when a bound is missed")
	flag.Parse()
	p.users, p.parallel = numbers("users", *users), numbers("parallel", *parallel)
	if p.rounds < 1 || p.time <= 0 {
		fmt.Fprintln(os.Stderr, "bench-ledger: -rounds and -time must be above zero")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	missed, err := measure(ctx, p)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-ledger:", err)
		os.Exit(1)
	}
	if missed && p.gate {
		os.Exit(1)
	}
}

func numbers(name, text string) (out []int) {
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 {
			fmt.Fprintf(os.Stderr, "bench-ledger: -%s: %q is not a number above zero\n", name, part)
			os.Exit(2)
		}
		out = append(out, n)
	}
	return out
}

func measure(ctx context.Context, p plan) (missed bool, err error) {
	dir, err := os.MkdirTemp("", "rephlo-bench-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	s := &scratch{dir: dir, server: os.Getenv(dbtest.Env)}
	defer s.clean()
	var r report
	for _, users := range p.users {
		a, err := admit(ctx, s, users)
		if err != nil {
			return missed, fmt.Errorf("admission: %w", err)
		}
		missed = a.print() || missed
		r.Admission = append(r.Admission, a)
	}
	for _, engine := range engines(p, s.server) {
		fmt.Println(engine)
		w, err := wait(ctx, s, p, engine)
		if err != nil {
			return missed, fmt.Errorf("%s: %w", engine, err)
		}
		missed = w.print() || missed
		r.Waits = append(r.Waits, w)
		for _, users := range p.users {
			for _, parallel := range p.parallel {
				d, err := fight(ctx, s, p, engine, users, parallel)
				if err != nil {
					return missed, fmt.Errorf("%s: %w", engine, err)
				}
				missed = d.print() || missed
				r.Calls = append(r.Calls, d)
			}
		}
	}
	if p.out == "" {
		return missed, nil
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return missed, err
	}
	return missed, os.WriteFile(p.out, append(b, '\n'), 0o600)
}

func engines(p plan, server string) []string {
	switch {
	case p.engines == "sqlite":
		return []string{sqlite}
	case server == "":
		fmt.Printf("PostgreSQL is skipped: %s names no server; make bench-ledger starts one where initdb is installed\n", dbtest.Env)
		return []string{sqlite}
	case p.engines == "postgres":
		return []string{postgres}
	}
	return []string{sqlite, postgres}
}
