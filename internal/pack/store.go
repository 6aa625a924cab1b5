package pack

import (
	"context"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// store holds this package's SQL.
type store struct{ db *sqldb.DB }

const selectPacks = `SELECT id, credits, price, active, version, updated_at FROM pack_item `

func scan(r sqldb.Row) (p Pack, err error) {
	var at sqldb.Time
	err = r.Scan(&p.ID, (*int64)(&p.Credits), &p.Price, &p.Active, &p.Version, &at)
	p.UpdatedAt = at.Time
	return p, err
}

func (s store) all(ctx context.Context, onSale bool) ([]Pack, error) {
	return sqldb.All(ctx, s.db, "list credit packs", scan, selectPacks+`WHERE active OR NOT $1 ORDER BY price, credits, id`, onSale)
}

func (s store) byID(ctx context.Context, packID string) (Pack, error) {
	found, err := sqldb.All(ctx, s.db, "read a credit pack", scan, selectPacks+`WHERE id = $1`, packID)
	if err != nil {
		return Pack{}, err
	}
	if len(found) == 0 {
		return Pack{}, ErrUnknown
	}
	return found[0], nil
}

func (s store) add(ctx context.Context, p Pack) error {
	const q = `INSERT INTO pack_item (id, credits, price, active, version, updated_at) VALUES ($1, $2, $3, $4, $5, $6)`
	_, err := s.db.Change(ctx, "add a credit pack", q, p.ID, int64(p.Credits), p.Price, p.Active, p.Version, p.UpdatedAt.UnixMicro())
	return err
}

// save writes p over the version that it was read as, or reports false.
func (s store) save(ctx context.Context, p Pack) (bool, error) {
	const q = `UPDATE pack_item SET credits = $3, price = $4, active = $5, updated_at = $6, version = version + 1 WHERE id = $1 AND version = $2`
	return s.db.Change(ctx, "change a credit pack", q, p.ID, p.Version, int64(p.Credits), p.Price, p.Active, p.UpdatedAt.UnixMicro())
}
