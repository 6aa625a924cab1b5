package cli_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/rephlo/rephlo/internal/app"
	"github.com/rephlo/rephlo/internal/cli"
	"github.com/rephlo/rephlo/internal/config"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

var update = flag.Bool("update", false, "rewrite testdata")

// TestMain takes away what the person who runs the tests has configured.
func TestMain(m *testing.M) {
	for _, s := range config.Settings() {
		for _, name := range []string{s.Env(), s.Env() + "_FILE", s.Alias} {
			if name != "" {
				_ = os.Unsetenv(name) // fails for an impossible name only
			}
		}
	}
	_ = os.Unsetenv(config.ConfigEnv)
	goleak.VerifyTestMain(m)
}

// result is what a run of the program left behind.
type result struct {
	status   int
	out, err string
}

// run runs a command with stdin.
func run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, err bytes.Buffer
	status := cli.Run(t.Context(), args, strings.NewReader(stdin), &out, &err)
	return result{status, out.String(), err.String()}
}

// want checks the status and that the output, of both kinds, has the texts.
func (r result) want(t *testing.T, status int, texts ...string) {
	t.Helper()
	if r.status != status {
		t.Errorf("exit status %d, want %d\n%s%s", r.status, status, r.out, r.err)
	}
	for _, text := range texts {
		if !strings.Contains(r.out+r.err, text) {
			t.Errorf("%q is missing in\n%s%s", text, r.out, r.err)
		}
	}
}

// installation is a data folder and what names the database.
type installation struct {
	data, url string // url is for sqldb.Open
	flags     []string
}

func (i installation) run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	return run(t, stdin, append(args, i.flags...)...)
}

// onEach runs test on an empty SQLite installation and on one with PostgreSQL.
func onEach(t *testing.T, test func(t *testing.T, i installation)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		test(t, installation{dir, "sqlite:" + filepath.Join(dir, config.SQLiteFile), []string{"--data", dir}})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		dir, url := t.TempDir(), dbtest.Postgres(t)
		test(t, installation{dir, url, []string{"--data", dir, "--database-url", url}})
	})
}

