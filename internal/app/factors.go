package app

import (
	"context"
	"errors"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/identity/authorize"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/job"
	"github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/mfa"
	"github.com/rephlo/rephlo/internal/passkey"
	"github.com/rephlo/rephlo/internal/trail"
)

// factorsChanged returns what follows a change of somebody's second factors:
// their other sign-ins end, because one of them may be what made the change
// necessary, and they are told.
func (s *Server) factorsChanged(p *identityParts) func(context.Context, account.User, mfa.Event) error {
	return func(ctx context.Context, u account.User, e mfa.Event) error {
		if err := s.domains.Trail.Record(ctx, u.ID, factorKinds[e], ""); err != nil {
			return err
		}
		if e != mfa.CodeUsed {
			if err := p.signOutOthers(ctx, u.ID, ownSession(ctx, u.ID)); err != nil {
				return err
			}
		}
		return s.core.Mail.Send(ctx, factorMail(u.Email, e))
	}
}

// signOutOthers ends a user's sign-ins, in browsers and apps, but the one that
// is kept; "" keeps none.
func (p *identityParts) signOutOthers(ctx context.Context, userID, keep string) error {
	if err := errors.Join(p.sessions.EndOthers(ctx, userID, keep), p.sessions.DistrustAll(ctx, userID)); err != nil {
		return err
	}
	if keep == "" {
		return p.grants.Revoke(ctx, grant.KindUser, userID)
	}
	return p.grants.RevokeOthers(ctx, userID, keep)
}

// accountChanged returns what follows when somebody's password or address has
// changed.
func (s *Server) accountChanged(p *identityParts) func(context.Context, account.Change) error {
	return func(ctx context.Context, c account.Change) error {
		if err := s.domains.Trail.Record(ctx, c.User.ID, accountKinds[c.Event], ""); err != nil {
			return err
		}
		if c.Event != account.EmailChanged { // a new password voids what stood for the second factor, also where people stay signed in
			if err := p.sessions.DistrustAll(ctx, c.User.ID); err != nil {
				return err
			}
		}
		if c.SignOut {
			if err := p.signOutOthers(ctx, c.User.ID, c.Keep); err != nil {
				return err
			}
		}
		if c.Event == account.EmailChanged || c.Event == account.Closed || c.Event == account.Leaving { // they are told already, or are not to be
			return nil
		}
		return s.core.Mail.Send(ctx, notice(c.User.Email, "Your password was changed",
			"The password of your account was changed, and other sign-ins ended unless you kept them."))
	}
}

