package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rephlo/rephlo/bench/lab"
	"github.com/rephlo/rephlo/bench/ledgerfill"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/usage"
)

// result is what was measured of one ledger. Times are in seconds.
type result struct {
	Engine     string
	Transfers  int64
	Grants     int64
	OpenHolds  int64
	Fill       float64
	Verify     float64 // from the start of the process to its end
	VerifyCPU  float64 // user and system time
	VerifyMiB  float64 // peak of resident memory
	Balance    float64 // median of one user's
	BalanceP99 float64
	Page       float64 // median of the first page of the longest history
	DeepPage   float64 // of its 10,000th page, or its last
	DeepNo     int     // which that was
	Recovery   float64 // the start with OpenHolds open holds
	// RecoveryCPU is of this process; on PostgreSQL the server's is not in it.
	RecoveryCPU float64
	// Others is the share of the machine that other work took while verify ran
	// and while the service started; on PostgreSQL its server's is in it.
	Others [2]float64
}

// bounds of one result, in its units; the verification of a ledger of up to a
// million transfers has one of its own.
const (
	boundVerify   = 100.0
	boundVerify1M = 10.0
	boundMiB      = 256.0
	boundBalance  = 0.002
	boundPage     = 0.010
	boundRecovery = 1.0
)

// node owns the lanes of the ledgers.
const node = "bench"

func measure(ctx context.Context, dir, engine, url string, size, open int) (result, error) {
	r := result{Engine: engine}
	db, err := sqldb.Open(ctx, url)
	if err != nil {
		return r, err
	}
	defer db.Close()
	if err := db.Migrate(ctx); err != nil {
		return r, err
	}
	began := time.Now()
	filled, err := ledgerfill.Fill(ctx, db, ledgerfill.Options{Transfers: size, Open: open, Seed: 1, Node: node, Until: began})
	if err != nil {
		return r, err
	}
	if err := settle(ctx, db); err != nil {
		return r, err
	}
	r.Fill = time.Since(began).Seconds()
	fmt.Printf("%s: %d transfers, %d calls in %.0f s\n", engine, filled.Transfers, filled.Calls, r.Fill)
	if err := r.verify(ctx, dir, url); err != nil {
		return r, err
	}
	s := credit.New(credit.Needs{
		DB: db, Log: slog.New(slog.DiscardHandler), Now: time.Now, Node: node, Records: usage.New(usage.Needs{DB: db, Now: time.Now}),
	})
	if r.Balance, r.BalanceP99, err = times(200, func() error {
		b, err := s.Balance(ctx, filled.User)
		if err == nil && b.Available == 0 {
			err = errors.New("the user has no balance")
		}
		return err
	}); err != nil {
		return r, err
	}
	if err := r.history(ctx, s, filled.User); err != nil {
		return r, err
	}
	before := lab.Now()
	began = time.Now()
	if err := s.Start(ctx); err != nil {
		return r, err
	}
	r.Recovery = time.Since(began).Seconds()
	after := lab.Now()
	r.RecoveryCPU = (after.Own - before.Own).Seconds()
	r.Others[1] = after.Others(before, after.Own-before.Own)
	return r, s.Stop(ctx)
}

const (
	pageLines = 20
	deepPage  = 10_000
)

// history measures the first and the 10,000th page of a user's history.
func (r *result) history(ctx context.Context, s *credit.Service, user string) (err error) {
	page := func(after *credit.Position) func() error {
		return func() error {
			lines, _, err := s.History(ctx, user, credit.Filter{}, after, pageLines)
			if err == nil && len(lines) == 0 {
				err = errors.New("the page is empty")
			}
			return err
		}
	}
	if r.Page, _, err = times(200, page(nil)); err != nil {
		return err
	}
	const stride = 50 // pages that are walked at once on the way
	var at *credit.Position
	for r.DeepNo = 1; r.DeepNo < deepPage; r.DeepNo += min(stride, deepPage-r.DeepNo) {
		_, next, err := s.History(ctx, user, credit.Filter{}, at, min(stride, deepPage-r.DeepNo)*pageLines)
		if err != nil {
			return err
		}
		if next == nil {
			break
		}
		at = next
	}
	r.DeepPage, _, err = times(200, page(at))
	return err
}

