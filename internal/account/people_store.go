package account

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// setState writes the state of u, if it is still the one before.
func (s store) setState(ctx context.Context, u User, before string) (bool, error) {
	const q = `UPDATE account_user SET state = $2, state_reason = $3, state_until = $4, signed_out_at = $5 WHERE id = $1 AND state = $6`
	res, err := s.db.Q(ctx).ExecContext(ctx, q, u.ID, u.State, u.Reason, sqldb.TimeArg(u.Until), u.SignedOutAt.UnixMicro(), before)
	return changed(res, err, "change the state of an account")
}

func (s store) signOut(ctx context.Context, userID string, at time.Time) error {
	return s.exec(ctx, "sign out", `UPDATE account_user SET signed_out_at = $2 WHERE id = $1`, userID, at.UnixMicro())
}

func (s store) setTier(ctx context.Context, userID, tier string) error {
	return s.exec(ctx, "note a tier", `UPDATE account_user SET tier = $2 WHERE id = $1 AND tier <> $2`, userID, tier)
}

func (s store) addUsed(ctx context.Context, userID string, more money.Credits) error {
	return s.exec(ctx, "note what a person used", `UPDATE account_user SET credits_used = credits_used + $2 WHERE id = $1`, userID, int64(more))
}

func (s store) setStaff(ctx context.Context, userID string, has bool) (bool, error) {
	res, err := s.db.Q(ctx).ExecContext(ctx, `UPDATE account_user SET staff = $2 WHERE id = $1 AND staff <> $2`, userID, has)
	return changed(res, err, "mark a person with a role")
}

func (s store) staff(ctx context.Context) ([]string, error) {
	return s.ids(ctx, `SELECT id FROM account_user WHERE staff AND state = $1 ORDER BY id`, StateActive)
}

// overdue returns whose suspension was to end before now.
func (s store) overdue(ctx context.Context, now time.Time) ([]string, error) {
	return s.ids(ctx, `SELECT id FROM account_user WHERE state = 'suspended' AND state_until <= $1 ORDER BY id`, now.UnixMicro())
}

// leavers returns whom nothing keeps from being erased any more.
func (s store) leavers(ctx context.Context, until time.Time, limit int) ([]User, error) {
	const q = selectUser + `WHERE state = 'deleted' AND state_until IS NOT NULL AND state_until <= $1 ORDER BY state_until, id LIMIT $2`
	return sqldb.All(ctx, s.db, "find accounts to erase", func(row sqldb.Row) (User, error) {
		u, err := scanUser(row)
		return u.User, err
	}, q, until.UnixMicro(), limit)
}

func (s store) addState(ctx context.Context, c StateChange) error {
	const q = `INSERT INTO account_state (id, user_id, from_state, to_state, reason, created_by, created_at, until, lifted_at, lifted_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL, '')`
	return s.exec(ctx, "write the history of an account", q, c.ID, c.UserID, c.From, c.To, c.Reason, c.By, c.At.UnixMicro(), sqldb.TimeArg(c.Until))
}

// liftState notes who ended the state that an account is in.
func (s store) liftState(ctx context.Context, userID, by string, at time.Time) error {
	const q = `UPDATE account_state SET lifted_at = $3, lifted_by = $2 WHERE user_id = $1 AND lifted_at IS NULL AND to_state <> 'active'`
	return s.exec(ctx, "write the history of an account", q, userID, by, at.UnixMicro())
}

func (s store) states(ctx context.Context, userID string, limit int) ([]StateChange, error) {
	const q = `SELECT id, user_id, from_state, to_state, reason, created_by, created_at, until, lifted_at, lifted_by FROM account_state
		WHERE user_id = $1 ORDER BY id DESC LIMIT $2`
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, userID, limit)
	if err != nil {
		return nil, fmt.Errorf("read the history of an account: %w", err)
	}
	defer rows.Close()
	var out []StateChange
	for rows.Next() {
		var c StateChange
		var at, until, lifted sqldb.Time
		if err := rows.Scan(&c.ID, &c.UserID, &c.From, &c.To, &c.Reason, &c.By, &at, &until, &lifted, &c.LiftedBy); err != nil {
			return nil, fmt.Errorf("read the history of an account: %w", err)
		}
		c.At, c.Until, c.LiftedAt = at.Time, until.Time, lifted.Time
		out = append(out, c)
	}
	return out, rows.Err()
}

