// Package dbtest gives each test a fresh, migrated database of its own.
package dbtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// Env names the variable with the URL of a PostgreSQL server that tests may
// create databases on. `make test` starts one where initdb is installed.
// Without it the PostgreSQL half of each test is skipped, except in CI, where
// that is a failure.
const Env = "REPHLO_TEST_POSTGRES"

// Run runs test once per engine, as subtests "sqlite" and "postgres".
func Run(t *testing.T, test func(t *testing.T, db *sqldb.DB)) {
	t.Helper()
	RunURL(t, func(t *testing.T, url string) { test(t, Open(t, url)) })
}

// RunURL is Run for tests that open the database themselves, more than once or
// from several processes. The database is migrated.
func RunURL(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, SQLite(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, Postgres(t))
	})
}

// Open opens url and closes it when the test ends.
func Open(t testing.TB, url string) *sqldb.DB {
	t.Helper()
	d, err := sqldb.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// SQLite returns the URL of a fresh, migrated SQLite database.
func SQLite(t testing.TB) string {
	t.Helper()
	return "sqlite:" + copyTo(t, t.TempDir(), "test.db")
}

// Folder returns a data folder with a migrated SQLite database and a master
// key, under the names that the program gives them. Without it the program
// applies every migration at start, which takes seconds with the race detector.
func Folder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	copyTo(t, dir, "rephlo.db")
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails (crypto/rand)
	if err := os.WriteFile(filepath.Join(dir, "master.key"), []byte(base64.StdEncoding.EncodeToString(key[:])+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// copyTo puts a migrated SQLite database into dir and returns its path.
func copyTo(t testing.TB, dir, file string) string {
	t.Helper()
	image, err := sqliteTemplate()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, file)
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// template makes sure, once per test binary, that a migrated PostgreSQL
// database exists to clone. Its name changes with the migrations, so it is
// reused until they do.
var template = sync.OnceValues(func() (string, error) {
	server := os.Getenv(Env)
	name := "rephlo_template_" + sqldb.SchemaHash()
	ctx := context.Background()

	admin, err := sql.Open("pgx", server)
	if err != nil {
		return "", err
	}
	defer admin.Close()
	conn, err := admin.Conn(ctx) // the lock below belongs to this connection
	if err != nil {
		return "", err
	}
	defer conn.Close()

	// Other packages' tests run at the same time; let one of them build it.
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock(hashtext('rephlo template'))`); err != nil {
		return "", err
	}
	var exists bool
	const find = `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)`
	if err := conn.QueryRowContext(ctx, find, name).Scan(&exists); err != nil || exists {
		return name, err
	}
	for _, q := range []string{`DROP DATABASE IF EXISTS "` + name + `"`, `CREATE DATABASE "` + name + `"`} {
		if _, err := conn.ExecContext(ctx, q); err != nil {
			return "", err
		}
	}
	d, err := sqldb.Open(ctx, withDatabase(server, name))
	if err != nil {
		return "", err
	}
	if err := errors.Join(d.Migrate(ctx), d.Close()); err != nil {
		return "", err
	}
	_, err = conn.ExecContext(ctx, `ALTER DATABASE "`+name+`" IS_TEMPLATE true`)
	return name, err
})

// Postgres returns the URL of a fresh, migrated PostgreSQL database, which is
// dropped when the test ends.
func Postgres(t testing.TB) string {
	t.Helper()
	server := os.Getenv(Env)
	if server == "" {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s must be set in CI; run the tests with make test", Env)
		}
		t.Skipf("%s is not set; make test starts a server where initdb is installed", Env)
	}
	from, err := template()
	if err != nil {
		t.Fatal(err)
	}
	admin, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { admin.Close() })
	name := "rephlo_test_" + strings.ToLower(rand.Text()[:12])
	if _, err := admin.ExecContext(t.Context(), `CREATE DATABASE "`+name+`" TEMPLATE "`+from+`"`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.ExecContext(context.Background(), `DROP DATABASE "`+name+`" WITH (FORCE)`); err != nil {
			t.Error(err)
		}
	})
	return withDatabase(server, name)
}

func withDatabase(server, name string) string {
	u, err := url.Parse(server)
	if err != nil {
		return server // opening it gives the error
	}
	u.Path = "/" + name
	return u.String()
}
