package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"
)

// Engine is the kind of database.
type Engine string

// The engines there are.
const (
	SQLite   Engine = "sqlite"
	Postgres Engine = "postgres"
)

// maxConns bounds the pool: reads on SQLite, everything on PostgreSQL.
const maxConns = 20

// DB is a pool of connections to one database. It is safe for concurrent use.
type DB struct {
	pool    *pool
	writing *pool  // SQLite: the one connection that writes, whose pages and statements stay at hand; else pool
	steady  *pool  // PostgreSQL: connections that requests cannot use up
	url     string // PostgreSQL
	engine  Engine
	path    string        // of the SQLite file
	writer  chan struct{} // SQLite: held by the one transaction that may write
	log     *checkpointer // SQLite, where the file is written

	listeners listeners
}

// Open connects to url, "postgres://…" or "sqlite:PATH". It creates the SQLite
// file if there is none, but no schema: see Migrate.
func Open(ctx context.Context, url string) (*DB, error) { return OpenThrough(ctx, url, nil) }

// OpenThrough is Open with connections that go through what through returns,
// for tests that make them fail; nil is Open.
func OpenThrough(ctx context.Context, url string, through func(driver.Connector) driver.Connector) (*DB, error) {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		return openSQLite(ctx, path, through)
	}
	return openPostgres(ctx, url, through)
}

// connect opens connections that c makes, through what a test puts between.
func connect(c driver.Connector, through func(driver.Connector) driver.Connector) *sql.DB {
	if through != nil {
		c = through(c)
	}
	return sql.OpenDB(c)
}

func openSQLite(ctx context.Context, path string, through func(driver.Connector) driver.Connector) (*DB, error) {
	c, err := sqlite.NewConnector(sqliteDSN(path))
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	d := &DB{
		engine: SQLite, path: path, writer: make(chan struct{}, 1),
		pool: newPool(connect(c, through), maxConns, SQLite), writing: newPool(connect(c, through), 1, SQLite),
	}
	if err := d.pool.PingContext(ctx); err != nil {
		return nil, fmt.Errorf("open database: %w", errors.Join(err, d.pool.Close(), d.writing.Close()))
	}
	d.log = startCheckpointer(sql.OpenDB(c), path, d.writer)
	return d, nil
}

func openPostgres(ctx context.Context, url string, through func(driver.Connector) driver.Connector) (*DB, error) {
	if err := checkURL(url); err != nil {
		return nil, err
	}
	cfg, err := postgresConfig(url)
	if err != nil {
		return nil, err
	}
	all := newPool(connect(stdlib.GetConnector(*cfg), through), maxConns, Postgres)
	if err := all.PingContext(ctx); err != nil {
		return nil, fmt.Errorf("open database: %w", errors.Join(err, all.Close()))
	}
	steady, err := steadyConnector(url)
	if err != nil {
		return nil, errors.Join(err, all.Close())
	}
	return &DB{engine: Postgres, url: url, pool: all, writing: all, steady: newPool(connect(steady, through), maxSteady, Postgres)}, nil
}

// OpenFile opens the SQLite file at path for reading only, also while another
// process writes it, or on a medium that cannot be written. It is an error when
// there is no such file.
func OpenFile(ctx context.Context, path string) (*DB, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	d, err := openFile(ctx, path, "")
	if IsUnavailable(err) {
		// Beside a file in WAL mode SQLite wants to make another. Where it may
		// not, the file is read as it is, provided that nothing waits in its log.
		if log, missing := os.Stat(path + "-wal"); missing != nil || log.Size() == 0 {
			return openFile(ctx, path, "1")
		}
	}
	return d, err
}

func openFile(ctx context.Context, path, immutable string) (*DB, error) {
	q := url.Values{"mode": {"ro"}, "_pragma": {"query_only(1)", "busy_timeout(5000)"}, "_dqs": {"0"}}
	if immutable != "" {
		q.Set("immutable", immutable)
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	all := newPool(db, maxConns, SQLite)
	d := &DB{engine: SQLite, path: path, pool: all, writing: all, writer: make(chan struct{}, 1)}
	var n int
	if err := all.QueryRowContext(ctx, `SELECT COUNT(*) FROM sqlite_master`).Scan(&n); err != nil {
		return nil, fmt.Errorf("open database: %w", errors.Join(err, all.Close()))
	}
	return d, nil
}

// sqliteDSN returns the data source of the file at path: WAL with a flush at
// every commit (group commit pays for it), immediate transactions so that two
// writers never end in SQLITE_BUSY half-way. The log is copied by checkpointer.
func sqliteDSN(path string) string {
	pragmas := []string{
		"journal_mode(wal)", "synchronous(full)", "busy_timeout(5000)",
		"foreign_keys(1)", "case_sensitive_like(1)", "wal_autocheckpoint(0)",
	}
	q := url.Values{"_txlock": {"immediate"}, "_pragma": pragmas, "_dqs": {"0"}}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// Engine returns the kind of database.
func (d *DB) Engine() Engine { return d.engine }

// Path returns the SQLite file, or "" on PostgreSQL.
func (d *DB) Path() string { return d.path }

// Ping reports whether the database answers.
func (d *DB) Ping(ctx context.Context) error { return d.pool.PingContext(ctx) }

// Close closes the connections.
func (d *DB) Close() error {
	var errs []error
	if d.log != nil {
		errs = append(errs, d.log.close())
	}
	if d.writing != d.pool {
		errs = append(errs, d.writing.close())
	}
	if d.steady != nil {
		errs = append(errs, d.steady.close())
	}
	return errors.Join(append(errs, d.pool.close())...)
}