// peopleText is what people are searched by; an index of SQLite has it.
const peopleText = `email_key || ' ' || username_key || ' ' || LOWER(first_name || ' ' || last_name)`

// fewFound is up to how many people a search counts as one that finds few.
const fewFound = 500

// found returns whom a search finds, if they are few.
func (s store) found(ctx context.Context, search string) (ids []string, few bool, err error) {
	const q = `SELECT id FROM account_user WHERE ` + peopleText + ` LIKE $1 ESCAPE '\' LIMIT $2`
	ids, err = sqldb.All(ctx, s.db, "search accounts", sqldb.Value[string], q, like(search), fewFound+1)
	return append(ids, search), len(ids) <= fewFound, err
}

// people returns those that f chooses. Few that a search finds are found first
// and sorted then; among many the first page is found by looking at people in
// the order that is asked for.
func (s store) people(ctx context.Context, f Filter, limit int) ([]User, error) {
	const (
		where = `WHERE ($1 = '' OR ` + peopleText + ` LIKE $1 ESCAPE '\' OR id = $2)
			AND ($3 = '' OR state = $3) AND email <> '' `
		inTime    = `AND created_at >= $4 AND created_at < $5 `
		anyTime   = `AND created_at + 0 >= $4 AND created_at + 0 < $5 ` // no index but that of the order
		newest    = `AND ($7 = '' OR (created_at, id) < ($6, $7)) `
		latest    = `AND ($7 = '' OR (COALESCE(last_login_at, 0), id) < ($6, $7)) `
		most      = `AND ($7 = '' OR (credits_used, id) < ($6, $7)) `
		byMost    = `ORDER BY credits_used DESC, id DESC LIMIT $8`
		byNewest  = `ORDER BY created_at DESC, id DESC LIMIT $8`
		byLatest  = `ORDER BY COALESCE(last_login_at, 0) DESC, id DESC LIMIT $8`
		noEnd     = int64(1) << 62
		byTier    = `AND tier = $9 `
		firstMore = 9
	)
	page, order := inTime+newest, byNewest
	switch f.Sort {
	case ByLogin:
		page, order = anyTime+latest, byLatest
	case ByUse:
		page, order = anyTime+most, byMost
	}
	search, until := "", noEnd
	if f.Search != "" {
		ids, few, err := s.found(ctx, f.Search)
		if err != nil {
			return nil, err
		}
		if few {
			f.IDs = both(ids, f.IDs)
		} else {
			search = like(f.Search)
		}
	}
	if f.IDs != nil && len(f.IDs) == 0 {
		return nil, nil
	}
	if !f.Before.IsZero() {
		until = f.Before.UnixMicro()
	}
	var since int64
	if !f.After.IsZero() {
		since = f.After.UnixMicro()
	}
	args := []any{search, f.Search, f.State, since, until, f.Seen, f.SeenID, limit}
	only, more := "", firstMore
	if f.Tier != "" {
		only, more, args = byTier, firstMore+1, append(args, f.Tier)
	}
	if f.IDs != nil {
		places := make([]string, 0, 2*len(f.IDs))
		for i, userID := range padded(f.IDs) {
			places = append(places, "$"+strconv.Itoa(more+i))
			args = append(args, userID)
		}
		only += "AND id IN (" + strings.Join(places, ", ") + ") "
	}
	rows, err := s.db.Q(ctx).QueryContext(ctx, selectUser+where+only+page+order, args...)
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	defer rows.Close()
	var out []User
	for rows.Next() {
		u, err := scanUser(rows)
		if err != nil {
			return nil, fmt.Errorf("list accounts: %w", err)
		}
		out = append(out, u.User)
	}
	return out, rows.Err()
}

// both are the ids that are in a and, unless that is nil, in b.
func both(a, b []string) []string {
	slices.Sort(a)
	a = slices.Compact(a)
	if b == nil {
		return a
	}
	return slices.DeleteFunc(a, func(id string) bool { return !slices.Contains(b, id) })
}

// padded repeats the last of ids up to a power of two, so that there are few
// different statements.
func padded(ids []string) []string {
	ids = slices.Clone(ids)
	for n := len(ids); n&(n-1) != 0; n++ {
		ids = append(ids, ids[len(ids)-1])
	}
	return ids
}
