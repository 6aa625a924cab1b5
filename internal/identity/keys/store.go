package keys

import (
	"context"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// store holds this package's SQL. Private parts are sealed for their row.
type store struct {
	db  *sqldb.DB
	box *seal.Box
}

func place(kid string) string { return "keys_key|private|" + kid }

// add stores k, or nothing if its generation exists already.
func (s store) add(ctx context.Context, k key) error {
	public, err := k.encodePublic()
	if err != nil {
		return fmt.Errorf("encode public key: %w", err)
	}
	private, err := k.encodePrivate()
	if err != nil {
		return fmt.Errorf("encode private key: %w", err)
	}
	sealed, err := s.box.Seal(private, place(k.kid))
	if err != nil {
		return fmt.Errorf("seal private key: %w", err)
	}
	const q = `
		INSERT INTO keys_key (kid, alg, generation, public, private, published_at, active_from, retire_at, remove_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (alg, generation) DO NOTHING`
	_, err = s.db.Q(ctx).ExecContext(ctx, q, k.kid, k.alg, k.generation, public, sealed, k.publishedAt.UnixMicro(),
		k.activeFrom.UnixMicro(), k.retireAt.UnixMicro(), k.removeAt.UnixMicro())
	if err != nil {
		return fmt.Errorf("store signing key: %w", err)
	}
	return nil
}

// expire destroys the private parts of retired keys and removes keys whose
// time is over.
func (s store) expire(ctx context.Context, now time.Time) (changed bool, err error) {
	for _, q := range []string{
		`UPDATE keys_key SET private = NULL WHERE retire_at <= $1 AND private IS NOT NULL`,
		`DELETE FROM keys_key WHERE remove_at <= $1`,
	} {
		res, err := s.db.Q(ctx).ExecContext(ctx, q, now.UnixMicro())
		if err != nil {
			return false, fmt.Errorf("expire signing keys: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil {
			return false, fmt.Errorf("expire signing keys: %w", err)
		} else if n > 0 {
			changed = true
		}
	}
	return changed, nil
}

func (s store) list(ctx context.Context) ([]key, error) {
	const q = `
		SELECT kid, alg, generation, public, private, published_at, active_from, retire_at, remove_at
		FROM keys_key ORDER BY alg, generation`
	rows, err := s.db.Q(ctx).QueryContext(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("read signing keys: %w", err)
	}
	defer rows.Close()
	var out []key
	for rows.Next() {
		var k key
		var public, sealed []byte
		var published, from, retire, remove sqldb.Time
		if err := rows.Scan(&k.kid, &k.alg, &k.generation, &public, &sealed, &published, &from, &retire, &remove); err != nil {
			return nil, fmt.Errorf("read signing keys: %w", err)
		}
		k.publishedAt, k.activeFrom, k.retireAt, k.removeAt = published.Time, from.Time, retire.Time, remove.Time
		if err := s.unseal(&k, public, sealed); err != nil {
			return nil, fmt.Errorf("signing key %s: %w", k.kid, err)
		}
		out = append(out, k)
	}
	return out, rows.Err()
}

func (s store) unseal(k *key, public, sealed []byte) error {
	var err error
	if k.public, err = decodePublic(k.alg, public); err != nil || sealed == nil {
		return err
	}
	raw, err := s.box.Open(sealed, place(k.kid))
	if err != nil {
		return err
	}
	k.private, err = decodePrivate(k.alg, raw)
	return err
}
