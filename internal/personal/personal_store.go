package personal

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Table is a sheet that a query fills. $1 is the person's id. The names of its
// columns say what they hold: see field.
type Table struct {
	Name, Query string
	Args        []any // from $2 on
}

// Export writes tables as sheets, row by row.
func Export(ctx context.Context, db *sqldb.DB, p Person, to Sheets, tables ...Table) error {
	for _, t := range tables {
		if err := t.export(ctx, db, to, append([]any{p.ID}, t.Args...)...); err != nil {
			return fmt.Errorf("export %s: %w", t.Name, err)
		}
	}
	return nil
}

func (t Table) export(ctx context.Context, db *sqldb.DB, to Sheets, args ...any) error {
	rows, err := db.Q(ctx).QueryContext(ctx, t.Query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	names, as := make([]string, len(columns)), make([]func(any) any, len(columns))
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i, c := range columns {
		names[i], as[i] = field(c)
		into[i] = &values[i]
	}
	if err := to.Begin(t.Name, names); err != nil {
		return err
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i := range values {
			if b, ok := values[i].([]byte); ok { // a text, as some drivers return it
				values[i] = string(b)
			}
			values[i] = as[i](values[i])
		}
		if err := to.Row(values); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Erase runs statements whose $1 is the person's id.
func Erase(ctx context.Context, db *sqldb.DB, p Person, statements ...string) error {
	for _, q := range statements {
		if _, err := db.Q(ctx).ExecContext(ctx, q, p.ID); err != nil {
			return fmt.Errorf("forget a person: %w", err)
		}
	}
	return nil
}

func credits(v any) any {
	micro, _ := v.(int64)
	return json.RawMessage(money.Credits(micro).String())
}
