package token

import (
	"context"
	"slices"

	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/oauth"
)

func (s *Service) code(ctx context.Context, r Request) (Answer, error) {
	if r.Code == "" {
		return Answer{}, oauth.ErrInvalidRequest.Saying("The parameter code is missing.")
	}
	var out Answer
	redemption := grant.Redemption{Code: r.Code, ClientID: r.Client.ID, RedirectURI: r.RedirectURI, Verifier: r.Verifier, JKT: r.JKT}
	err := s.Grants.RedeemCode(ctx, redemption, s.first(r, &out))
	return out, err
}

// device gives tokens to a device whose user has allowed it (RFC 8628).
func (s *Service) device(ctx context.Context, r Request) (Answer, error) {
	if r.DeviceCode == "" {
		return Answer{}, oauth.ErrInvalidRequest.Saying("The parameter device_code is missing.")
	}
	var out Answer
	err := s.Grants.RedeemDevice(ctx, r.DeviceCode, r.Client.ID, s.first(r, &out))
	return out, err
}

// first issues the first tokens of an authorization.
func (s *Service) first(r Request, out *Answer) func(context.Context, grant.Authorization) error {
	return func(ctx context.Context, a grant.Authorization) error {
		offline := slices.Contains(a.Scopes, oauth.ScopeOffline) && r.Client.May(client.GrantRefresh)
		if r.Client.Public { // who has no secret proves the key again at each refresh (RFC 9449 section 5)
			a.JKT = r.JKT
		}
		a.Bound = !offline || r.Client.RefreshLife == client.LifeSession
		var err error
		if *out, err = s.issue(ctx, r, a, a.Scopes); err != nil {
			return err
		}
		if r.Client.BackchannelLogoutURI != "" && a.SessionID != "" {
			if err := s.Grants.NoteLogin(ctx, a); err != nil {
				return err
			}
		}
		if !offline {
			return nil
		}
		out.RefreshToken, err = s.Grants.IssueRefresh(ctx, a, client.Life(r.Client.RefreshSeconds, grant.RefreshLife))
		return err
	}
}

func (s *Service) refresh(ctx context.Context, r Request) (Answer, error) {
	if r.RefreshToken == "" {
		return Answer{}, oauth.ErrInvalidRequest.Saying("The parameter refresh_token is missing.")
	}
	var out Answer
	again := func(ctx context.Context, a grant.Authorization) error {
		scopes, err := oauth.Narrow(r.Scope, a.Scopes)
		if err != nil {
			return err
		}
		out, err = s.issue(ctx, r, a, scopes)
		return err
	}
	if r.Client.Strict {
		err := s.Grants.Keep(ctx, r.RefreshToken, r.Client.ID, r.JKT, again)
		return out, err
	}
	successor, err := s.Grants.Rotate(ctx, r.RefreshToken, r.Client.ID, r.JKT, again)
	if err != nil {
		return Answer{}, err
	}
	out.RefreshToken = successor
	return out, nil
}
