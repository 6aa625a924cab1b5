package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/rephlo/rephlo/bench/lab"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// plan is what the flags ask for.
type plan struct {
	sizes   []int
	engines string
	out     string
	gate    bool
	open    int
	dir     string
}

func main() {
	var p plan
	sizes := flag.String("sizes", "1000000,10000000", "how many transfers, separated by commas")
	flag.StringVar(&p.engines, "db", "all", "sqlite, postgres or all")
	flag.StringVar(&p.out, "json", "", "file to write the results to")
	flag.StringVar(&p.dir, "dir", "", "folder for the databases; a temporary one by default")
	flag.IntVar(&p.open, "open", 10_000, "holds that are open")
	flag.BoolVar(&p.gate, "gate", false, "exit with status 1 when a bound is missed")
	flag.Parse()
	for text := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			fmt.Fprintf(os.Stderr, "bench-verify: -sizes: %q is not a number of transfers\n", text)
			os.Exit(2)
		}
		p.sizes = append(p.sizes, n)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	missed, err := run(ctx, p)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-verify:", err)
		os.Exit(1)
	}
	if missed && p.gate {
		os.Exit(1)
	}
}

func run(ctx context.Context, p plan) (missed bool, err error) {
	dir, err := os.MkdirTemp(p.dir, "rephlo-bench-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	build := exec.CommandContext(ctx, "go", "build", "-o", dir+string(filepath.Separator), "./cmd/rephlo")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	if err := build.Run(); err != nil {
		return false, fmt.Errorf("build: %w", err)
	}
	var all []result
	for _, size := range p.sizes {
		if p.engines != "postgres" {
			r, err := measure(ctx, dir, "SQLite", "sqlite:"+filepath.Join(dir, "rephlo.db"), size, p.open)
			if err != nil {
				return false, fmt.Errorf("SQLite: %w", err)
			}
			all = append(all, r)
			missed = r.print() || missed
			for _, suffix := range []string{"", "-wal", "-shm"} {
				if err := os.Remove(filepath.Join(dir, "rephlo.db"+suffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
					return false, err
				}
			}
		}
		server := os.Getenv(dbtest.Env)
		switch {
		case p.engines == "sqlite":
		case server == "":
			fmt.Printf("PostgreSQL: skipped, %s names no server; make bench-verify starts one where initdb is installed\n", dbtest.Env)
		default:
			r, err := measurePostgres(ctx, dir, server, size, p.open)
			if err != nil {
				return false, fmt.Errorf("PostgreSQL: %w", err)
			}
			all = append(all, r)
			missed = r.print() || missed
		}
	}
	if p.out != "" {
		b, err := json.MarshalIndent(all, "", "  ")
		if err != nil {
			return missed, err
		}
		return missed, os.WriteFile(p.out, append(b, '\n'), 0o600)
	}
	return missed, nil
}

// measurePostgres measures in a database of its own on the server.
func measurePostgres(ctx context.Context, dir, server string, size, open int) (result, error) {
	url, drop, err := lab.Postgres(ctx, server)
	if err != nil {
		return result{}, err
	}
	defer drop()
	return measure(ctx, dir, "PostgreSQL", url, size, open)
}
