package personal

import (
	"context"
	"encoding/json"
	"strings"
	"time"
)

// Person is who something is known about.
type Person struct {
	ID    string
	Email string // if it is proven: what was sent in without signing in names only this
}

// Part is a slice that knows people.
type Part interface {
	// Export writes everything about p that is theirs to know.
	Export(ctx context.Context, p Person, to Sheets) error
	// Erase forgets p, in the transaction that ctx carries. It may run again.
	Erase(ctx context.Context, p Person) error
}

// Sheets takes the sheets of an export, one after the other.
type Sheets interface {
	// Begin starts a sheet. Its columns are named as the API names fields.
	Begin(name string, columns []string) error
	// Row takes a value for each column: nil, a string, bool, int64, time.Time, or
	// json.RawMessage.
	Row(values []any) error
}

// field returns a column's name in the API, created_at being createdAt, and what
// makes its values of what the database returns. The name says how: columns that
// end with _at are microseconds, 0 being none; with _credits millionths of a
// credit; with _flag true or false, which SQLite returns as 1 or 0; with _json a
// document.
func field(column string) (string, func(any) any) {
	as := func(v any) any { return v }
	switch {
	case column == "at" || strings.HasSuffix(column, "_at"):
		as = moment
	case strings.HasSuffix(column, "_credits"):
		column, as = strings.TrimSuffix(column, "_credits"), credits
	case strings.HasSuffix(column, "_flag"):
		column, as = strings.TrimSuffix(column, "_flag"), flag
	case strings.HasSuffix(column, "_json"):
		column, as = strings.TrimSuffix(column, "_json"), document
	}
	var name strings.Builder
	for i, part := range strings.Split(column, "_") {
		if i > 0 && part != "" {
			part = strings.ToUpper(part[:1]) + part[1:]
		}
		name.WriteString(part)
	}
	return name.String(), as
}

func moment(v any) any {
	if us, ok := v.(int64); ok && us > 0 && us < never {
		return time.UnixMicro(us).UTC()
	}
	return nil
}

// never is how the ledger writes that a grant does not expire.
const never = 1<<63 - 1

func flag(v any) any {
	if n, ok := v.(int64); ok {
		return n != 0
	}
	return v
}

func document(v any) any {
	text, _ := v.(string)
	if !json.Valid([]byte(text)) {
		return nil
	}
	return json.RawMessage(text)
}