// settle brings the database into the state that it has after a while of
// ordinary work.
func settle(ctx context.Context, db *sqldb.DB) error {
	q := `PRAGMA wal_checkpoint(TRUNCATE)`
	if db.Engine() == sqldb.Postgres {
		q = `ANALYZE`
	}
	_, err := db.Q(ctx).ExecContext(ctx, q)
	return err
}

// verify runs the program on the ledger.
func (r *result) verify(ctx context.Context, dir, url string) error {
	args := []string{"ledger", "verify", "--json", "--data", filepath.Join(dir, "none")}
	if file, ok := strings.CutPrefix(url, "sqlite:"); ok {
		args = append(args, "--db", file)
	} else {
		args = append(args, "--database-url", url)
	}
	c := exec.CommandContext(ctx, filepath.Join(dir, "rephlo"), args...)
	var out, complaint bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaint
	before, began := lab.Now(), time.Now()
	if err := c.Start(); err != nil {
		return err
	}
	done, peak := make(chan struct{}), make(chan float64)
	go func() { peak <- peakMiB(c.Process.Pid, done) }()
	err := c.Wait()
	r.Verify = time.Since(began).Seconds()
	close(done)
	r.VerifyMiB = <-peak
	if err != nil {
		return fmt.Errorf("rephlo ledger verify: %w\n%s%s", err, out.Bytes(), complaint.Bytes())
	}
	used := c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	r.VerifyCPU = used.Seconds()
	r.Others[0] = lab.Now().Others(before, used)
	var report struct{ Transfers, Grants, OpenHolds int64 }
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		return err
	}
	r.Transfers, r.Grants, r.OpenHolds = report.Transfers, report.Grants, report.OpenHolds
	return nil
}

// peakMiB reads until done how much resident memory a process had at most. The
// kernel's account of the ended process would begin with this one's memory,
// which it had before it became another program.
func peakMiB(pid int, done <-chan struct{}) (peak float64) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if _, rest, ok := strings.Cut(string(b), "VmHWM:"); err == nil && ok && strings.Contains(string(b), "Name:\trephlo\n") {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err == nil {
				peak = max(peak, kib/1024)
			}
		}
		select {
		case <-done:
			return peak
		case <-tick.C:
		}
	}
}

// times runs f n times and returns the median and the 99th percentile.
func times(n int, f func() error) (median, p99 float64, err error) {
	all := make([]float64, n)
	for i := range all {
		began := time.Now()
		if err := f(); err != nil {
			return 0, 0, err
		}
		all[i] = time.Since(began).Seconds()
	}
	slices.Sort(all)
	return all[n/2], all[n*99/100], nil
}

// print shows the result beside its bounds and says whether one is missed.
func (r *result) print() (missed bool) {
	fmt.Printf("\n%s, %d transfers, %d grants, %d open holds\n", r.Engine, r.Transfers, r.Grants, r.OpenHolds)
	line := func(what string, value float64, unit string, bound float64) {
		verdict := "ok"
		if value > bound {
			verdict, missed = "MISSED", true
		}
		fmt.Printf("  %-28s %10.2f %-4s  at most %g  %s\n", what, value, unit, bound, verdict)
	}
	bound := boundVerify
	if r.Transfers < 2_000_000 {
		bound = boundVerify1M
	}
	line("verify", r.Verify, "s", bound)
	fmt.Printf("  %-28s %10.2f s     (others took %.0f %% of the machine)\n", "verify, CPU", r.VerifyCPU, 100*r.Others[0])
	line("verify, resident memory", r.VerifyMiB, "MiB", boundMiB)
	line("balance, median", 1000*r.Balance, "ms", 1000*boundBalance)
	fmt.Printf("  %-28s %10.2f ms\n", "balance, 99th percentile", 1000*r.BalanceP99)
	line("history, first page", 1000*r.Page, "ms", 1000*boundPage)
	line(fmt.Sprintf("history, page %d", r.DeepNo), 1000*r.DeepPage, "ms", 1000*boundPage)
	line("start with open holds", r.Recovery, "s", boundRecovery)
	fmt.Printf("  %-28s %10.2f s     (others took %.0f %% of the machine)\n", "start, CPU", r.RecoveryCPU, 100*r.Others[1])
	return missed
}
