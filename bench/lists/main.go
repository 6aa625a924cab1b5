package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/rephlo/rephlo/bench/lab"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// plan is what the flags ask for.
type plan struct {
	size
	engines string
	out     string
	dir     string
	gate    bool
	times   int
	budget  time.Duration
}

func main() {
	var p plan
	flag.IntVar(&p.Users, "users", 100_000, "how many people")
	flag.IntVar(&p.Usage, "usage", 1_000_000, "how many model calls")
	flag.StringVar(&p.engines, "db", "all", "sqlite, postgres or all")
	flag.StringVar(&p.out, "json", "", "file to write the results to")
	flag.StringVar(&p.dir, "dir", "", "folder for the databases; a temporary one by default")
	flag.IntVar(&p.times, "times", 20, "how often each request is sent")
	flag.DurationVar(&p.budget, "budget", 250*time.Millisecond, "how long a page may take")
	flag.BoolVar(&p.gate, "gate", false, "exit with status 1 when a page takes longer")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	missed, err := run(ctx, p)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-lists:", err)
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
	var all []result
	measured := func(r result, err error) error {
		if err == nil {
			all = append(all, r)
			missed = r.print(os.Stdout, p.budget) || missed
		}
		return err
	}
	if p.engines != "postgres" {
		if err := measured(measure(ctx, "SQLite", filepath.Join(dir, "sqlite"), "", p)); err != nil {
			return false, fmt.Errorf("SQLite: %w", err)
		}
	}
	server := os.Getenv(dbtest.Env)
	switch {
	case p.engines == "sqlite":
	case server == "":
		fmt.Printf("PostgreSQL: skipped, %s names no server; make bench-lists starts one where initdb is installed\n", dbtest.Env)
	default:
		url, drop, err := lab.Postgres(ctx, server)
		if err != nil {
			return false, err
		}
		defer drop()
		if err := measured(measure(ctx, "PostgreSQL", filepath.Join(dir, "postgres"), url, p)); err != nil {
			return false, fmt.Errorf("PostgreSQL: %w", err)
		}
	}
	if p.out == "" {
		return missed, nil
	}
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return missed, err
	}
	return missed, os.WriteFile(p.out, append(b, '\n'), 0o600)
}

// enough bounds how long one request is repeated.
const enough = time.Second

// measure fills a database, asks for everything and explains what is slow.
func measure(ctx context.Context, engine, dir, url string, p plan) (result, error) {
	r := result{Engine: engine, Size: p.size}
	began := time.Now()
	x, err := serve(ctx, dir, url, p.size)
	if err != nil {
		return r, err
	}
	defer func() { _ = x.stop(ctx) }()
	r.Fill = time.Since(began).Seconds()
	fmt.Printf("%s: %d people, %d calls in %.0f s\n", engine, p.Users, p.Usage, r.Fill)
	db, err := x.database()
	if err != nil {
		return r, err
	}
	defer db.Close()
	explain := planner{db: db, engine: x.core.DB.Engine()}
	before := lab.Now()
	for _, v := range x.variants(x.mux.OpenAPI()) {
		e := entry{Path: v.path, Query: v.query}
		x.statements()
		if err := x.repeat(ctx, v, p.times, &e); err != nil {
			return r, err
		}
		if e.P99 > p.budget.Seconds() {
			fmt.Fprintf(os.Stderr, "%s?%s: %.0f ms\n", e.Path, e.Query, 1e3*e.P99)
			for text, args := range x.statements() {
				_, plan, err := explain.scans(ctx, text, args)
				if err != nil {
					return r, err
				}
				if plan != "" {
					e.Plans = append(e.Plans, text+"\n"+plan)
				}
			}
		}
		r.Entries = append(r.Entries, e)
	}
	after := lab.Now()
	r.Others = after.Others(before, after.Own-before.Own)
	return r, nil
}

// repeat sends a request some times.
func (x *service) repeat(ctx context.Context, v variant, times int, e *entry) error {
	var took []time.Duration
	for began := time.Now(); len(took) < times && (len(took) < 2 || time.Since(began) < enough); {
		rec, d, err := x.ask(ctx, v.url)
		if err != nil {
			return err
		}
		if e.Status = rec.Code; rec.Code >= http.StatusInternalServerError {
			return fmt.Errorf("%s: %d %s", v.url, rec.Code, rec.Body)
		}
		took = append(took, d)
	}
	slices.Sort(took)
	e.Times = len(took)
	e.P50, e.P99 = took[len(took)/2].Seconds(), took[(len(took)*99+99)/100-1].Seconds()
	return nil
}

// database opens the database past the program, to explain statements.
func (x *service) database() (*sql.DB, error) {
	if x.core.DB.Engine() == sqldb.SQLite {
		return sql.Open("sqlite", "file:"+x.core.DB.Path()+"?mode=ro")
	}
	return sql.Open("pgx", x.core.Config.DatabaseURL.Reveal())
}
