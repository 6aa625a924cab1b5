package credit_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// The role that owns the schema, as an operator sets it up, may add to the
// history and nothing else, whether the triggers are there or not.
func TestTheOwnerOfTheTablesMayNotChangeHistory(t *testing.T) {
	t.Parallel()
	db := ownedByRole(t)
	w := open(t, db, quiet)
	w.grant("ada", "pay:1", 10*money.Credit, time.Time{})
	w.settle(w.reserve("ada", "call_1", money.Credit), money.Credit)
	for _, q := range []string{
		`UPDATE credit_transfer SET amount = 1`, `DELETE FROM credit_transfer`, `TRUNCATE credit_transfer`,
		`UPDATE credit_batch SET at = 1`, `DELETE FROM credit_batch`, `TRUNCATE credit_batch`,
		`UPDATE credit_root SET day = 1`, `DELETE FROM credit_root`, `TRUNCATE credit_root`,
		`UPDATE credit_uncollected SET amount = 1`, `DELETE FROM credit_uncollected`, `TRUNCATE credit_uncollected`,
	} {
		if _, err := db.Q(t.Context()).ExecContext(t.Context(), q); err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("%s: %v, want permission denied", q, err)
		}
	}
	w.expect(9*money.Credit, 0)
}

// ownedByRole returns a migrated PostgreSQL database that belongs to a role
// without any other right.
func ownedByRole(t *testing.T) *sqldb.DB {
	t.Helper()
	server := dbtest.Postgres(t)
	admin, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { admin.Close() })
	name, password := "rephlo_owner_"+strings.ToLower(rand.Text()[:12]), rand.Text()
	for _, q := range []string{`CREATE ROLE ` + name + ` LOGIN PASSWORD '` + password + `'`, `CREATE DATABASE ` + name + ` OWNER ` + name} {
		if _, err := admin.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, q := range []string{`DROP DATABASE ` + name + ` WITH (FORCE)`, `DROP ROLE ` + name} {
			if _, err := admin.ExecContext(context.Background(), q); err != nil {
				t.Error(err)
			}
		}
	})
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.User, u.Path = url.UserPassword(name, password), "/"+name
	db := dbtest.Open(t, u.String())
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}
