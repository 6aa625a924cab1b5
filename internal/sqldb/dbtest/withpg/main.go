// Command withpg runs a command with a throw-away PostgreSQL server: it makes
// a cluster in a temporary folder, starts it on a socket there, sets
// REPHLO_TEST_POSTGRES for the command, and removes everything afterwards.
//
// Where initdb is not installed it says so and runs the command without a
// server, except in CI, where that is a failure. A server named by
// REPHLO_TEST_POSTGRES already is used as it is.
package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: withpg COMMAND [ARGUMENT …]")
		os.Exit(2)
	}
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "withpg:", err)
	}
	os.Exit(code)
}

func run(command []string) (int, error) {
	bin := serverPrograms()
	switch {
	case os.Getenv(dbtest.Env) != "":
		return execute(command, nil)
	case bin == "" && os.Getenv("CI") != "":
		return 1, errors.New("initdb was not found, and in CI the PostgreSQL tests must run; install the package postgresql")
	case bin == "":
		fmt.Fprintln(os.Stderr, "withpg: initdb was not found: the PostgreSQL half of the tests is SKIPPED (Debian: apt install postgresql)")
		return execute(command, nil)
	}
	dir, err := os.MkdirTemp("", "rephlo-pg-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	who, err := owner(dir)
	if err != nil {
		return 1, err
	}
	server, err := start(bin, dir, who)
	if err != nil {
		return 1, err
	}
	defer func() {
		_ = server.Process.Signal(syscall.SIGINT) // fast shutdown
		_ = server.Wait()
	}()
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/postgres", RawQuery: url.Values{"host": {dir}}.Encode()}
	return execute(command, []string{dbtest.Env + "=" + u.String()})
}

// serverPrograms returns the folder that holds initdb and postgres.
func serverPrograms() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if path, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			found = append(found, real)
		}
	}
	for _, f := range slices.Backward(found) {
		if _, err := os.Stat(filepath.Join(filepath.Dir(f), "postgres")); err == nil {
			return filepath.Dir(f)
		}
	}
	return ""
}

// owner gives dir to whoever shall run the server, since PostgreSQL refuses to
// run as root. It returns nil when that is us.
func owner(dir string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, int(uid), int(gid))
	}
	return nil, errors.New("PostgreSQL does not run as root and there is no user postgres or nobody")
}

func start(bin, dir string, who *syscall.Credential) (*exec.Cmd, error) {
	attr := &syscall.SysProcAttr{Credential: who, Setpgid: true}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8")
	initdb.SysProcAttr = attr
	initdb.Dir = dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", dir,
		"-c", "listen_addresses=", "-c", "max_connections=400", "-c", "shared_buffers=128MB", "-c", "log_min_messages=fatal")
	server.SysProcAttr = attr
	server.Dir = dir
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		return nil, err
	}
	if err := waitReady(bin, dir); err != nil {
		_ = server.Process.Kill()
		_ = server.Wait()
		text, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("%w\n%s", err, text)
	}
	return server, nil
}

func waitReady(bin, dir string) error {
	var err error
	for range 600 {
		if err = exec.Command(filepath.Join(bin, "pg_isready"), "-h", dir, "-U", "postgres", "-q").Run(); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("PostgreSQL did not start: %w", err)
}

// execute runs command and returns its exit status. Signals that end us go to
// the command, so that the server is removed afterwards.
func execute(command, env []string) (int, error) {
	c := exec.Command(command[0], command[1:]...)
	c.Env = append(os.Environ(), env...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if err := c.Start(); err != nil {
		return 1, err
	}
	go func() {
		for s := range signals {
			_ = c.Process.Signal(s)
		}
	}()
	err := c.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), 1), nil
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}
