package userinfo

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/keys"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/web"
)

// Path of the endpoint.
const Path = "/oauth/userinfo"

var (
	errNoToken = fault.New(fault.Unauthenticated, "invalid_request", "Send an access token in the Authorization header, as Bearer.")
	errScope   = fault.New(fault.Forbidden, "insufficient_scope", "The access token lacks the scope openid.")
	unproven   = fault.New(fault.Unauthenticated, "invalid_dpop_proof", "The DPoP proof is not by the key that the access token is bound to.")
	errStorage = fault.New(fault.Unavailable, "temporarily_unavailable", "The service cannot answer right now. Try again in a few seconds.").After(2e9)
)

// Users tells who a user is. A user who does not exist is not Active.
type Users interface {
	Profile(ctx context.Context, userID string) (oauth.Profile, error)
}

// API serves the endpoint.
type API struct {
	Tokens  *oauth.Verifier // of any audience
	Grants  *grant.Service
	Users   Users
	Clients *client.Service
	Keys    *keys.Service // signs for clients that want it
	Origins func(origin string) bool
	Issuer  string
	Proofs  *oauth.Proofs
}

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	policies := []web.Option{oauth.Errors(), web.Body(64 << 10), web.Origins(a.Origins), web.Gives(http.StatusOK, "", oauth.UserInfo{}), web.Scopes(oauth.ScopeOpenID), web.Secured(web.SchemeToken)}
	policies = slices.Clip(policies)
	m.Handle("GET "+Path, a.userinfo, append(policies, web.Doc("Show the claims about the user of the token"))...)
	m.Handle("POST "+Path, a.userinfo, append(policies, web.Doc("Show the claims about the user of the token, by a form"))...)
}

func (a API) userinfo(w http.ResponseWriter, r *http.Request) error {
	user, clientID, scopes, err := a.user(w, r)
	if err != nil {
		challenge(w, fault.From(err))
		return err
	}
	claims := oauth.UserClaims(user, scopes)
	c, err := a.Clients.ByID(r.Context(), clientID)
	if err != nil && !errors.Is(err, client.ErrUnknown) { // a token outlives nobody's client but for seconds
		return err
	}
	c.AddClaims(claims, user)
	if c.UserinfoAlg == "" {
		return web.JSON(w, http.StatusOK, claims)
	}
	claims["iss"], claims["aud"] = a.Issuer, clientID // OpenID Connect Core section 5.3.2
	signed, err := a.Keys.SignWith(c.UserinfoAlg, oauth.TypeUser, claims)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/jwt")
	_, _ = io.WriteString(w, signed) //nolint:gosec // a JWT; a client that left is not our error
	return nil
}

// user finds the live user of a live token, and what the token was for.
func (a API) user(w http.ResponseWriter, r *http.Request) (user oauth.Profile, clientID string, scopes []string, err error) {
	token, scheme, err := presented(r)
	if err != nil {
		return oauth.Profile{}, "", nil, err
	}
	c, err := a.Tokens.Verify(token)
	if err != nil {
		return oauth.Profile{}, "", nil, err
	}
	if a.Grants.Revoked(c) || c.OfClient() || scheme != oauth.TokenType(c.JKT) {
		return oauth.Profile{}, "", nil, oauth.ErrInvalidToken
	}
	if c.JKT != "" {
		if err := a.prove(w, r, token, c.JKT); err != nil {
			return oauth.Profile{}, "", nil, err
		}
	}
	if !c.Has(oauth.ScopeOpenID) {
		return oauth.Profile{}, "", nil, errScope
	}
	user, err = a.Users.Profile(r.Context(), c.Subject)
	switch {
	case sqldb.IsUnavailable(err):
		return user, "", nil, errStorage.Because(err)
	case err != nil:
		return user, "", nil, err
	case !user.Active:
		return user, "", nil, oauth.ErrInvalidToken
	}
	return user, c.ClientID, c.Scopes, nil
}

// prove checks that the caller holds the key that the token is bound to.
func (a API) prove(w http.ResponseWriter, r *http.Request, token, jkt string) error {
	proof, err := oauth.ReadProof(r)
	if err != nil {
		return unproven.Because(err)
	}
	w.Header().Set("DPoP-Nonce", a.Proofs.Nonce())
	got, err := a.Proofs.Check(r.Context(), proof, oauth.ProofRules{Method: r.Method, URL: a.Issuer + Path, AccessToken: token})
	switch {
	case sqldb.IsUnavailable(err):
		return errStorage.Because(err)
	case errors.Is(err, oauth.ErrProof), errors.Is(err, oauth.ErrUseNonce):
		f := *fault.From(err)
		f.Kind = fault.Unauthenticated // at a resource (RFC 9449 section 7.1)
		return &f
	case err != nil:
		return err
	case got != jkt:
		return unproven
	}
	return nil
}

// presented returns the token of the Authorization header or of a form, but not
// of both, and the scheme that it came by (RFC 6750 section 2, RFC 9449 section
// 7.1). The address is never read.
func presented(r *http.Request) (token, scheme string, err error) {
	var inForm string
	if r.Method == http.MethodPost && r.ContentLength != 0 {
		v, err := oauth.ReadForm(r)
		if err != nil {
			return "", "", err
		}
		inForm = v.Get("access_token")
	}
	scheme, token, _ = strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		scheme = "Bearer"
	case strings.EqualFold(scheme, "DPoP"):
		scheme = "DPoP"
	default:
		token = ""
	}
	switch inHeader := token != ""; {
	case inHeader && inForm != "" || len(r.Header["Authorization"]) > 1:
		return "", "", oauth.ErrInvalidRequest.Saying("The access token was sent in more than one way.")
	case inHeader:
		return token, scheme, nil
	case inForm != "":
		return inForm, "Bearer", nil
	}
	return "", "", errNoToken
}

// challenge sets the header that goes with a refusal (RFC 6750 section 3). A
// request without a token is told of no error.
func challenge(w http.ResponseWriter, f *fault.Error) {
	switch {
	case f.Code == errScope.Code:
		w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="openid"`)
	case f.Code == oauth.ErrInvalidToken.Code:
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	case f.Code == oauth.ErrProof.Code, f.Code == oauth.ErrUseNonce.Code:
		w.Header().Set("WWW-Authenticate", `DPoP error="`+f.Code+`", algs="`+strings.Join(oauth.StrictAlgs(), " ")+`"`)
	case f.Kind == fault.Unauthenticated:
		w.Header().Set("WWW-Authenticate", `Bearer`)
	}
}
