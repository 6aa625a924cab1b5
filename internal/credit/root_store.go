package credit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// rootRow is a root as it is stored.
type rootRow struct {
	day        int64
	heads, key string
	prev, root digest
	signature  []byte
}

// decoded reads the heads and adds the key.
func (r rootRow) decoded(keys map[string]RootKey) (Root, error) {
	heads, err := decodeHeads(r.heads)
	if err != nil {
		return Root{}, fmt.Errorf("root of day %d: %w", r.day, err)
	}
	k, ok := keys[r.key]
	if !ok {
		k.ID = r.key
	}
	return Root{Day: dayTime(r.day), Heads: heads, Prev: r.prev, Root: r.root, Key: k, Signature: r.signature}, nil
}

const selectRoots = `SELECT day, heads, prev, root, key_id, signature FROM credit_root `

func scanRoot(r interface{ Scan(...any) error }, row *rootRow) error {
	var prev, root []byte
	err := r.Scan(&row.day, &row.heads, &prev, &root, &row.key, &row.signature)
	row.prev, row.root = stored(prev), stored(root)
	return err
}

func (s store) rootsFrom(ctx context.Context, day int64) ([]rootRow, error) {
	const q = selectRoots + `WHERE day >= $1 ORDER BY day`
	return collect(ctx, s, "roots", func(r *sql.Rows, row *rootRow) error { return scanRoot(r, row) }, q, day)
}

// lastRoot returns the newest root without its heads.
func (s store) lastRoot(ctx context.Context) (Root, bool, error) {
	const q = selectRoots + `ORDER BY day DESC LIMIT 1`
	var row rootRow
	err := scanRoot(s.db.Q(ctx).QueryRowContext(ctx, q), &row)
	if errors.Is(err, sql.ErrNoRows) {
		return Root{}, false, nil
	}
	if err != nil {
		return Root{}, false, fmt.Errorf("read the last root: %w", err)
	}
	return Root{Day: dayTime(row.day), Root: row.root}, true, nil
}

// firstBatchAt returns when the first batch was written.
func (s store) firstBatchAt(ctx context.Context) (at int64, ok bool, err error) {
	lanes, err := s.lanesIssued(ctx)
	if err != nil {
		return 0, false, err
	}
	const q = `SELECT at FROM credit_batch WHERE lane = $1 ORDER BY batch LIMIT 1`
	for _, l := range lanes {
		var first int64
		err := s.db.Q(ctx).QueryRowContext(ctx, q, l.lane).Scan(&first)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return 0, false, fmt.Errorf("read the first batch of lane %d: %w", l.lane, err)
		}
		if !ok || first < at {
			at, ok = first, true
		}
	}
	return at, ok, nil
}

// headsBefore returns the last batch of each lane that was written before end.
func (s store) headsBefore(ctx context.Context, end int64) ([]RootHead, error) {
	lanes, err := s.lanesIssued(ctx)
	if err != nil {
		return nil, err
	}
	const q = `SELECT batch, hash FROM credit_batch WHERE lane = $1 AND at < $2 ORDER BY batch DESC LIMIT 1`
	var out []RootHead
	for _, l := range lanes {
		var hash []byte
		h := RootHead{Lane: l.lane}
		err := s.db.Q(ctx).QueryRowContext(ctx, q, l.lane, end).Scan(&h.Batch, &hash)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the head of lane %d: %w", l.lane, err)
		}
		h.Hash = stored(hash)
		out = append(out, h)
	}
	return out, nil
}

// addRoot stores r unless its day has a root.
func (s store) addRoot(ctx context.Context, r Root) (added bool, err error) {
	const q = `INSERT INTO credit_root (day, heads, prev, root, key_id, signature) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (day) DO NOTHING`
	res, err := s.db.Q(ctx).ExecContext(ctx, q, dayNumber(r.Day), encodeHeads(r.Heads), r.Prev[:], r.Root[:], r.Key.ID, r.Signature)
	if err != nil {
		return false, fmt.Errorf("store root: %w", err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// rootKeys returns the public halves of all keys, oldest first.
func (s store) rootKeys(ctx context.Context) ([]RootKey, error) {
	const q = `SELECT no, id, public, signature FROM credit_root_key ORDER BY no`
	return collect(ctx, s, "signing keys", func(r *sql.Rows, k *RootKey) error {
		return r.Scan(&k.No, &k.ID, &k.Public, &k.Signature)
	}, q)
}

// newestRootKey returns the key that signs, with its sealed private half and
// when it was made; No is 0 when there is none.
func (s store) newestRootKey(ctx context.Context) (k RootKey, private []byte, at int64, err error) {
	const q = `SELECT no, id, public, signature, private, at FROM credit_root_key ORDER BY no DESC LIMIT 1`
	err = s.db.Q(ctx).QueryRowContext(ctx, q).Scan(&k.No, &k.ID, &k.Public, &k.Signature, &private, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return RootKey{}, nil, 0, nil
	}
	if err != nil {
		return RootKey{}, nil, 0, fmt.Errorf("read the signing key: %w", err)
	}
	return k, private, at, nil
}

// addRootKey stores k and destroys the private half of the keys before it.
func (s store) addRootKey(ctx context.Context, k RootKey, private []byte, at int64) error {
	const (
		add    = `INSERT INTO credit_root_key (no, id, public, signature, private, at) VALUES ($1, $2, $3, $4, $5, $6)`
		retire = `UPDATE credit_root_key SET private = NULL WHERE no < $1`
	)
	if err := s.one(ctx, add, k.No, k.ID, k.Public, k.Signature, private, at); err != nil {
		return fmt.Errorf("store signing key: %w", err)
	}
	if _, err := s.db.Q(ctx).ExecContext(ctx, retire, k.No); err != nil {
		return fmt.Errorf("retire signing key: %w", err)
	}
	return nil
}
