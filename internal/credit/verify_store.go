package credit

import (
	"context"
	"database/sql"
	"fmt"
)

// page is how many rows a cursor reads at once. A transaction can have one
// open result at a time, so what is read side by side is read in pages.
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

// each runs scan on every row of a query.
func (s store) each(ctx context.Context, what string, scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := s.db.Q(ctx).QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("read %s: %w: %w", what, ErrUnreadable, err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	return nil
}

// collect reads the rows of a query with scan.
func collect[T any](ctx context.Context, s store, what string, scan func(*sql.Rows, *T) error, query string, args ...any) ([]T, error) {
	var out []T
	err := s.each(ctx, what, func(r *sql.Rows) error {
		var row T
		err := scan(r, &row)
		out = append(out, row)
		return err
	}, query, args...)
	return out, err
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
		l.head.hash = stored(hash)
		return err
	}, q)
}

// stored reads a hash of the database. One of another length was changed: what
// comes out then is not a hash that anything has.
func stored(b []byte) (d digest) {
	if len(b) == len(d) {
		copy(d[:], b)
		return d
	}
	return damaged
}

var damaged = digest{0: 0xda, 1: 0x3a, 2: 0x6e, 3: 0xd0}

// lanesUsed returns the lanes that transfers name, each found by its key.
func (s store) lanesUsed(ctx context.Context) ([]int64, error) {
	const q = `WITH RECURSIVE used (lane) AS (
		SELECT MIN(lane) FROM credit_transfer
		UNION ALL SELECT (SELECT MIN(lane) FROM credit_transfer t WHERE t.lane > used.lane) FROM used WHERE used.lane IS NOT NULL)
		SELECT lane FROM used WHERE lane IS NOT NULL`
	return collect(ctx, s, "lanes of transfers", func(r *sql.Rows, lane *int64) error { return r.Scan(lane) }, q)
}

type batchRow struct {
	head head
	at   int64
}

const transferColumns = `lane, seq, kind, user_id, grant_id, amount, ref, part, cause, actor, at`

func scanTransfer(r *sql.Rows, t *transfer) error {
	return r.Scan(&t.lane, &t.seq, &t.kind, &t.user, &t.grant, &t.amount, &t.ref, &t.part, &t.cause, &t.actor, &t.at)
}

// laneChunk is a stretch of a lane: batches, whose transfers come in the chunks
// after it.
type laneChunk struct {
	batches   []batchRow
	transfers []transfer
}

const selectBatches = `SELECT batch, first_seq, last_seq, prev, root, hash, at FROM credit_batch `

// walkLane reads a lane's batches after the one of from, and its transfers
// after that batch's last. It calls use with what it read, in order.
func (s store) walkLane(ctx context.Context, lane int64, from head, use func(*laneChunk)) error {
	const (
		batches   = selectBatches + `WHERE lane = $1 AND batch > $2 ORDER BY batch LIMIT $3`
		transfers = `SELECT ` + transferColumns + ` FROM credit_transfer WHERE lane = $1 AND seq > $2 AND seq <= $3 ORDER BY seq`
	)
	const end = int64(1<<63 - 1)
	batch, seq := from.batch, from.last
	if from == (head{}) { // the whole lane, also what cannot be before its first batch
		batch = -end
	}
	for seq < end {
		rows, err := collect(ctx, s, "batches", scanBatch, batches, lane, batch, page)
		if err != nil {
			return err
		}
		upto := end
		if len(rows) > 0 {
			batch = rows[len(rows)-1].head.batch
		}
		if len(rows) == page {
			upto = rows[0].head.last
			for _, b := range rows {
				upto = max(upto, b.head.last)
			}
		}
		use(&laneChunk{batches: rows})
		if upto <= seq {
			continue
		}
		chunk := &laneChunk{transfers: make([]transfer, 0, chunkRows)}
		err = s.each(ctx, "transfers", func(r *sql.Rows) error {
			if len(chunk.transfers) == chunkRows {
				use(chunk)
				chunk.transfers = chunk.transfers[:0]
			}
			chunk.transfers = append(chunk.transfers, transfer{})
			return scanTransfer(r, &chunk.transfers[len(chunk.transfers)-1])
		}, transfers, lane, seq, upto)
		if err != nil {
			return err
		}
		use(chunk)
		seq = upto
	}
	return nil
}

