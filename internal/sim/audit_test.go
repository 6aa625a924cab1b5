package sim

import (
	"log/slog"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
)

// audit reads the books when everything has ended, by other means than the
// ledger's own where it can.
func (w *sim) audit() {
	db, err := w.open()
	if err != nil {
		w.errorf("open: %v", err)
		return
	}
	defer db.Close()
	book := credit.New(credit.Needs{DB: db, Log: slog.New(slog.DiscardHandler), Now: time.Now, Records: records{db}})
	if _, err := book.Verify(w.ctx, credit.VerifyOptions{}, func(f credit.Finding) { w.errorf("verify: %s", f) }); err != nil {
		w.errorf("verify: %v", err)
	}
	one := func(what, q string, args ...any) (n int64) {
		if err := db.Q(w.ctx).QueryRowContext(w.ctx, q, args...).Scan(&n); err != nil {
			w.errorf("%s: %v", what, err)
		}
		return n
	}
	zero := func(what, q string) {
		if n := one(what, q); n != 0 {
			w.errorf("%d %s", n, what)
		}
	}
	zero("holds are open", `SELECT COUNT(*) FROM credit_hold`)
	zero("leases are out", `SELECT COUNT(*) FROM credit_lease`)
	zero("parts of holds were resolved never or twice", `SELECT COUNT(*) FROM credit_transfer h WHERE kind = 'hold' AND 1 <>
		(SELECT COUNT(*) FROM credit_transfer e WHERE e.ref = h.ref AND e.grant_id = h.grant_id AND e.kind IN ('charge', 'release'))`)
	zero("grants are overspent", `SELECT COUNT(*) FROM credit_grant g WHERE
		(SELECT COALESCE(SUM(amount), 0) FROM credit_transfer WHERE grant_id = g.id AND kind IN ('grant', 'rollover_in', 'reversal')) <
		(SELECT COALESCE(SUM(amount), 0) FROM credit_transfer WHERE grant_id = g.id AND kind IN ('charge', 'expire', 'adjust', 'clawback', 'rollover_out'))`)
	for _, c := range w.sorted() {
		held := one(c.ref, `SELECT COALESCE(SUM(amount), 0) FROM credit_transfer WHERE ref = $1 AND kind = 'hold'`, c.ref)
		charged := money.Credits(one(c.ref, `SELECT COALESCE(SUM(amount), 0) FROM credit_transfer WHERE ref = $1 AND kind = 'charge'`, c.ref))
		switch {
		case c.durable && held != int64(c.need):
			w.errorf("%s was durable with %d held, want %d", c.ref, held, c.need)
		case charged > c.most:
			w.errorf("%s was charged %d, which nobody asked for (at most %d)", c.ref, charged, c.most)
		case c.receipt != nil && charged != c.receipt.Charged:
			w.errorf("%s was charged %d, its receipt says %d", c.ref, charged, c.receipt.Charged)
		case c.receipt != nil && charged+c.receipt.Uncollected != c.price && c.receipt.Uncollected > 0:
			w.errorf("%s: %d charged and %d not collected of %d", c.ref, charged, c.receipt.Uncollected, c.price)
		}
	}
	for _, g := range w.grants {
		n := one(g.ref, `SELECT COUNT(*) FROM credit_transfer WHERE ref = $1 AND kind = 'grant'`, g.ref)
		if n > 1 || g.acked && n != 1 {
			w.errorf("grant %s (acknowledged: %v) is there %d times", g.ref, g.acked, n)
		}
	}
}
