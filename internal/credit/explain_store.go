package credit

import (
	"context"
	"database/sql"
	"time"
)

// batchOf returns the batch that a transfer is in.
func (s store) batchOf(ctx context.Context, lane, seq int64) (batchRow, bool, error) {
	const q = selectBatches + `WHERE lane = $1 AND first_seq <= $2 ORDER BY first_seq DESC LIMIT 1`
	rows, err := collect(ctx, s, "batch", scanBatch, q, lane, seq)
	if err != nil || len(rows) == 0 || seq > rows[0].head.last {
		return batchRow{}, false, err
	}
	return rows[0], true, nil
}

// leavesOf returns the hashes of a batch's transfers.
func (s store) leavesOf(ctx context.Context, lane int64, b head, h *hasher) ([]digest, error) {
	const q = `SELECT ` + transferColumns + ` FROM credit_transfer WHERE lane = $1 AND seq BETWEEN $2 AND $3 ORDER BY seq`
	return collect(ctx, s, "transfers of a batch", func(r *sql.Rows, d *digest) error {
		var t transfer
		err := scanTransfer(r, &t)
		*d = h.leaf(&t)
		return err
	}, q, lane, b.first, b.last)
}

// chain reads the batches of a lane from first to last.
func (s store) chain(ctx context.Context, lane, first, last int64, each func(head)) error {
	const q = selectBatches + `WHERE lane = $1 AND batch BETWEEN $2 AND $3 ORDER BY batch`
	return s.each(ctx, "chain of batches", func(r *sql.Rows) error {
		var b batchRow
		err := scanBatch(r, &b)
		each(b.head)
		return err
	}, q, lane, first, last)
}

// grantInfos returns all grants of a user in burn order.
func (s store) grantInfos(ctx context.Context, user string) ([]GrantInfo, error) {
	const q = `SELECT g.id, g.source, g.ref, g.frozen, g.granted_at, g.expires_at, g.credited,
			g.debited + CAST(COALESCE((SELECT SUM(l.spent) FROM credit_lease l WHERE l.grant_id = g.id), 0) AS BIGINT),
			CAST(COALESCE((SELECT SUM(l.held) FROM credit_lease l WHERE l.grant_id = g.id), 0) AS BIGINT)
		FROM credit_grant g WHERE g.user_id = $1 ORDER BY g.expires_at, g.priority, g.granted_at, g.id`
	return collect(ctx, s, "grants", func(r *sql.Rows, g *GrantInfo) error {
		var frozen, granted, expires int64
		err := r.Scan(&g.ID, &g.Source, &g.Ref, &frozen, &granted, &expires, &g.Credited, &g.Debited, &g.Held)
		g.Frozen, g.GrantedAt, g.ExpiresAt = frozen != 0, time.UnixMicro(granted).UTC(), expiryTime(expires)
		return err
	}, q, user)
}
