package token

import (
	"context"
	"log/slog"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/keys"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Lives of what is issued.
const (
	AccessLife = client.MaxAccess
	IDLife     = client.MaxID
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
	Proofs  *oauth.Proofs
	Sealer  *oauth.Sealer
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
		tokens: oauth.NewVerifier(n.Keys, n.Server.Issuer, "", n.Now).Opaque(n.Sealer),
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
	DeviceCode   string
	RefreshToken string
	Scope        string
	Resources    []string
	Subject      Subject // of a token exchange
	JKT          string  // the key that the request has proven to hold
}

// Answer is what a client gets (RFC 6749 section 5.1).
type Answer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	Scope        string `json:"scope"`
	// IssuedType is set by a token exchange (RFC 8693 section 2.2.1).
	IssuedType string `json:"issued_token_type,omitempty"`
}

// grants are what each grant type does.
func (s *Service) grants() map[string]func(context.Context, Request) (Answer, error) {
	return map[string]func(context.Context, Request) (Answer, error){
		client.GrantCode: s.code, client.GrantRefresh: s.refresh, client.GrantCredentials: s.credentials,
		client.GrantDevice: s.device, client.GrantExchange: s.exchange,
	}
}

// Exchange gives tokens for what a grant type takes. It fails with a fault
// of RFC 6749 section 5.2, or, having consumed nothing, with
// temporarily_unavailable.
func (s *Service) Exchange(ctx context.Context, r Request) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var a Answer
	var err error
	give, known := s.grants()[r.GrantType]
	switch {
	case r.GrantType == "":
		return a, oauth.ErrInvalidRequest.Saying("The parameter grant_type is missing.")
	case !known:
		return a, oauth.ErrUnsupportedGrant
	case !r.Client.May(r.GrantType):
		return a, oauth.ErrUnauthorized
	case len(r.Resources) > 1: // an exchange counts its audiences besides
		return a, oauth.ErrInvalidTarget.Saying("A token has one audience; send one resource.")
	}
	a, err = give(ctx, r)
	if err == nil {
		s.Clients.Used(ctx, r.Client)
	}
	if sqldb.IsUnavailable(err) {
		err = errStorage.Because(err)
	}
	return a, err
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
