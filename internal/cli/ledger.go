package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/config"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/usage"
)

type ledgerCommands struct {
	Verify ledgerVerify `cmd:"" help:"Recompute every balance from the transfers; exit status 1 when something differs."`
	Show   ledgerShow   `cmd:"" help:"Explain a user's credits, or a call with its price, its transfers and their proof."`
	Roots  ledgerRoots  `cmd:"" help:"Print the signed root of each day, as lines of JSON."`
}

// ledgerFile names the database of a ledger command.
type ledgerFile struct {
	DB string `name:"db" placeholder:"FILE" help:"A SQLite file instead of the configured database; no server is needed."`
}

// books is the ledger as the commands read it.
type books struct {
	credits *credit.Service
	usage   *usage.Service
}

// withBooks opens the ledger for reading, beside a running server or without
// one, and runs f. It makes and changes nothing.
func (e *env) withBooks(file ledgerFile, f func(books) error) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	db, err := openBooks(e.ctx, cfg, file.DB)
	if err != nil {
		return classify(err)
	}
	if err := db.CheckSchema(e.ctx); err != nil {
		return errors.Join(classify(err), db.Close())
	}
	now := time.Now //nolint:forbidigo // the command's own clock
	b := books{usage: usage.New(usage.Needs{DB: db, Now: now, Cursors: list.NewCursors(nil)})}
	b.credits = credit.New(credit.Needs{DB: db, Log: slog.New(slog.DiscardHandler), Now: now, Records: b.usage})
	return errors.Join(classify(f(b)), db.Close())
}

func openBooks(ctx context.Context, cfg config.Config, file string) (*sqldb.DB, error) {
	if file == "" && cfg.Postgres() {
		return sqldb.Open(ctx, cfg.Database())
	}
	if file == "" {
		file = cfg.SQLitePath()
	}
	db, err := sqldb.OpenFile(ctx, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, Exit(exitMissing, fmt.Errorf("there is no database at %s; name the file with --db, or the data folder with --data", file))
	}
	return db, err
}

type ledgerVerify struct {
	ledgerFile
	Since   string `placeholder:"DAY" help:"Believe the signed root of this day, like 2026-03-20, and check what is newer."`
	Account string `placeholder:"USER" help:"Only findings about this user, usr_…, and those about no user."`
	JSON    bool   `help:"Print JSON."`
}

// maxFindings bounds what is printed: a ledger with more is not mended by
// reading them.
const maxFindings = 1000

func (c ledgerVerify) Run(e *env) error {
	o := credit.VerifyOptions{User: c.Account}
	if c.Since != "" {
		day, err := parseDay("--since", c.Since)
		if err != nil {
			return err
		}
		o.Since = day
	}
	return e.withBooks(c.ledgerFile, func(b books) error {
		started := time.Now() //nolint:forbidigo // for the closing line only
		var findings []credit.Finding
		sum, err := b.credits.Verify(e.ctx, o, func(f credit.Finding) {
			if len(findings) < maxFindings {
				findings = append(findings, f)
			}
		})
		if errors.Is(err, credit.ErrNoRoot) {
			return Exit(exitUsage, fmt.Errorf("--since: %w", err))
		}
		if err != nil {
			return err
		}
		if err := reportLedger(e.stdout, c.JSON, sum, findings, time.Since(started)); err != nil {
			return Exit(exitIO, err)
		}
		if sum.Findings > 0 {
			return Exit(exitFailed, fmt.Errorf("the ledger has %s", counted(sum.Findings, "finding")))
		}
		return nil
	})
}

type verifyReport struct {
	Transfers int64           `json:"transfers"`
	Lanes     int64           `json:"lanes"`
	Grants    int64           `json:"grants"`
	OpenHolds int64           `json:"openHolds"`
	Head      string          `json:"head"`
	HeadAt    *time.Time      `json:"headAt"` // null: the ledger is empty
	Count     int64           `json:"findingCount"`
	Findings  []verifyFinding `json:"findings"` // the first maxFindings
	Seconds   float64         `json:"seconds"`
}

type verifyFinding struct {
	Check string `json:"check"`
	User  string `json:"user,omitempty"`
	Text  string `json:"text"`
}

// reportLedger prints what a verification found.
func reportLedger(w io.Writer, asJSON bool, s credit.Summary, findings []credit.Finding, took time.Duration) error {
	if asJSON {
		out := verifyReport{
			Transfers: s.Transfers, Lanes: s.Lanes, Grants: s.Grants, OpenHolds: s.OpenHolds, Head: s.Head,
			Count: s.Findings, Findings: make([]verifyFinding, len(findings)), Seconds: took.Seconds(),
		}
		if !s.HeadAt.IsZero() {
			out.HeadAt = &s.HeadAt
		}
		for i, f := range findings {
			out.Findings[i] = verifyFinding(f)
		}
		return json.NewEncoder(w).Encode(out)
	}
	head := "none"
	if len(s.Head) > 6 {
		head = s.HeadAt.Format(time.DateOnly) + " " + s.Head[:4] + "…" + s.Head[len(s.Head)-2:]
	}
	_, err := fmt.Fprintf(w, "ledger verify: %s, %s, %s, %s, head %s\n",
		counted(s.Transfers, "transfer"), counted(s.Lanes, "lane"), counted(s.Grants, "grant"), counted(s.OpenHolds, "open hold"), head)
	for _, f := range findings {
		_, more := fmt.Fprintf(w, "FAIL %s\n", f)
		err = errors.Join(err, more)
	}
	if left := s.Findings - int64(len(findings)); left > 0 {
		_, more := fmt.Fprintf(w, "and %s more\n", grouped(left))
		err = errors.Join(err, more)
	}
	_, last := fmt.Fprintf(w, "%s in %.1f s\n", counted(s.Findings, "finding"), took.Seconds())
	return errors.Join(err, last)
}

type ledgerRoots struct {
	ledgerFile
	Since string `placeholder:"DAY" help:"From this day on, like 2026-03-20 (UTC)."`
}

func (c ledgerRoots) Run(e *env) error {
	var from time.Time
	if c.Since != "" {
		day, err := parseDay("--since", c.Since)
		if err != nil {
			return err
		}
		from = day
	}
	return e.withBooks(c.ledgerFile, func(b books) error {
		return b.credits.Roots(e.ctx, from, func(r credit.Root) error {
			if err := json.NewEncoder(e.stdout).Encode(r); err != nil {
				return Exit(exitIO, err)
			}
			return nil
		})
	})
}

// parseDay reads the value of a flag as a day.
func parseDay(flag, text string) (time.Time, error) {
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return time.Time{}, Exit(exitUsage, fmt.Errorf("%s: %q is not a day like 2026-03-20", flag, text))
	}
	return day, nil
}

// counted returns "1 lane", "3 lanes" or "3 batches".
func counted(n int64, what string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(what, "h"):
		what += "es"
	default:
		what += "s"
	}
	return grouped(n) + " " + what
}

// grouped prints n with a comma after each thousand: 10,000,412.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
