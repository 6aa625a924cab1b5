package token

import (
	"cmp"
	"context"
	"strings"

	"github.com/rephlo/rephlo/internal/identity/oauth"
)

// credentials gives a client a token for itself (RFC 6749 section 4.4). Its
// subject is the client; there is no user, so no ID token and no refresh token.
func (s *Service) credentials(_ context.Context, r Request) (Answer, error) {
	server := s.Server.With(r.Client.Others())
	resource := cmp.Or(r.Client.DefaultResource, s.Server.Resource)
	if len(r.Resources) == 1 {
		resource = r.Resources[0]
	}
	audience, err := oauth.Audience(resource, server.Audiences(), server)
	if err != nil {
		return Answer{}, err
	}
	scopes, err := oauth.ClientScopes(r.Scope, r.Client.Scopes, audience, server)
	if err != nil {
		return Answer{}, err
	}
	return s.sign(r, oauth.AccessToken{
		Subject: r.Client.ID, Audience: audience, ClientID: r.Client.ID,
		Scope: strings.Join(oauth.TokenScopes(scopes, audience, server), " "),
	}, s.Now())
}
