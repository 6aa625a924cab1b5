package token

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/keys"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Lives of what is issued.
const (
	AccessLife = time.Hour
	IDLife     = time.Hour
)

// patience is how long a request waits for the database.
const patience = 10 * time.Second

// errStorage answers while the database cannot. Nothing was consumed.
var errStorage = fault.New(fault.Unavailable, "temporarily_unavailable", "The service cannot answer right now. Nothing was consumed; try again in a few seconds.").After(2 * time.Second)

// Users tells who a user is. A user who does not exist is not Active.
type Users interface {
	Profile(ctx context.Context, userID string) (oauth.Profile, error)
}

// Needs is what a Service is made of.
type Needs struct {
	Log     *slog.Logger
	Now     func() time.Time
	Clients *client.Service
	Grants  *grant.Service
	Keys    *keys.Service
	Users   Users
	Server  oauth.Server
	// FailuresPerMinute is how many refused requests an address may make;
	// zero means 100.
	FailuresPerMinute int
}

// Service issues and revokes tokens. It is safe for concurrent use.
type Service struct {
	Needs
	tokens *oauth.Verifier // of any audience: for revocation
	limit  *oauth.Limiter
}

// New returns a Service.
func New(n Needs) *Service {
	if n.FailuresPerMinute == 0 {
		n.FailuresPerMinute = 100
	}
	return &Service{
		Needs:  n,
		tokens: oauth.NewVerifier(n.Keys, n.Server.Issuer, "", n.Now),
		limit:  oauth.NewLimiter(n.FailuresPerMinute, time.Minute, n.Now),
	}
}

// Request is a token request whose client is known.
type Request struct {
	Client       client.Client
	GrantType    string
	Code         string
	RedirectURI  string
	Verifier     string
	RefreshToken string
	Scope        string
	Resources    []string
}

// Answer is what a client gets (RFC 6749 section 5.1).
type Answer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	Scope        string `json:"scope"`
}

// Exchange gives tokens for a code or a refresh token. It fails with a fault
// of RFC 6749 section 5.2, or, having consumed nothing, with
// temporarily_unavailable.
func (s *Service) Exchange(ctx context.Context, r Request) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var a Answer
	var err error
	switch {
	case r.GrantType == "":
		return a, oauth.ErrInvalidRequest.Saying("The parameter grant_type is missing.")
	case r.GrantType != client.GrantCode && r.GrantType != client.GrantRefresh:
		return a, oauth.ErrUnsupportedGrant
	case !r.Client.May(r.GrantType):
		return a, oauth.ErrUnauthorized
	case len(r.Resources) > 1:
		return a, oauth.ErrInvalidTarget.Saying("A token has one audience; send one resource.")
	case r.GrantType == client.GrantCode:
		a, err = s.code(ctx, r)
	default:
		a, err = s.refresh(ctx, r)
	}
	if err == nil {
		s.Clients.Used(ctx, r.Client)
	}
	if sqldb.IsUnavailable(err) {
		err = errStorage.Because(err)
	}
	return a, err
}

func (s *Service) code(ctx context.Context, r Request) (Answer, error) {
	switch {
	case r.Code == "":
		return Answer{}, oauth.ErrInvalidRequest.Saying("The parameter code is missing.")
	case r.Verifier == "":
		return Answer{}, oauth.ErrInvalidGrant.Saying("The parameter code_verifier is missing; PKCE is required.")
	}
	var out Answer
	redemption := grant.Redemption{Code: r.Code, ClientID: r.Client.ID, RedirectURI: r.RedirectURI, Verifier: r.Verifier}
	err := s.Grants.RedeemCode(ctx, redemption, func(ctx context.Context, a grant.Authorization) error {
		offline := slices.Contains(a.Scopes, oauth.ScopeOffline) && r.Client.May(client.GrantRefresh)
		a.Bound = !offline || r.Client.RefreshLife == client.LifeSession
		var err error
		if out, err = s.issue(ctx, r, a, a.Scopes); err != nil || !offline {
			return err
		}
		out.RefreshToken, err = s.Grants.IssueRefresh(ctx, a)
		return err
	})
	return out, err
}

