package ledgerfill

import (
	"context"
	"fmt"
	"strings"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/usage"
)

// sink gathers rows and writes many of them in one transaction.
type sink struct {
	db        *sqldb.DB
	records   *usage.Service
	transfers []transfer
	batches   []batch
	entries   []usage.Entry
	last      func(ctx context.Context) error
}

// rowsAtOnce is how many transfers one transaction takes.
const rowsAtOnce = 50_000

// column lists the values of one column.
type column struct {
	name, kind string
	values     any             // a slice, for PostgreSQL
	value      func(i int) any // for SQLite
}

// insert writes n rows: on SQLite one by one with a prepared statement, on
// PostgreSQL as arrays.
func (s *sink) insert(ctx context.Context, table string, n int, columns []column) error {
	if n == 0 {
		return nil
	}
	var names, marks, arrays []string
	for i, c := range columns {
		names = append(names, c.name)
		marks = append(marks, fmt.Sprintf("$%d", i+1))
		arrays = append(arrays, fmt.Sprintf("$%d::%s[]", i+1, c.kind))
	}
	head := "INSERT INTO " + table + " (" + strings.Join(names, ", ") + ") "
	if s.db.Engine() == sqldb.Postgres {
		args := make([]any, len(columns))
		for i, c := range columns {
			args[i] = c.values
		}
		_, err := s.db.Q(ctx).ExecContext(ctx, head+"SELECT * FROM unnest("+strings.Join(arrays, ", ")+")", args...)
		return err
	}
	text := head + "VALUES (" + strings.Join(marks, ", ") + ")"
	args := make([]any, len(columns))
	for i := range n {
		for k, c := range columns {
			args[k] = c.value(i)
		}
		if _, err := s.db.Q(ctx).ExecContext(ctx, text, args...); err != nil {
			return err
		}
	}
	return nil
}

func of[T, V any](name, kind string, rows []T, get func(*T) V) column {
	values := make([]V, len(rows))
	for i := range rows {
		values[i] = get(&rows[i])
	}
	return column{name, kind, values, func(i int) any { return values[i] }}
}

func (s *sink) addLanes(ctx context.Context, lanes []*lane, node string) error {
	const q = `INSERT INTO credit_lane (lane, node, hash) VALUES ($1, $2, $3) ON CONFLICT (lane) DO NOTHING`
	for _, l := range lanes {
		owner := node
		if l.no == 0 {
			owner = ""
		}
		if _, err := s.db.Q(ctx).ExecContext(ctx, q, l.no, owner, l.hash[:]); err != nil {
			return fmt.Errorf("add lane %d: %w", l.no, err)
		}
	}
	return nil
}

// flush writes what has gathered, when it is enough or the last.
func (s *sink) flush(ctx context.Context, last bool) error {
	if len(s.transfers) < rowsAtOnce && !last {
		return nil
	}
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		ts, bs := s.transfers, s.batches
		err := s.insert(ctx, "credit_transfer", len(ts), []column{
			of("lane", "bigint", ts, func(t *transfer) int64 { return t.lane }), of("seq", "bigint", ts, func(t *transfer) int64 { return t.seq }),
			of("kind", "text", ts, func(t *transfer) string { return t.kind }), of("user_id", "text", ts, func(t *transfer) string { return t.user }),
			of("grant_id", "bigint", ts, func(t *transfer) int64 { return t.grant }), of("amount", "bigint", ts, func(t *transfer) int64 { return t.amount }),
			of("ref", "text", ts, func(t *transfer) string { return t.ref }), of("part", "bigint", ts, func(t *transfer) int64 { return t.part }),
			of("cause", "text", ts, func(t *transfer) string { return t.cause }), of("actor", "text", ts, func(t *transfer) string { return t.actor }),
			of("at", "bigint", ts, func(t *transfer) int64 { return t.at }),
		})
		if err != nil {
			return fmt.Errorf("transfers: %w", err)
		}
		err = s.insert(ctx, "credit_batch", len(bs), []column{
			of("lane", "bigint", bs, func(b *batch) int64 { return b.lane }), of("batch", "bigint", bs, func(b *batch) int64 { return b.no }),
			of("first_seq", "bigint", bs, func(b *batch) int64 { return b.first }), of("last_seq", "bigint", bs, func(b *batch) int64 { return b.last }),
			of("prev", "bytea", bs, func(b *batch) []byte { return b.prev[:] }), of("root", "bytea", bs, func(b *batch) []byte { return b.root[:] }),
			of("hash", "bytea", bs, func(b *batch) []byte { return b.hash[:] }), of("at", "bigint", bs, func(b *batch) int64 { return b.at }),
		})
		if err != nil {
			return fmt.Errorf("batches: %w", err)
		}
		rs := make([]credit.Record, len(s.entries))
		for i, e := range s.entries {
			rs[i] = e
		}
		if err := s.records.WriteRecords(ctx, rs); err != nil {
			return err
		}
		if s.last != nil {
			return s.last(ctx)
		}
		return nil
	})
	s.transfers, s.batches, s.entries = s.transfers[:0], s.batches[:0], s.entries[:0]
	return err
}

