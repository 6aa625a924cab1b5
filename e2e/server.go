package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// Enabled names the variable that lets these tests run.
const Enabled = "REPHLO_E2E"

// binary builds rephlo once per test run.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "rephlo-e2e-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "rephlo")
	args := []string{"build", "-o", path}
	if os.Getenv("REPHLO_E2E_RACE") != "" {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "../cmd/rephlo")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build rephlo: %w\n%s", err, out)
	}
	return path, nil
})

// Binary returns the path of the built program.
func Binary(t testing.TB) string {
	t.Helper()
	Require(t)
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// Options of a Server. The zero value is what `rephlo serve` does alone.
type Options struct {
	Database  string   // URL; empty: SQLite in the data folder
	Providers string   // content of a providers file
	Env       []string // NAME=value
	Named     bool     // reached by the name localhost: browsers bind passkeys to names only
}

// Server is an installation in a folder of its own. It is used by one test.
type Server struct {
	API, IDP string // base URLs
	Data     string // the data folder
	t        testing.TB
	program  string
	common   []string // flags of all commands
	serve    []string
	env      []string
	cmd      *exec.Cmd
	done     chan error
	log      string
}

// Require skips t unless the end-to-end tests were asked for.
func Require(t testing.TB) {
	t.Helper()
	if os.Getenv(Enabled) == "" {
		t.Skipf("%s is not set; run the end-to-end tests with make e2e", Enabled)
	}
}

// Engines runs test once with SQLite and once with an empty PostgreSQL
// database; test gets the URL for Options.
func Engines(t *testing.T, test func(t *testing.T, database string)) {
	t.Helper()
	Require(t)
	t.Run("sqlite", func(t *testing.T) { test(t, "") })
	t.Run("postgres", func(t *testing.T) { test(t, emptyPostgres(t)) })
}

// Postgres returns the URL of an empty PostgreSQL database.
func Postgres(t *testing.T) string {
	t.Helper()
	Require(t)
	return emptyPostgres(t)
}

// emptyPostgres returns the URL of a new database without a schema.
func emptyPostgres(t *testing.T) string {
	t.Helper()
	server := os.Getenv(dbtest.Env)
	if server == "" {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s must be set in CI; run make e2e", dbtest.Env)
		}
		t.Skipf("%s is not set; make e2e starts a server where initdb is installed", dbtest.Env)
	}
	db, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	name := "rephlo_e2e_" + strings.ToLower(rand.Text()[:10])
	if _, err := db.ExecContext(t.Context(), `CREATE DATABASE "`+name+`"`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := db.ExecContext(context.Background(), `DROP DATABASE "`+name+`" WITH (FORCE)`)
		if err := errors.Join(err, db.Close()); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// New returns an installation that is not started, on free ports.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	program := Binary(t)
	dir := t.TempDir()
	api, idp := FreeAddr(t), FreeAddr(t)
	s := &Server{
		t: t, program: program, Data: filepath.Join(dir, "data"), log: filepath.Join(dir, "log"),
		API: "http://" + api, IDP: "http://" + idp,
	}
	if o.Named {
		s.API, s.IDP = strings.Replace(s.API, "127.0.0.1", "localhost", 1), strings.Replace(s.IDP, "127.0.0.1", "localhost", 1)
	}
	s.common = []string{"--data", s.Data}
	if o.Database != "" {
		s.common = append(s.common, "--database-url", o.Database)
	}
	s.serve = append([]string{"serve", "--api-addr", api, "--idp-addr", idp}, s.common...)
	s.env = append(Environment(), "REPHLO_API_URL="+s.API, "REPHLO_IDP_URL="+s.IDP)
	s.env = append(s.env, o.Env...)
	if o.Providers != "" {
		file := filepath.Join(dir, "providers.json")
		if err := os.WriteFile(file, []byte(o.Providers), 0o600); err != nil {
			t.Fatal(err)
		}
		s.env = append(s.env, "REPHLO_PROVIDERS_FILE="+file)
	}
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("the server said:\n%s", s.Said())
		}
	})
	return s
}

// Start returns an installation that serves.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := New(t, o)
	s.Up()
	return s
}

