package account

import (
	"context"
	"errors"
	"fmt"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// ChangeEmail mails a link to a new address of a user; the address counts once
// the link is used. The old address is told, with a link that calls it off. A
// new address that is somebody else's is answered alike, and its owner is told.
func (s *Service) ChangeEmail(ctx context.Context, userID, email, address string) error {
	email, err := checkEmail(email)
	if err != nil {
		return err
	}
	u, err := s.store.byID(ctx, userID)
	if err != nil {
		return unavailable(err)
	}
	if emailKey(email) == emailKey(u.Email) {
		return field("newEmail", "it is the address that you have")
	}
	if err := s.limit("change", u.Email, address, changeLimit); err != nil {
		return err
	}
	other, err := s.store.byEmail(ctx, emailKey(email))
	if err != nil && !errors.Is(err, ErrUnknown) {
		return unavailable(err)
	}
	taken := err == nil && other.Verified
	return unavailable(s.DB.InTx(ctx, func(ctx context.Context) error {
		if err := s.store.dropUserTokens(ctx, u.ID, purposeEmail); err != nil {
			return err
		}
		undo, err := s.link(ctx, purposeKeepEmail, u.ID, u.Email, "", changeLife)
		if err != nil {
			return err
		}
		owner := u.ID
		if taken {
			owner = "" // a link that is good for nothing
		}
		link, err := s.link(ctx, purposeEmail, owner, email, "", changeLife)
		if err != nil {
			return err
		}
		m := newAddressMail(email, s.IDPURL+"/account/email/confirm?token="+link)
		if taken {
			m = takenMail(email)
		}
		s.send(ctx, m)
		s.send(ctx, movingMail(u.Email, s.IDPURL+"/account/email/keep?token="+undo))
		return nil
	}))
}

// ConfirmEmail gives a user the address that a mailed link was sent to.
// ErrLinkUsed, ErrLinkExpired; ErrEmailTaken when somebody else has proven it
// meanwhile.
func (s *Service) ConfirmEmail(ctx context.Context, text string) error {
	err := s.DB.InTx(ctx, func(ctx context.Context) error {
		t, err := s.consume(ctx, text, purposeEmail)
		if err != nil {
			return err
		}
		u, err := s.store.byID(ctx, t.userID)
		if errors.Is(err, ErrUnknown) || err == nil && u.State == StateDeleted {
			return errNoToken
		}
		if err != nil {
			return err
		}
		return s.moveTo(ctx, u, t.email)
	})
	if sqldb.IsUnique(err) {
		err = ErrEmailTaken.Because(err)
	}
	return unavailable(err)
}

// moveTo gives u a proven address, in the transaction that ctx carries.
func (s *Service) moveTo(ctx context.Context, u user, email string) error {
	gone, err := s.store.releaseUnproven(ctx, emailKey(email))
	if err != nil {
		return err
	}
	for _, userID := range gone {
		if err := s.Bus.Publish(ctx, busKind, userID); err != nil {
			return err
		}
	}
	if other, err := s.store.byEmail(ctx, emailKey(email)); err == nil && other.ID != u.ID {
		return ErrEmailTaken
	} else if err != nil && !errors.Is(err, ErrUnknown) {
		return err
	}
	if err := s.store.setEmail(ctx, u.ID, email); err != nil {
		return err
	}
	for _, purpose := range []string{purposeReset, purposeKeepEmail, purposeVerify} { // they were for the old address
		if err := s.store.dropUserTokens(ctx, u.ID, purpose); err != nil {
			return err
		}
	}
	old, proven := u.Email, u.Verified
	u.Email, u.Verified = email, true
	if !proven {
		if err := s.Verified(ctx, u.User); err != nil {
			return fmt.Errorf("welcome a verified user: %w", err)
		}
	}
	if err := s.Changed(ctx, Change{User: u.User, Event: EmailChanged}); err != nil {
		return fmt.Errorf("after a change of address: %w", err)
	}
	for _, to := range []string{old, email} {
		s.send(ctx, movedMail(to))
	}
	return s.Bus.Publish(ctx, busKind, u.ID)
}

// KeepEmail calls a change of address off, by the link that the old address
// got.
func (s *Service) KeepEmail(ctx context.Context, text string) error {
	return unavailable(s.DB.InTx(ctx, func(ctx context.Context) error {
		t, err := s.consume(ctx, text, purposeKeepEmail)
		if err != nil {
			return err
		}
		return s.store.dropUserTokens(ctx, t.userID, purposeEmail)
	}))
}
