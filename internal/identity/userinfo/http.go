package userinfo

import (
	"context"
	"net/http"
	"strings"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/web"
)

// Path of the endpoint.
const Path = "/oauth/userinfo"

var (
	errNoToken = fault.New(fault.Unauthenticated, "invalid_request", "Send an access token in the Authorization header, as Bearer.")
	errScope   = fault.New(fault.Forbidden, "insufficient_scope", "The access token lacks the scope openid.")
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
	Origins func(origin string) bool
}

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	policies := []web.Option{web.Errors(oauth.WriteError), web.Body(64 << 10), web.Origins(a.Origins)}
	m.Handle("GET "+Path, a.userinfo, policies...)
	m.Handle("POST "+Path, a.userinfo, policies...)
}

func (a API) userinfo(w http.ResponseWriter, r *http.Request) error {
	user, scopes, err := a.user(r)
	if err != nil {
		challenge(w, fault.From(err))
		return err
	}
	return web.JSON(w, http.StatusOK, oauth.UserClaims(user, scopes))
}

// user finds the live user of a live token.
func (a API) user(r *http.Request) (oauth.Profile, []string, error) {
	token, err := bearer(r)
	if err != nil {
		return oauth.Profile{}, nil, err
	}
	c, err := a.Tokens.Verify(token)
	if err != nil {
		return oauth.Profile{}, nil, err
	}
	if a.Grants.Revoked(c) {
		return oauth.Profile{}, nil, oauth.ErrInvalidToken
	}
	if !c.Has(oauth.ScopeOpenID) {
		return oauth.Profile{}, nil, errScope
	}
	user, err := a.Users.Profile(r.Context(), c.Subject)
	switch {
	case sqldb.IsUnavailable(err):
		return user, nil, errStorage.Because(err)
	case err != nil:
		return user, nil, err
	case !user.Active:
		return user, nil, oauth.ErrInvalidToken
	}
	return user, c.Scopes, nil
}

// bearer returns the token of the Authorization header or of a form, but not
// of both (RFC 6750 section 2). The address is never read.
func bearer(r *http.Request) (string, error) {
	var inForm string
	if r.Method == http.MethodPost && r.ContentLength != 0 {
		v, err := oauth.ReadForm(r)
		if err != nil {
			return "", err
		}
		inForm = v.Get("access_token")
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch isBearer := strings.EqualFold(scheme, "Bearer") && token != ""; {
	case isBearer && inForm != "" || len(r.Header["Authorization"]) > 1:
		return "", oauth.ErrInvalidRequest.Saying("The access token was sent in more than one way.")
	case isBearer:
		return token, nil
	case inForm != "":
		return inForm, nil
	}
	return "", errNoToken
}

// challenge sets the header that goes with a refusal (RFC 6750 section 3). A
// request without a token is told of no error.
func challenge(w http.ResponseWriter, f *fault.Error) {
	switch {
	case f.Code == errScope.Code:
		w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="openid"`)
	case f.Code == oauth.ErrInvalidToken.Code:
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	case f.Kind == fault.Unauthenticated:
		w.Header().Set("WWW-Authenticate", `Bearer`)
	}
}
