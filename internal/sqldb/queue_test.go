package sqldb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

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

// What a queued statement is given arrives as it would alone: every type that
// stores use, for columns of other types too, nothing and the empty, and a batch
// that is longer than the one before.
func TestQueuedValuesArriveAsTheyAre(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		type values struct {
			Text, Note sql.NullString
			Number     int64
			Yes        bool
			Raw        []byte
		}
		blob := "BLOB"
		if db.Engine() == sqldb.Postgres {
			blob = "BYTEA"
		}
		if _, err := db.Q(t.Context()).ExecContext(t.Context(),
			`CREATE TABLE probe (id BIGINT PRIMARY KEY, text TEXT NOT NULL, note TEXT, number BIGINT NOT NULL, small INTEGER NOT NULL, yes BOOLEAN NOT NULL, raw `+blob+`)`); err != nil {
			t.Fatal(err)
		}
		const add = `INSERT INTO probe (id, text, note, number, small, yes, raw) VALUES ($1, $2, $3, $4, $5, $6, $7)`
		want := []values{
			{Text: sql.NullString{Valid: true}, Number: math.MinInt64},
			{Text: sql.NullString{String: "žluťoučký \\x00 '\"", Valid: true}, Note: sql.NullString{String: "n", Valid: true}, Number: math.MaxInt64, Yes: true, Raw: []byte{0, 1, 255}},
			{Text: sql.NullString{String: strings.Repeat("long ", 1<<14), Valid: true}, Number: -1},
		}
		one := func(n int64) error {
			if n != 1 {
				return fmt.Errorf("%d rows", n)
			}
			return nil
		}
		for round := range 3 {
			err := db.InSteadyTx(t.Context(), func(ctx context.Context) error {
				for i, w := range want {
					var note, raw any
					if w.Note.Valid {
						note = w.Note.String
					}
					if w.Raw != nil {
						raw = w.Raw
					}
					if err := db.Queue(ctx, one, add, int64(10*round+i), w.Text.String, note, w.Number, i, w.Yes, raw); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		rows, err := db.Q(t.Context()).QueryContext(t.Context(), `SELECT text, note, number, small, yes, raw FROM probe ORDER BY id`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		n := 0
		for ; rows.Next(); n++ {
			var (
				got   values
				small int
			)
			if err := rows.Scan(&got.Text, &got.Note, &got.Number, &small, &got.Yes, &got.Raw); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want[n%3], got); diff != "" || small != n%3 {
				t.Errorf("row %d (small %d): %s", n, small, diff)
			}
		}
		if n != 9 || rows.Err() != nil {
			t.Errorf("%d rows, %v; want 9", n, rows.Err())
		}
		err = db.InSteadyTx(t.Context(), func(ctx context.Context) error {
			return db.Queue(ctx, one, `UPDATE probe SET note = $2 WHERE id = $1`, int64(1), sql.NullString{String: "through another way", Valid: true})
		})
		if err != nil {
			t.Errorf("a value of another type: %v", err)
		}
	})
}

// Connections that send at the same time do not get into each other's batches.
func TestQueuesOfConnectionsAreApart(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		const writers, rounds = 8, 40
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for r := range rounds {
					err := db.InSteadyTx(t.Context(), func(ctx context.Context) error {
						id := fmt.Sprintf("%d-%d-%s", w, r, strings.Repeat("x", 10*r))
						return db.Queue(ctx, func(int64) error { return nil }, insert, id)
					})
					if err != nil {
						t.Errorf("writer %d, round %d: %v", w, r, err)
						return
					}
				}
			})
		}
		wg.Wait()
		if got := count(t, db); got != writers*rounds {
			t.Errorf("%d rows, want %d", got, writers*rounds)
		}
	})
}
