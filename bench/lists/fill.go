package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rephlo/rephlo/bench/ledgerfill"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
)

const (
	owner     = "bench"
	atOnce    = 200    // rows of one statement on PostgreSQL; on SQLite one, prepared
	batchRows = 20_000 // of one transaction
)

// size says how large the database shall be.
type size struct{ Users, Usage int }

// world is what was filled, and who and what requests may name.
type world struct {
	db    *sqldb.DB
	box   *seal.Box
	size  size
	now   time.Time
	users []string
	hot   string // the user with one call in twenty

	call, request             string // the ids of a call of theirs
	plan, proration, endpoint string // ids of somebody's
}

// fill writes people, what they did and what was noted about it.
func fill(ctx context.Context, db *sqldb.DB, box *seal.Box, s size, now time.Time) (*world, error) {
	done, err := ledgerfill.Fill(ctx, db, ledgerfill.Options{Transfers: 2 * s.Usage, Users: s.Users, Seed: 1, Node: owner, Until: now})
	if err != nil {
		return nil, err
	}
	w := &world{db: db, box: box, size: s, now: now, hot: done.User}
	if err := w.look(ctx); err != nil {
		return nil, err
	}
	for _, t := range w.tables() {
		if err := w.insert(ctx, t); err != nil {
			return nil, fmt.Errorf("fill %s: %w", t.name, err)
		}
	}
	for from, to := range map[string]*string{"subscription_plan": &w.plan, "subscription_proration": &w.proration, "webhook_endpoint WHERE user_id = '" + w.hot + "'": &w.endpoint} {
		if *to, err = w.one(ctx, from); err != nil {
			return nil, err
		}
	}
	// The chain of what was done goes on behind what was filled in.
	_, err = db.Q(ctx).ExecContext(ctx, `UPDATE audit_head SET seq = $1, hash = 'filled' WHERE id = 1`, 2*s.Users)
	if err != nil {
		return nil, err
	}
	return w, settle(ctx, db)
}

// look finds whom the ledger is of.
func (w *world) look(ctx context.Context) error {
	rows, err := w.db.Q(ctx).QueryContext(ctx, `SELECT user_id FROM credit_grant WHERE source = 'pack' ORDER BY id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		w.users = append(w.users, name)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	const call = `SELECT id, request_id FROM usage_record WHERE user_id = $1 ORDER BY at DESC LIMIT 1`
	return w.db.Q(ctx).QueryRowContext(ctx, call, w.hot).Scan(&w.call, &w.request)
}

// one is one of the ids in a table.
func (w *world) one(ctx context.Context, from string) (name string, err error) {
	err = w.db.Q(ctx).QueryRowContext(ctx, `SELECT MAX(id) FROM `+from).Scan(&name)
	return name, err
}

// table is rows to write.
type table struct {
	name, columns string
	rows          int
	row           func(i int) []any
}

func (w *world) insert(ctx context.Context, t table) error {
	step := atOnce
	if w.db.Engine() == sqldb.SQLite && t.rows > 0 {
		step = 1
		text, _ := t.statement(0, 1)
		w.db.Prepare(ctx, text)
	}
	for from := 0; from < t.rows; from += batchRows {
		until := min(t.rows, from+batchRows)
		if err := w.db.InTx(ctx, func(ctx context.Context) error {
			for i := from; i < until; i += step {
				text, args := t.statement(i, min(until, i+step))
				if _, err := w.db.Q(ctx).ExecContext(ctx, text, args...); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// statement writes the rows from one to before another.
func (t table) statement(from, until int) (text string, args []any) {
	var q strings.Builder
	q.WriteString("INSERT INTO " + t.name + " (" + t.columns + ") VALUES ")
	for i := from; i < until; i++ {
		if i > from {
			q.WriteString(", ")
		}
		q.WriteByte('(')
		for k, v := range t.row(i) {
			if k > 0 {
				q.WriteString(", ")
			}
			args = append(args, v)
			q.WriteString("$" + strconv.Itoa(len(args)))
		}
		q.WriteByte(')')
	}
	return q.String(), args
}

// settle brings the database into the state that it has after a while of
// ordinary work.
func settle(ctx context.Context, db *sqldb.DB) error {
	q := `PRAGMA wal_checkpoint(TRUNCATE)`
	if db.Engine() == sqldb.Postgres {
		q = `VACUUM ANALYZE`
	}
	_, err := db.Q(ctx).ExecContext(ctx, q)
	return err
}
