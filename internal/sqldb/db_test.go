package sqldb_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

const insert = `INSERT INTO bus_message (id, kind, subject, at) VALUES ($1, 'test', '', 0)`

func count(t *testing.T, db *sqldb.DB) (n int) {
	t.Helper()
	if err := db.Q(t.Context()).QueryRowContext(t.Context(), `SELECT COUNT(*) FROM bus_message`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestInTx(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		committed := 0
		add := func(ctx context.Context, id string) error {
			return db.InTx(ctx, func(ctx context.Context) error {
				db.AfterCommit(ctx, func() { committed++ })
				_, err := db.Q(ctx).ExecContext(ctx, insert, id)
				return err
			})
		}
		bad := errors.New("bad")
		err := db.InTx(t.Context(), func(ctx context.Context) error {
			return errors.Join(add(ctx, "a"), add(ctx, "b"), bad)
		})
		if got := count(t, db); !errors.Is(err, bad) || got != 0 || committed != 0 {
			t.Errorf("after a failed transaction: %v, %d rows, %d hooks; want bad, 0, 0", err, got, committed)
		}
		if err := add(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if err := add(t.Context(), "a"); !sqldb.IsUnique(err) || !sqldb.IsConstraint(err) || sqldb.IsUnavailable(err) {
			t.Errorf("second insert: %v, want a unique violation", err)
		}
		if got := count(t, db); got != 1 || committed != 1 {
			t.Errorf("%d rows and %d hooks, want 1 and 1", got, committed)
		}
	})
}

// Many goroutines that read and write in one transaction each: with anything
// but serialised writers some updates would be lost or refused on SQLite.
func TestWritersQueue(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		if _, err := db.Q(ctx).ExecContext(ctx, insert, "counter"); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 20 {
					err := db.InTx(ctx, func(ctx context.Context) error {
						_, err := db.Q(ctx).ExecContext(ctx, `UPDATE bus_message SET at = at + 1 WHERE id = 'counter'`)
						return err
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		var at int64
		if err := db.Q(ctx).QueryRowContext(ctx, `SELECT at FROM bus_message`).Scan(&at); err != nil || at != 160 {
			t.Errorf("%d updates arrived, %v; want 160", at, err)
		}
	})
}

// One SQL text serves both engines only while parameters bind by number.
func TestParametersBindByNumber(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		var got string
		const q = `SELECT CAST($2 AS TEXT) || '-' || CAST($1 AS TEXT) || '-' || CAST($2 AS TEXT)`
		if err := db.Q(t.Context()).QueryRowContext(t.Context(), q, "a", "b").Scan(&got); err != nil || got != "b-a-b" {
			t.Errorf("got %q, %v; want b-a-b", got, err)
		}
	})
}

func TestTimeRoundTrip(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		local := time.Date(2026, 3, 29, 4, 5, 6, 789_000, time.FixedZone("", 7200))
		for _, want := range []time.Time{local, {}} {
			var got sqldb.Time
			const q = `SELECT CAST($1 AS BIGINT)`
			err := db.Q(t.Context()).QueryRowContext(t.Context(), q, sqldb.TimeArg(want)).Scan(&got)
			if err != nil || !got.Equal(want) {
				t.Errorf("stored %s, read %s, %v", want, got, err)
			}
		}
	})
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		if err := db.Migrate(ctx); err != nil {
			t.Fatalf("migrating twice: %v", err)
		}
		list, err := db.Migrations(ctx)
		if err != nil || len(list) == 0 || !list[len(list)-1].Applied || list[len(list)-1].Version != sqldb.SchemaVersion() {
			t.Errorf("migrations %v, %v; want all applied", list, err)
		}
		const q = `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, TRUE)`
		if _, err := db.Q(ctx).ExecContext(ctx, q); err != nil {
			t.Fatal(err)
		}
		if err := db.Migrate(ctx); !errors.Is(err, sqldb.ErrNewerSchema) {
			t.Errorf("newer schema: %v, want ErrNewerSchema", err)
		}
	})
}
