package sqldb

import (
	"context"
	"database/sql"
	"fmt"
)

// Querier is what a store runs its SQL on: the pool, or the transaction that
// the context carries.
type Querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

type txKey struct{}

// transaction is what the context carries.
type transaction struct {
	db     *DB
	pool   *pool
	tx     *sql.Tx
	before []func(context.Context) error // run last, before the commit
	after  []func()                      // run once the commit has succeeded
	texts  []string                      // SQLite: statements that ran unprepared
	stmts  map[string]*sql.Stmt          // SQLite: the prepared ones, bound to tx

	// Of InSteadyTx on PostgreSQL.
	conn   *sql.Conn
	queue  []queued
	failed error // of the queue; the transaction ends with it
}

// Q returns the transaction that ctx carries, or else the pool. On SQLite a
// statement that writes and returns rows must run inside InTx.
func (d *DB) Q(ctx context.Context) Querier {
	if t, ok := ctx.Value(txKey{}).(*transaction); ok && t.db == d {
		return txQuerier{t}
	}
	return poolQuerier{d}
}

// InTx runs fn in a transaction and commits it if fn returns nil. Inside fn,
// every store that is handed the context joins the same transaction. A call
// inside another InTx joins the outer one. fn must not call out of the process.
func (d *DB) InTx(ctx context.Context, fn func(context.Context) error) error {
	if t, ok := ctx.Value(txKey{}).(*transaction); ok && t.db == d {
		return fn(ctx)
	}
	release, err := d.write(ctx)
	if err != nil {
		return err
	}
	defer release()
	return d.transact(ctx, d.writing, fn)
}

// transact runs fn in a transaction on a connection of p.
func (d *DB) transact(ctx context.Context, p *pool, fn func(context.Context) error) error {
	t := &transaction{db: d, pool: p}
	var err error
	if p == d.steady {
		if err = t.begin(ctx, p.DB); err == nil {
			defer t.conn.Close()
		}
	} else {
		t.tx, err = p.BeginTx(ctx, nil)
	}
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer t.tx.Rollback()
	inside := context.WithValue(ctx, txKey{}, t)
	err = fn(inside)
	for i := 0; err == nil && i < len(t.before); i++ { // one may add another
		err = t.before[i](inside)
	}
	if err == nil {
		err = t.flush(ctx)
	}
	if t.failed != nil { // fn may have met only its consequence
		err = t.failed
	}
	if err != nil {
		return err
	}
	if err := t.tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	d.log.committed()
	for _, text := range t.texts {
		p.stmt(ctx, text) // for the next transaction
	}
	for _, f := range t.after {
		f()
	}
	return nil
}

// ReadTx runs fn on one consistent snapshot. Writing in it fails or is lost. A
// call inside InTx reads in that transaction.
func (d *DB) ReadTx(ctx context.Context, fn func(context.Context) error) error {
	if t, ok := ctx.Value(txKey{}).(*transaction); ok && t.db == d {
		return fn(ctx)
	}
	tx, err := d.pool.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: d.snapshot()})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback()
	return fn(context.WithValue(ctx, txKey{}, &transaction{db: d, pool: d.pool, tx: tx}))
}

func (d *DB) snapshot() sql.IsolationLevel {
	if d.engine == Postgres {
		return sql.LevelRepeatableRead
	}
	return sql.LevelDefault // every SQLite transaction reads one snapshot
}

// BeforeCommit runs f as the last part of the transaction that ctx carries, with
// that transaction's context; its error rolls everything back. Without one, f
// has a transaction of its own. It is for rows that every transaction of a kind
// writes: they are locked last and for the shortest time, so that no two
// transactions wait for each other.
func (d *DB) BeforeCommit(ctx context.Context, f func(context.Context) error) error {
	if t, ok := ctx.Value(txKey{}).(*transaction); ok && t.db == d {
		t.before = append(t.before, f)
		return nil
	}
	return d.InTx(ctx, f)
}

