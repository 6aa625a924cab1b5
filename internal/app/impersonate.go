package app

import (
	"context"
	"strings"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/impersonate"
	"github.com/rephlo/rephlo/internal/secret"
	"github.com/rephlo/rephlo/internal/trail"
)

// impersonationClient is the client that tokens of impersonations name; it is
// not registered, so nothing else can use it.
const impersonationClient = "rephlo-impersonation"

func (s *Server) impersonations(p *identityParts) *impersonate.Service {
	core, d := s.core, s.domains
	return impersonate.New(impersonate.Needs{
		DB: core.DB, Audit: core.Audit, Now: core.Now,
		May: func(ctx context.Context, userID string) error {
			u, err := d.Accounts.ByID(ctx, userID)
			if err == nil && u.Staff {
				err = impersonate.ErrStaff
			}
			if err == nil {
				err = account.Usable(u, core.Now())
			}
			return err
		},
		Sign: func(i impersonate.Impersonation) (secret.String, error) {
			now := core.Now()
			text, err := p.signing.Sign(oauth.TypeAccess, oauth.AccessToken{
				Issuer: core.Config.IDPURL, Subject: i.UserID, Audience: core.Config.APIURL, ClientID: impersonationClient,
				Scope: strings.Join(impersonate.Scopes(), " "), GrantID: i.ID, Act: &oauth.Actor{Subject: i.AdminID},
				IssuedAt: now.Unix(), Expiry: i.EndsAt.Unix(), JTI: id.New("at", now),
			})
			return secret.New(text), err
		},
		Revoke: func(ctx context.Context, id string) error { return p.grants.Revoke(ctx, grant.KindAuthorization, id) },
		Started: func(ctx context.Context, i impersonate.Impersonation) error {
			if err := d.Trail.Record(trail.At(ctx, trail.Place{}), i.UserID, trail.Impersonated, i.ID); err != nil {
				return err
			}
			u, err := d.Accounts.ByID(ctx, i.UserID)
			if err != nil || !u.Verified {
				return err
			}
			return core.Mail.Send(ctx, account.ImpersonatedMail(u.Email, i.EndsAt))
		},
	})
}
