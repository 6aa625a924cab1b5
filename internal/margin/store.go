package margin

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

type store struct{ db *sqldb.DB }

const columns = `id, tier, provider, model, multiplier_bp, effective_from, effective_until, reason, author, at`

func scan(row sqldb.Row) (r Rule, err error) {
	var from, until, at sqldb.Time
	err = row.Scan(&r.ID, &r.Tier, &r.Provider, &r.Model, &r.Multiplier, &from, &until, &r.Reason, &r.Author, &at)
	r.From, r.Until, r.At = from.Time, until.Time, at.Time
	return r, err
}

// since returns the rules that hold at a moment or later.
func (s store) since(ctx context.Context, at time.Time) ([]Rule, error) {
	const q = `SELECT ` + columns + ` FROM margin_rule WHERE effective_until IS NULL OR effective_until > $1`
	return sqldb.All(ctx, s.db, "read the rules of prices", scan, q, at.UnixMicro())
}

func (s store) one(ctx context.Context, ruleID string) (Rule, error) {
	list, err := sqldb.All(ctx, s.db, "read a rule of prices", scan, `SELECT `+columns+` FROM margin_rule WHERE id = $1`, ruleID)
	if err == nil && len(list) == 0 {
		err = ErrUnknown
	}
	if err != nil {
		return Rule{}, err
	}
	return list[0], nil
}

// list returns rules by scope and, when now is set, those that have not ended
// then.
func (s store) list(ctx context.Context, f Scope, now time.Time, before string, limit int) ([]Rule, error) {
	const q = `SELECT ` + columns + ` FROM margin_rule
		WHERE ($1 = '' OR tier = $1) AND ($2 = '' OR provider = $2) AND ($3 = '' OR model = $3)
			AND (CAST($4 AS BIGINT) = 0 OR effective_until IS NULL OR effective_until > $4) AND ($5 = '' OR id < $5)
		ORDER BY id DESC LIMIT $6`
	at := int64(0)
	if !now.IsZero() {
		at = now.UnixMicro()
	}
	return sqldb.All(ctx, s.db, "list the rules of prices", scan, q, f.Tier, f.Provider, f.Model, at, before, limit)
}

// lock lets one change happen at a time. SQLite has one writer.
func (s store) lock(ctx context.Context) error {
	if s.db.Engine() == sqldb.SQLite {
		return nil
	}
	_, err := s.db.Q(ctx).ExecContext(ctx, `LOCK TABLE margin_rule IN SHARE ROW EXCLUSIVE MODE`)
	return err
}

func (s store) add(ctx context.Context, r Rule) error {
	const q = `INSERT INTO margin_rule (` + columns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
	_, err := s.db.Change(ctx, "write a rule of prices", q, r.ID, r.Tier, r.Provider, r.Model, r.Multiplier, r.From.UnixMicro(), sqldb.TimeArg(r.Until), r.Reason, r.Author, r.At.UnixMicro())
	return err
}

func (s store) bound(ctx context.Context, ruleID string, until time.Time) error {
	_, err := s.db.Change(ctx, "end a rule of prices", `UPDATE margin_rule SET effective_until = $2 WHERE id = $1`, ruleID, sqldb.TimeArg(until))
	return err
}
