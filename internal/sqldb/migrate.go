package sqldb

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// ErrNewerSchema says that the database was migrated by a newer program.
var ErrNewerSchema = errors.New("the database has a newer schema than this program knows")

// Migrate applies every migration that has not run yet. Several processes may
// call it at once: one applies, the others wait. A schema newer than this
// program's is ErrNewerSchema, and nothing is changed.
func (d *DB) Migrate(ctx context.Context) error {
	p, err := d.provider()
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := d.checkNotNewer(ctx, p); err != nil {
		return err
	}
	release, err := d.write(ctx)
	if err != nil {
		return err
	}
	defer release()
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// Migration is one step of the schema's history.
type Migration struct {
	Version int64
	Name    string
	Applied bool
}

// Migrations lists the steps this program knows and which have run. A newer
// schema is ErrNewerSchema.
func (d *DB) Migrations(ctx context.Context) ([]Migration, error) {
	p, err := d.provider()
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	if err := d.checkNotNewer(ctx, p); err != nil {
		return nil, err
	}
	current, err := d.version(ctx)
	if err != nil {
		return nil, err
	}
	var out []Migration
	for _, s := range p.ListSources() {
		out = append(out, Migration{Version: s.Version, Name: s.Path, Applied: s.Version <= current})
	}
	return out, nil
}

// ErrOlderSchema says that the database lacks migrations of this program.
var ErrOlderSchema = errors.New("the database has an older schema than this program reads")

// CheckSchema reads the schema's version and changes nothing. One that is not
// this program's is ErrNewerSchema or ErrOlderSchema.
func (d *DB) CheckSchema(ctx context.Context) error {
	current, err := d.version(ctx)
	switch {
	case err != nil:
		return err
	case current > SchemaVersion():
		return fmt.Errorf("%w (schema %d, program %d): start the newer program, or restore a backup", ErrNewerSchema, current, SchemaVersion())
	case current < SchemaVersion():
		return fmt.Errorf("%w (schema %d, program %d): run rephlo migrate up first", ErrOlderSchema, current, SchemaVersion())
	}
	return nil
}

// SchemaVersion returns the newest migration that this program knows.
func SchemaVersion() int64 {
	var newest int64
	for _, name := range sources(SQLite) {
		if v, err := goose.NumericComponent(name); err == nil {
			newest = max(newest, v)
		}
	}
	return newest
}

func (d *DB) checkNotNewer(ctx context.Context, p *goose.Provider) error {
	current, err := d.version(ctx)
	if err != nil {
		return err
	}
	known := p.ListSources()
	if len(known) > 0 && current > known[len(known)-1].Version {
		return fmt.Errorf("%w (schema %d, program %d): start the newer program, or restore a backup",
			ErrNewerSchema, current, known[len(known)-1].Version)
	}
	return nil
}

// version returns the schema's version without creating anything; 0 for an
// empty database.
func (d *DB) version(ctx context.Context) (int64, error) {
	find := `SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'goose_db_version'`
	if d.engine == Postgres {
		find = `SELECT COUNT(*) FROM pg_catalog.pg_tables WHERE schemaname = current_schema() AND tablename = 'goose_db_version'`
	}
	var n int
	if err := d.pool.QueryRowContext(ctx, find).Scan(&n); err != nil {
		return 0, fmt.Errorf("read schema version: %w", err)
	}
	if n == 0 {
		return 0, nil
	}
	var v sql.NullInt64
	const q = `SELECT MAX(version_id) FROM goose_db_version WHERE is_applied`
	if err := d.pool.QueryRowContext(ctx, q).Scan(&v); err != nil {
		return 0, fmt.Errorf("read schema version: %w", err)
	}
	return v.Int64, nil
}

func (d *DB) provider() (*goose.Provider, error) {
	dialect, opts := goose.DialectSQLite3, []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if d.engine == Postgres {
		dialect = goose.DialectPostgres
		// Other processes try for the lock every second, for a minute.
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60))
		if err != nil {
			return nil, err
		}
		opts = append(opts, goose.WithSessionLocker(locker))
	}
	return goose.NewProvider(dialect, d.pool.DB, engineFS{d.engine}, opts...)
}

// sources returns the names of an engine's migrations. Where the engines need
// different text there is a pair, 00007_x.sqlite.sql and 00007_x.postgres.sql.
func sources(engine Engine) []string {
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		parts := strings.Split(e.Name(), ".")
		if len(parts) == 2 || parts[1] == string(engine) {
			out = append(out, e.Name())
		}
	}
	return out
}

// engineFS shows goose one engine's migrations.
type engineFS struct{ engine Engine }

func (f engineFS) Open(name string) (fs.File, error) {
	if name == "." {
		return migrations.Open("migrations")
	}
	return migrations.Open("migrations/" + name)
}

func (f engineFS) ReadFile(name string) ([]byte, error) {
	return migrations.ReadFile("migrations/" + name)
}

func (f engineFS) ReadDir(string) ([]fs.DirEntry, error) {
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		return nil, err
	}
	names := sources(f.engine)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return !slices.Contains(names, e.Name()) }), nil
}

// SchemaHash names the current set of migrations; it changes when they do.
func SchemaHash() string {
	h := sha256.New()
	for _, engine := range []Engine{SQLite, Postgres} {
		for _, name := range sources(engine) {
			text, _ := migrations.ReadFile("migrations/" + name) // listed just now
			fmt.Fprintf(h, "%s\n%s\n", name, text)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}
