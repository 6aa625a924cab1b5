package account

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/rephlo/rephlo/internal/throttle"

	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/mail"
)

// Limits of sign-ups and mails per hour.
const (
	registerLimit = 5
	resendLimit   = 5
	forgotLimit   = 3
	changeLimit   = 5
	networkLimit  = 20
)

// Register signs a stranger up and mails the link that proves the address. For
// an address that has a proven account it answers alike, and a mail tells its
// owner; an unproven account loses the address to the newcomer. The username
// may be refused with ErrUsernameTaken, a password with ErrShort or ErrCommon.
// ErrClosed when nobody may sign up.
func (s *Service) Register(ctx context.Context, r Registration) error {
	if s.Closed != nil && s.Closed() {
		return ErrClosed
	}
	r, err := r.clean()
	if err != nil {
		return err
	}
	if err := s.limit("register", r.Email, r.Address, registerLimit); err != nil {
		return err
	}
	if r.Username != "" {
		if taken, err := s.store.usernameTaken(ctx, usernameKey(r.Username), emailKey(r.Email)); err != nil || taken {
			return errors.Join(unavailable(err), when(taken, ErrUsernameTaken))
		}
	}
	phc, err := s.Passwords.Hash(ctx, r.Password)
	if err != nil {
		return err
	}
	now := s.Now()
	u := user{User: User{
		ID: id.New("usr", now), Email: r.Email, Username: r.Username, FirstName: r.FirstName, LastName: r.LastName,
		Locale: r.Locale, State: StateActive, PasswordAt: now, SignedOutAt: now, CreatedAt: now,
	}, password: phc}
	if u.Username == "" {
		u.Username = madeUsername(r.FirstName, r.LastName)
	}
	m, err := s.signUp(ctx, u, r.Back)
	if err != nil {
		return unavailable(err)
	}
	s.send(ctx, m)
	return nil
}

// signUp stores u unless the address has a proven account, and returns the
// mail that either one gets.
func (s *Service) signUp(ctx context.Context, u user, back string) (mail.Message, error) {
	var m mail.Message
	err := s.DB.InTx(ctx, func(ctx context.Context) error {
		if err := s.releaseUnproven(ctx, u.Email); err != nil {
			return err
		}
		created, err := s.store.insert(ctx, u)
		if err != nil {
			return err
		}
		if !created {
			if _, err := s.store.byEmail(ctx, emailKey(u.Email)); err != nil {
				if errors.Is(err, ErrUnknown) {
					return ErrUsernameTaken // by somebody who was quicker
				}
				return err
			}
			m = knownMail(u.Email, s.IDPURL)
			return nil
		}
		link, err := s.link(ctx, purposeVerify, u.ID, u.Email, back, verifyLife)
		m = verifyMail(u.Email, s.IDPURL+"/verify?token="+link)
		return err
	})
	return m, err
}

// Resend mails another verification link to an address whose account is not
// proven. Every address gets some mail, and the same answer after the same work.
func (s *Service) Resend(ctx context.Context, email, address, back string) error {
	email, err := checkEmail(email)
	if err != nil {
		return err
	}
	if err := s.limit("resend", email, address, resendLimit); err != nil {
		return err
	}
	u, err := s.store.byEmail(ctx, emailKey(email))
	if err != nil && !errors.Is(err, ErrUnknown) {
		return unavailable(err)
	}
	unknown := err != nil
	return s.deliver(ctx, func(ctx context.Context) (mail.Message, error) {
		link, err := s.link(ctx, purposeVerify, u.ID, email, back, verifyLife)
		switch {
		case unknown:
			return strangerMail(email, s.IDPURL), err
		case u.Verified || u.State != StateActive:
			return knownMail(email, s.IDPURL), err
		}
		return verifyMail(email, s.IDPURL+"/verify?token="+link), err
	})
}

// Verify proves an address by the token of a mailed link and returns the Back
// of the Registration. A token works once: ErrLinkUsed, ErrLinkExpired. The
// Verified hook runs in the same transaction.
func (s *Service) Verify(ctx context.Context, token string) (back string, err error) {
	err = s.DB.InTx(ctx, func(ctx context.Context) error {
		t, err := s.consume(ctx, token, purposeVerify)
		if err != nil {
			return err
		}
		back = t.back
		u, err := s.store.byID(ctx, t.userID)
		if errors.Is(err, ErrUnknown) || err == nil && (u.State == StateDeleted || emailKey(u.Email) != emailKey(t.email)) {
			return ErrLinkExpired
		}
		if err != nil || u.Verified {
			return err
		}
		if err := s.store.setVerified(ctx, u.ID); err != nil {
			return err
		}
		u.Verified = true
		if err := s.Verified(ctx, u.User); err != nil {
			return fmt.Errorf("welcome a verified user: %w", err)
		}
		return s.Bus.Publish(ctx, busKind, u.ID)
	})
	return back, unavailable(err)
}

// limit counts a request that makes us send mail.
func (s *Service) limit(what, email, address string, perEmail int) error {
	if _, wait := s.mails.Take(s.blind(what, emailKey(email)), perEmail); wait > 0 {
		return tooMany(wait)
	}
	if n := throttle.Network(address); n != "" {
		if _, wait := s.mails.Take(s.blind(what+" network", n), networkLimit); wait > 0 {
			return tooMany(wait)
		}
	}
	return nil
}

// send delivers m. The request has succeeded by then, and its sender can ask
// for another mail, so a failure is only logged.
func (s *Service) send(ctx context.Context, m mail.Message) {
	if err := s.Mail.Send(ctx, m); err != nil {
		s.Log.WarnContext(ctx, "mail not sent", "subject", m.Subject, "err", err)
	}
}

// madeUsername makes a username from the names, with enough chance to be free.
func madeUsername(first, last string) string {
	base := strings.Map(func(r rune) rune {
		if r < 128 && nameRune(r) {
			return r
		}
		return -1
	}, strings.ToLower(first+last))
	base = strings.TrimLeft(base, "-_")
	if base == "" {
		base = "user"
	}
	return base[:min(len(base), 20)] + "-" + strings.ToLower(rand.Text()[:8])
}
