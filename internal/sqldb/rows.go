package sqldb

import (
	"context"
	"fmt"
)

// Row is one row of a result, or the only one.
type Row interface{ Scan(dest ...any) error }

// All runs a query, in the transaction that ctx carries if there is one, and
// returns what scan makes of each row, in their order; nil for none. what says
// in an error what was to be done.
func All[T any](ctx context.Context, d *DB, what string, scan func(Row) (T, error), query string, args ...any) ([]T, error) {
	rows, err := d.Q(ctx).QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		out = append(out, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return out, nil
}

// Value is the scan of rows with one column.
func Value[T any](r Row) (T, error) {
	var v T
	err := r.Scan(&v)
	return v, err
}
