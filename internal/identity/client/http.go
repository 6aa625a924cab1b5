package client

import (
	"net/http"
	"net/url"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// errStorage answers while the database cannot say whether an assertion was
// used.
var errStorage = fault.New(fault.Unavailable, "temporarily_unavailable", "The service cannot answer right now. Try again in a few seconds.").After(2 * time.Second)

// FromRequest reads the form of a request to one of the issuer's endpoints and
// authenticates the client that sent it (RFC 6749 section 2.3). A page of
// another client's origin does not get to read the answer.
func (s *Service) FromRequest(w http.ResponseWriter, r *http.Request) (url.Values, Client, error) {
	v, err := oauth.ReadForm(r)
	if err != nil {
		return nil, Client{}, err
	}
	for name, values := range v {
		if limit := limitOf(name); len(values[0]) > limit {
			return nil, Client{}, oauth.ErrInvalidRequest.Saying("A parameter is longer than %d bytes.", limit)
		}
	}
	cr, err := credentials(r, v)
	if err == nil {
		var c Client
		if c, err = s.Authenticate(r.Context(), cr); err == nil {
			if origin := r.Header.Get("Origin"); origin != "" && !c.AllowsOrigin(origin) {
				w.Header().Del("Access-Control-Allow-Origin") // another client's page
			}
			return v, c, nil
		}
	}
	if sqldb.IsUnavailable(err) {
		return nil, Client{}, errStorage.Because(err)
	}
	if fault.From(err).Kind == fault.Unauthenticated && r.Header.Get("Authorization") != "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="rephlo"`)
	}
	return nil, Client{}, err
}

func limitOf(name string) int {
	switch name {
	case "token", "client_assertion", "request", "claims", "id_token_hint", "subject_token", "actor_token", "assertion":
		return oauth.MaxToken
	}
	return oauth.MaxParameter
}

// credentials reads how the client presents itself: one way, not several (RFC
// 6749 section 2.3).
func credentials(r *http.Request, v url.Values) (Credentials, error) {
	id, secret := v.Get("client_id"), v.Get("client_secret")
	header := r.Header.Get("Authorization")
	switch {
	case v.Get("client_assertion") != "" || v.Get("client_assertion_type") != "":
		return byAssertion(v, header != "" || secret != "")
	case header == "" && id == "":
		return Credentials{}, oauth.ErrInvalidClient.Saying("The parameter client_id is missing.")
	case header == "" && secret == "":
		return Credentials{ID: id, Method: AuthNone}, nil
	case header == "":
		return Credentials{ID: id, Secret: secret, Method: AuthPost}, nil
	case secret != "" || len(r.Header["Authorization"]) > 1:
		return Credentials{}, oauth.ErrInvalidRequest.Saying("The client authenticated in more than one way.")
	}
	basicID, basicSecret, ok := oauth.ParseBasic(header)
	switch {
	case !ok:
		return Credentials{}, oauth.ErrInvalidClient
	case id != "" && id != basicID:
		return Credentials{}, oauth.ErrInvalidRequest.Saying("The client ids of the header and the body differ.")
	}
	return Credentials{ID: basicID, Secret: basicSecret, Method: AuthBasic}, nil
}

// byAssertion reads a client assertion (RFC 7521 section 4.2). The client is
// the one that it names; a client_id beside it must agree.
func byAssertion(v url.Values, more bool) (Credentials, error) {
	switch {
	case more:
		return Credentials{}, oauth.ErrInvalidRequest.Saying("The client authenticated in more than one way.")
	case v.Get("client_assertion_type") != oauth.AssertionType:
		return Credentials{}, oauth.ErrInvalidClient.Saying("The client_assertion_type must be " + oauth.AssertionType + ".")
	}
	id, _, err := oauth.AssertionClient(v.Get("client_assertion"))
	if err != nil {
		return Credentials{}, err
	}
	if said := v.Get("client_id"); said != "" && said != id {
		return Credentials{}, oauth.ErrInvalidClient.Saying("The client_id and the sub of the client_assertion differ.")
	}
	return Credentials{ID: id, Assertion: v.Get("client_assertion"), Method: AuthKey}, nil
}