// chunkRows is how many transfers are handed over at once.
const chunkRows = 512

func scanBatch(r *sql.Rows, b *batchRow) error {
	var prev, root, hash []byte
	err := r.Scan(&b.head.batch, &b.head.first, &b.head.last, &prev, &root, &hash, &b.at)
	b.head.prev, b.head.root, b.head.hash = stored(prev), stored(root), stored(hash)
	return err
}

// grantRead is a grant as it is stored.
type grantRead struct {
	id                        int64
	user, ref                 string
	credited, debited, leased int64
	expires                   int64
}

type grantCursor struct {
	pages[grantRead]
	store store
	last  int64
}

func (c *grantCursor) next(ctx context.Context) (grantRead, bool, error) {
	const q = `SELECT id, user_id, ref, credited, debited, leased, expires_at FROM credit_grant WHERE id > $1 ORDER BY id LIMIT $2`
	g, ok, err := c.peek(func() ([]grantRead, error) {
		return collect(ctx, c.store, "grants", func(r *sql.Rows, g *grantRead) error {
			return r.Scan(&g.id, &g.user, &g.ref, &g.credited, &g.debited, &g.leased, &g.expires)
		}, q, c.last, page)
	})
	if ok {
		c.at++
		c.last = g.id
	}
	return g, ok, err
}

type leaseRow struct{ grant, lane, amount, held, spent int64 }

type leaseCursor struct {
	pages[leaseRow]
	store store
	last  leaseRow
}

func (c *leaseCursor) peek(ctx context.Context) (leaseRow, bool, error) {
	const q = `SELECT grant_id, lane, amount, held, spent FROM credit_lease
		WHERE (grant_id, lane) > ($1, $2) ORDER BY grant_id, lane LIMIT $3`
	return c.pages.peek(func() ([]leaseRow, error) {
		return collect(ctx, c.store, "leases", func(r *sql.Rows, l *leaseRow) error {
			return r.Scan(&l.grant, &l.lane, &l.amount, &l.held, &l.spent)
		}, q, c.last.grant, c.last.lane, page)
	})
}

// skip moves past what peek returned.
func (c *leaseCursor) skip() {
	c.last = c.rows[c.at]
	c.at++
}

type openRow struct {
	ref, user, caps string
	lane, amount    int64
}

type holdCursor struct {
	pages[openRow]
	store store
	last  string
}

func (c *holdCursor) next(ctx context.Context) (openRow, bool, error) {
	const q = `SELECT ref, user_id, caps, lane, amount FROM credit_hold WHERE ref > $1 ORDER BY ref LIMIT $2`
	h, ok, err := c.peek(func() ([]openRow, error) {
		return collect(ctx, c.store, "open holds", func(r *sql.Rows, h *openRow) error {
			return r.Scan(&h.ref, &h.user, &h.caps, &h.lane, &h.amount)
		}, q, c.last, page)
	})
	if ok {
		c.at++
		c.last = h.ref
	}
	return h, ok, err
}

// walkCharges reads the charges of the calls from this id on.
func (s store) walkCharges(ctx context.Context, from string, use func(ref string, amount int64)) error {
	const q = `SELECT ref, amount FROM credit_transfer WHERE kind = 'charge' AND ref >= $1`
	return s.each(ctx, "charges", func(r *sql.Rows) error {
		var ref string
		var amount int64
		err := r.Scan(&ref, &amount)
		if err == nil {
			use(ref, amount)
		}
		return err
	}, q, from)
}
