package client

import (
	"context"
	"errors"

	"github.com/rephlo/rephlo/internal/identity/oauth"
)

// Credentials are how a client presented itself at the token endpoint.
type Credentials struct {
	ID        string
	Secret    string
	Assertion string     // for AuthKey
	Method    AuthMethod // AuthNone when nothing was sent that proves anything
}

// AuthMethods lists how clients can prove themselves.
func AuthMethods() []AuthMethod { return []AuthMethod{AuthNone, AuthBasic, AuthPost, AuthKey} }

// hasSecret reports whether c proves itself by a secret that we gave it.
func (c Client) hasSecret() bool { return c.AuthMethod == AuthBasic || c.AuthMethod == AuthPost }

// readKeys makes c's keys from its JWKS. A set that cannot be read gives none,
// and then nothing that c signs is accepted.
func (c *Client) readKeys() {
	c.keys = oauth.KeySet{}
	if len(c.JWKS) == 0 {
		return
	}
	if keys, err := oauth.ParseKeySet(c.JWKS); err == nil {
		c.keys = keys
	}
}

// Authenticate returns the client that the credentials prove, or
// oauth.ErrInvalidClient. A secret is not accepted by another method than the
// client's, nor from a public client, which cannot have one. An assertion is
// used up by it.
func (s *Service) Authenticate(ctx context.Context, cr Credentials) (Client, error) {
	c, err := s.ByID(ctx, cr.ID)
	switch {
	case errors.Is(err, ErrDocument):
		return Client{}, err
	case err != nil || cr.Method != c.AuthMethod:
		return Client{}, oauth.ErrInvalidClient
	}
	switch c.AuthMethod {
	case AuthNone:
		return c, nil
	case AuthKey:
		return c, s.checkAssertion(ctx, c, cr.Assertion)
	}
	if !c.proves(cr.Secret, s.now()) {
		return Client{}, oauth.ErrInvalidClient
	}
	return c, nil
}

// checkAssertion verifies an assertion of c and uses it up: the same one never
// proves anything again, here or on another server.
func (s *Service) checkAssertion(ctx context.Context, c Client, assertion string) error {
	rules := oauth.AssertionRules{ClientID: c.ID, Audiences: s.audiences[:1], Algs: c.Algs(), Text: c.Strict, Now: s.now()}
	if c.TokenAudience {
		rules.Audiences = s.audiences
	}
	keys, err := s.keysOf(ctx, c, assertion)
	if err != nil {
		return err
	}
	jti, until, err := oauth.CheckAssertion(assertion, keys, rules)
	if err != nil {
		return err
	}
	first, err := s.once(ctx, "assertion", c.ID+" "+jti, until)
	if err != nil {
		return err
	}
	if !first {
		return oauth.ErrInvalidClient.Saying("The client_assertion is wrong: its jti was used before.")
	}
	return nil
}

// keysOf returns the keys that verify what c has signed.
func (s *Service) keysOf(ctx context.Context, c Client, token string) (oauth.KeySet, error) {
	_, kid, err := oauth.AssertionClient(token)
	if err != nil {
		return oauth.KeySet{}, err
	}
	return s.Keys(ctx, c, kid), nil
}

// Keys returns c's public keys, which may have to be fetched for a key id that
// was not seen before.
func (s *Service) Keys(ctx context.Context, c Client, kid string) oauth.KeySet {
	if c.JWKSURI == "" {
		return c.keys
	}
	return s.remote.keySet(ctx, c.JWKSURI, kid)
}
