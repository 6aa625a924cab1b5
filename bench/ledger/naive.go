package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/usage"
)

// naive keeps the same rows as the ledger in one transaction per operation:
// what a careful program does that knows no better. It has no hash chain.
type naive struct {
	db      *sqldb.DB
	records *usage.Service
	grants  map[string]int64 // of each user
	seq     atomic.Int64
}

var errGuard = errors.New("a guarded statement changed no row")

// Statements of the naive way, guarded as the ledger's are.
const (
	naiveHold   = `UPDATE credit_grant SET leased = leased + $2 WHERE id = $1 AND debited + leased + $2 <= credited`
	naiveOpen   = `INSERT INTO credit_hold (lane, ref, user_id, amount, progress, renewed_at, journal) VALUES (0, $1, $2, $3, 0, $4, $5)`
	naiveClose  = `DELETE FROM credit_hold WHERE ref = $1 AND amount >= $2`
	naiveSettle = `UPDATE credit_grant SET leased = leased - $2, debited = debited + $3 WHERE id = $1 AND leased >= $2`
	naiveCap    = `INSERT INTO credit_cap (owner, window_start) VALUES ($1, $2)`
	naiveTake   = `UPDATE credit_cap SET leased = leased + $3 WHERE owner = $1 AND window_start = $2 AND used + leased + $3 <= $4`
	naiveUse    = `UPDATE credit_cap SET leased = leased - $3, used = used + $4 WHERE owner = $1 AND window_start = $2 AND leased >= $3`
	naiveMove   = `
		INSERT INTO credit_transfer (lane, at, seq, kind, user_id, grant_id, amount, ref, part, cause, actor)
		VALUES (1000, $1, $2, $3, $4, $5, $6, $7, $8, $9, $4)`
)

func openNaive(ctx context.Context, db *sqldb.DB, users []string) (*naive, error) {
	n := &naive{db: db, records: usage.New(usage.Needs{DB: db, Now: time.Now}), grants: map[string]int64{}}
	credits := credit.New(credit.Needs{DB: db, Log: quiet, Now: time.Now, Node: "bench", Records: n.records})
	if err := grant(ctx, credits, users); err != nil {
		return nil, err
	}
	rows, err := db.Q(ctx).QueryContext(ctx, `SELECT user_id, id FROM credit_grant`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var user string
		var id int64
		if err := rows.Scan(&user, &id); err != nil {
			return nil, err
		}
		n.grants[user] = id
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for _, q := range []string{naiveHold, naiveOpen, naiveClose, naiveSettle, naiveMove, naiveTake, naiveUse} {
		db.Prepare(ctx, q)
	}
	return n, db.InTx(ctx, func(ctx context.Context) error {
		for _, user := range users {
			if err := n.all(ctx, eachCap(naiveCap, user)...); err != nil {
				return err
			}
		}
		return nil
	})
}

// call implements way.
func (n *naive) call(ctx context.Context, c *call) error {
	grantID := n.grants[c.user]
	err := n.db.InTx(ctx, func(ctx context.Context) error {
		return n.all(ctx, append(eachCap(naiveTake, c.user, int64(need), int64(capLimit)),
			step{naiveHold, []any{grantID, int64(need)}},
			step{naiveOpen, []any{c.ref, c.user, int64(need), time.Now().UnixMicro(), string(journal)}},
			n.transfer("hold", c, grantID, int64(need), 0, ""))...)
	})
	if err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	return n.db.InTx(ctx, func(ctx context.Context) error {
		if err := n.records.Add(ctx, c.entry); err != nil {
			return err
		}
		return n.all(ctx, append(eachCap(naiveUse, c.user, int64(need), int64(c.entry.Charged)),
			step{naiveClose, []any{c.ref, int64(c.entry.Charged)}},
			step{naiveSettle, []any{grantID, int64(need), int64(c.entry.Charged)}},
			n.transfer("charge", c, grantID, int64(c.entry.Charged), 1, string(credit.Finished)))...)
	})
}

type step struct {
	text string
	args []any
}

// eachCap is text for both caps of a user.
func eachCap(text, user string, args ...any) []step {
	var out []step
	for _, c := range caps(user) {
		window := int64(0)
		if !c.Window.IsZero() {
			window = c.Window.UnixMicro()
		}
		out = append(out, step{text, append([]any{c.Owner, window}, args...)})
	}
	return out
}

func (n *naive) transfer(kind string, c *call, grant, amount, part int64, cause string) step {
	return step{naiveMove, []any{time.Now().UnixMicro(), n.seq.Add(1), kind, c.user, grant, amount, c.ref, part, cause}}
}

func (n *naive) all(ctx context.Context, steps ...step) error {
	for _, s := range steps {
		res, err := n.db.Q(ctx).ExecContext(ctx, s.text, s.args...)
		if err != nil {
			return err
		}
		if changed, err := res.RowsAffected(); err != nil || changed != 1 {
			return errors.Join(errGuard, err)
		}
	}
	return nil
}

// close implements way.
func (n *naive) close(context.Context) error { return n.db.Close() }
