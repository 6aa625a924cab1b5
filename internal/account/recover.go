package account

import (
	"context"
	"errors"
	"fmt"

	"github.com/rephlo/rephlo/internal/mail"
)

// Event says what happened to how somebody signs in.
type Event string

// The events.
const (
	PasswordReset   Event = "password_reset"
	PasswordChanged Event = "password_changed"
	EmailChanged    Event = "email_changed"
	Closed          Event = "closed"  // an administrator ended the sign-ins
	Leaving         Event = "leaving" // the account was deleted
)

// Change is what follows when somebody's way to sign in has changed.
type Change struct {
	User  User
	Event Event
	// SignOut says that sign-ins end, and Keep which one of them does not; empty
	// is none.
	SignOut bool
	Keep    string
}

// Forgot mails a link with which the owner of an address sets a new password.
// An address without an account gets a mail that says so: the answer, and the
// work for it, are the same.
func (s *Service) Forgot(ctx context.Context, email, address, back string) error {
	email, err := checkEmail(email)
	if err != nil {
		return err
	}
	if err := s.limit("forgot", email, address, forgotLimit); err != nil {
		return err
	}
	u, err := s.store.byEmail(ctx, emailKey(email))
	if err != nil && !errors.Is(err, ErrUnknown) {
		return unavailable(err)
	}
	return s.deliver(ctx, func(ctx context.Context) (mail.Message, error) {
		to := ""
		if err == nil && MaySignIn(u.User, s.Now()) == nil {
			to = u.ID
		}
		link, err := s.link(ctx, purposeReset, to, email, back, resetLife)
		if to == "" {
			return strangerMail(email, s.IDPURL), err
		}
		return resetMail(email, s.IDPURL+"/reset?token="+link), err
	})
}

// deliver stores what makes needs and sends the mail it returns, together: a
// link without its mail is of no use.
func (s *Service) deliver(ctx context.Context, makes func(context.Context) (mail.Message, error)) error {
	return unavailable(s.DB.InTx(ctx, func(ctx context.Context) error {
		m, err := makes(ctx)
		if err != nil {
			return err
		}
		s.send(ctx, m)
		return nil
	}))
}

// CheckReset returns nil for the token of a link that could be used now.
func (s *Service) CheckReset(ctx context.Context, text string) error {
	_, err := s.resetUser(ctx, text)
	return unavailable(err)
}

// resetUser returns whose password a token sets.
func (s *Service) resetUser(ctx context.Context, text string) (user, error) {
	t, err := s.peek(ctx, text, purposeReset)
	if err != nil {
		return user{}, err
	}
	u, err := s.store.byID(ctx, t.userID)
	if errors.Is(err, ErrUnknown) || err == nil && (MaySignIn(u.User, s.Now()) != nil || emailKey(u.Email) != emailKey(t.email)) {
		return user{}, errNoToken
	}
	return u, err
}

// Reset sets a new password by the token of a mailed link, which works once,
// proves the address, and ends every sign-in. Second factors stay. It returns
// the Back of the request. ErrLinkUsed, ErrLinkExpired, ErrShort, ErrCommon.
func (s *Service) Reset(ctx context.Context, text, password string) (back string, err error) {
	u, err := s.resetUser(ctx, text)
	if err != nil {
		return "", unavailable(err)
	}
	if err := CheckPassword(password, u.Email, u.Username); err != nil {
		return "", err
	}
	phc, err := s.Passwords.Hash(ctx, password)
	if err != nil {
		return "", err
	}
	err = s.DB.InTx(ctx, func(ctx context.Context) error {
		t, err := s.consume(ctx, text, purposeReset)
		if err != nil {
			return err
		}
		back = t.back
		if u, err = s.resetUserNow(ctx, t); err != nil {
			return err
		}
		return s.setPassword(ctx, u, phc, Change{Event: PasswordReset, SignOut: true})
	})
	return back, unavailable(err)
}

// resetUserNow is resetUser for a token that has just been consumed; the proof
// of the address counts.
func (s *Service) resetUserNow(ctx context.Context, t token) (user, error) {
	u, err := s.store.byID(ctx, t.userID)
	if err != nil {
		return u, err
	}
	if emailKey(u.Email) != emailKey(t.email) || u.State == StateDeleted && !u.Leaving(s.Now()) {
		return u, errNoToken
	}
	if u.Verified {
		return u, nil
	}
	if err := s.store.setVerified(ctx, u.ID); err != nil {
		return u, err
	}
	u.Verified = true
	if err := s.Verified(ctx, u.User); err != nil {
		return u, fmt.Errorf("welcome a verified user: %w", err)
	}
	return u, nil
}

// setPassword stores a password hash, in the transaction that ctx carries. All
// links that would set another one die.
func (s *Service) setPassword(ctx context.Context, u user, phc string, c Change) error {
	now := s.Now()
	u.PasswordAt = now
	if c.SignOut && c.Keep == "" {
		u.SignedOutAt = now
	}
	won, err := s.store.setPassword(ctx, u, phc)
	if err == nil && !won {
		err = ErrCredentials // it was changed meanwhile
	}
	if err == nil {
		err = s.store.dropUserTokens(ctx, u.ID, purposeReset)
	}
	if err != nil {
		return err
	}
	c.User = u.User
	if err := s.Changed(ctx, c); err != nil {
		return fmt.Errorf("after a change of password: %w", err)
	}
	s.names.Forget(s.blind("device", u.ID))
	return s.Bus.Publish(ctx, busKind, u.ID)
}

// ChangePassword replaces a password whose owner knows it. ErrPassword when
// current is wrong, ErrTooMany after ten of those; ErrShort, ErrCommon. With
// signOut, all sign-ins but keep end.
func (s *Service) ChangePassword(ctx context.Context, userID, current, next string, signOut bool, keep string) error {
	u, err := s.store.byID(ctx, userID)
	if err != nil {
		return unavailable(err)
	}
	key := s.blind("change", u.ID)
	left, wait := s.names.Take(key, nameLimit)
	if wait > 0 {
		return tooMany(wait)
	}
	ok, _, err := s.verify(ctx, u, current)
	if err != nil {
		s.names.GiveBack(key)
		return err
	}
	if !ok {
		s.Failed(ctx, u.ID)
		return ErrPassword.At("currentPassword").With("triesLeft", left)
	}
	s.names.Forget(key)
	if err := CheckPassword(next, u.Email, u.Username); err != nil {
		return err
	}
	phc, err := s.Passwords.Hash(ctx, next)
	if err != nil {
		return err
	}
	err = s.DB.InTx(ctx, func(ctx context.Context) error {
		return s.setPassword(ctx, u, phc, Change{Event: PasswordChanged, SignOut: signOut, Keep: keep})
	})
	return unavailable(err)
}
