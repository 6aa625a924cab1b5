package credit

import (
	"context"
	"strconv"
	"strings"
	"sync"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// rows is a statement that handles many rows at once: head, then row for each,
// separated by commas, then tail. $1 to $shared mean the same in every row;
// {1} to {width} are a row's own values and {i} is its index. The text exists
// for powers of two, so that there are few texts to prepare.
type rows struct {
	head, row, tail string
	shared, width   int
	// single replaces the text for one row, where that is faster.
	single string

	texts [maxChunkBits + 1]struct {
		once sync.Once
		text string
	}
}

// maxChunkBits bounds a statement to 2^maxChunkBits rows.
const maxChunkBits = 7

// text returns the statement for 2^bits rows.
func (r *rows) text(bits int) string {
	t := &r.texts[bits]
	t.once.Do(func() {
		if bits == 0 && r.single != "" {
			t.text = r.single
			return
		}
		var b strings.Builder
		b.WriteString(r.head)
		for i := range 1 << bits {
			if i > 0 {
				b.WriteString(", ")
			}
			pairs := []string{"{i}", strconv.Itoa(i)}
			for k := 1; k <= r.width; k++ {
				pairs = append(pairs, "{"+strconv.Itoa(k)+"}", "$"+strconv.Itoa(r.shared+i*r.width+k))
			}
			b.WriteString(strings.NewReplacer(pairs...).Replace(r.row))
		}
		b.WriteString(r.tail)
		t.text = b.String()
	})
	return t.text
}

// chunk returns the largest statement for n rows, as a power of two.
func chunk(n, largest int) int {
	bits := 0
	for bits < largest && 2<<bits <= n {
		bits++
	}
	return bits
}

// exec runs r for n rows in as many statements as needed. shared appends the
// shared arguments, then row the arguments of row i. Every row must change
// exactly one row of the database; else it is errGuard.
func (s store) exec(ctx context.Context, r *rows, n int, shared func(args []any, first int) []any, row func(args []any, i int) []any) error {
	return s.send(ctx, r, n, just, shared, row)
}

// touch is exec where a row may find nothing to change.
func (s store) touch(ctx context.Context, r *rows, n int, shared func(args []any, first int) []any, row func(args []any, i int) []any) error {
	return s.send(ctx, r, n, anyNumber, shared, row)
}

func anyNumber(string, int64) func(int64) error { return func(int64) error { return nil } }

func (s store) send(ctx context.Context, r *rows, n int, check func(query string, want int64) func(int64) error,
	shared func(args []any, first int) []any, row func(args []any, i int) []any,
) error {
	return s.chunks(r, n, shared, row, func(text string, bits int, args []any) error {
		return s.db.Queue(ctx, check(text, 1<<bits), text, args...)
	})
}

// collect is exec for statements that return rows, any number of them.
func (s store) collect(ctx context.Context, r *rows, n int, shared func(args []any, first int) []any, row func(args []any, i int) []any,
	scan func(sqldb.Row) error,
) error {
	return s.chunks(r, n, shared, row, func(text string, _ int, args []any) error {
		found, err := s.db.Q(ctx).QueryContext(ctx, text, args...)
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			if err := scan(found); err != nil {
				return err
			}
		}
		return found.Err()
	})
}

// chunks calls do for each statement that n rows of r need.
func (s store) chunks(r *rows, n int, shared func(args []any, first int) []any, row func(args []any, i int) []any,
	do func(text string, bits int, args []any) error,
) error {
	for first := 0; first < n; {
		bits := chunk(n-first, s.limit(r))
		args := shared(make([]any, 0, r.shared+r.width<<bits), first)
		for i := range 1 << bits {
			args = row(args, first+i)
		}
		if err := do(r.text(bits), bits, args); err != nil {
			return err
		}
		first += 1 << bits
	}
	return nil
}

// limit returns how many rows of r go into one statement, as a power of two.
func (s store) limit(r *rows) int {
	if r.single != "" && s.db.Engine() == sqldb.SQLite {
		return 0 // there is no round trip to save
	}
	return s.chunkBits
}

// prepareRows prepares the texts that n rows need.
func (s store) prepareRows(ctx context.Context, r *rows, n int) {
	for first := 0; first < n; {
		bits := chunk(n-first, s.limit(r))
		s.db.Prepare(ctx, r.text(bits))
		first += 1 << bits
	}
}

