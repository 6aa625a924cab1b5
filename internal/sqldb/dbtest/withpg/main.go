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
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest/pgserver"
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
	if os.Getenv(dbtest.Env) != "" {
		return execute(command, nil)
	}
	server, err := pgserver.New()
	switch {
	case errors.Is(err, pgserver.ErrMissing) && os.Getenv("CI") != "":
		return 1, fmt.Errorf("%w: in CI the PostgreSQL tests must run", err)
	case errors.Is(err, pgserver.ErrMissing):
		fmt.Fprintln(os.Stderr, "withpg: initdb was not found: the PostgreSQL half of the tests is SKIPPED (Debian: apt install postgresql)")
		return execute(command, nil)
	case err != nil:
		return 1, err
	}
	if err := server.Start(); err != nil {
		return 1, errors.Join(err, server.Remove())
	}
	code, err := execute(command, []string{dbtest.Env + "=" + server.URL()})
	return code, errors.Join(err, server.Remove())
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
