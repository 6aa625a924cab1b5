package sqldb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	connectTimeout = 5 * time.Second // unless the URL says otherwise
	// silentFor is how long a server may leave what we sent unacknowledged, or
	// not answer that it is there, until its connection counts as lost.
	silentFor = 10 * time.Second
)

// postgresConfig returns how to connect to dsn: a server that is gone without a
// word is noticed within seconds, not after the two hours of TCP.
func postgresConfig(dsn string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	dialer := &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: silentFor / 2, Interval: silentFor / 6, Count: 3},
		Control:         unacknowledged,
	}
	cfg.DialFunc = dialer.DialContext
	return cfg, nil
}

// Probe reports whether a new connection can be made now and answers. On SQLite
// there is nothing to connect to.
func (d *DB) Probe(ctx context.Context) error {
	if d.engine == SQLite {
		return nil
	}
	cfg, err := postgresConfig(d.url)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	_, err = conn.Exec(ctx, "SELECT 1")
	return errors.Join(err, conn.Close(ctx))
}

// ErrNotDurable says that the server answers commits before they are on disk.
var ErrNotDurable = errors.New("synchronous_commit is off: what PostgreSQL has committed may be lost in a crash; " +
	"set it to on for this database (ALTER DATABASE … SET synchronous_commit = on), or to remote_apply with a standby")

// Durable returns ErrNotDurable where a commit that was answered can be lost.
// SQLite files are always written with synchronous=FULL.
func (d *DB) Durable(ctx context.Context) error {
	if d.engine == SQLite {
		return nil
	}
	var how string
	if err := d.Q(ctx).QueryRowContext(ctx, `SHOW synchronous_commit`).Scan(&how); err != nil {
		return fmt.Errorf("ask how durable commits are: %w", err)
	}
	if how == "off" {
		return ErrNotDurable
	}
	return nil
}

// Refresh closes the connections that nobody uses: after an outage they may be
// dead without knowing it.
func (d *DB) Refresh() {
	if d.engine == SQLite {
		return
	}
	d.pool.SetMaxIdleConns(0)
	d.pool.SetMaxIdleConns(maxConns)
	d.steady.SetMaxIdleConns(0)
	d.steady.SetMaxIdleConns(maxSteady)
}
