package token

import (
	"errors"
	"net"
	"net/http"
	"slices"

	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/web"
)

// Paths of the endpoints.
const (
	Path       = "/oauth/token"
	RevokePath = "/oauth/revoke"
)

const maxBody = 64 << 10

// API serves the token and the revocation endpoint.
type API struct {
	Tokens *Service
	// Address returns who is asking, for the limits; nil takes the address of
	// the connection.
	Address func(*http.Request) string
}

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	policies := []web.Option{oauth.Errors(), web.Body(maxBody), web.Origins(a.Tokens.Clients.Origins), web.Secured(web.SchemeBasic)}
	policies = slices.Clip(policies)
	m.Handle("POST "+Path, a.limited(a.token), append(policies, web.Doc("Get tokens"), web.Takes(oauth.MediaForm, oauth.TokenParams{}), web.Gives(http.StatusOK, "", Answer{}))...)
	m.Handle("POST "+RevokePath, a.limited(a.revoke), append(policies, web.Doc("End a token (RFC 7009)"), web.Takes(oauth.MediaForm, oauth.NamedToken{}), web.Gives(http.StatusOK, "-", nil))...)
}

// limited refuses addresses that have failed too often, and counts failures.
func (a API) limited(h web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Pragma", "no-cache") // RFC 6749 section 5.1
		address := a.address(r)
		if err := a.Tokens.limit.Check(address); err != nil {
			return err
		}
		err := h(w, r)
		if errors.Is(err, oauth.ErrInvalidClient) || errors.Is(err, oauth.ErrInvalidGrant) || errors.Is(err, oauth.ErrProof) {
			a.Tokens.limit.Count(address)
		}
		return err
	}
}

func (a API) address(r *http.Request) string {
	if a.Address != nil {
		return a.Address(r)
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func (a API) token(w http.ResponseWriter, r *http.Request) error {
	v, c, err := a.Tokens.Clients.FromRequest(w, r)
	if err != nil {
		return err
	}
	jkt, err := a.Tokens.prove(w, r, c)
	if err != nil {
		return err
	}
	answer, err := a.Tokens.Exchange(r.Context(), Request{
		Client: c, JKT: jkt, GrantType: v.Get("grant_type"), Code: v.Get("code"), DeviceCode: v.Get("device_code"), RedirectURI: v.Get("redirect_uri"),
		Verifier: v.Get("code_verifier"), RefreshToken: v.Get("refresh_token"), Scope: v.Get("scope"), Resources: present(v["resource"]),
		Subject: Subject{
			Token: v.Get("subject_token"), Type: v.Get("subject_token_type"), Actor: v.Get("actor_token"), ActorType: v.Get("actor_token_type"),
			Requested: v.Get("requested_token_type"), Audience: v["audience"],
		},
	})
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, answer)
}

// prove checks the DPoP proof of a token request.
func (s *Service) prove(w http.ResponseWriter, r *http.Request, c client.Client) (jkt string, err error) {
	jkt, err = s.Proofs.Prove(w, r, s.Server.Issuer+Path, !c.NoNonce)
	switch {
	case sqldb.IsUnavailable(err):
		return "", errStorage.Because(err)
	case err == nil && jkt == "" && c.RequireDPoP:
		return "", oauth.ErrProof.Saying("This client must send a DPoP proof: its tokens are bound to a key.")
	}
	return jkt, err
}

func (a API) revoke(w http.ResponseWriter, r *http.Request) error {
	v, c, err := a.Tokens.Clients.FromRequest(w, r)
	if err != nil {
		return err
	}
	if v.Get("token") == "" {
		return oauth.ErrInvalidRequest.Saying("The parameter token is missing.")
	}
	if err := a.Tokens.Revoke(r.Context(), c, v.Get("token")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// present drops empty values, which count as absent.
func present(values []string) []string {
	var out []string
	for _, v := range values {
		if v != "" {
			out = append(out, v)
		}
	}
	return out
}
