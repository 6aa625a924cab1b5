package account

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/rephlo/rephlo/internal/id"
)

// CreateAdmin makes email an administrator with a proven address and this
// password, creating the account if there is none. The Admin hook runs in the
// same transaction.
func (s *Service) CreateAdmin(ctx context.Context, email, password string) (User, error) {
	email, phc, err := s.adminPassword(ctx, email, password)
	if err != nil {
		return User{}, err
	}
	var u User
	err = s.DB.InTx(ctx, func(ctx context.Context) (err error) {
		u, err = s.makeAdmin(ctx, email, phc)
		return err
	})
	return u, unavailable(err)
}

// adminPassword checks and hashes before a transaction begins: hashing takes
// long and would hold up every writer.
func (s *Service) adminPassword(ctx context.Context, email, password string) (address, phc string, err error) {
	if email, err = checkEmail(email); err != nil {
		return "", "", err
	}
	if err := CheckPassword(password, email, ""); err != nil {
		return "", "", err
	}
	phc, err = s.Passwords.Hash(ctx, password)
	return email, phc, err
}

func (s *Service) makeAdmin(ctx context.Context, email, phc string) (User, error) {
	now := s.Now()
	u, err := s.store.byEmail(ctx, emailKey(email))
	switch {
	case errors.Is(err, ErrUnknown):
		local, _, _ := strings.Cut(email, "@")
		u = user{User: User{
			ID: id.New("usr", now), Email: email, Verified: true, Username: madeUsername(local, ""), Staff: true,
			State: StateActive, PasswordAt: now, SignedOutAt: now, CreatedAt: now,
		}, password: phc}
		created, err := s.store.insert(ctx, u)
		if err != nil || !created {
			return User{}, errors.Join(err, when(!created, fmt.Errorf("create administrator: the address or username was taken meanwhile")))
		}
	case err != nil:
		return User{}, err
	default:
		u.Verified, u.Staff, u.State, u.Reason, u.PasswordAt, u.SignedOutAt = true, true, StateActive, "", now, now
		if err := s.store.setAdmin(ctx, u.ID, phc, now); err != nil {
			return User{}, err
		}
		if err := s.Changed(ctx, Change{User: u.User, Event: PasswordReset, SignOut: true}); err != nil {
			return User{}, fmt.Errorf("after a change of password: %w", err)
		}
	}
	if err := s.Admin(ctx, u.User); err != nil {
		return User{}, fmt.Errorf("equip an administrator: %w", err)
	}
	return u.User, s.Bus.Publish(ctx, busKind, u.ID)
}

// SetupToken makes the one-time token for the first administrator; those made
// before die. It is empty when there is an administrator already.
func (s *Service) SetupToken(ctx context.Context) (string, error) {
	var text string
	err := s.DB.InTx(ctx, func(ctx context.Context) error {
		n, err := s.store.admins(ctx)
		if err != nil || n > 0 {
			return err
		}
		if err := s.store.dropTokens(ctx, purposeSetup, ""); err != nil {
			return err
		}
		text, err = s.link(ctx, purposeSetup, "", "", "", setupLife)
		return err
	})
	return text, unavailable(err)
}

// AdminToken makes the one-time token with which the owner of email sets a
// password and becomes an administrator. Those made before for it die.
func (s *Service) AdminToken(ctx context.Context, email string) (string, error) {
	email, err := checkEmail(email)
	if err != nil {
		return "", err
	}
	var text string
	err = s.DB.InTx(ctx, func(ctx context.Context) error {
		if err := s.store.dropTokens(ctx, purposeAdmin, email); err != nil {
			return err
		}
		text, err = s.link(ctx, purposeAdmin, "", email, "", setupLife)
		return err
	})
	return text, unavailable(err)
}

// CheckSetup returns the address that a set-up token is for, which is empty
// when its holder may choose one; or ErrSetupToken.
func (s *Service) CheckSetup(ctx context.Context, text string) (email string, err error) {
	t, err := s.setupToken(ctx, text)
	return t.email, unavailable(err)
}

func (s *Service) setupToken(ctx context.Context, text string) (token, error) {
	t, err := s.peek(ctx, text, purposeAdmin)
	if !isLink(err) {
		return t, err
	}
	if t, err = s.peek(ctx, text, purposeSetup); err != nil {
		if isLink(err) {
			err = ErrSetupToken
		}
		return token{}, err
	}
	n, err := s.store.admins(ctx)
	if err != nil || n > 0 {
		return token{}, errors.Join(err, when(n > 0, ErrSetupToken))
	}
	return t, nil
}

// UseSetup makes an administrator with a set-up token and uses the token up.
// The address of a token that has one wins. then runs in the same transaction:
// if it fails, nothing has happened and the token is still good.
func (s *Service) UseSetup(ctx context.Context, text, email, password string, then func(context.Context, User) error) (User, error) {
	t, err := s.setupToken(ctx, text)
	if err != nil {
		return User{}, unavailable(err)
	}
	if t.email != "" {
		email = t.email
	}
	email, phc, err := s.adminPassword(ctx, email, password)
	if err != nil {
		return User{}, err
	}
	var u User
	err = s.DB.InTx(ctx, func(ctx context.Context) error {
		if _, err := s.setupToken(ctx, text); err != nil {
			return err
		}
		won, err := s.store.useToken(ctx, tokenHash(text), s.Now())
		if err != nil || !won {
			return errors.Join(err, when(!won, ErrSetupToken))
		}
		if u, err = s.makeAdmin(ctx, email, phc); err != nil {
			return err
		}
		return then(ctx, u)
	})
	return u, unavailable(err)
}