// tokenReused tells a user that an app's sign-in was copied.
func (s *Server) tokenReused(ctx context.Context, a grant.Authorization) error {
	u, err := s.domains.Accounts.ByID(ctx, a.UserID)
	if errors.Is(err, account.ErrUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.domains.Trail.Record(ctx, u.ID, trail.TokenReused, a.ClientID); err != nil {
		return err
	}
	name := a.ClientID
	if c, err := s.parts.clients.ByID(ctx, a.ClientID); err == nil {
		name = c.Name
	}
	return s.core.Mail.Send(ctx, notice(u.Email, "An app was signed out for your safety",
		"A token of the app \""+name+"\" was used twice, which happens when somebody has\ncopied it. The app was signed out. Sign in to it again if you use it."))
}

// notice is a mail about the safety of an account.
func notice(to, subject, text string) mail.Message {
	return mail.Message{To: to, Subject: subject, Text: "Hello,\n\n" + text + "\n\nIf it was not you, sign in, change your password and end all other sign-ins.\n"}
}

// secondFactors shows the sign-in which second factors somebody has.
func (s *Server) secondFactors(ctx context.Context, u account.User) (authorize.Factors, error) {
	st, err := s.domains.Factors.Status(ctx, u)
	if err != nil {
		return authorize.Factors{}, err
	}
	keys, err := s.parts.passkeys.Usable(ctx, u.ID)
	return authorize.Factors{App: st.Enrolled(), Passkey: keys > 0, Recovery: st.RecoveryCodesLeft > 0, Required: st.Required}, err
}

// addPasskeys makes the second kind of second factor, and lets both know of each
// other.
func (s *Server) addPasskeys(p *identityParts) error {
	core, factors := s.core, s.domains.Factors
	var err error
	p.passkeys, err = passkey.New(passkey.Needs{
		DB: core.DB, Box: core.Box, Log: core.Log, Now: core.Now, Name: "Rephlo", Accounts: s.domains.Accounts,
		Origin: core.Config.IDPURL, Others: []string{core.Config.APIURL},
		Removable: func(ctx context.Context, u account.User, left int) error {
			if left == 0 {
				if err := s.otherWay(ctx, p, u.ID); err != nil {
					return err
				}
			}
			st, err := factors.Status(ctx, u)
			if err == nil && st.Required && left == 0 && !st.Enrolled() {
				err = passkey.ErrMandatory
			}
			return err
		},
		Happened: func(ctx context.Context, u account.User, e passkey.Event) error {
			if err := s.domains.Trail.Record(ctx, u.ID, passkeyKinds[e], ""); err != nil {
				return err
			}
			if e != passkey.Suspect {
				if err := p.signOutOthers(ctx, u.ID, ownSession(ctx, u.ID)); err != nil {
					return err
				}
			}
			return core.Mail.Send(ctx, passkeyMail(u.Email, e))
		},
	})
	factors.Forget = func(ctx context.Context, userID string) error { return p.passkeys.Reset(ctx, userID) }
	factors.Elsewhere = func(ctx context.Context, userID string) (bool, error) {
		n, err := p.passkeys.Usable(ctx, userID)
		return n > 0, err
	}
	core.Jobs.Schedule("identity.passkeys", job.Every{Period: time.Hour}, p.passkeys.Sweep)
	return err
}

// otherWay returns nil when somebody signs in with a password or an account
// elsewhere, as well as with passkeys.
func (s *Server) otherWay(ctx context.Context, p *identityParts, userID string) error {
	has, err := s.domains.Accounts.HasPassword(ctx, userID)
	if err != nil || has {
		return err
	}
	linked, err := p.federation.List(ctx, userID)
	if err == nil && len(linked) == 0 {
		err = passkey.ErrOnlyWay
	}
	return err
}

// ownSession returns the sign-in of who acts, if it is the user's own: it goes
// on when their others end. Empty is none.
func ownSession(ctx context.Context, userID string) string {
	if actor, _ := access.From(ctx); actor.UserID == userID {
		return actor.Session
	}
	return ""
}

func passkeyMail(to string, e passkey.Event) mail.Message {
	switch e {
	case passkey.Added:
		return notice(to, "A passkey was added", "A passkey was added to your account. It signs in without your password.")
	case passkey.Removed:
		return notice(to, "A passkey was removed", "A passkey was removed from your account. It does not sign in any more.")
	default:
		return notice(to, "A passkey was blocked", "A passkey of your account behaved as if it had been copied, and was blocked. Remove\nit, and add another one if you need it.")
	}
}

func factorMail(to string, e mfa.Event) mail.Message {
	subject, text := "", ""
	switch e {
	case mfa.Enrolled:
		subject, text = "An authenticator app was added", "An authenticator app was added to your account. Signing in asks for its code from now on."
	case mfa.Removed:
		subject, text = "Your second factor was removed", "The authenticator app and the recovery codes of your account were removed.\nSigning in needs only your password now."
	case mfa.CodesRenewed:
		subject, text = "Your recovery codes were replaced", "New recovery codes were made for your account. The old ones are void."
	case mfa.CodeUsed:
		subject, text = "A recovery code was used", "A recovery code of your account was used. If you have lost your authenticator\napp, set up a new one."
	}
	return notice(to, subject, text)
}
