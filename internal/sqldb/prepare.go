package sqldb

import (
	"context"
	"strconv"
	"strings"
)

// Prepare parses query ahead of the transactions that will run it often; a
// transaction uses what is prepared but prepares nothing itself. It must not
// be called inside a transaction. Where the driver prepares by itself, or the
// text is wrong, it does nothing: running the text gives the error.
func (d *DB) Prepare(ctx context.Context, query string) { d.writing.stmt(ctx, query) }

// positional writes query's $1, $2, … as ?, which the driver binds without
// looking each name up. It is query itself where that would mean something
// else: a number comes twice or out of order.
func positional(query string) string {
	var b strings.Builder
	rest := query
	for next := 1; ; next++ {
		i := strings.IndexByte(rest, '$')
		if i < 0 {
			b.WriteString(rest)
			return b.String()
		}
		digits := i + 1
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
			digits++
		}
		if rest[i+1:digits] != strconv.Itoa(next) {
			return query
		}
		b.WriteString(rest[:i] + "?")
		rest = rest[digits:]
	}
}
