package apikey

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/secret"
)

// How long a key that was replaced still works.
const (
	DefaultOverlap = 24 * time.Hour
	MaxOverlap     = 168 * time.Hour
)

// outstays reports whether k, which was replaced, would work longer than its
// overlap: two keys would then count as one for good.
func (k Key) outstays(until time.Time) bool {
	return k.ReplacedBy != "" && (until.IsZero() || until.After(k.ExpiresAt))
}

// successor returns the key that takes k's place: the same in all but its text,
// with as long a life as k was given.
func (k Key) successor(keyID, text string, now time.Time) Key {
	n := k
	n.ID, n.Prefix, n.ReplacedBy, n.LastUsedAt = keyID, text[:shownLen], "", time.Time{}
	n.CreatedAt = now.UTC().Truncate(time.Microsecond)
	if !k.ExpiresAt.IsZero() {
		n.ExpiresAt = n.CreatedAt.Add(min(k.ExpiresAt.Sub(k.CreatedAt), MaxLife))
	}
	n.Policy = n.policy()
	return n
}

// Rotate makes a key that takes the place of the user's, with the same name,
// mode, scopes, models, limits and pause; what those limits have counted goes
// on, for both as one. The old key works for overlap (0 to MaxOverlap) longer,
// or until it expires anyway. The text is the new secret and cannot be had
// again. A key that was revoked, has expired or was replaced already is
// ErrState, somebody else's fault.ErrNotFound.
func (s *Service) Rotate(ctx context.Context, userID, keyID string, overlap time.Duration) (made, old Key, text secret.String, err error) {
	if overlap < 0 || overlap > MaxOverlap {
		return made, old, text, errField.Saying("The old key can go on for 0 to 168 hours.").At("overlapHours")
	}
	now := s.now()
	var plain string
	err = s.store.db.InTx(ctx, func(ctx context.Context) (err error) {
		if err := s.store.lockOwner(ctx, userID, now); err != nil {
			return err
		}
		if old, err = s.store.byID(ctx, userID, keyID, now); err != nil {
			return err
		}
		if _, all, err := s.store.count(ctx, userID, old.Mode, now); err != nil {
			return err
		} else if all >= MaxKeys {
			return ErrTooMany
		}
		plain = generate(old.Mode)
		h, _ := parse(plain) // we made it
		made = old.successor(id.New("key", now), plain, now)
		old.ReplacedBy = made.ID
		if end := made.CreatedAt.Add(overlap); old.ExpiresAt.IsZero() || end.Before(old.ExpiresAt) {
			old.ExpiresAt = end
		}
		before, err := s.store.replace(ctx, old, now)
		if err != nil {
			return err
		}
		if err := s.store.add(ctx, made, h); err != nil {
			return err
		}
		if err := s.tell(ctx, made, false); err != nil {
			return err
		}
		if err := s.bus.Publish(ctx, changed, hex.EncodeToString(before)); err != nil {
			return err
		}
		return s.bus.Publish(ctx, changed, hex.EncodeToString(h[:]))
	})
	if err != nil {
		return Key{}, Key{}, secret.String{}, unavailable(err)
	}
	return made, old, secret.New(plain), nil
}
