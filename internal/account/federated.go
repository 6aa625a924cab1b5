package account

import (
	"context"
	"fmt"

	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/mail"
)

// Newcomer is somebody whom another service has identified and who wants an
// account. It has no password; a reset sets one.
type Newcomer struct {
	Email               string
	Vouched             bool // the service has proved the address
	FirstName, LastName string
	Locale              string
	Terms               bool // they were accepted
	Back                string
}

// Join creates the account of n. A vouched address is proven, and takes the
// place of an unproven account; any other is proven by a mailed link.
// ErrEmailTaken when the address has an account that it does not replace,
// ErrClosed when nobody may sign up. then runs in the same transaction.
func (s *Service) Join(ctx context.Context, n Newcomer, then func(context.Context, User) error) (User, error) {
	u, err := s.newcomer(n)
	if err != nil {
		return User{}, err
	}
	var m mail.Message
	err = s.DB.InTx(ctx, func(ctx context.Context) error {
		if n.Vouched {
			if err := s.releaseUnproven(ctx, u.Email); err != nil {
				return err
			}
		}
		created, err := s.store.insert(ctx, u)
		if err != nil {
			return err
		}
		if !created {
			return ErrEmailTaken
		}
		if n.Vouched {
			if err := s.Verified(ctx, u.User); err != nil {
				return fmt.Errorf("welcome a verified user: %w", err)
			}
			return then(ctx, u.User)
		}
		link, err := s.link(ctx, purposeVerify, u.ID, u.Email, n.Back, verifyLife)
		if err != nil {
			return err
		}
		m = verifyMail(u.Email, s.IDPURL+"/verify?token="+link)
		return then(ctx, u.User)
	})
	if err == nil && m.To != "" {
		s.send(ctx, m)
	}
	return u.User, unavailable(err)
}

// newcomer checks n. Names that we would not store are left out: they were not
// typed here, so nobody could correct them.
func (s *Service) newcomer(n Newcomer) (user, error) {
	if s.Closed != nil && s.Closed() {
		return user{}, ErrClosed
	}
	if !n.Terms {
		return user{}, field("acceptedTerms", "accept the terms to create an account")
	}
	email, err := checkEmail(n.Email)
	if err != nil {
		return user{}, err
	}
	now := s.Now()
	u := user{User: User{
		ID: id.New("usr", now), Email: email, Verified: n.Vouched, Locale: checkLocale(n.Locale),
		State: StateActive, PasswordAt: now, SignedOutAt: now, CreatedAt: now,
	}}
	if first, err := checkName("firstName", n.FirstName); err == nil {
		u.FirstName = first
	}
	if last, err := checkName("lastName", n.LastName); err == nil {
		u.LastName = last
	}
	u.Username = madeUsername(u.FirstName, u.LastName)
	return u, nil
}

// releaseUnproven takes an address from the accounts that never proved it.
func (s *Service) releaseUnproven(ctx context.Context, email string) error {
	gone, err := s.store.releaseUnproven(ctx, emailKey(email))
	if err != nil {
		return err
	}
	for _, userID := range gone {
		if err := s.Bus.Publish(ctx, busKind, userID); err != nil {
			return err
		}
	}
	return nil
}

// HasPassword reports whether a user can sign in with a password.
func (s *Service) HasPassword(ctx context.Context, userID string) (bool, error) {
	u, err := s.store.byID(ctx, userID)
	return u.password != "", unavailable(err)
}