// AfterCommit runs f once the transaction that ctx carries has committed, or
// at once when there is none. f must not use the transaction.
func (d *DB) AfterCommit(ctx context.Context, f func()) {
	if t, ok := ctx.Value(txKey{}).(*transaction); ok && t.db == d {
		t.after = append(t.after, f)
		return
	}
	f()
}

// write waits for the right to write on SQLite; PostgreSQL has many writers.
func (d *DB) write(ctx context.Context) (release func(), err error) {
	if d.writer == nil {
		return func() {}, nil
	}
	if err := d.log.err(); err != nil {
		return nil, err
	}
	select {
	case d.writer <- struct{}{}:
		return func() { <-d.writer }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to write: %w", ctx.Err())
	}
}

// poolQuerier runs statements outside a transaction.
type poolQuerier struct{ d *DB }

func (q poolQuerier) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	release, err := q.d.write(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	defer q.d.log.committed()
	if s := q.d.writing.stmt(ctx, query); s != nil { //nolint:sqlclosecheck // closed with the DB
		return s.ExecContext(ctx, args...)
	}
	return q.d.writing.ExecContext(ctx, query, args...)
}

func (q poolQuerier) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if s := q.d.pool.stmt(ctx, query); s != nil { //nolint:sqlclosecheck // closed with the DB
		return s.QueryContext(ctx, args...)
	}
	return q.d.pool.QueryContext(ctx, query, args...)
}

func (q poolQuerier) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if s := q.d.pool.stmt(ctx, query); s != nil { //nolint:sqlclosecheck // closed with the DB
		return s.QueryRowContext(ctx, args...)
	}
	return q.d.pool.QueryRowContext(ctx, query, args...)
}

// txQuerier runs statements in the transaction. It must not prepare through
// the pool, which could wait for a connection while holding one: InTx does
// that after the commit.
type txQuerier struct{ t *transaction }

func (q txQuerier) prepared(ctx context.Context, query string) *sql.Stmt {
	if s := q.t.stmts[query]; s != nil || !q.t.pool.prepares {
		return s
	}
	s := q.t.pool.known(query)
	if s == nil {
		q.t.texts = append(q.t.texts, query)
		return nil
	}
	s = q.t.tx.StmtContext(ctx, s)
	if q.t.stmts == nil {
		q.t.stmts = map[string]*sql.Stmt{}
	}
	q.t.stmts[query] = s
	return s
}

func (q txQuerier) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if q.t.conn != nil {
		return q.t.exec(ctx, query, args)
	}
	if s := q.prepared(ctx, query); s != nil { //nolint:sqlclosecheck // closed with the transaction
		return s.ExecContext(ctx, args...)
	}
	return q.t.tx.ExecContext(ctx, query, args...)
}

func (q txQuerier) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := q.t.flush(ctx); err != nil {
		return nil, err
	}
	if s := q.prepared(ctx, query); s != nil { //nolint:sqlclosecheck // closed with the transaction
		return s.QueryContext(ctx, args...)
	}
	return q.t.tx.QueryContext(ctx, query, args...)
}

func (q txQuerier) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	_ = q.t.flush(ctx)                         // an error is the transaction's, and this query fails with it
	if s := q.prepared(ctx, query); s != nil { //nolint:sqlclosecheck // closed with the transaction
		return s.QueryRowContext(ctx, args...)
	}
	return q.t.tx.QueryRowContext(ctx, query, args...)
}

// Change runs a statement in the transaction of ctx, or in one of its own, and
// reports whether it changed a row: the guard of everything that works once.
// what names the work in an error.
func (d *DB) Change(ctx context.Context, what, query string, args ...any) (bool, error) {
	res, err := d.Q(ctx).ExecContext(ctx, query, args...)
	if err != nil {
		return false, fmt.Errorf("%s: %w", what, err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}
