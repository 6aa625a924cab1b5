package faulty

import (
	"context"
	"database/sql/driver"
	"fmt"
	"sync/atomic"
)

// Through returns a connector whose connections fail as f says.
func (f *Faults) Through(c driver.Connector) driver.Connector { return connector{c, f} }

type connector struct {
	driver.Connector
	f *Faults
}

// Connect makes a connection.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	return run(ctx, c.f, nil, Connect, "", func() (driver.Conn, error) {
		inner, err := c.Connector.Connect(ctx)
		if err != nil {
			return nil, err
		}
		for _, text := range c.f.Setup {
			if _, err := inner.(driver.ExecerContext).ExecContext(ctx, text, nil); err != nil {
				return nil, fmt.Errorf("set up a connection: %w", err)
			}
		}
		return &conn{Conn: inner, f: c.f}, nil
	}, func(c driver.Conn) { _ = c.Close() })
}

// conn is a connection of either engine. Both drivers have all of the optional
// interfaces that it uses without asking.
type conn struct {
	driver.Conn
	f    *Faults
	dead atomic.Bool
}

func (c *conn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	return run(ctx, c.f, c, Begin, "", func() (driver.Tx, error) {
		inner, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
		if err != nil {
			return nil, err
		}
		return tx{inner, c, ctx}, nil
	}, func(t driver.Tx) { _ = t.Rollback() })
}

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.f.watch(ctx, query, args)
	return run(ctx, c.f, c, Exec, query, func() (driver.Result, error) {
		return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
	}, nil)
}

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.f.watch(ctx, query, args)
	return run(ctx, c.f, c, Query, query, func() (driver.Rows, error) {
		return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
	}, closeRows)
}

func closeRows(r driver.Rows) { _ = r.Close() }

func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	return run(ctx, c.f, c, Prepare, query, func() (driver.Stmt, error) {
		inner, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
		if err != nil {
			return nil, err
		}
		return &stmt{inner, c, query}, nil
	}, func(s driver.Stmt) { _ = s.Close() })
}

func (c *conn) Ping(ctx context.Context) error {
	_, err := run(ctx, c.f, c, Ping, "", func() (any, error) {
		return nil, c.Conn.(driver.Pinger).Ping(ctx)
	}, nil)
	return err
}

// ResetSession implements driver.SessionResetter.
func (c *conn) ResetSession(ctx context.Context) error {
	if c.dead.Load() {
		return driver.ErrBadConn
	}
	return c.Conn.(driver.SessionResetter).ResetSession(ctx)
}

// IsValid implements driver.Validator.
func (c *conn) IsValid() bool {
	if v, ok := c.Conn.(driver.Validator); ok && !v.IsValid() {
		return false
	}
	return !c.dead.Load()
}

// CheckNamedValue implements driver.NamedValueChecker.
func (c *conn) CheckNamedValue(v *driver.NamedValue) error {
	if n, ok := c.Conn.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

type tx struct {
	driver.Tx
	c   *conn
	ctx context.Context //nolint:containedctx // Commit has none of its own
}

func (t tx) Commit() error {
	_, err := run(t.ctx, t.c.f, t.c, Commit, "", func() (any, error) { return nil, t.Tx.Commit() }, nil)
	if err != nil {
		_ = t.Tx.Rollback() // database/sql does not, after a Commit; the server does
	}
	return err
}

// Rollback always reaches the database: a server does it by itself when the
// connection is gone.
func (t tx) Rollback() error { return t.Tx.Rollback() }

type stmt struct {
	driver.Stmt
	c    *conn
	text string
}

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.c.f.watch(ctx, s.text, args)
	return run(ctx, s.c.f, s.c, Exec, s.text, func() (driver.Result, error) {
		return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
	}, nil)
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.c.f.watch(ctx, s.text, args)
	return run(ctx, s.c.f, s.c, Query, s.text, func() (driver.Rows, error) {
		return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	}, closeRows)
}
