package client

import (
	"net/http"
	"net/url"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/oauth"
)

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
	if fault.From(err).Kind == fault.Unauthenticated && r.Header.Get("Authorization") != "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="rephlo"`)
	}
	return nil, Client{}, err
}

func limitOf(name string) int {
	if name == "token" {
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
		return Credentials{}, oauth.ErrInvalidClient.Saying("Client assertions are not supported.")
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
