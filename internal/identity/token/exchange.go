package token

import (
	"context"
	"slices"
	"strings"

	"github.com/rephlo/rephlo/internal/identity/oauth"
)

// TypeAccessToken is the only kind of token that is exchanged, and given (RFC
// 8693 section 3).
const TypeAccessToken = "urn:ietf:params:oauth:token-type:access_token" //nolint:gosec // a name, no credential

// maxActors bounds how often a token can be handed on.
const maxActors = 4

// Subject is what a token exchange takes.
type Subject struct {
	Token, Type      string
	Actor, ActorType string
	Requested        string // requested_token_type
	Audience         []string
}

// exchange gives a client that serves a user's request a token of its own for
// the next service (RFC 8693). It never lasts longer or opens more than the
// token that came with the request, and says who acts.
func (s *Service) exchange(ctx context.Context, r Request) (Answer, error) {
	subject, err := s.subject(ctx, r, r.Subject.Token, r.Subject.Type)
	if err != nil {
		return Answer{}, err
	}
	actor := &oauth.Actor{Subject: r.Client.ID, Act: subject.Act}
	switch {
	case r.Subject.Requested != "" && r.Subject.Requested != TypeAccessToken:
		return Answer{}, oauth.ErrInvalidRequest.Saying("The requested_token_type must be %s.", TypeAccessToken)
	case r.Subject.Actor == "" && r.Subject.ActorType != "":
		return Answer{}, oauth.ErrInvalidRequest.Saying("The parameter actor_token_type needs an actor_token.")
	case r.Subject.Actor != "":
		by, err := s.subject(ctx, r, r.Subject.Actor, r.Subject.ActorType)
		if err != nil {
			return Answer{}, err
		}
		actor.Subject = by.Subject
	}
	if actor.Depth() > maxActors {
		return Answer{}, oauth.ErrInvalidRequest.Saying("The subject_token was handed on too often.")
	}
	scopes, audience, err := s.lesser(r, subject)
	if err != nil {
		return Answer{}, err
	}
	now := s.Now()
	t := oauth.AccessToken{
		Subject: subject.Subject, Audience: audience, ClientID: r.Client.ID, Scope: strings.Join(scopes, " "), ACR: subject.ACR, AMR: subject.AMR,
		GrantID: subject.GrantID, SessionID: subject.SessionID, Act: actor,
	}
	if !subject.AuthTime.IsZero() {
		t.AuthTime = subject.AuthTime.Unix()
	}
	t.Expiry = now.Add(min(AccessLife, subject.Expiry.Sub(now))).Unix()
	out, err := s.sign(r, t, now)
	out.IssuedType = TypeAccessToken
	return out, err
}

// subject verifies a token that is exchanged: an access token of ours that is
// alive, of a user who is, presented by who may.
func (s *Service) subject(ctx context.Context, r Request, value, kind string) (oauth.Claims, error) {
	if kind != TypeAccessToken {
		return oauth.Claims{}, oauth.ErrInvalidRequest.Saying("Only access tokens are exchanged; the token type must be %s.", TypeAccessToken)
	}
	bad := oauth.ErrInvalidRequest.Saying("The token to exchange is invalid, expired or revoked.")
	c, err := s.tokens.Verify(value)
	if err != nil {
		return c, bad.Because(err)
	}
	if s.Grants.Revoked(c) || !c.Expiry.After(s.Now()) || c.JKT != "" && c.JKT != r.JKT {
		return c, bad
	}
	if c.OfClient() {
		return c, nil
	}
	user, err := s.Users.Profile(ctx, c.Subject)
	if err == nil && (!user.Active || !r.Client.Admits(user.Roles)) {
		err = bad
	}
	return c, err
}

// lesser returns the scopes and the audience of an exchanged token: not more
// than the subject has, nor than the client may hand on.
func (s *Service) lesser(r Request, subject oauth.Claims) (scopes []string, audience string, err error) {
	may := slices.DeleteFunc(slices.Clone(subject.Scopes), func(scope string) bool {
		return !slices.Contains(r.Client.ExchangeScopes, scope)
	})
	targets := slices.Concat(r.Resources, present(r.Subject.Audience))
	if len(targets) > 1 {
		return nil, "", oauth.ErrInvalidTarget.Saying("A token has one audience; send one resource or audience.")
	}
	server := s.Server.With(r.Client.Others())
	target := s.Server.Resource
	if len(targets) == 1 {
		target = targets[0]
	}
	if audience, err = oauth.Audience(target, server.Audiences(), server); err != nil {
		return nil, "", err
	}
	if scopes, err = oauth.Narrow(r.Scope, may); err != nil {
		return nil, "", err
	}
	if scopes = oauth.TokenScopes(scopes, audience, server); len(scopes) == 0 {
		return nil, "", oauth.ErrInvalidScope.Saying("Nothing is left of the scopes that this client may hand on.")
	}
	return scopes, audience, nil
}
