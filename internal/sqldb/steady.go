package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// maxSteady bounds the connections that are set apart for InSteadyTx.
	maxSteady = 16
	// steadyIdle ends a transaction whose process has stopped in the middle of
	// it, so that the rows it has locked are free again.
	steadyIdle = 5 * time.Second
)

// steadyConnector makes the connections of InSteadyTx.
func steadyConnector(dsn string) (driver.Connector, error) {
	cfg, err := postgresConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.RuntimeParams["idle_in_transaction_session_timeout"] = strconv.FormatInt(steadyIdle.Milliseconds(), 10)
	return stdlib.GetConnector(*cfg), nil
}

// InSteadyTx is InTx on connections that requests cannot use up. On PostgreSQL
// the server ends its transaction when the process is silent for five seconds
// in the middle of it. On SQLite it is InTx.
func (d *DB) InSteadyTx(ctx context.Context, fn func(context.Context) error) error {
	if d.steady == nil {
		return d.InTx(ctx, fn)
	}
	if t, ok := ctx.Value(txKey{}).(*transaction); ok && t.db == d {
		return fn(ctx)
	}
	return d.transact(ctx, d.steady, fn)
}

// ClockOffset returns by how much the database's clock is ahead of now's,
// within half of the time that the answer took. SQLite has no clock of its own.
func (d *DB) ClockOffset(ctx context.Context, now func() time.Time) (time.Duration, error) {
	if d.engine == SQLite {
		return 0, nil
	}
	before := now()
	var there time.Time
	if err := d.pool.QueryRowContext(ctx, `SELECT clock_timestamp()`).Scan(&there); err != nil {
		return 0, fmt.Errorf("read the database's clock: %w", err)
	}
	after := now()
	return there.Sub(before.Add(after.Sub(before) / 2)), nil
}

// checkURL refuses what is neither kind of database.
func checkURL(dsn string) error {
	if u, err := url.Parse(dsn); err == nil && (u.Scheme == "postgres" || u.Scheme == "postgresql") {
		return nil
	}
	return errors.New("the database URL must begin with postgres:// or name a file with sqlite:PATH")
}