// exec changes the database behind the program's back.
func (i installation) exec(t *testing.T, statements ...string) {
	t.Helper()
	db, err := sqldb.Open(t.Context(), i.url)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range statements {
		if _, err := db.Q(t.Context()).ExecContext(t.Context(), q); err != nil {
			t.Errorf("%s: %v", q, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// read returns the texts that a query finds.
func (i installation) read(t *testing.T, query string) (out []string) {
	t.Helper()
	db, err := sqldb.Open(t.Context(), i.url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rows, err := db.Q(t.Context()).QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		out = append(out, text)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"rephlo": {"--help"}, "serve": {"serve", "--help"}, "admin": {"admin", "create", "--help"}, "apikey": {"apikey", "create", "--help"},
		"ledger": {"ledger", "verify", "--help"}, "migrate": {"migrate", "--help"}, "doctor": {"doctor", "--help"}, "config": {"config", "print", "--help"},
	} {
		r := run(t, "", args...)
		r.want(t, 0)
		path := filepath.Join("testdata", "help-"+name+".txt")
		if *update {
			if err := os.WriteFile(path, []byte(r.out), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		golden, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(golden), r.out); diff != "" {
			t.Errorf("rephlo %s; if it is meant so, run go test ./internal/cli -update\n%s", strings.Join(args, " "), diff)
		}
	}
}

func TestHelpIsOneScreenWithAnExampleFirst(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--help"}, {"-h"}} {
		r := run(t, "", args...)
		r.want(t, 0, "serve", "doctor", "--data")
		lines := strings.Split(strings.TrimSpace(r.out), "\n")
		if len(lines) > 30 || !strings.HasPrefix(lines[0], "Example: rephlo ") || !strings.HasPrefix(lines[len(lines)-1], "Next: rephlo ") {
			t.Errorf("%d lines, from %q to %q", len(lines), lines[0], lines[len(lines)-1])
		}
		for _, line := range lines {
			if len(line) > 80 {
				t.Errorf("this line is too long: %s", line)
			}
		}
	}
}

func TestWrongCommandLines(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args string
		want string
	}{
		{"serv", `did you mean "serve"? rephlo --help`},
		{"doctr", `did you mean "doctor"?`},
		{"serve --api-adr=:1", `unknown flag --api-adr, did you mean "--api-addr"?`},
		{"serve --dta /x", `did you mean "--data"?`},
		{"config print --origen", `did you mean "--origin"?`},
		{"serve --zzzzzzzzzzzz", `unknown flag --zzzzzzzzzzzz. rephlo --help`},
		{"serve --api-addr", `--api-addr needs a value`},
		{"serve --openai-api-key sk-x", `unknown flag --openai-api-key`},
		{"admin", `expected "create"`},
		{"admin create", `expected "<email>"`},
		{"apikey create", `--user`},
		{"apikey create --user a@b.c --mode x", `"live","test"`},
		{"ledger verify extra", `unexpected argument extra`},
	} {
		r := run(t, "", strings.Fields(tt.args)...)
		r.want(t, 2, tt.want)
		if r.out != "" || strings.Contains(r.err, "?.") {
			t.Errorf("rephlo %s: stdout %q, stderr %q", tt.args, r.out, r.err)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	r := run(t, "", "version")
	r.want(t, 0)
	if want := fmt.Sprintf("rephlo %s (schema %d)\n", app.Version(), sqldb.SchemaVersion()); r.out != want || r.err != "" {
		t.Errorf("got %q and %q, want %q", r.out, r.err, want)
	}
	r = run(t, "", "version", "--json")
	var v struct {
		Version string
		Schema  int64
	}
	if err := json.Unmarshal([]byte(r.out), &v); err != nil || v.Version != app.Version() || v.Schema != sqldb.SchemaVersion() || r.status != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestConfigPrintMasksSecrets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, file := filepath.Join(dir, "openai"), filepath.Join(dir, "rephlo.env")
	for path, text := range map[string]string{key: "sk-topsecret\n", file: "# ours\nREPHLO_SIGNUP=off\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flags := []string{"--api-addr=:7000", "--openai-api-key-file", key, "--database-url", "postgres://ada:hunter2@db/x?password=hunter3", "--config", file, "--dev"}
	for _, form := range [][]string{{}, {"--json"}, {"--origin"}, {"--origin", "--json"}} {
		r := run(t, "", append(append([]string{"config", "print"}, form...), flags...)...)
		r.want(t, 0, ":7000", "[redacted]", "ada:xxxxx@db/x", "signup", "off")
		for _, secret := range []string{"topsecret", "hunter"} {
			if strings.Contains(r.out+r.err, secret) {
				t.Errorf("%v prints a secret:\n%s", form, r.out)
			}
		}
		joined := strings.Join(form, " ")
		if strings.Contains(joined, "--origin") {
			r.want(t, 0, "flag", "file", file+":2", "default", key)
		}
		if strings.Contains(joined, "--json") {
			var v struct {
				Settings []struct{ Name, Value string }
			}
			if err := json.Unmarshal([]byte(r.out), &v); err != nil || len(v.Settings) != len(config.Settings()) {
				t.Errorf("%v: %d settings, %v", form, len(v.Settings), err)
			}
		} else if !regexp.MustCompile(`(?m)^dev = +true`).MatchString(r.out) {
			t.Errorf("a switch without a value is not true:\n%s", r.out)
		}
	}
}

// Every command that reads the settings refuses wrong ones, all at once.
func TestAllWrongSettingsAreNamed(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	for _, command := range []string{
		"serve", "config print", "admin create ada@example.com", "apikey create --user ada@example.com", "ledger verify", "migrate up", "migrate status",
	} {
		r := run(t, "", append(strings.Fields(command), "--data", dir, "--api-addr", "nonsense", "--drain-timeout=5", "--ledger-ack", "maybe")...)
		r.want(t, 78, `rephlo: --api-addr: "nonsense"`, `rephlo: --drain-timeout: "5" has no unit`, `rephlo: --ledger-ack: "maybe"`)
		if r.out != "" {
			t.Errorf("rephlo %s prints %q", command, r.out)
		}
	}
	run(t, "", "config", "print", "--config", filepath.Join(dir, "none.env")).want(t, 78, "none.env")
	if _, err := os.Stat(dir); err == nil {
		t.Error("the data folder was made in spite of wrong settings")
	}
}
