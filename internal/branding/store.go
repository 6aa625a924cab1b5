package branding

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// store holds this package's SQL; here that of versions and downloads.
type store struct{ db *sqldb.DB }

// addVersion reports whether the number was free.
func (s store) addVersion(ctx context.Context, v Version) (bool, error) {
	const q = `
		INSERT INTO branding_version (id, version, channel, notes, minimum_supported, files, state, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (version) DO NOTHING`
	files, err := json.Marshal(v.Files)
	if err != nil {
		return false, err
	}
	n, err := s.affected(ctx, "add version", q, v.ID, v.Number, string(v.Channel), v.Notes, v.MinimumSupported, string(files), string(v.State), v.CreatedAt.UnixMicro())
	return n == 1, err
}

// lockVersion has other changes of the version wait for this transaction.
func (s store) lockVersion(ctx context.Context, id string) error {
	return s.exec(ctx, "lock version", `UPDATE branding_version SET changes = changes + 1 WHERE id = $1`, id)
}

func (s store) saveVersion(ctx context.Context, v Version) error {
	const q = `
		UPDATE branding_version SET version = $2, channel = $3, notes = $4, minimum_supported = $5, files = $6, state = $7,
			published_at = $8, withdrawn_at = $9
		WHERE id = $1`
	files, err := json.Marshal(v.Files)
	if err != nil {
		return err
	}
	return s.exec(ctx, "save version", q, v.ID, v.Number, string(v.Channel), v.Notes, v.MinimumSupported, string(files), string(v.State),
		sqldb.TimeArg(v.PublishedAt), sqldb.TimeArg(v.WithdrawnAt))
}

func (s store) removeVersion(ctx context.Context, id string) error {
	return s.exec(ctx, "delete version", `DELETE FROM branding_version WHERE id = $1`, id)
}

const versionColumns = `id, version, channel, notes, minimum_supported, files, state, created_at, published_at, withdrawn_at`

func scanVersion(r sqldb.Row) (Version, error) {
	var v Version
	var files, channel, state string
	var created, published, withdrawn sqldb.Time
	if err := r.Scan(&v.ID, &v.Number, &channel, &v.Notes, &v.MinimumSupported, &files, &state, &created, &published, &withdrawn); err != nil {
		return v, err
	}
	v.Channel, v.State = Channel(channel), State(state)
	v.CreatedAt, v.PublishedAt, v.WithdrawnAt = created.Time, published.Time, withdrawn.Time
	return v, json.Unmarshal([]byte(files), &v.Files)
}

func (s store) version(ctx context.Context, id string) (Version, error) {
	return one(ctx, s, "read version", scanVersion, `SELECT `+versionColumns+` FROM branding_version WHERE id = $1`, id)
}

func (s store) versions(ctx context.Context, state, before string, limit int) ([]Version, error) {
	const q = `
		SELECT ` + versionColumns + ` FROM branding_version
		WHERE ($1 = '' OR state = $1) AND ($2 = '' OR id < $2) ORDER BY id DESC LIMIT $3`
	return sqldb.All(ctx, s.db, "list versions", scanVersion, q, state, before, limit)
}

// count counts a download, and its visitor if it is the day's first.
func (s store) count(ctx context.Context, day, system, version, visitor string) error {
	const seen = `INSERT INTO branding_visitor (day, os, version, visitor) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`
	const add = `
		INSERT INTO branding_download AS d (day, os, version, downloads, visitors) VALUES ($1, $2, $3, 1, $4)
		ON CONFLICT (day, os, version) DO UPDATE SET downloads = d.downloads + 1, visitors = d.visitors + $4`
	return s.db.InTx(ctx, func(ctx context.Context) error {
		first, err := s.affected(ctx, "count visitor", seen, day, system, version, visitor)
		if err != nil {
			return err
		}
		return s.exec(ctx, "count download", add, day, system, version, first)
	})
}

// monthSecret keeps sealed unless the month has a secret, and returns the one
// it has.
func (s store) monthSecret(ctx context.Context, month string, sealed []byte) ([]byte, error) {
	if err := s.exec(ctx, "add month", `INSERT INTO branding_month (month, secret) VALUES ($1, $2) ON CONFLICT (month) DO NOTHING`, month, sealed); err != nil {
		return nil, err
	}
	return one(ctx, s, "read month", sqldb.Value[[]byte], `SELECT secret FROM branding_month WHERE month = $1`, month)
}

func (s store) forgetVisitors(ctx context.Context, today, month string) error {
	if err := s.exec(ctx, "forget visitors", `DELETE FROM branding_visitor WHERE day < $1`, today); err != nil {
		return err
	}
	return s.exec(ctx, "forget months", `DELETE FROM branding_month WHERE month < $1`, month)
}

func (s store) stats(ctx context.Context, from, to string) ([]Stat, error) {
	const q = `
		SELECT day, os, version, downloads, visitors FROM branding_download
		WHERE day >= $1 AND day <= $2 ORDER BY day DESC, os, version LIMIT 10000`
	return sqldb.All(ctx, s.db, "list downloads", func(r sqldb.Row) (Stat, error) {
		var t Stat
		return t, r.Scan(&t.Day, &t.OS, &t.Version, &t.Downloads, &t.Visitors)
	}, q, from, to)
}

func (s store) exec(ctx context.Context, what, q string, args ...any) error {
	_, err := s.affected(ctx, what, q, args...)
	return err
}

func (s store) affected(ctx context.Context, what, q string, args ...any) (int64, error) {
	res, err := s.db.Q(ctx).ExecContext(ctx, q, args...)
	if err != nil {
		return 0, wrap(what, err)
	}
	return res.RowsAffected()
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// one reads one row; fault.ErrNotFound when there is none.
func one[T any](ctx context.Context, s store, what string, scan func(sqldb.Row) (T, error), q string, args ...any) (T, error) {
	v, err := scan(s.db.Q(ctx).QueryRowContext(ctx, q, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return v, fault.ErrNotFound
	}
	return v, wrap(what, err)
}
