package setting

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// store holds this package's SQL.
type store struct{ db *sqldb.DB }

const columns = `category, version, settings, changed_by, reason, changed_at`

func scan(r interface{ Scan(...any) error }) (version, error) {
	var v version
	var values string
	var at sqldb.Time
	if err := r.Scan(&v.category, &v.number, &values, &v.by, &v.reason, &at); err != nil {
		return v, err
	}
	v.at = at.Time
	return v, json.Unmarshal([]byte(values), &v.values)
}

// current returns the newest version of each category.
func (s store) current(ctx context.Context) ([]version, error) {
	const q = `
		SELECT ` + columns + ` FROM setting_version v
		WHERE version = (SELECT MAX(version) FROM setting_version w WHERE w.category = v.category) ORDER BY category`
	return s.all(ctx, q)
}

func (s store) history(ctx context.Context, category string, below int64, limit int) ([]version, error) {
	const q = `
		SELECT ` + columns + ` FROM setting_version
		WHERE category = $1 AND ($2 = 0 OR version < $2) ORDER BY version DESC LIMIT $3`
	return s.all(ctx, q, category, below, limit)
}

func (s store) version(ctx context.Context, category string, number int64) (version, error) {
	const q = `SELECT ` + columns + ` FROM setting_version WHERE category = $1 AND version = $2`
	v, err := scan(s.db.Q(ctx).QueryRowContext(ctx, q, category, number))
	if errors.Is(err, sql.ErrNoRows) {
		return v, ErrVersion
	}
	if err != nil {
		return v, fmt.Errorf("read settings: %w", err)
	}
	return v, nil
}

// add writes a version and reports whether it was the first of its number.
func (s store) add(ctx context.Context, v version) (bool, error) {
	const q = `
		INSERT INTO setting_version (category, version, settings, changed_by, reason, changed_at)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (category, version) DO NOTHING`
	values, err := json.Marshal(v.values)
	if err != nil {
		return false, err
	}
	res, err := s.db.Q(ctx).ExecContext(ctx, q, v.category, v.number, string(values), v.by, v.reason, v.at.UnixMicro())
	if err != nil {
		return false, fmt.Errorf("write settings: %w", err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

func (s store) all(ctx context.Context, q string, args ...any) ([]version, error) {
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, args...)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	defer rows.Close()
	var out []version
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("read settings: %w", err)
		}
		out = append(out, v)
	}
	return out, rows.Err()
}
