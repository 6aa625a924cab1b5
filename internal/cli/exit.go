package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/rephlo/rephlo/internal/app"
	"github.com/rephlo/rephlo/internal/config"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Exit statuses.
const (
	exitFailed  = 1  // it failed, or something was found
	exitUsage   = 2  // the command line is wrong
	exitDamaged = 65 // data is damaged, or from a newer program
	exitMissing = 69 // something that is needed is not there: a port, the database
	exitCreate  = 73 // a file or folder cannot be made
	exitIO      = 74 // reading or writing failed
	exitAgain   = 75 // try again: another process is at work
	exitConfig  = 78 // a setting is wrong
)

// statusError is an error with its exit status.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

// Exit returns err with the status that the process shall end with.
func Exit(status int, err error) error { return &statusError{status, err} }

// statusOf returns the exit status of err.
func statusOf(err error) int {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*statusError](err); ok {
		return e.status
	}
	return exitFailed
}

// oneLine shows an error of several lines as one, and what it repeats once: the
// driver tries a server with and without TLS, and tells of both.
type oneLine struct{ error }

func (e oneLine) Unwrap() error { return e.error }

func (e oneLine) Error() string {
	var said []string
	for line := range strings.Lines(e.error.Error()) {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(said, line) {
			said = append(said, line)
		}
	}
	return strings.Join(said, " ")
}

// classify gives an error of the shared parts its exit status.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case statusOf(err) != exitFailed:
		return err
	case errors.Is(err, app.ErrDataFolder):
		return Exit(exitCreate, err)
	case errors.Is(err, app.ErrInUse):
		return Exit(exitAgain, err)
	case errors.Is(err, sqldb.ErrNewerSchema), errors.Is(err, sqldb.ErrOlderSchema), errors.Is(err, credit.ErrDamaged),
		errors.Is(err, credit.ErrUnreadable), sqldb.IsDamaged(err):
		return Exit(exitDamaged, err)
	case errors.Is(err, config.ErrMasterKey), errors.Is(err, sqldb.ErrNotDurable):
		return Exit(exitConfig, err)
	case errors.Is(err, credit.ErrBroken), sqldb.IsBroken(err):
		return Exit(exitIO, fmt.Errorf("%w. Check the disk of the data folder (dmesg, df, mount) and start again: "+
			"everything that was acknowledged is on disk, and open calls are settled from their last progress report", err))
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EIO), errors.Is(err, os.ErrPermission), sqldb.IsIO(err):
		return Exit(exitIO, err)
	case sqldb.IsUnavailable(err):
		return Exit(exitMissing, fmt.Errorf("the database does not answer; check that it runs and, on PostgreSQL, --database-url: %w", oneLine{err}))
	}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return Exit(exitFailed, errors.New(f.Message))
	}
	return err
}
