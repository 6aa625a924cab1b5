package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

const (
	pageSize = 4 << 10
	// checkpointPages is the length of the log, in pages, from which
	// on it is copied into the file: 4 MiB.
	checkpointPages = 1000
	// longLogPages is the length from which on writers wait until the rest of
	// it is copied, so that they begin the log anew: 32 MiB. Under writing
	// without a pause a copy never reaches the end of the log.
	longLogPages = 8 * checkpointPages
	// checkpointPause is the time between two looks at the log.
	checkpointPause = 50 * time.Millisecond
	// checkpointIdle is how long nothing was written before the rest is copied
	// and the log's file cut to nothing.
	checkpointIdle = 2 * time.Second
)

// checkpointer copies what the log of a SQLite file holds into the file, beside
// the transactions and on a connection of its own, so that no commit has to.
// https://sqlite.org/wal.html#application_initiated_checkpoints
type checkpointer struct {
	db     *sql.DB
	file   string        // of the log
	writer chan struct{} // held by who may write
	wrote  chan struct{} // something was committed
	idle   time.Duration
	stop   context.CancelFunc
	ended  chan struct{}
	// failed is set for good when the file could not be written or flushed:
	// whether what was committed is there, nobody knows then.
	failed atomic.Pointer[error]
}

func startCheckpointer(db *sql.DB, path string, writer chan struct{}) *checkpointer {
	db.SetMaxOpenConns(1)
	ctx, stop := context.WithCancel(context.Background())
	c := &checkpointer{db: db, file: path + "-wal", writer: writer, wrote: make(chan struct{}, 1), idle: checkpointIdle, stop: stop, ended: make(chan struct{})}
	go c.run(ctx)
	return c
}

// committed is told of each commit. It never blocks; c may be nil.
func (c *checkpointer) committed() {
	if c == nil {
		return
	}
	select {
	case c.wrote <- struct{}{}:
	default:
	}
}

// err returns why nothing can be written any more; c may be nil.
func (c *checkpointer) err() error {
	if c == nil {
		return nil
	}
	if err := c.failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (c *checkpointer) close() error {
	c.stop()
	<-c.ended
	return c.db.Close()
}

func (c *checkpointer) run(ctx context.Context) {
	defer close(c.ended)
	idle := time.NewTimer(c.idle)
	defer idle.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-idle.C:
			_, err = c.pragma(ctx, "TRUNCATE")
		case <-c.wrote:
			err = c.look(ctx)
			idle.Reset(c.idle)
		}
		if IsIO(err) {
			err = fmt.Errorf("copy the log into the database: %w", err)
			c.failed.Store(&err)
			return
		}
		select { // the disk may be full, the file busy: the next look tries again
		case <-ctx.Done():
			return
		case <-time.After(checkpointPause):
		}
	}
}

// look copies the log if it is long enough.
func (c *checkpointer) look(ctx context.Context) error {
	if f, err := os.Stat(c.file); err == nil && f.Size() < checkpointPages*pageSize {
		return nil // without a connection: most databases never need it
	}
	pages, err := c.pragma(ctx, "NOOP")
	if err != nil || pages < checkpointPages {
		return err
	}
	if pages, err = c.pragma(ctx, "PASSIVE"); err != nil || pages < longLogPages {
		return err
	}
	select {
	case c.writer <- struct{}{}:
		defer func() { <-c.writer }()
	case <-ctx.Done():
		return ctx.Err()
	}
	_, err = c.pragma(ctx, "PASSIVE")
	return err
}

// pragma runs a checkpoint of the given mode and returns the length of the log
// in pages. A reader or writer in the way is no error.
func (c *checkpointer) pragma(ctx context.Context, mode string) (pages int, err error) {
	var busy, copied int
	err = c.db.QueryRowContext(ctx, `PRAGMA wal_checkpoint(`+mode+`)`).Scan(&busy, &pages, &copied)
	return pages, err
}
