package app

import (
	"context"
	"errors"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/identity/authorize"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/mfa"
)

// factorsChanged returns what follows a change of somebody's second factors:
// their other sign-ins end, because one of them may be what made the change
// necessary, and they are told.
func (s *Server) factorsChanged(p *identityParts) func(context.Context, account.User, mfa.Event) error {
	return func(ctx context.Context, u account.User, e mfa.Event) error {
		if e != mfa.CodeUsed {
			actor, _ := access.From(ctx) // nobody: all sign-ins end
			keep := actor.Session
			if actor.UserID != u.ID {
				keep = ""
			}
			if err := p.signOutOthers(ctx, u.ID, keep); err != nil {
				return err
			}
		}
		return s.core.Mail.Send(ctx, factorMail(u.Email, e))
	}
}

// signOutOthers ends a user's sign-ins, in browsers and apps, but the one that
// is kept; "" keeps none.
func (p *identityParts) signOutOthers(ctx context.Context, userID, keep string) error {
	if err := p.sessions.EndOthers(ctx, userID, keep); err != nil {
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
		if c.SignOut {
			if err := p.signOutOthers(ctx, c.User.ID, c.Keep); err != nil {
				return err
			}
		}
		if c.Event == account.EmailChanged { // both addresses are told already
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
	return authorize.Factors{App: st.Enrolled(), Required: st.Required}, err
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
