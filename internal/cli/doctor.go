package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rephlo/rephlo/internal/app"
	"github.com/rephlo/rephlo/internal/config"
	"github.com/rephlo/rephlo/internal/sqldb"
)

type doctorCommand struct {
	JSON bool `help:"Print JSON."`
}

// finding is the outcome of one check.
type finding struct {
	Check    string `json:"check"`
	Severity string `json:"severity"` // ok, hint or error
	Text     string `json:"text"`
	Fix      string `json:"fix,omitempty"`
}

func ok(check, format string, args ...any) finding {
	return finding{Check: check, Severity: "ok", Text: fmt.Sprintf(format, args...)}
}

func (d doctorCommand) Run(e *env) error {
	var all []finding
	cfg, err := e.config()
	if mistakes, is := errors.AsType[config.Mistakes](err); is {
		for _, m := range mistakes {
			all = append(all, finding{"settings", "error", m.String(), "correct it; rephlo config print shows the rest"})
		}
	} else {
		all = append(all, ok("settings", "all settings are well-formed"))
		ctx, cancel := context.WithTimeout(e.ctx, 30*time.Second)
		defer cancel()
		cfg = app.AsServed(cfg)
		all = append(all, checkFolder(cfg), checkSpace(cfg), checkKey(cfg))
		all = append(all, checkDatabase(ctx, cfg)...)
		all = append(all, checkService(ctx, "Resource API", "--api-addr", cfg.APIAddr, cfg.APIURL),
			checkService(ctx, "Identity Provider", "--idp-addr", cfg.IDPAddr, cfg.IDPURL), checkHTTPS(cfg), checkProviders(cfg), checkLedger(cfg), checkMail(ctx, cfg))
	}
	return report(e.stdout, d.JSON, all)
}

func report(w io.Writer, asJSON bool, all []finding) error {
	count := map[string]int{}
	for _, f := range all {
		count[f.Severity]++
	}
	if asJSON {
		if err := json.NewEncoder(w).Encode(all); err != nil {
			return err
		}
	} else {
		for _, f := range all {
			fmt.Fprintf(w, "%-5s  %-18s  %s\n", f.Severity, f.Check, f.Text)
			if f.Fix != "" {
				fmt.Fprintf(w, "       %-18s  fix: %s\n", "", f.Fix)
			}
		}
		fmt.Fprintf(w, "%d checks: %d ok, %d hints, %d errors\n", len(all), count["ok"], count["hint"], count["error"])
	}
	if count["error"] > 0 {
		return Exit(exitFailed, errors.New(""))
	}
	return nil
}

func checkFolder(cfg config.Config) finding {
	info, err := os.Stat(cfg.Data)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return finding{"data folder", "hint", cfg.Data + " does not exist yet", "rephlo serve makes it"}
	case err != nil || !info.IsDir():
		return finding{"data folder", "error", cfg.Data + " is not a folder that can be read", "name another with --data"}
	case unix.Access(cfg.Data, unix.W_OK) != nil:
		return finding{"data folder", "error", cfg.Data + " cannot be written by this user", "chown it, or name another with --data"}
	case info.Mode().Perm()&0o077 != 0:
		return finding{"data folder", "hint", fmt.Sprintf("%s can be entered by others (mode %o)", cfg.Data, info.Mode().Perm()), "chmod 700 " + cfg.Data}
	}
	return ok("data folder", "%s is there and writable", cfg.Data)
}

// lowSpace is how full a disk may be: from then on a ledger that cannot be
// written is near.
const lowSpace = 10 // percent free

func checkSpace(cfg config.Config) finding {
	var s unix.Statfs_t
	if err := unix.Statfs(cfg.Data, &s); err != nil || s.Blocks == 0 {
		return ok("disk", "not looked at: the data folder does not exist yet")
	}
	free := s.Bavail * 100 / s.Blocks
	if free < lowSpace {
		return finding{"disk", "error", fmt.Sprintf("%d %% are free at %s", free, cfg.Data), "make room: without it no call can be paid"}
	}
	return ok("disk", "%d %% are free", free)
}

func checkKey(cfg config.Config) finding {
	info, err := os.Stat(cfg.MasterKeyFile)
	switch {
	case errors.Is(err, os.ErrNotExist) && !cfg.Postgres():
		return finding{"master key", "hint", "there is none yet", "rephlo serve makes one for a new data folder"}
	case err != nil:
		return finding{"master key", "error", cfg.MasterKeyFile + " cannot be read", "restore it from your backup, or name it with --master-key-file"}
	case info.Mode().Perm()&0o077 != 0:
		return finding{"master key", "error", fmt.Sprintf("%s can be read by others (mode %o)", cfg.MasterKeyFile, info.Mode().Perm()), "chmod 600 " + cfg.MasterKeyFile}
	}
	if _, _, err := cfg.MasterKey(); err != nil {
		return finding{"master key", "error", err.Error(), "restore it from your backup"}
	}
	return ok("master key", "%s is whole and private", cfg.MasterKeyFile)
}