// Launch starts the server and waits for nothing.
func (s *Server) Launch() {
	s.t.Helper()
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.cmd = exec.Command(s.program, s.serve...)
	s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = s.env, log, log
	s.cmd.Dir = filepath.Dir(s.Data)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.done = make(chan error, 1)
	go func(c *exec.Cmd, done chan<- error) { done <- c.Wait() }(s.cmd, s.done)
}

// Up starts the server, waits until it is ready and returns how long that took.
func (s *Server) Up() time.Duration {
	s.t.Helper()
	begin := time.Now()
	s.Launch()
	for !s.Ready() {
		select {
		case err := <-s.done:
			s.cmd = nil
			s.t.Fatalf("rephlo serve ended: %v\n%s", err, s.Said())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Since(begin) > 30*time.Second {
			s.t.Fatalf("rephlo is not ready after 30 s\n%s", s.Said())
		}
	}
	return time.Since(begin)
}

var probe = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// Ready reports whether both services say that they are ready.
func (s *Server) Ready() bool {
	for _, base := range []string{s.API, s.IDP} {
		res, err := probe.Get(base + "/health/ready")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return false
		}
	}
	return true
}

// Signal sends a signal to the server.
func (s *Server) Signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// PID returns the id of the server's process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Wait returns the exit status once the server has ended, -1 for a signal.
func (s *Server) Wait(atMost time.Duration) int {
	s.t.Helper()
	select {
	case <-s.done:
		code := s.cmd.ProcessState.ExitCode()
		s.cmd = nil
		return code
	case <-time.After(atMost):
		s.t.Fatalf("the server still runs after %s\n%s", atMost, s.Said())
		return 0
	}
}

// Kill ends the server with SIGKILL; nothing happens when it does not run.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.done
	s.cmd = nil
}

// Said returns the end of what the server has printed.
func (s *Server) Said() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(len(text)-8192, 0):])
}

// CLI runs a command of the same installation.
func (s *Server) CLI(input string, args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	c := exec.Command(s.program, append(args, s.common...)...)
	var out, complaint bytes.Buffer
	c.Env, c.Stdin, c.Stdout, c.Stderr = s.env, strings.NewReader(input), &out, &complaint
	c.Dir = filepath.Dir(s.Data)
	if err := c.Run(); err != nil && c.ProcessState == nil {
		s.t.Fatal(err)
	}
	return out.String(), complaint.String(), c.ProcessState.ExitCode()
}

// MustCLI is CLI for commands that must succeed.
func (s *Server) MustCLI(input string, args ...string) string {
	s.t.Helper()
	out, complaint, code := s.CLI(input, args...)
	if code != 0 {
		s.t.Fatalf("rephlo %s: exit %d\n%s%s", strings.Join(args, " "), code, out, complaint)
	}
	return out
}

// Admin makes an administrator and returns an API key of theirs.
func (s *Server) Admin(email string) string {
	s.t.Helper()
	s.MustCLI(rand.Text(), "admin", "create", email, "--password-stdin")
	return s.Key(email)
}

// Key returns a new API key of a user.
func (s *Server) Key(email string) string {
	s.t.Helper()
	return strings.TrimSpace(s.MustCLI("", "apikey", "create", "--user", email))
}

// Verify fails the test when the ledger is not right.
func (s *Server) Verify() {
	s.t.Helper()
	if out, complaint, code := s.CLI("", "ledger", "verify"); code != 0 {
		s.t.Fatalf("ledger verify: exit %d\n%s%s", code, out, complaint)
	}
}

// Environment is ours without what configures rephlo.
func Environment() []string {
	var out []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "REPHLO_") && !strings.HasPrefix(v, "DATABASE_URL=") {
			out = append(out, v)
		}
	}
	return out
}

// FreeAddr returns a loopback address that nobody listens on.
func FreeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Fails runs rephlo with exactly these arguments, which must make it end by
// itself, and returns its exit status and what it said. Without --data it uses
// the folder of s.
func (s *Server) Fails(args ...string) (code int, said string) {
	s.t.Helper()
	if !slices.Contains(args, "--data") {
		args = append(args, "--data", s.Data)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, s.program, args...)
	c.Env, c.Dir = Environment(), filepath.Dir(s.Data)
	out, err := c.CombinedOutput()
	if ctx.Err() != nil {
		s.t.Fatalf("rephlo %s did not end\n%s", strings.Join(args, " "), out)
	}
	if err != nil && c.ProcessState == nil {
		s.t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), string(out)
}
