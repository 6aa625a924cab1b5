package token

import (
	"context"
	"strings"

	"github.com/rephlo/rephlo/internal/identity/oauth"
)

// credentials gives a client a token for itself (RFC 6749 section 4.4). Its
// subject is the client; there is no user, so no ID token and no refresh token.
func (s *Service) credentials(_ context.Context, r Request) (Answer, error) {
	scopes, err := oauth.ClientScopes(r.Scope, r.Client.Scopes)
	if err != nil {
		return Answer{}, err
	}
	resource := s.Server.Resource
	if len(r.Resources) == 1 {
		resource = r.Resources[0]
	}
	audience, err := oauth.Audience(resource, []string{s.Server.Resource}, s.Server)
	if err != nil {
		return Answer{}, err
	}
	return s.sign(r, oauth.AccessToken{
		Subject: r.Client.ID, Audience: audience, ClientID: r.Client.ID,
		Scope: strings.Join(oauth.TokenScopes(scopes, audience, s.Server), " "),
	}, s.Now())
}
