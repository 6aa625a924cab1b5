package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/jackc/pgx/v5/stdlib"
)

// queued is a statement that waits to be sent with others.
type queued struct {
	query string
	args  []any
	check func(rows int64) error
}

// Queue runs a statement and then check with the number of rows that it
// changed. Inside InSteadyTx on PostgreSQL it may do so later: statements that
// follow each other go to the server together, which saves a round trip for
// each. They run in their order, before the next statement that is not queued
// and before the commit; the first error among them, or of a check, is the
// error of the transaction. Elsewhere the statement runs at once and the error
// is returned. args must not change until the transaction ends.
func (d *DB) Queue(ctx context.Context, check func(rows int64) error, query string, args ...any) error {
	if t, ok := ctx.Value(txKey{}).(*transaction); ok && t.db == d && t.conn != nil {
		t.queue = append(t.queue, queued{query, args, check})
		return nil
	}
	res, err := d.Q(ctx).ExecContext(ctx, query, args...)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	return check(n)
}

// flush sends what is queued. After an error the transaction cannot go on.
func (t *transaction) flush(ctx context.Context) error {
	if t.failed != nil || len(t.queue) == 0 {
		return t.failed
	}
	together := false
	t.failed = t.conn.Raw(func(driverConn any) error {
		c, ok := driverConn.(*stdlib.Conn)
		if !ok || !suits(t.queue) {
			return nil
		}
		together = true
		courier := couriers.Get().(*courier) //nolint:forcetypeassert // the pool makes nothing else
		defer couriers.Put(courier)
		return courier.send(ctx, c.Conn(), t.queue)
	})
	if t.failed == nil && !together { // something is between us and the driver, or a value is unusual
		t.failed = t.one(ctx)
	}
	clear(t.queue)
	t.queue = t.queue[:0]
	return t.failed
}

// one runs what is queued one by one.
func (t *transaction) one(ctx context.Context) error {
	for _, q := range t.queue {
		res, err := t.tx.ExecContext(ctx, q.query, q.args...)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return err
		}
		if err := q.check(n); err != nil {
			return err
		}
	}
	return nil
}

// exec runs a statement after what is queued, in the same round trip.
func (t *transaction) exec(ctx context.Context, query string, args []any) (sql.Result, error) {
	var rows int64
	t.queue = append(t.queue, queued{query, args, func(n int64) error { rows = n; return nil }})
	if err := t.flush(ctx); err != nil {
		return nil, err
	}
	return driver.RowsAffected(rows), nil
}

// begin opens a transaction on a connection of the steady pool, which it keeps
// for the queue. A connection that turns out to be dead is replaced, as
// database/sql does it.
func (t *transaction) begin(ctx context.Context, pool *sql.DB) error {
	const tries = 3
	for try := 1; ; try++ {
		conn, err := pool.Conn(ctx)
		if err != nil {
			return err
		}
		tx, err := conn.BeginTx(ctx, nil)
		if err == nil {
			t.conn, t.tx = conn, tx
			return nil
		}
		err = errors.Join(err, conn.Close())
		if try == tries || !errors.Is(err, driver.ErrBadConn) {
			return err
		}
	}
}