var transferRows = &rows{
	head: `INSERT INTO credit_transfer (lane, at, seq, kind, user_id, grant_id, amount, ref, part, cause, actor) VALUES `,
	row:  `($1, $2, CAST($3 AS BIGINT) + {i}, {1}, {2}, {3}, {4}, {5}, {6}, {7}, {8})`, shared: 3, width: 8,
}

var holdRows = &rows{
	head: `INSERT INTO credit_hold (lane, ref, user_id, amount, progress, renewed_at, journal, caps) VALUES `,
	row:  `($1, {1}, {2}, {3}, {4}, {5}, {6}, {7})`, shared: 1, width: 7,
}

var endRows = &rows{
	head: `WITH v (ref, charge) AS (VALUES `,
	row:  `(CAST({1} AS TEXT), CAST({2} AS BIGINT))`,
	tail: `) DELETE FROM credit_hold WHERE lane = $1 AND ref IN
		(SELECT h.ref FROM v JOIN credit_hold h ON h.ref = v.ref WHERE h.amount >= v.charge)`,
	single: `DELETE FROM credit_hold WHERE lane = $1 AND ref = $2 AND amount >= $3`,
	shared: 1, width: 2,
}

var moveRows = &rows{
	head: `WITH v (grant_id, held, spent) AS (VALUES `,
	row:  `(CAST({1} AS BIGINT), CAST({2} AS BIGINT), CAST({3} AS BIGINT))`,
	tail: `) UPDATE credit_lease SET held = credit_lease.held + v.held, spent = credit_lease.spent + v.spent
		FROM v WHERE credit_lease.lane = $1 AND credit_lease.grant_id = v.grant_id`,
	single: `UPDATE credit_lease SET held = held + $3, spent = spent + $4 WHERE lane = $1 AND grant_id = $2`,
	shared: 1, width: 3,
}

func (s store) addTransfers(ctx context.Context, lane int64, p *plan) error {
	ts := p.transfers
	shared := func(args []any, first int) []any { return append(args, lane, p.at, p.head.first+int64(first)) }
	return s.exec(ctx, transferRows, len(ts), shared, func(args []any, i int) []any {
		t := &ts[i]
		return append(args, string(t.kind), t.user, t.grant, t.amount, t.ref, t.part, t.cause, t.actor)
	})
}

func (s store) addHolds(ctx context.Context, lane int64, hs []holdRow) error {
	return s.exec(ctx, holdRows, len(hs), only(lane), func(args []any, i int) []any {
		h := &hs[i]
		return append(args, h.ref, h.user, h.amount, h.progress, h.renewed, h.journal, h.caps)
	})
}

// endHolds deletes the open rows of the holds that end. One that is not open,
// or smaller than its charge, is errGuard.
func (s store) endHolds(ctx context.Context, lane int64, es []endRow) error {
	return s.exec(ctx, endRows, len(es), only(lane), func(args []any, i int) []any {
		return append(args, es[i].ref, es[i].charge)
	})
}

// moveLeases adds to what is held and spent of each lease.
func (s store) moveLeases(ctx context.Context, lane int64, ms []move) error {
	return s.exec(ctx, moveRows, len(ms), only(lane), func(args []any, i int) []any {
		return append(args, ms[i].grant, ms[i].held, ms[i].spent)
	})
}

func only(lane int64) func(args []any, first int) []any {
	return func(args []any, _ int) []any { return append(args, lane) }
}

func none(args []any, _ int) []any { return args }

// prepare parses what p needs, before its transaction.
func (s store) prepare(ctx context.Context, p *plan) {
	if s.db.Engine() != sqldb.SQLite {
		return
	}
	for _, q := range []string{fenceSQL, batchSQL, renewSQL} {
		s.db.Prepare(ctx, q)
	}
	s.prepareRows(ctx, transferRows, len(p.transfers))
	s.prepareRows(ctx, holdRows, len(p.holds))
	s.prepareRows(ctx, endRows, len(p.ends))
	s.prepareRows(ctx, moveRows, len(p.moves))
	s.prepareRows(ctx, capMoveRows, len(p.capMoves))
	s.prepareRows(ctx, usableRows, len(p.cuts))
}
