package keys

import (
	"context"
	"time"
)

// lock makes others who change keys wait until this transaction ends.
func (s store) lock(ctx context.Context) error {
	_, err := s.db.Change(ctx, "lock the signing keys", `UPDATE keys_key SET generation = generation`)
	return err
}

// move writes the times of k.
func (s store) move(ctx context.Context, k key) error {
	const q = `UPDATE keys_key SET active_from = $2, retire_at = $3, remove_at = $4 WHERE kid = $1`
	_, err := s.db.Change(ctx, "move a signing key", q, k.kid, k.activeFrom.UnixMicro(), k.retireAt.UnixMicro(), k.removeAt.UnixMicro())
	return err
}

// retire ends all keys of an algorithm but one at a time, which end later.
func (s store) retire(ctx context.Context, but key, at, remove time.Time) error {
	const q = `UPDATE keys_key SET retire_at = $3, remove_at = $4 WHERE alg = $1 AND kid <> $2 AND retire_at > $3`
	_, err := s.db.Change(ctx, "retire signing keys", q, but.alg, but.kid, at.UnixMicro(), remove.UnixMicro())
	return err
}

func (s store) remove(ctx context.Context, kid string) error {
	_, err := s.db.Change(ctx, "revoke a signing key", `DELETE FROM keys_key WHERE kid = $1`, kid)
	return err
}
