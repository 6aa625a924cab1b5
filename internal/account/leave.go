package account

import (
	"context"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/mail"
)

// Leaving reports whether u is deleted and may still come back: signing in
// undoes it.
func (u User) Leaving(now time.Time) bool {
	return u.State == StateDeleted && u.Email != "" && now.Before(u.Until)
}

// MaySignIn is Usable for somebody who signs in, which who is leaving may too.
func MaySignIn(u User, now time.Time) error {
	if u.Leaving(now) {
		return nil
	}
	return Usable(u, now)
}

// Leave deletes somebody's account, by themselves when by is them: all their
// sign-ins and tokens end, keys are refused, and what they subscribe to ends. At
// the time that is returned everything about them is erased; signing in before
// that undoes it, which is why only an active account can be left: nobody comes
// out of a suspension that way. The faults are those of a change of state.
func (s *Service) Leave(ctx context.Context, userID string, by access.Actor, reason string, grace time.Duration) (time.Time, error) {
	var u User
	err := s.DB.InTx(ctx, func(ctx context.Context) (err error) {
		t := Turn{By: by, Reason: reason, Until: s.Now().Add(grace), own: by.UserID == userID}
		if u, err = s.turn(ctx, userID, StateDeleted, "users.delete", t, StateActive); err != nil {
			return err
		}
		if u.Verified { // else the address may be somebody else's
			s.send(ctx, leavingMail(u))
		}
		return nil
	})
	return u.Until, unavailable(err)
}

// ComeBack undoes a deletion, in the transaction that signs somebody in. Nothing
// happens to who is not leaving.
func (s *Service) ComeBack(ctx context.Context, userID string) error {
	return unavailable(s.DB.InTx(ctx, func(ctx context.Context) error {
		u, err := s.store.byID(ctx, userID)
		if err != nil || !u.Leaving(s.Now()) {
			return err
		}
		t := Turn{By: access.Actor{UserID: userID}, Reason: "they signed in again", own: true}
		if u.User, err = s.turn(ctx, userID, StateActive, "users.restore", t, StateDeleted); err != nil {
			return err
		}
		if u.Verified {
			s.send(ctx, returnedMail(u.Email))
		}
		return nil
	}))
}

// Restore undoes a deletion for an administrator; ErrState when there is nothing
// left to come back to.
func (s *Service) Restore(ctx context.Context, userID string, t Turn) (User, error) {
	var u User
	err := s.DB.InTx(ctx, func(ctx context.Context) error {
		before, err := s.store.byID(ctx, userID)
		if err != nil {
			return err
		}
		if !before.Leaving(s.Now()) {
			return ErrState.With("status", before.State)
		}
		notify := t.Notify && before.Verified
		t.Until, t.Notify = time.Time{}, false
		if u, err = s.turn(ctx, userID, StateActive, "users.restore", t, StateDeleted); err == nil && notify {
			s.send(ctx, restoredMail(u.Email))
		}
		return err
	})
	return u, unavailable(err)
}

// eraseMargin is by how much clocks may differ between who lets somebody come
// back and who erases them.
const eraseMargin = time.Minute

// Leavers returns up to limit people whose time to come back is over.
func (s *Service) Leavers(ctx context.Context, limit int) ([]User, error) {
	out, err := s.store.leavers(ctx, s.Now().Add(-eraseMargin), limit)
	return out, unavailable(err)
}

// Forgotten tells every process that a user was erased, in the transaction that
// ctx carries.
func (s *Service) Forgotten(ctx context.Context, userID string) error {
	return s.Bus.Publish(ctx, busKind, userID)
}

func leavingMail(u User) mail.Message {
	return mail.Message{To: u.Email, Subject: "Your account will be deleted", Text: `Hello,

your Rephlo account is closed and will be deleted on ` + u.Until.UTC().Format("2 January 2006 at 15:04") + ` (UTC).

Until then you can undo it: just sign in. Apps and API keys have no access any
more, and your subscription has ended.

On that day your profile, the ways in which you sign in, your API keys, webhooks,
preferences, feedback and diagnostics are erased for good. What stays, because the
law asks for accounts and others must be able to rely on them, are the ledger of
credits, invoices and the audit log; nothing in them says who you are.
`}
}

func returnedMail(to string) mail.Message {
	return mail.Message{To: to, Subject: "Your account will not be deleted", Text: `Hello,

you signed in, so your Rephlo account is open again and nothing is deleted. You
have the free plan; start another one if you like. If it was not you who signed
in, set a new password at once.
`}
}

func restoredMail(to string) mail.Message {
	return mail.Message{To: to, Subject: "Your account will not be deleted", Text: `Hello,

the operator of this service opened your Rephlo account again, and nothing is
deleted. You have the free plan; start another one if you like.
`}
}

// ErasedMail tells somebody that everything about them is gone, and what is not.
func ErasedMail(to string) mail.Message {
	return mail.Message{To: to, Subject: "Your account was deleted", Text: strings.TrimLeft(`
Hello,

your Rephlo account was deleted as announced. Erased are your profile, the ways in
which you signed in, sessions, API keys, webhooks, preferences, feedback,
diagnostics and security events.

What stays, without your name and address: the ledger of credits, records of what
was used and paid, because the law asks for accounts and they must add up; and the
audit log, because it shows that nobody changed it. They name you by a random id
that leads to nobody now. Backups are overwritten as they grow old.

This is the last mail that you get.
`, "\n")}
}
