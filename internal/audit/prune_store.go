package audit

import (
	"context"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// marker says up to where the log was forgotten.
type marker struct {
	no, seq, count, newest, at int64
	hash, signature            string
}

// markers returns what was forgotten, in order.
func (s store) markers(ctx context.Context) ([]marker, error) {
	const q = `SELECT no, seq, hash, count, newest_at, at, signature FROM audit_pruned ORDER BY no`
	out, err := sqldb.All(ctx, s.db, "read the markers", func(r sqldb.Row) (m marker, err error) {
		return m, r.Scan(&m.no, &m.seq, &m.hash, &m.count, &m.newest, &m.at, &m.signature)
	}, q)
	return out, wrap("find what is kept", err)
}

// forget writes a marker and deletes the rows that it names.
func (s store) forget(ctx context.Context, m marker) error {
	const q = `INSERT INTO audit_pruned (no, seq, hash, count, newest_at, at, signature) VALUES ($1, $2, $3, $4, $5, $6, $7)`
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, m.no, m.seq, m.hash, m.count, m.newest, m.at, m.signature); err != nil {
		return wrap("write a marker", err)
	}
	_, err := s.db.Q(ctx).ExecContext(ctx, `DELETE FROM audit_log WHERE seq <= $1`, m.seq)
	return wrap("forget rows", err)
}
