package introspect

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/web"
)

// Path of the endpoint.
const Path = "/oauth/introspect"

const patience = 10 * time.Second

var errStorage = fault.New(fault.Unavailable, "temporarily_unavailable", "The service cannot answer right now. Try again in a few seconds.").After(2 * time.Second)

// Signer signs an answer with the key of the issuer.
type Signer interface {
	SignWith(alg, typ string, claims any) (string, error)
}

// Users tells who a user is. A user who does not exist is not Active.
type Users interface {
	Profile(ctx context.Context, userID string) (oauth.Profile, error)
}

// API serves the endpoint.
type API struct {
	Issuer string
	// Resource is our own, the audience of tokens for the Resource API.
	Resource string
	Clients  *client.Service
	Grants   *grant.Service
	Tokens   *oauth.Verifier // of any audience
	Users    Users
	Keys     Signer
	Now      func() time.Time
}

// Mount registers the route. No browser asks, so no origin is allowed.
func (a API) Mount(m *web.Mux) {
	m.Handle("POST "+Path, a.introspect, web.Doc("Ask about a token (RFC 7662)"), web.Takes(oauth.MediaForm, oauth.NamedToken{}), web.Gives(http.StatusOK, "", answer{}), web.Gives(http.StatusOK, mediaSigned, nil), web.Secured(web.SchemeBasic), oauth.Errors(), web.Body(64<<10))
}

// answer is what is known of a token (RFC 7662 section 2.2).
type answer struct {
	Active    bool         `json:"active"`
	Issuer    string       `json:"iss,omitempty"`
	Subject   string       `json:"sub,omitempty"`
	Audience  string       `json:"aud,omitempty"`
	ClientID  string       `json:"client_id,omitempty"`
	Scope     string       `json:"scope,omitempty"`
	Expiry    int64        `json:"exp,omitempty"`
	IssuedAt  int64        `json:"iat,omitempty"`
	JTI       string       `json:"jti,omitempty"`
	TokenType string       `json:"token_type,omitempty"`
	AuthTime  int64        `json:"auth_time,omitempty"`
	ACR       string       `json:"acr,omitempty"`
	AMR       []string     `json:"amr,omitempty"`
	Act       *oauth.Actor `json:"act,omitempty"`
	// Confirmation is the key that the token is bound to (RFC 9449 section 6.2).
	Confirmation *oauth.Confirmation `json:"cnf,omitempty"`
}

// signed is the content of a signed answer (RFC 9701 section 5). It has no sub
// and no exp of its own, so that it passes for no token.
type signed struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	IssuedAt int64  `json:"iat"`
	Answer   answer `json:"token_introspection"`
}

const (
	typeSigned  = "token-introspection+jwt"
	mediaSigned = "application/" + typeSigned
)

func (a API) introspect(w http.ResponseWriter, r *http.Request) error {
	v, c, err := a.Clients.FromRequest(w, r)
	if err != nil {
		return err
	}
	if c.Public {
		return oauth.ErrInvalidClient.Saying("Only a client that can prove itself may ask about tokens.")
	}
	if v.Get("token") == "" {
		return oauth.ErrInvalidRequest.Saying("The parameter token is missing.")
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	out, err := a.look(ctx, c, v.Get("token"))
	if sqldb.IsUnavailable(err) {
		return errStorage.Because(err)
	}
	if err != nil {
		return err
	}
	if !strings.Contains(r.Header.Get("Accept"), mediaSigned) {
		return web.JSON(w, http.StatusOK, out)
	}
	token, err := a.Keys.SignWith(c.IntrospectionAlg, typeSigned, signed{Issuer: a.Issuer, Audience: c.ID, IssuedAt: a.Now().Unix(), Answer: out})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", mediaSigned)
	_, _ = w.Write([]byte(token)) // a client that left is not our error
	return nil
}

// look tells what a token of c says, if it is alive. The hint of its kind is
// not needed, as the kinds differ in form.
func (a API) look(ctx context.Context, c client.Client, value string) (answer, error) {
	if strings.HasPrefix(value, oauth.PrefixRefresh) {
		return a.refresh(ctx, c, value)
	}
	claims, err := a.Tokens.Verify(value)
	if err != nil || !a.mayAsk(ctx, c, claims) || a.Grants.Revoked(claims) {
		return answer{}, nil //nolint:nilerr // that is the answer
	}
	if alive, err := a.alive(ctx, claims); !alive || err != nil {
		return answer{}, err
	}
	out := answer{
		Active: true, Issuer: a.Issuer, Subject: claims.Subject, Audience: claims.Audience, ClientID: claims.ClientID, Scope: strings.Join(claims.Scopes, " "),
		Expiry: claims.Expiry.Unix(), IssuedAt: claims.IssuedAt.Unix(), JTI: claims.JTI, TokenType: oauth.TokenType(claims.JKT), ACR: claims.ACR, AMR: claims.AMR,
		Act: claims.Act, Confirmation: oauth.Bound(claims.JKT),
	}
	if !claims.AuthTime.IsZero() {
		out.AuthTime = claims.AuthTime.Unix()
	}
	return out, nil
}

// mayAsk reports whether c may know about a token: its own, or one for a
// resource that it asks for. Nobody may about one of a resource that is gone.
func (a API) mayAsk(ctx context.Context, c client.Client, t oauth.Claims) bool {
	if t.Audience != a.Resource && t.Audience != a.Issuer && !a.Clients.Known(ctx, t.Audience) {
		return false
	}
	return t.ClientID == c.ID || a.Clients.Introspects(ctx, c.ID, t.Audience)
}

func (a API) refresh(ctx context.Context, c client.Client, value string) (answer, error) {
	auth, until, ok, err := a.Grants.InspectRefresh(ctx, value, c.ID)
	if err != nil || !ok {
		return answer{}, err
	}
	if alive, err := a.alive(ctx, oauth.Claims{Subject: auth.UserID, ClientID: auth.ClientID}); !alive || err != nil {
		return answer{}, err
	}
	return answer{
		Active: true, Issuer: a.Issuer, Subject: auth.UserID, ClientID: c.ID, Scope: strings.Join(auth.Scopes, " "), Expiry: until.Unix(),
		AuthTime: auth.AuthTime.Unix(), ACR: auth.ACR, AMR: auth.AMR,
	}, nil
}

// alive reports whether the token's user may still act. A client's own token
// has none, and the client is the one who asks.
func (a API) alive(ctx context.Context, c oauth.Claims) (bool, error) {
	if c.OfClient() {
		return true, nil
	}
	u, err := a.Users.Profile(ctx, c.Subject)
	return u.Active, err
}
