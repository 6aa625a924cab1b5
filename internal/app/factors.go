package app

import (
	"context"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/identity/authorize"
	"github.com/rephlo/rephlo/internal/identity/sso"
	"github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/mfa"
)

// factorsChanged returns what follows a change of somebody's second factors:
// their other sign-ins end, because one of them may be what made the change
// necessary, and they are told.
func (s *Server) factorsChanged(sessions *sso.Service) func(context.Context, account.User, mfa.Event) error {
	return func(ctx context.Context, u account.User, e mfa.Event) error {
		if e != mfa.CodeUsed {
			actor, _ := access.From(ctx) // nobody: all sign-ins end
			keep := actor.Session
			if actor.UserID != u.ID {
				keep = ""
			}
			if err := sessions.EndOthers(ctx, u.ID, keep); err != nil {
				return err
			}
		}
		return s.core.Mail.Send(ctx, factorMail(u.Email, e))
	}
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
	return mail.Message{To: to, Subject: subject, Text: "Hello,\n\n" + text + "\n\nIf it was not you, sign in, change your password and end all other sign-ins.\n"}
}
