package account

import (
	"context"
	"errors"
	"time"
)

// disownLife is how long the owner of an account can say that a sign-in was not
// theirs.
const disownLife = 24 * time.Hour

// Device is a sign-in on a device that was not used before.
type Device struct {
	Session string // of the sign-in
	Name    string // of the browser and its system
	Address string // of the network
	At      time.Time
}

// TellNewDevice mails u that somebody has signed in on a device that was not
// used before, with a link that undoes it. It joins the transaction that ctx
// carries.
func (s *Service) TellNewDevice(ctx context.Context, u User, d Device) error {
	if !u.Verified {
		return nil // the address may be somebody else's
	}
	if wanted, err := s.Mailable(ctx, u.ID); err != nil || !wanted {
		return err
	}
	link, err := s.link(ctx, purposeDisown, u.ID, u.Email, d.Session, disownLife)
	if err != nil {
		return err
	}
	s.send(ctx, deviceMail(u.Email, d, s.IDPURL+"/account/disown?token="+link))
	return nil
}

// Disown says that a sign-in was not the owner's, by the link of the mail about
// it: once, within a day. end ends the sign-in with this id, in the same
// transaction. The token returned sets a new password, as that of a reset link
// does: both came to the same mailbox.
func (s *Service) Disown(ctx context.Context, text string, end func(ctx context.Context, userID, session string) error) (reset string, err error) {
	err = s.DB.InTx(ctx, func(ctx context.Context) error {
		t, err := s.consume(ctx, text, purposeDisown)
		if err != nil {
			return err
		}
		u, err := s.store.byID(ctx, t.userID)
		if errors.Is(err, ErrUnknown) || err == nil && emailKey(u.Email) != emailKey(t.email) {
			return errNoToken
		}
		if err != nil {
			return err
		}
		if err := end(ctx, u.ID, t.back); err != nil {
			return err
		}
		if Usable(u.User, s.Now()) != nil {
			return nil
		}
		reset, err = s.link(ctx, purposeReset, u.ID, u.Email, "", resetLife)
		return err
	})
	return reset, unavailable(err)
}
