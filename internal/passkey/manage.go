package passkey

import (
	"context"

	"github.com/rephlo/rephlo/internal/account"
)

// List returns a person's passkeys, the oldest first.
func (s *Service) List(ctx context.Context, userID string) ([]Passkey, error) {
	rows, err := s.store.of(ctx, userID)
	if err != nil {
		return nil, unavailable(err)
	}
	out := make([]Passkey, len(rows))
	for i, r := range rows {
		r.Old = r.Host != s.host
		out[i] = r.Passkey
	}
	return out, nil
}

// Usable returns how many passkeys of a person can be used here.
func (s *Service) Usable(ctx context.Context, userID string) (int, error) {
	if s.wa == nil {
		return 0, nil
	}
	n, err := s.store.usable(ctx, userID, s.host)
	return n, unavailable(err)
}

// Rename gives a passkey of a person another name. ErrUnknown.
func (s *Service) Rename(ctx context.Context, userID, passkeyID, name string) error {
	name, err := checkName(name)
	if err != nil {
		return err
	}
	ok, err := s.store.rename(ctx, userID, passkeyID, name)
	if err == nil && !ok {
		err = ErrUnknown
	}
	return unavailable(err)
}

// Remove takes a passkey away from u. ErrUnknown; ErrMandatory when a role
// requires a factor and this is the last; ErrOnlyWay when nothing else signs u
// in.
func (s *Service) Remove(ctx context.Context, u account.User, passkeyID string) error {
	return unavailable(s.DB.InTx(ctx, func(ctx context.Context) error {
		ok, err := s.store.remove(ctx, u.ID, passkeyID)
		if err != nil {
			return err
		}
		if !ok {
			return ErrUnknown
		}
		left, err := s.store.usable(ctx, u.ID, s.host)
		if err != nil {
			return err
		}
		if err := s.Removable(ctx, u, left); err != nil {
			return err
		}
		return s.Happened(ctx, u, Removed)
	}))
}

// Reset removes all passkeys of u: for administrators, after an approval, and
// for erasure.
func (s *Service) Reset(ctx context.Context, userID string) error {
	return unavailable(s.store.forget(ctx, userID))
}

// Sweep removes ceremonies that were not finished.
func (s *Service) Sweep(ctx context.Context) error { return s.store.sweep(ctx, s.Now()) }
