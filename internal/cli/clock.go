package cli

import (
	"context"
	"os"
	"time"

	"github.com/rephlo/rephlo/internal/config"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// clockTolerance is how far two clocks may differ: beyond it, tokens and codes
// are refused as not valid yet, or as expired.
const clockTolerance = 2 * time.Second

// checkClock compares this machine's clock with that of the PostgreSQL server.
// Without one, the files of the data folder tell whether the clock was put
// back: then what was written lies in the future.
func checkClock(ctx context.Context, cfg config.Config, db *sqldb.DB) finding {
	if db.Engine() == sqldb.Postgres {
		return checkServerClock(ctx, db)
	}
	now := time.Now() //nolint:forbidigo // this is the clock that is checked
	name, newest := newestFile(cfg.Data)
	if ahead := newest.Sub(now); ahead > clockTolerance {
		return wrongClock("%s in %s was written %s after now: this machine's clock was put back", name, cfg.Data, ahead.Round(time.Second))
	}
	return ok("clock", "no file of the data folder is from the future")
}

func checkServerClock(ctx context.Context, db *sqldb.DB) finding {
	const q = `SELECT CAST(extract(epoch from clock_timestamp()) * 1000000 AS BIGINT)`
	before := time.Now() //nolint:forbidigo // this is the clock that is checked
	var micros int64
	if err := db.Q(ctx).QueryRowContext(ctx, q).Scan(&micros); err != nil {
		return finding{"clock", "error", "the database server's clock cannot be read: " + err.Error(), "check that it runs"}
	}
	took := time.Since(before)
	// The server read its clock at some moment of the call.
	off := time.UnixMicro(micros).Sub(before.Add(took / 2))
	if off.Abs() > clockTolerance+took/2 {
		return wrongClock("this machine's clock and the database server's differ by %s", off.Abs().Round(time.Second))
	}
	return ok("clock", "the same as the database server's within %s", clockTolerance)
}

func wrongClock(format string, args ...any) finding {
	f := ok("clock", format, args...)
	f.Severity, f.Fix = "hint", "let the system keep the time: timedatectl set-ntp true"
	return f
}

// newestFile returns the file in dir that was written last.
func newestFile(dir string) (name string, at time.Time) {
	entries, _ := os.ReadDir(dir) // a folder that cannot be read is a finding of its own
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.ModTime().After(at) {
			name, at = e.Name(), info.ModTime()
		}
	}
	return name, at
}
