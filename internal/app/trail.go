package app

import (
	"context"
	"strings"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/apikey"
	"github.com/rephlo/rephlo/internal/identity/sso"
	"github.com/rephlo/rephlo/internal/mfa"
	"github.com/rephlo/rephlo/internal/passkey"
	"github.com/rephlo/rephlo/internal/trail"
)

// The kinds of security event that changes become.
var (
	factorKinds = map[mfa.Event]trail.Kind{
		mfa.Enrolled: trail.FactorAdded, mfa.Removed: trail.FactorRemoved, mfa.CodesRenewed: trail.CodesRenewed, mfa.CodeUsed: trail.CodeUsed,
	}
	passkeyKinds = map[passkey.Event]trail.Kind{
		passkey.Added: trail.PasskeyAdded, passkey.Removed: trail.PasskeyRemoved, passkey.Suspect: trail.PasskeySuspect,
	}
	accountKinds = map[account.Event]trail.Kind{
		account.PasswordReset: trail.PasswordReset, account.PasswordChanged: trail.PasswordChanged, account.EmailChanged: trail.EmailChanged,
		account.Closed: trail.SignedOut, account.Leaving: trail.Deleted,
	}
)

// keyTrailed records that a key was created, took the place of another, or was
// revoked.
func (d *Domains) keyTrailed(ctx context.Context, k apikey.Key, revoked bool) error {
	kind := trail.KeyCreated
	switch {
	case revoked:
		kind = trail.KeyRevoked
	case k.Root != k.ID:
		kind = trail.KeyReplaced
	}
	return d.Trail.Record(ctx, k.UserID, kind, k.ID)
}

// signedIn records a sign-in, and tells its owner when the device is new.
func (d *Domains) signedIn(ctx context.Context, a sso.Arrival) error {
	kind := trail.SignIn
	if a.NewDevice {
		kind = trail.NewDevice
	}
	if a.User.State == account.StateDeleted {
		if err := d.Accounts.ComeBack(ctx, a.User.ID); err != nil {
			return err
		}
	}
	if err := d.Trail.Record(ctx, a.User.ID, kind, strings.Join(a.Session.AMR, " ")); err != nil || !a.NewDevice {
		return err
	}
	return d.Accounts.TellNewDevice(ctx, a.User, account.Device{
		Session: a.Session.ID, Name: a.Device(), Address: a.Address, At: a.Session.AuthTime,
	})
}

// disown ends a sign-in that was not its owner's.
func (s *Server) disown(ctx context.Context, text string) (reset string, err error) {
	return s.domains.Accounts.Disown(ctx, text, func(ctx context.Context, userID, session string) error {
		if err := s.domains.Trail.Record(ctx, userID, trail.Disowned, ""); err != nil {
			return err
		}
		return s.parts.sessions.End(ctx, session)
	})
}
