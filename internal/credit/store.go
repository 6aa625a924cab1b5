package credit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// store holds this package's SQL.
type store struct {
	db *sqldb.DB
	// chunkBits bounds the rows of one statement to 2^chunkBits.
	chunkBits int
}

func newStore(db *sqldb.DB) store {
	s := store{db: db, chunkBits: maxChunkBits}
	if db.Engine() == sqldb.SQLite {
		s.chunkBits = sqliteChunkBits
	}
	return s
}

// sqliteChunkBits: without a round trip to save, short statements are enough.
const sqliteChunkBits = 2

// cancellable reports whether a statement can hang and is worth a deadline.
func (s store) cancellable() bool { return s.db.Engine() != sqldb.SQLite }

func (s store) inTx(ctx context.Context, fn func(ctx context.Context) error) error {
	return s.db.InTx(ctx, fn)
}

// The statements of a lane's batch. Each guard is in the statement.
const (
	fenceSQL = `UPDATE credit_lane SET seq = $4, batch = batch + 1, hash = $5, beat = beat + 1
		WHERE lane = $1 AND epoch = $2 AND batch = $3`
	usableSQL = `SELECT id, expires_at, credited - debited - leased FROM credit_grant
		WHERE user_id = $1 AND frozen = 0 AND expires_at > $2 ORDER BY expires_at, priority, granted_at, id`
	cutSQL = `UPDATE credit_grant SET leased = leased + $2
		WHERE id = $1 AND frozen = 0 AND expires_at > $3 AND debited + leased + $2 <= credited`
	leaseSQL = `INSERT INTO credit_lease (lane, grant_id, amount) VALUES ($1, $2, $3)
		ON CONFLICT (lane, grant_id) DO UPDATE SET amount = credit_lease.amount + excluded.amount`
	batchSQL = `INSERT INTO credit_batch (lane, batch, first_seq, last_seq, prev, root, hash, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	renewSQL = `UPDATE credit_hold SET progress = $3, journal = $4, renewed_at = $5 WHERE lane = $1 AND ref = $2`
	overSQL  = `INSERT INTO credit_uncollected (ref, part, user_id, at, cause, amount) VALUES ($1, $2, $3, $4, $5, $6)`
	// What is held stays leased; what was spent becomes a debit of the grant.
	giveGrantSQL = `UPDATE credit_grant SET debited = debited + l.spent, leased = leased - l.spent - $3
		FROM credit_lease l WHERE l.lane = $1 AND l.grant_id = $2 AND credit_grant.id = $2`
	giveLeaseSQL = `UPDATE credit_lease SET amount = amount - spent - $3, spent = 0 WHERE lane = $1 AND grant_id = $2`
	dropLeaseSQL = `DELETE FROM credit_lease WHERE lane = $1 AND grant_id = $2 AND amount = 0`
	foldGrantSQL = `UPDATE credit_grant SET debited = debited + l.spent, leased = leased - l.amount + l.held
		FROM credit_lease l WHERE l.lane = $1 AND l.grant_id = credit_grant.id`
	foldLeaseSQL  = `UPDATE credit_lease SET amount = held, spent = 0 WHERE lane = $1`
	dropLeasesSQL = `DELETE FROM credit_lease WHERE lane = $1 AND amount = 0`
	// What a hold returns to an expired grant expires with it.
	expireGrantSQL = `UPDATE credit_grant SET leased = leased - $2, debited = debited + $2 WHERE id = $1`
	expireLeaseSQL = `UPDATE credit_lease SET amount = amount - $3 WHERE lane = $1 AND grant_id = $2`
)

// one runs a statement that must change exactly one row.
func (s store) one(ctx context.Context, query string, args ...any) error {
	res, err := s.db.Q(ctx).ExecContext(ctx, query, args...)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return fmt.Errorf("%w: %d rows (%w): %.60s", errGuard, n, err, query)
	}
	return nil
}

// fence begins a batch: it moves the lane to h, from the batch before it. If
// that is not where the lane is, the error is errStale.
func (s store) fence(ctx context.Context, lane, epoch int64, h head) error {
	res, err := s.db.Q(ctx).ExecContext(ctx, fenceSQL, lane, epoch, h.batch-1, h.last, h.hash[:])
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errors.Join(errStale, err)
	}
	return nil
}

func (s store) addBatch(ctx context.Context, lane int64, h head, at int64) error {
	return s.one(ctx, batchSQL, lane, h.batch, h.first, h.last, h.prev[:], h.root[:], h.hash[:], at)
}

// cut leases everything that is free of the user's usable grants and returns
// these in burn order, each with what was leased of it now.
func (s store) cut(ctx context.Context, lane int64, user string, now int64) ([]found, error) {
	out, err := s.usable(ctx, user, now)
	if err != nil {
		return nil, err
	}
	for i := range out {
		f := &out[i]
		if f.amount <= 0 {
			f.amount = 0
			continue
		}
		res, err := s.db.Q(ctx).ExecContext(ctx, cutSQL, f.grant, f.amount, now)
		if err != nil {
			return nil, err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return nil, err
		}
		if n == 0 { // it changed since it was read
			f.amount = 0
			continue
		}
		if err := s.one(ctx, leaseSQL, lane, f.grant, f.amount); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s store) usable(ctx context.Context, user string, now int64) ([]found, error) {
	rows, err := s.db.Q(ctx).QueryContext(ctx, usableSQL, user, now)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []found
	for rows.Next() {
		var f found
		if err := rows.Scan(&f.grant, &f.expires, &f.amount); err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, rows.Err()
}

func (s store) addUncollected(ctx context.Context, os []over, at int64) error {
	for _, o := range os {
		if err := s.one(ctx, overSQL, o.ref, o.part, o.user, at, o.cause, o.amount); err != nil {
			return err
		}
	}
	return nil
}

func (s store) renew(ctx context.Context, lane int64, ps []progressRow) error {
	for _, p := range ps {
		if err := s.one(ctx, renewSQL, lane, p.ref, p.progress, p.journal, p.renewed); err != nil {
			return err
		}
	}
	return nil
}

// giveBack takes the amounts out of the leases and folds what they spent into
// their grants.
func (s store) giveBack(ctx context.Context, lane int64, gs []give) error {
	for _, g := range gs {
		res, err := s.db.Q(ctx).ExecContext(ctx, giveGrantSQL, lane, g.grant, g.amount)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return err
		}
		if n == 0 && g.amount == 0 {
			continue // nothing was ever leased of it
		}
		if n == 0 {
			return fmt.Errorf("%w: return without a lease", errGuard)
		}
		if err := s.one(ctx, giveLeaseSQL, lane, g.grant, g.amount); err != nil {
			return err
		}
		if _, err := s.db.Q(ctx).ExecContext(ctx, dropLeaseSQL, lane, g.grant); err != nil {
			return err
		}
	}
	return nil
}

// fold is giveBack for everything that is not held of the lane's leases.
func (s store) fold(ctx context.Context, lane int64) error {
	for _, q := range []string{foldGrantSQL, foldLeaseSQL, dropLeasesSQL} {
		if _, err := s.db.Q(ctx).ExecContext(ctx, q, lane); err != nil {
			return err
		}
	}
	return nil
}

func (s store) expireLeased(ctx context.Context, lane int64, es []expiry) error {
	for _, e := range es {
		if err := s.one(ctx, expireGrantSQL, e.grant, e.amount); err != nil {
			return err
		}
		if err := s.one(ctx, expireLeaseSQL, lane, e.grant, e.amount); err != nil {
			return err
		}
	}
	return nil
}

// readHead returns where a lane stands.
func (s store) readHead(ctx context.Context, lane int64) (epoch int64, h head, err error) {
	const q = `SELECT epoch, batch, seq, hash FROM credit_lane WHERE lane = $1`
	var hash []byte
	if err := s.db.Q(ctx).QueryRowContext(ctx, q, lane).Scan(&epoch, &h.batch, &h.last, &hash); err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			return 0, head{}, nil // the caller sees that it is not his
		}
		return 0, head{}, fmt.Errorf("read lane %d: %w", lane, err)
	}
	copy(h.hash[:], hash)
	return epoch, h, nil
}
