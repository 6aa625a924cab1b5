package mfa

import (
	"context"

	"github.com/rephlo/rephlo/internal/account"
)

// Reset removes the factors of u without a proof: it is for administrators,
// after an approval.
func (s *Service) Reset(ctx context.Context, u account.User) error {
	err := s.DB.InTx(ctx, func(ctx context.Context) error {
		had, err := s.store.forget(ctx, u.ID)
		if err != nil || !had {
			return err
		}
		return s.Happened(ctx, u, Removed)
	})
	return unavailable(err)
}

// ResetAll is Reset for all factors of u, also those that are kept elsewhere.
// ErrNone when there are none.
func (s *Service) ResetAll(ctx context.Context, u account.User) error {
	return unavailable(s.DB.InTx(ctx, func(ctx context.Context) error {
		if err := s.hasAny(ctx, u); err != nil {
			return err
		}
		if _, err := s.store.forget(ctx, u.ID); err != nil {
			return err
		}
		if s.Forget != nil {
			if err := s.Forget(ctx, u.ID); err != nil {
				return err
			}
		}
		return s.Happened(ctx, u, Removed)
	}))
}

// hasAny returns ErrNone when u has no second factor.
func (s *Service) hasAny(ctx context.Context, u account.User) error {
	st, err := s.Status(ctx, u)
	if err != nil || len(st.Methods) > 0 {
		return err
	}
	other, err := s.Elsewhere(ctx, u.ID)
	if err == nil && !other {
		err = ErrNone.Saying("This account has no second factor.")
	}
	return unavailable(err)
}