// checkMail connects to the mail server and signs in there; nothing is sent.
func checkMail(ctx context.Context, cfg config.Config) finding {
	mails, err := app.Mail(cfg, slog.New(slog.DiscardHandler), time.Now) //nolint:forbidigo // dates of messages
	server, isServer := mails.(interface {
		Check(ctx context.Context) error
	})
	switch {
	case err != nil:
		return finding{"mail", "error", err.Error(), "correct smtp_addr, smtp_user or mail_from"}
	case !isServer && config.Loopback(cfg.IDPAddr):
		return ok("mail", "mails are written to files in the data folder; only this machine can sign up")
	case !isServer:
		return finding{"mail", "hint", "mails are written to files in the data folder", "set smtp_addr and mail_from before others sign up"}
	}
	if err := server.Check(ctx); err != nil {
		return finding{"mail", "error", fmt.Sprintf("%s: %s", cfg.SMTPAddr, err), "check the address, smtp_tls, smtp_user and smtp_password"}
	}
	return ok("mail", "%s takes mails", cfg.SMTPAddr)
}

// openExisting opens the database without making one.
func openExisting(ctx context.Context, cfg config.Config) (*sqldb.DB, error) {
	if !cfg.Postgres() {
		if _, err := os.Stat(cfg.SQLitePath()); err != nil {
			return nil, Exit(exitMissing, fmt.Errorf("there is no database at %s; rephlo serve makes it", cfg.SQLitePath()))
		}
	}
	return sqldb.Open(ctx, cfg.Database())
}

func checkDatabase(ctx context.Context, cfg config.Config) []finding {
	db, err := openExisting(ctx, cfg)
	if err != nil {
		if !cfg.Postgres() {
			return []finding{{"database", "hint", err.Error(), "start it once"}}
		}
		return []finding{{"database", "error", "PostgreSQL does not answer: " + err.Error(), "check the address in --database-url and that the server runs"}}
	}
	defer db.Close()
	started := time.Now() //nolint:forbidigo // a latency
	if err := db.Ping(ctx); err != nil {
		return []finding{{"database", "error", "it does not answer: " + err.Error(), "check that it runs"}}
	}
	out := []finding{ok("database", "%s answers in %s", db.Engine(), time.Since(started).Round(time.Microsecond)), checkClock(ctx, cfg, db)}
	steps, err := db.Migrations(ctx)
	if err != nil {
		return append(out, finding{"schema", "error", err.Error(), "start the program of that version, or restore a backup"})
	}
	pending := 0
	for _, s := range steps {
		if !s.Applied {
			pending++
		}
	}
	if pending > 0 {
		return append(out, finding{"schema", "hint", fmt.Sprintf("pending steps: %d", pending), "rephlo migrate up (rephlo serve does it too)"})
	}
	return append(out, ok("schema", "at version %d", sqldb.SchemaVersion()))
}

// checkService asks a service for its health, or finds out whether its port is
// free.
func checkService(ctx context.Context, name, flag, addr, publicURL string) finding {
	client := http.Client{Timeout: 3 * time.Second}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, publicURL+"/health/ready", nil)
	if err != nil {
		return finding{name, "error", "its address " + publicURL + " is not usable", "correct the setting"}
	}
	if res, err := client.Do(r); err == nil {
		defer res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return ok(name, "ready at %s", publicURL)
		}
		return finding{name, "error", fmt.Sprintf("%s answers %d", publicURL+"/health/ready", res.StatusCode), "its log says why"}
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err == nil {
		_ = l.Close() // it served nobody
		return finding{name, "hint", "it does not run; " + addr + " is free", "rephlo serve"}
	}
	_, port, _ := net.SplitHostPort(addr)
	return finding{name, "error", fmt.Sprintf("%s is taken by %s, which is not Rephlo at %s", addr, holderOr(port), publicURL), "stop it, or choose another with " + flag}
}

func holderOr(port string) string {
	if h := holderOf(port); h != "" {
		return h
	}
	return "another program"
}

func checkHTTPS(cfg config.Config) finding {
	for _, address := range []string{cfg.APIURL, cfg.IDPURL} {
		u, err := url.Parse(address)
		if err == nil && u.Scheme != "https" && !config.Loopback(u.Host) && u.Hostname() != "localhost" {
			return finding{"TLS", "error", address + " is plain http on a network", "put a proxy with TLS in front and set api_url and idp_url to https"}
		}
	}
	return ok("TLS", "addresses are https or on this machine")
}

// checkLedger names the settings that give up a promise.
func checkLedger(cfg config.Config) finding {
	if cfg.LedgerAck == "async" {
		return finding{"ledger", "hint", "ledger_ack is async: a crash may charge the calls of the last moment less than they cost", "set ledger_ack to durable unless that is wanted"}
	}
	return ok("ledger", "a charge is on disk before the answer ends")
}

func checkProviders(cfg config.Config) finding {
	if cfg.OpenAIAPIKey.Empty() && len(cfg.Providers) == 0 {
		return finding{"providers", "hint", "none: only the test models answer", "set OPENAI_API_KEY, or list services in --providers-file"}
	}
	return ok("providers", "configured; rephlo does not call them here")
}

// quiet logs what somebody should see.
func quiet(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}
