package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// plan is what the flags ask for.
type plan struct {
	rounds  int
	lasting time.Duration
	gate    bool
	engines string
	lane    string // only lanes whose name has it
	profile string // the folder for profiles
	ack     string // what an answer waits for: durable or async
}

func main() {
	var p plan
	flag.IntVar(&p.rounds, "rounds", 3, "rounds per lane, of each the bare proxy and rephlo")
	seconds := flag.Float64("seconds", 3, "length of a round")
	flag.BoolVar(&p.gate, "gate", false, "exit with status 1 when a ratio misses its gate")
	flag.StringVar(&p.engines, "db", "all", "sqlite, postgres or all")
	flag.StringVar(&p.lane, "lane", "", "only the lanes whose name contains this")
	flag.StringVar(&p.profile, "profile", "", "a folder to which rephlo's profiles of each lane go; taking them costs about a twentieth")
	flag.StringVar(&p.ack, "ack", "durable", "what an answer waits for (REPHLO_LEDGER_ACK): durable or async")
	flag.Parse()
	p.lasting = time.Duration(*seconds * float64(time.Second))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	missed, err := run(ctx, p)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-gateway:", err)
		os.Exit(1)
	}
	if missed && p.gate {
		os.Exit(1)
	}
}

func run(ctx context.Context, p plan) (missed bool, err error) {
	dir, err := os.MkdirTemp("", "rephlo-bench-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	if err := build(ctx, dir); err != nil {
		return false, err
	}
	b := bench{plan: p, dir: dir}
	defer b.stop()
	if err := b.startPeers(ctx); err != nil {
		return false, err
	}
	postgres := os.Getenv(dbtest.Env)
	if p.engines != "postgres" {
		if err := b.measure(ctx, engine{name: "SQLite", gates: gates{0.8, 1.3, 2, 1.6}}); err != nil {
			return false, fmt.Errorf("SQLite: %w", err)
		}
	}
	switch {
	case p.engines == "sqlite":
	case postgres == "":
		fmt.Printf("PostgreSQL: skipped, %s names no server; make bench-gateway starts one where initdb is installed\n", dbtest.Env)
	default:
		if err := b.measurePostgres(ctx, postgres); err != nil {
			return false, fmt.Errorf("PostgreSQL: %w", err)
		}
	}
	return b.missed, nil
}

// build makes the programs in dir.
func build(ctx context.Context, dir string) error {
	c := exec.CommandContext(ctx, "go", "build", "-o", dir+string(filepath.Separator), "./cmd/rephlo", "./bench/mock", "./bench/bare", "./bench/load")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	return nil
}

// bench is one run.
type bench struct {
	plan       plan
	dir        string
	mock, bare *process
	missed     bool
}

// startPeers starts the vendor and the bare proxy in front of it.
func (b *bench) startPeers(ctx context.Context) error {
	addrs, err := freeAddrs(2)
	if err != nil {
		return err
	}
	if b.mock, err = start(ctx, nil, filepath.Join(b.dir, "mock"), addrs[0], "-addr", addrs[0]); err != nil {
		return err
	}
	b.bare, err = start(ctx, nil, filepath.Join(b.dir, "bare"), addrs[1], "-addr", addrs[1], "-to", "http://"+addrs[0])
	return err
}

func (b *bench) stop() {
	for _, p := range []*process{b.bare, b.mock} {
		if p != nil {
			_ = p.stop(syscall.SIGKILL)
		}
	}
}

// measure runs all lanes against a rephlo with this database, then verifies
// its ledger.
func (b *bench) measure(ctx context.Context, e engine) error {
	r, err := b.newRephlo(ctx, e)
	if err != nil {
		return err
	}
	tables := runLanes(ctx, b, r, e)
	late, lateErr := b.latencies(ctx, r)
	err = errors.Join(tables.err, lateErr, r.stop())
	tables.print(e, b.plan.rounds)
	b.missed = b.missed || tables.missed || late
	if err != nil {
		return err
	}
	return r.verify(ctx)
}
