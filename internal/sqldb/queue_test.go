package sqldb_test

import (
	"context"
	"errors"
	"testing"

	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// Queued statements run in their order, before the next that is not queued and
// before the commit, and the first error ends the transaction.
func TestQueuedStatementsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		errFew := errors.New("too few rows")
		one := func(n int64) error {
			if n != 1 {
				return errFew
			}
			return nil
		}
		const move = `UPDATE bus_message SET at = at + 1 WHERE id = $1`
		tx := func(fn func(ctx context.Context) error) error { return db.InSteadyTx(t.Context(), fn) }

		err := tx(func(ctx context.Context) error {
			if err := errors.Join(db.Queue(ctx, one, insert, "a"), db.Queue(ctx, one, move, "a")); err != nil {
				return err
			}
			if got := countIn(ctx, t, db); got != 1 {
				t.Errorf("a query after two queued statements sees %d rows, want 1", got)
			}
			if err := db.Queue(ctx, one, insert, "b"); err != nil {
				return err
			}
			res, err := db.Q(ctx).ExecContext(ctx, `UPDATE bus_message SET at = at + 1`)
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); n != 2 || err != nil {
				t.Errorf("a statement after a queued one changes %d rows (%v), want 2", n, err)
			}
			return db.Queue(ctx, one, move, "b")
		})
		if err != nil || count(t, db) != 2 {
			t.Fatalf("%v, %d rows; want 2", err, count(t, db))
		}

		for name, fn := range map[string]func(ctx context.Context) error{
			"a check at the end": func(ctx context.Context) error {
				return errors.Join(db.Queue(ctx, one, insert, "c"), db.Queue(ctx, one, move, "nobody"))
			},
			"a check before an error": func(ctx context.Context) error {
				return errors.Join(db.Queue(ctx, one, move, "nobody"), db.Queue(ctx, one, insert, "a"))
			},
			"a check before a statement": func(ctx context.Context) error {
				if err := errors.Join(db.Queue(ctx, one, insert, "c"), db.Queue(ctx, one, move, "nobody")); err != nil {
					return err
				}
				_, err := db.Q(ctx).ExecContext(ctx, insert, "d")
				return err
			},
			"a check before a query that hides it": func(ctx context.Context) error {
				if err := db.Queue(ctx, one, move, "nobody"); err != nil {
					return err
				}
				var n int
				_ = db.Q(ctx).QueryRowContext(ctx, `SELECT COUNT(*) FROM bus_message`).Scan(&n)
				return nil
			},
		} {
			if err := tx(fn); !errors.Is(err, errFew) {
				t.Errorf("%s: %v, want %v", name, err, errFew)
			}
		}
		err = tx(func(ctx context.Context) error {
			return errors.Join(db.Queue(ctx, one, insert, "e"), db.Queue(ctx, one, insert, "a"), db.Queue(ctx, one, insert, "f"))
		})
		if !sqldb.IsUnique(err) {
			t.Errorf("a queued statement that the database refuses: %v, want a unique violation", err)
		}
		if got := count(t, db); got != 2 {
			t.Errorf("%d rows after transactions that failed, want 2", got)
		}
		if err := db.Queue(t.Context(), one, move, "nobody"); !errors.Is(err, errFew) {
			t.Errorf("outside of a transaction: %v, want %v", err, errFew)
		}
	})
}

func countIn(ctx context.Context, t *testing.T, db *sqldb.DB) (n int) {
	t.Helper()
	if err := db.Q(ctx).QueryRowContext(ctx, `SELECT COUNT(*) FROM bus_message`).Scan(&n); err != nil {
		t.Error(err)
	}
	return n
}
