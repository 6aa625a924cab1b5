package sqldb

import (
	"path/filepath"
	"strings"
	"testing"
)

// Tables that a migration makes anew keep their rows, their rules and what
// nobody may change.
func TestRebuiltTablesKeepTheirRows(t *testing.T) {
	t.Parallel()
	db, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "rephlo.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	p, err := db.provider()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 42); err != nil {
		t.Fatal(err)
	}
	const (
		transfer = `INSERT INTO credit_transfer (lane, seq, kind, user_id, grant_id, amount, ref, part, cause, actor, at)
			VALUES (1, 1, 'grant', 'ada', 7, 5, 'grt_7', 0, 'plan', 'system', 9)`
		record = `INSERT INTO usage_record (id, request_id, user_id, key_id, client_id, model_id, vendor_model, provider, operation, status, ending,
			stream, source, suspect, input, cache_read, cache_write, cache_write_long, image_input, audio_input, output, reasoning, audio_output,
			image_output, charged, cost_pico, pricing, duration_ms, first_token_ms, at, images, audio_seconds, characters, server_tool_calls, requests)
			VALUES ('call_1', 'req_1', 'ada', 'k', 'c', 'm', 'v', 'p', 'chat', 'success', 'finished', TRUE, 'reported', FALSE,
			1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, '{}', 13, 14, 15, 16, 17, 18, 19, 20)`
	)
	read := func() string {
		var out []string
		for _, table := range []string{"credit_transfer", "usage_record"} {
			var columns string
			if err := db.pool.QueryRowContext(t.Context(), `SELECT GROUP_CONCAT(name) FROM pragma_table_info($1)`, table).Scan(&columns); err != nil {
				t.Fatal(err)
			}
			var values string
			if err := db.pool.QueryRowContext(t.Context(), `SELECT CONCAT_WS('|', `+columns+`) FROM `+table).Scan(&values); err != nil {
				t.Fatal(err)
			}
			out = append(out, columns, values)
		}
		return strings.Join(out, "\n")
	}
	for _, q := range []string{transfer, record} {
		if _, err := db.pool.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	before := read()
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := read(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	for _, q := range []string{
		transfer, record,
		`UPDATE credit_transfer SET amount = 6`, `DELETE FROM credit_transfer`,
		strings.Replace(transfer, "'grant'", "'gift'", 1),
		strings.NewReplacer("call_1", "call_2", "'success'", "'fine'").Replace(record),
		strings.NewReplacer("call_1", "call_2", "'reported'", "'guessed'").Replace(record),
	} {
		if _, err := db.pool.ExecContext(t.Context(), q); !IsConstraint(err) {
			t.Errorf("%s: %v, want a refusal", q, err)
		}
	}
}

// Numbers that come in their order can be bound by their place; others not.
func TestPositional(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"a = $1 AND b = $2":            "a = ? AND b = ?",
		"a = $2 AND b = $1":            "a = $2 AND b = $1",
		"a = $1 OR b = $1":             "a = $1 OR b = $1",
		"a = $1 AND x = '$.b'":         "a = $1 AND x = '$.b'",
		"VALUES ($1, $2, $3, $12)":     "VALUES ($1, $2, $3, $12)",
		"SELECT 1":                     "SELECT 1",
		"$1$2":                         "??",
		"($1, CAST($2 AS BIGINT) + 0)": "(?, CAST(? AS BIGINT) + 0)",
	} {
		if got := positional(query); got != want {
			t.Errorf("%s became %s, want %s", query, got, want)
		}
	}
}
