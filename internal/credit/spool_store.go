package credit

import (
	"context"
	"errors"
	"fmt"
)

// errUnknownCall says that no hold of a call was ever written.
var errUnknownCall = errors.New("no such call")

// uncharged returns what the ended call ref was charged less than price, as far
// as that was not noted yet.
func (s store) uncharged(ctx context.Context, ref string, price int64) (int64, error) {
	const q = `SELECT
		(SELECT COUNT(*) FROM credit_transfer WHERE ref = $1 AND kind = 'hold'),
		(SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM credit_transfer WHERE ref = $1 AND kind = 'charge'),
		(SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM credit_uncollected WHERE ref = $1)`
	var holds, charged, noted int64
	if err := s.db.Q(ctx).QueryRowContext(ctx, q, ref).Scan(&holds, &charged, &noted); err != nil {
		return 0, fmt.Errorf("read the ending of %s: %w", ref, err)
	}
	if holds == 0 {
		return 0, errUnknownCall
	}
	return price - charged - noted, nil
}
