package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// engine is a database and what is asked of rephlo with it.
type engine struct {
	name  string
	url   string // empty: SQLite in the data folder
	gates gates
}

// rephlo is a running server with a user who has API keys and credits.
type rephlo struct {
	*process
	program string
	common  []string // flags of every command
	keys    string   // the file with the API keys
	ops     string   // the address of its profiles
}

const (
	admin   = "bench@example.com"
	apiKeys = 8

	slowModel       = "bench-slow"       // the mock takes its time with each event
	farModel        = "bench-far"        // the mock answers after 60 ms
	translatedModel = "bench-translated" // in Anthropic's protocol
)

// newRephlo prepares a fresh installation and starts it.
func (b *bench) newRephlo(ctx context.Context, e engine) (*rephlo, error) {
	data := filepath.Join(b.dir, "data-"+strings.ToLower(e.name))
	r := &rephlo{program: filepath.Join(b.dir, "rephlo"), common: []string{"--data", data}, keys: data + ".keys"}
	if e.url != "" {
		r.common = append(r.common, "--database-url", e.url)
	}
	if err := r.prepare(ctx, e, data); err != nil {
		return nil, err
	}
	providers, err := b.providers()
	if err != nil {
		return nil, err
	}
	addrs, err := freeAddrs(3)
	if err != nil {
		return nil, err
	}
	r.ops = addrs[2]
	args := append([]string{"serve", "--api-addr", addrs[0], "--idp-addr", addrs[1], "--ops-addr", addrs[2]}, r.common...)
	env := []string{"REPHLO_PROVIDERS_FILE=" + providers, "REPHLO_API_URL=http://" + addrs[0], "REPHLO_IDP_URL=http://" + addrs[1], "REPHLO_LEDGER_ACK=" + b.plan.ack}
	if r.process, err = start(ctx, env, r.program, addrs[0], args...); err != nil {
		return nil, err
	}
	return r, r.waitReady(ctx)
}

// prepare makes the administrator, the keys and enough credits.
func (r *rephlo) prepare(ctx context.Context, e engine, data string) error {
	password := rand.Text()
	if _, err := r.command(ctx, password, "admin", "create", admin, "--password-stdin"); err != nil {
		return err
	}
	var keys strings.Builder
	for range apiKeys {
		out, err := r.command(ctx, "", "apikey", "create", "--user", admin)
		if err != nil {
			return err
		}
		keys.WriteString(strings.TrimSpace(out) + "\n")
	}
	if err := os.WriteFile(r.keys, []byte(keys.String()), 0o600); err != nil {
		return err
	}
	address := e.url
	if address == "" {
		found, err := filepath.Glob(filepath.Join(data, "*.db"))
		if err != nil || len(found) != 1 {
			return fmt.Errorf("the data folder has %d databases", len(found))
		}
		address = "sqlite:" + found[0]
	}
	return grant(ctx, address)
}

// grant gives the user credits for all the calls of the benchmark, through the
// ledger, before the server starts.
func grant(ctx context.Context, address string) error {
	db, err := sqldb.Open(ctx, address)
	if err != nil {
		return err
	}
	var user string
	const q = `SELECT id FROM account_user ORDER BY id LIMIT 1`
	if err := db.Q(ctx).QueryRowContext(ctx, q).Scan(&user); err != nil {
		return errors.Join(err, db.Close())
	}
	ledger := credit.New(credit.Needs{DB: db, Log: slog.New(slog.DiscardHandler), Now: time.Now, Node: "bench"})
	_, err = ledger.Grant(ctx, credit.NewGrant{User: user, Source: credit.Bonus, Ref: "adm:bench", Amount: 100_000_000 * money.Credit})
	return errors.Join(err, db.Close())
}

// providers writes the file that tells rephlo of the mock vendor.
func (b *bench) providers() (string, error) {
	file := filepath.Join(b.dir, "providers.json")
	const prices = `"context_length":128000,"max_output_tokens":16384,"input_usd_per_million":"0.25","output_usd_per_million":"2"`
	model := func(id, vendor string) string {
		return fmt.Sprintf(`{"id":%q,"vendor_model":%q,%s}`, id, vendor, prices)
	}
	text := fmt.Sprintf(`[{"id":"bench","name":"Bench","base_url":"http://%s/v1","allow_private":true,"models":[%s,%s,%s]},
		{"id":"translated","name":"Translated","vendor":"anthropic","base_url":"http://%s/v1","allow_private":true,"models":[%s]}]`,
		b.mock.addr, model("bench", "bench-1"), model(slowModel, slowModel), model(farModel, farModel), b.mock.addr, model(translatedModel, "bench-a"))
	return file, os.WriteFile(file, []byte(text), 0o600)
}

// command runs one rephlo command and returns its standard output.
func (r *rephlo) command(ctx context.Context, input string, args ...string) (string, error) {
	c := exec.CommandContext(ctx, r.program, append(args, r.common...)...)
	c.Env = environment()
	c.Stdin = strings.NewReader(input)
	var complaint strings.Builder
	c.Stderr = &complaint
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("rephlo %s: %w\n%s%s", strings.Join(args, " "), err, out, &complaint)
	}
	return string(out), nil
}

func (r *rephlo) waitReady(ctx context.Context) error {
	client := http.Client{Timeout: time.Second}
	var last error
	for range 200 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.addr+"/health/ready", nil)
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(res.Status)
		}
		last = err
		time.Sleep(25 * time.Millisecond)
	}
	return fmt.Errorf("rephlo is not ready: %w\n%s", last, r.said())
}

// stop ends the server as an operator would.
func (r *rephlo) stop() error {
	if err := r.process.stop(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop rephlo: %w\n%s", err, r.said())
	}
	return nil
}

// verify recomputes the ledger.
func (r *rephlo) verify(ctx context.Context) error {
	out, err := r.command(ctx, "", "ledger", "verify")
	fmt.Print(out)
	return err
}

// measurePostgres runs measure on a database of its own.
func (b *bench) measurePostgres(ctx context.Context, server string) error {
	db, err := sql.Open("pgx", server)
	if err != nil {
		return err
	}
	defer db.Close()
	name := "rephlo_bench_" + strings.ToLower(rand.Text()[:10])
	if _, err := db.ExecContext(ctx, `CREATE DATABASE "`+name+`"`); err != nil {
		return err
	}
	defer func() { _, _ = db.ExecContext(context.WithoutCancel(ctx), `DROP DATABASE "`+name+`" WITH (FORCE)`) }()
	u, err := url.Parse(server)
	if err != nil {
		return err
	}
	u.Path = "/" + name
	return b.measure(ctx, engine{name: "PostgreSQL", url: u.String(), gates: gates{0.5, 1.1, 2, 1.6}})
}
