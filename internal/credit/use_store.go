package credit

import (
	"context"
	"database/sql"

	"github.com/rephlo/rephlo/internal/money"
)

// usesSQL reads the transfers of one user by the index that a history uses.
var usesSQL = `SELECT grant_id, kind, CAST(SUM(amount) AS BIGINT) FROM credit_transfer
	WHERE kind <> 'hold' AND grant_id IN (` + lookupArgs + `) AND user_id = $257 AND at >= $258 GROUP BY grant_id, kind`

func (s store) usesOf(ctx context.Context, user string, grants []GrantID, since int64) (map[GrantID]GrantUse, error) {
	args := make([]any, lookup, lookup+2)
	for i := range args {
		args[i] = int64(grants[min(i, len(grants)-1)])
	}
	out := map[GrantID]GrantUse{}
	err := s.each(ctx, "uses of grants", func(r *sql.Rows) error {
		var (
			id     GrantID
			k      kind
			amount money.Credits
		)
		if err := r.Scan(&id, &k, &amount); err != nil {
			return err
		}
		u := out[id]
		u.add(k, amount)
		out[id] = u
		return nil
	}, usesSQL, append(args, user, since)...)
	return out, err
}
