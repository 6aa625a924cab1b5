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
	return s.db.InSteadyTx(ctx, fn)
}

// The statements of a lane's batch. Each guard is in the statement.
const (
	fenceSQL = `UPDATE credit_lane SET seq = $4, batch = batch + 1, hash = $5, beat = beat + 1
		WHERE lane = $1 AND epoch = $2 AND batch = $3`
	batchSQL = `INSERT INTO credit_batch (lane, batch, first_seq, last_seq, prev, root, hash, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	renewSQL     = `UPDATE credit_hold SET progress = $3, journal = $4, renewed_at = $5 WHERE lane = $1 AND ref = $2`
	overSQL      = `INSERT INTO credit_uncollected (ref, part, user_id, at, cause, amount) VALUES ($1, $2, $3, $4, $5, $6)`
	foldGrantSQL = `UPDATE credit_grant SET debited = debited + l.spent, leased = leased - l.amount + l.held
		FROM credit_lease l WHERE l.lane = $1 AND l.grant_id = credit_grant.id`
	foldLeaseSQL  = `UPDATE credit_lease SET amount = held, spent = 0 WHERE lane = $1`
	dropLeasesSQL = `DELETE FROM credit_lease WHERE lane = $1 AND amount = 0`
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

// just checks that a statement has changed want rows.
func just(query string, want int64) func(rows int64) error {
	return func(n int64) error {
		if n != want {
			return fmt.Errorf("%w: %d rows instead of %d: %.60s", errGuard, n, want, query)
		}
		return nil
	}
}

// fence begins a batch: it moves the lane to h, from the batch before it. If
// that is not where the lane is, the error is errStale.
func (s store) fence(ctx context.Context, lane, epoch int64, h head) error {
	return s.db.Queue(ctx, func(n int64) error {
		if n != 1 {
			return errStale
		}
		return nil
	}, fenceSQL, lane, epoch, h.batch-1, h.last, h.hash[:])
}

func (s store) addBatch(ctx context.Context, lane int64, h head, at int64) error {
	return s.db.Queue(ctx, just(batchSQL, 1), batchSQL, lane, h.batch, h.first, h.last, h.prev[:], h.root[:], h.hash[:], at)
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

// fold is giveBack for everything that is not held of the lane's leases.
func (s store) fold(ctx context.Context, lane int64) error {
	if err := s.lockLeased(ctx, lane); err != nil {
		return err
	}
	for _, q := range []string{foldGrantSQL, foldLeaseSQL, dropLeasesSQL} {
		if _, err := s.db.Q(ctx).ExecContext(ctx, q, lane); err != nil {
			return err
		}
	}
	return s.foldCaps(ctx, lane)
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
