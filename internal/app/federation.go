package app

import (
	"context"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/config"
	"github.com/rephlo/rephlo/internal/identity/federation"
	"github.com/rephlo/rephlo/internal/job"
	"github.com/rephlo/rephlo/internal/trail"
)

// social lists where people can have an account that signs them in here.
func social(cfg config.Config) []federation.Settings {
	var out []federation.Settings
	if cfg.GoogleClientID != "" {
		out = append(out, federation.Settings{
			ID: "google", Kind: federation.Google, Name: "Google", Issuer: "https://accounts.google.com",
			ClientID: cfg.GoogleClientID, Secret: cfg.GoogleClientSecret,
		})
	}
	if cfg.GitHubClientID != "" {
		out = append(out, federation.Settings{
			ID: "github", Kind: federation.GitHub, Name: "GitHub", Issuer: cfg.GitHubURL, API: gitHubAPI(cfg.GitHubURL),
			ClientID: cfg.GitHubClientID, Secret: cfg.GitHubClientSecret,
		})
	}
	if cfg.MicrosoftClientID != "" {
		out = append(out, federation.Settings{
			ID: "microsoft", Kind: federation.Microsoft, Name: "Microsoft",
			Issuer:   "https://login.microsoftonline.com/" + cfg.MicrosoftTenant + "/v2.0",
			ClientID: cfg.MicrosoftClientID, Secret: cfg.MicrosoftClientSecret,
		})
	}
	if cfg.OIDCClientID != "" {
		out = append(out, federation.Settings{
			ID: "oidc", Kind: federation.OpenID, Name: cfg.OIDCName, Issuer: cfg.OIDCIssuer,
			ClientID: cfg.OIDCClientID, Secret: cfg.OIDCClientSecret, TrustEmail: cfg.OIDCTrustEmail,
		})
	}
	return out
}

// gitHubAPI returns the address of the REST API: github.com has a host for it,
// an Enterprise Server a path.
func gitHubAPI(site string) string {
	if strings.TrimSuffix(site, "/") == "https://github.com" {
		return "https://api.github.com"
	}
	return site + "/api/v3"
}

// addFederation makes the way in through accounts elsewhere.
func (s *Server) addFederation(p *identityParts) {
	core := s.core
	p.federation = federation.New(federation.Needs{
		DB: core.DB, Box: core.Box, Now: core.Now, Accounts: s.domains.Accounts, Base: p.server.Issuer, Providers: social(core.Config),
		Elsewhere: func(ctx context.Context, userID string) (bool, error) {
			n, err := p.passkeys.Usable(ctx, userID)
			return n > 0, err
		},
		Happened: func(ctx context.Context, u account.User, e federation.Event, provider string) error {
			kind := trail.Unlinked
			if e == federation.Linked {
				kind = trail.Linked
			}
			if err := s.domains.Trail.Record(ctx, u.ID, kind, provider); err != nil {
				return err
			}
			if e == federation.Linked {
				return core.Mail.Send(ctx, notice(u.Email, "An account elsewhere was linked",
					"Your account at "+provider+" was linked. It signs you in from now on."))
			}
			return core.Mail.Send(ctx, notice(u.Email, "An account elsewhere was unlinked",
				"Your account at "+provider+" was unlinked. It does not sign you in any more."))
		},
	})
	core.Jobs.Schedule("identity.federation", job.Every{Period: time.Hour}, p.federation.Sweep)
}
