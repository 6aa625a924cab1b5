package credit

import (
	"context"
	"database/sql"
	"fmt"
)

// page is how many rows a cursor reads at once. A transaction can have one
// open result at a time, so results are read in pages.
const page = 2000

// pages walks the rows of a query page by page.
type pages[T any] struct {
	rows []T
	at   int
	done bool
}

// peek returns the next row and leaves it there.
func (p *pages[T]) peek(read func() ([]T, error)) (row T, ok bool, err error) {
	if p.at == len(p.rows) && !p.done {
		if p.rows, err = read(); err != nil {
			return row, false, err
		}
		p.at, p.done = 0, len(p.rows) < page
	}
	if p.at == len(p.rows) {
		return row, false, nil
	}
	return p.rows[p.at], true, nil
}

// collect reads a page with scan.
func collect[T any](ctx context.Context, s store, what string, scan func(*sql.Rows, *T) error, query string, args ...any) ([]T, error) {
	rows, err := s.db.Q(ctx).QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	defer rows.Close()
	out := make([]T, 0, page)
	for rows.Next() {
		var row T
		if err := scan(rows, &row); err != nil {
			return nil, fmt.Errorf("read %s: %w", what, err)
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

type laneIssued struct {
	lane, issued int64
	head         head
}

func (s store) lanesIssued(ctx context.Context) ([]laneIssued, error) {
	const q = `SELECT lane, issued, batch, seq, hash FROM credit_lane ORDER BY lane`
	return collect(ctx, s, "lanes", func(r *sql.Rows, l *laneIssued) error {
		var hash []byte
		err := r.Scan(&l.lane, &l.issued, &l.head.batch, &l.head.last, &hash)
		copy(l.head.hash[:], hash)
		return err
	}, q)
}

// strayTransfers counts the transfers of lanes that do not exist.
func (s store) strayTransfers(ctx context.Context) (n int64, err error) {
	const q = `SELECT COUNT(*) FROM credit_transfer WHERE lane NOT IN (SELECT lane FROM credit_lane)`
	if err := s.db.Q(ctx).QueryRowContext(ctx, q).Scan(&n); err != nil {
		return 0, fmt.Errorf("count stray transfers: %w", err)
	}
	return n, nil
}

type batchRow struct {
	head head
	at   int64
}

type batchCursor struct {
	pages[batchRow]
	store store
	lane  int64
	last  int64
}

func (c *batchCursor) next(ctx context.Context) (batchRow, bool, error) {
	const q = `SELECT batch, first_seq, last_seq, prev, root, hash, at FROM credit_batch
		WHERE lane = $1 AND batch > $2 ORDER BY batch LIMIT $3`
	b, ok, err := c.peek(func() ([]batchRow, error) {
		return collect(ctx, c.store, "batches", func(r *sql.Rows, b *batchRow) error {
			var prev, root, hash []byte
			err := r.Scan(&b.head.batch, &b.head.first, &b.head.last, &prev, &root, &hash, &b.at)
			copy(b.head.prev[:], prev)
			copy(b.head.root[:], root)
			copy(b.head.hash[:], hash)
			return err
		}, q, c.lane, c.last, page)
	})
	if ok {
		c.at++
		c.last = b.head.batch
	}
	return b, ok, err
}

type transferCursor struct {
	pages[transfer]
	store store
	lane  int64
	last  int64
}

func (c *transferCursor) peek(ctx context.Context) (transfer, bool, error) {
	const q = `SELECT lane, seq, kind, user_id, grant_id, amount, ref, part, cause, actor, at FROM credit_transfer
		WHERE lane = $1 AND seq > $2 ORDER BY seq LIMIT $3`
	return c.pages.peek(func() ([]transfer, error) {
		return collect(ctx, c.store, "transfers", func(r *sql.Rows, t *transfer) error {
			return r.Scan(&t.lane, &t.seq, &t.kind, &t.user, &t.grant, &t.amount, &t.ref, &t.part, &t.cause, &t.actor, &t.at)
		}, q, c.lane, c.last, page)
	})
}

// skip moves past what peek returned.
func (c *transferCursor) skip() {
	c.last = c.rows[c.at].seq
	c.at++
}

// grantLeases is a grant with the sums of its leases.
type grantLeases struct {
	id                        int64
	user                      string
	credited, debited, leased int64
	amount, held, spent       int64
}

type grantCursor struct {
	pages[grantLeases]
	store store
	last  int64
}

func (c *grantCursor) next(ctx context.Context) (grantLeases, bool, error) {
	const q = `SELECT g.id, g.user_id, g.credited, g.debited, g.leased,
			CAST(COALESCE(SUM(l.amount), 0) AS BIGINT), CAST(COALESCE(SUM(l.held), 0) AS BIGINT), CAST(COALESCE(SUM(l.spent), 0) AS BIGINT)
		FROM (SELECT id, user_id, credited, debited, leased FROM credit_grant WHERE id > $1 ORDER BY id LIMIT $2) g
		LEFT JOIN credit_lease l ON l.grant_id = g.id
		GROUP BY g.id, g.user_id, g.credited, g.debited, g.leased ORDER BY g.id`
	g, ok, err := c.peek(func() ([]grantLeases, error) {
		return collect(ctx, c.store, "grants", func(r *sql.Rows, g *grantLeases) error {
			return r.Scan(&g.id, &g.user, &g.credited, &g.debited, &g.leased, &g.amount, &g.held, &g.spent)
		}, q, c.last, page)
	})
	if ok {
		c.at++
		c.last = g.id
	}
	return g, ok, err
}

type openRow struct {
	ref, user    string
	lane, amount int64
}

type holdCursor struct {
	pages[openRow]
	store store
	last  string
}

func (c *holdCursor) next(ctx context.Context) (openRow, bool, error) {
	const q = `SELECT ref, user_id, lane, amount FROM credit_hold WHERE ref > $1 ORDER BY ref LIMIT $2`
	h, ok, err := c.peek(func() ([]openRow, error) {
		return collect(ctx, c.store, "open holds", func(r *sql.Rows, h *openRow) error {
			return r.Scan(&h.ref, &h.user, &h.lane, &h.amount)
		}, q, c.last, page)
	})
	if ok {
		c.at++
		c.last = h.ref
	}
	return h, ok, err
}

type chargeRow struct {
	lane, seq, amount int64
	ref               string
}

// chargeCursor walks the charges of all lanes.
type chargeCursor struct {
	pages[chargeRow]
	store store
	last  chargeRow
}

func (c *chargeCursor) next(ctx context.Context) (chargeRow, bool, error) {
	const q = `SELECT lane, seq, amount, ref FROM credit_transfer
		WHERE (lane, seq) > ($1, $2) AND kind = 'charge' ORDER BY lane, seq LIMIT $3`
	t, ok, err := c.peek(func() ([]chargeRow, error) {
		return collect(ctx, c.store, "charges", func(r *sql.Rows, t *chargeRow) error {
			return r.Scan(&t.lane, &t.seq, &t.amount, &t.ref)
		}, q, c.last.lane, c.last.seq, page)
	})
	if ok {
		c.at++
		c.last = t
	}
	return t, ok, err
}
