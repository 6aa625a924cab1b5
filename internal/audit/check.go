package audit

import (
	"context"
	"errors"
	"time"
)

// Checkpoint writes the newest number and hash to the log output, where who can
// change the database cannot change them.
func (l *Log) Checkpoint(ctx context.Context) error {
	seq, hash, err := l.store.head(ctx)
	if err == nil {
		l.log.InfoContext(ctx, "audit head", "seq", seq, "hash", hash)
	}
	return err
}

// errBroken ends the nightly check.
var errBroken = errors.New("the audit log is not as it was written")

// Check verifies the whole chain and raises an alarm in the log output when it
// is broken.
func (l *Log) Check(ctx context.Context) error {
	v, err := l.Verify(ctx, time.Time{}, time.Time{})
	if err == nil && v.FirstBad > 0 {
		return l.alarm(ctx, v.FirstBad, v.Problem)
	}
	return err
}

func (l *Log) alarm(ctx context.Context, seq int64, problem string) error {
	l.log.ErrorContext(ctx, "the audit log was tampered with", "seq", seq, "problem", problem)
	return errBroken
}
