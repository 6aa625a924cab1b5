package token

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/oauth"
)

// issue signs the tokens of an authorization, for a user who may have them.
func (s *Service) issue(ctx context.Context, r Request, a grant.Authorization, scopes []string) (Answer, error) {
	user, err := s.Users.Profile(ctx, a.UserID)
	if err != nil {
		return Answer{}, err
	}
	if !user.Active {
		return Answer{}, oauth.ErrInvalidGrant.Saying("The account is not active.")
	}
	if !r.Client.Admits(user.Roles) || r.Client.MinimumACR != "" && !oauth.MeetsACR(a.ACR, []string{r.Client.MinimumACR}) {
		return Answer{}, oauth.ErrInvalidGrant.Saying("The user may not use this client any more, or must sign in again.")
	}
	if len(user.Roles) == 0 { // the role may have been taken away since
		scopes = slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return s == oauth.ScopeAdmin })
	}
	var resource string
	if len(r.Resources) == 1 {
		resource = r.Resources[0]
	}
	server := s.Server.With(r.Client.Others())
	audience, err := oauth.Audience(resource, a.Resources, server)
	if err != nil {
		return Answer{}, err
	}
	now := s.Now()
	out, err := s.sign(r, oauth.AccessToken{
		Subject: a.UserID, Audience: audience, ClientID: a.ClientID, Scope: strings.Join(oauth.TokenScopes(scopes, audience, server), " "),
		AuthTime: a.AuthTime.Unix(), ACR: a.ACR, AMR: a.AMR, GrantID: a.ID, SessionID: boundTo(a),
	}, now)
	if err != nil || !slices.Contains(scopes, oauth.ScopeOpenID) {
		return out, err
	}
	out.IDToken, err = s.Keys.SignWith(r.Client.IDTokenAlg, oauth.TypeID, oauth.IDToken{
		Issuer: s.Server.Issuer, Subject: a.UserID, Audience: a.ClientID, Expiry: now.Add(client.Life(r.Client.IDSeconds, IDLife)).Unix(), IssuedAt: now.Unix(),
		AuthTime: a.AuthTime.Unix(), Nonce: a.Nonce, ACR: a.ACR, AMR: a.AMR, SessionID: a.SessionID, ATHash: oauth.ATHash(r.Client.IDTokenAlg, out.AccessToken),
		Extra: extra(r.Client, a, user, scopes),
	})
	return out, err
}

// extra returns the claims about the user that an ID token has itself: those
// that were asked for by name, or all of its scopes for a client made so.
func extra(c client.Client, a grant.Authorization, user oauth.Profile, scopes []string) map[string]any {
	if len(a.Claims) == 0 && !c.IDTokenScopes && len(c.ExtraClaims) == 0 {
		return nil
	}
	all := oauth.UserClaims(user, scopes)
	delete(all, "sub")
	if !c.IDTokenScopes {
		maps.DeleteFunc(all, func(name string, _ any) bool { return !slices.Contains(a.Claims, name) })
	}
	c.AddClaims(all, user)
	return all
}

// boundTo returns the session that ends a's tokens, or "".
func boundTo(a grant.Authorization) string {
	if a.Bound {
		return a.SessionID
	}
	return ""
}

// sign completes an access token for r and signs it, or seals it for a client
// made so. It is for the holder of the key that r has proven, if there is one.
func (s *Service) sign(r Request, t oauth.AccessToken, now time.Time) (Answer, error) {
	t.Issuer, t.IssuedAt = s.Server.Issuer, now.Unix()
	target, _ := s.Server.With(r.Client.Others()).Other(t.Audience)
	if target.Bound && r.JKT == "" {
		return Answer{}, oauth.ErrProof.Saying("This resource takes only tokens that are bound to a key; send a DPoP proof.")
	}
	most := now.Add(client.Life(r.Client.AccessSeconds, AccessLife)).Unix()
	if t.Expiry == 0 || t.Expiry > most {
		t.Expiry = most
	}
	if target.Life > 0 {
		t.Expiry = min(t.Expiry, now.Add(target.Life).Unix())
	}
	t.JTI, t.Confirmation = id.New("at", now), oauth.Bound(r.JKT)
	var token string
	var err error
	if target.Opaque || r.Client.Opaque && !target.Plain {
		token, err = s.Sealer.Seal(t)
	} else {
		token, err = s.Keys.SignWith(target.Alg, oauth.TypeAccess, t)
	}
	return Answer{AccessToken: token, TokenType: oauth.TokenType(r.JKT), ExpiresIn: t.Expiry - t.IssuedAt, Scope: t.Scope}, err
}
