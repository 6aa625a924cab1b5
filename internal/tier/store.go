package tier

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// store holds this package's SQL.
type store struct{ db *sqldb.DB }

const columns = `tier, version, patch, reason, changed_by, changed_at, valid_from, existing, notify, done`

func scan(r sqldb.Row) (Version, error) {
	var (
		v        Version
		patch    string
		at, from sqldb.Time
	)
	if err := r.Scan(&v.Tier, &v.Number, &patch, &v.Reason, &v.By, &at, &from, &v.Existing, &v.Notify, &v.Done); err != nil {
		return v, err
	}
	v.At, v.ValidFrom = at.Time, from.Time
	return v, json.Unmarshal([]byte(patch), &v.Patch)
}

// all returns every version by tier and number.
func (s store) all(ctx context.Context) ([]Version, error) {
	return sqldb.All(ctx, s.db, "read tiers", scan, `SELECT `+columns+` FROM tier_version ORDER BY tier, version`)
}

// open returns the versions that are valid and not done with everybody.
func (s store) open(ctx context.Context, now time.Time) ([]Version, error) {
	const q = `SELECT ` + columns + ` FROM tier_version WHERE NOT done AND valid_from <= $1 ORDER BY valid_from, tier, version`
	return sqldb.All(ctx, s.db, "find open changes of tiers", scan, q, now.UnixMicro())
}

// add writes a version and reports whether it was the first of its number.
func (s store) add(ctx context.Context, v Version) (bool, error) {
	const q = `INSERT INTO tier_version (` + columns + `, done_to) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, '')
		ON CONFLICT (tier, version) DO NOTHING`
	patch, err := json.Marshal(v.Patch)
	if err != nil {
		return false, err
	}
	return s.db.Change(ctx, "change a tier", q, v.Tier, v.Number, string(patch), v.Reason, v.By, v.At.UnixMicro(), v.ValidFrom.UnixMicro(),
		v.Existing, v.Notify, v.Done)
}

// lock returns how far an open version is, and holds it until the transaction
// ends.
func (s store) lock(ctx context.Context, v Version) (string, error) {
	const q = `UPDATE tier_version SET done = done WHERE tier = $1 AND version = $2 AND NOT done RETURNING done_to`
	rows, err := sqldb.All(ctx, s.db, "continue a change of a tier", sqldb.Value[string], q, v.Tier, v.Number)
	if err != nil {
		return "", err
	}
	if len(rows) == 0 {
		return "", errDone
	}
	return rows[0], nil
}

// advance notes how far an open version is.
func (s store) advance(ctx context.Context, v Version, to string, done bool) error {
	const q = `UPDATE tier_version SET done = $3, done_to = $4 WHERE tier = $1 AND version = $2`
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, v.Tier, v.Number, done, to); err != nil {
		return fmt.Errorf("continue a change of a tier: %w", err)
	}
	return nil
}