// row is a grant with its owner and its lease.
type row struct {
	*grant
	user   string
	leased int64
}

// finish has the last transaction write the grants, leases, open holds and
// heads of lanes.
func (s *sink) finish(f *filler) {
	var grants, leases []row
	for _, u := range f.users {
		for i := range u.grants {
			r := row{grant: &u.grants[i], user: u.id}
			if r.held > 0 {
				r.leased = r.credited - r.out
				leases = append(leases, r)
			}
			grants = append(grants, r)
		}
	}
	priority := map[string]int64{"plan": 3, "pack": 8}
	s.last = func(ctx context.Context) error {
		err := s.insert(ctx, "credit_grant", len(grants), []column{
			of("id", "bigint", grants, func(g *row) int64 { return g.id }), of("user_id", "text", grants, func(g *row) string { return g.user }),
			of("source", "text", grants, func(g *row) string { return g.source }), of("priority", "bigint", grants, func(g *row) int64 { return priority[g.source] }),
			of("ref", "text", grants, func(g *row) string { return g.ref }), of("granted_at", "bigint", grants, func(g *row) int64 { return g.granted }),
			of("expires_at", "bigint", grants, func(g *row) int64 { return g.expires }), of("credited", "bigint", grants, func(g *row) int64 { return g.credited }),
			of("debited", "bigint", grants, func(g *row) int64 { return g.out }), of("leased", "bigint", grants, func(g *row) int64 { return g.leased }),
		})
		if err != nil {
			return fmt.Errorf("grants: %w", err)
		}
		const advance = `UPDATE credit_lane SET batch = $2, seq = $3, hash = $4, issued = $5, beat = 1 WHERE lane = $1`
		for _, l := range append([]*lane{f.cold}, f.hot...) {
			if _, err := s.db.Q(ctx).ExecContext(ctx, advance, l.no, l.batch, l.seq, l.hash[:], l.issued); err != nil {
				return fmt.Errorf("lanes: %w", err)
			}
		}
		err = s.insert(ctx, "credit_lease", len(leases), []column{
			of("lane", "bigint", leases, func(g *row) int64 { return g.lane.no }), of("grant_id", "bigint", leases, func(g *row) int64 { return g.id }),
			of("amount", "bigint", leases, func(g *row) int64 { return g.leased }), of("held", "bigint", leases, func(g *row) int64 { return g.held }),
		})
		if err != nil {
			return fmt.Errorf("leases: %w", err)
		}
		return s.addOpen(ctx, f)
	}
}

func (s *sink) addOpen(ctx context.Context, f *filler) error {
	err := s.insert(ctx, "credit_hold", len(f.open), []column{
		of("ref", "text", f.open, func(c **call) string { return (*c).ref }), of("lane", "bigint", f.open, func(c **call) int64 { return (*c).user.lane.no }),
		of("user_id", "text", f.open, func(c **call) string { return (*c).user.id }), of("amount", "bigint", f.open, func(c **call) int64 { return (*c).held() }),
		of("progress", "bigint", f.open, func(c **call) int64 { return int64((*c).entry.Charged) }),
		of("renewed_at", "bigint", f.open, func(**call) int64 { return f.at }), of("journal", "text", f.open, func(c **call) string { return (*c).journal() }),
	})
	if err != nil {
		return fmt.Errorf("open holds: %w", err)
	}
	return nil
}

func (c *call) held() (sum int64) {
	for _, p := range c.parts {
		sum += p.held
	}
	return sum
}

func (c *call) journal() string {
	b, err := c.entry.Journal()
	if err != nil {
		panic(err)
	}
	return string(b)
}