func (s *Service) refresh(ctx context.Context, r Request) (Answer, error) {
	if r.RefreshToken == "" {
		return Answer{}, oauth.ErrInvalidRequest.Saying("The parameter refresh_token is missing.")
	}
	var out Answer
	successor, err := s.Grants.Rotate(ctx, r.RefreshToken, r.Client.ID, func(ctx context.Context, a grant.Authorization) error {
		scopes, err := oauth.Narrow(r.Scope, a.Scopes)
		if err != nil {
			return err
		}
		out, err = s.issue(ctx, r, a, scopes)
		return err
	})
	if err != nil {
		return Answer{}, err
	}
	out.RefreshToken = successor
	return out, nil
}

// issue signs the tokens of an authorization, for a user who may have them.
func (s *Service) issue(ctx context.Context, r Request, a grant.Authorization, scopes []string) (Answer, error) {
	user, err := s.Users.Profile(ctx, a.UserID)
	if err != nil {
		return Answer{}, err
	}
	if !user.Active {
		return Answer{}, oauth.ErrInvalidGrant.Saying("The account is not active.")
	}
	if len(user.Roles) == 0 { // the role may have been taken away since
		scopes = slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return s == oauth.ScopeAdmin })
	}
	var resource string
	if len(r.Resources) == 1 {
		resource = r.Resources[0]
	}
	audience, err := oauth.Audience(resource, a.Resources, s.Server)
	if err != nil {
		return Answer{}, err
	}
	now := s.Now()
	out, err := s.accessToken(a, audience, oauth.TokenScopes(scopes, audience, s.Server), now)
	if err != nil || !slices.Contains(scopes, oauth.ScopeOpenID) {
		return out, err
	}
	out.IDToken, err = s.Keys.Sign(oauth.TypeID, oauth.IDToken{
		Issuer: s.Server.Issuer, Subject: a.UserID, Audience: a.ClientID, Expiry: now.Add(IDLife).Unix(), IssuedAt: now.Unix(),
		AuthTime: a.AuthTime.Unix(), Nonce: a.Nonce, ACR: a.ACR, AMR: a.AMR, SessionID: a.SessionID, ATHash: oauth.ATHash(out.AccessToken),
	})
	return out, err
}

func (s *Service) accessToken(a grant.Authorization, audience string, scopes []string, now time.Time) (Answer, error) {
	t := oauth.AccessToken{
		Issuer: s.Server.Issuer, Subject: a.UserID, Audience: audience, ClientID: a.ClientID,
		Expiry: now.Add(AccessLife).Unix(), IssuedAt: now.Unix(), JTI: id.New("at", now), Scope: strings.Join(scopes, " "),
		AuthTime: a.AuthTime.Unix(), ACR: a.ACR, AMR: a.AMR, GrantID: a.ID,
	}
	if a.Bound {
		t.SessionID = a.SessionID
	}
	signed, err := s.Keys.Sign(oauth.TypeAccess, t)
	return Answer{AccessToken: signed, TokenType: "Bearer", ExpiresIn: int64(AccessLife / time.Second), Scope: t.Scope}, err
}

// Revoke ends a token, if it is the client's; anything else changes nothing
// and is no error (RFC 7009 section 2.2).
func (s *Service) Revoke(ctx context.Context, c client.Client, value string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	claims, err := s.tokens.Verify(value)
	switch {
	case err != nil:
		err = s.Grants.RevokeRefresh(ctx, value, c.ID)
	case claims.ClientID == c.ID:
		err = s.Grants.Revoke(ctx, grant.KindToken, claims.JTI)
	}
	if sqldb.IsUnavailable(err) {
		err = errStorage.Because(err)
	}
	return err
}
