package discovery

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/web"
)

// JWKSPath is where the keys are.
const JWKSPath = "/oauth/jwks"

// Keys are what signs our tokens.
type Keys interface {
	JWKS() []byte
}

// API serves the documents.
type API struct {
	Issuer string // the public address, without a trailing slash
	Keys   Keys
	// Registration says that clients may register themselves.
	Registration bool
	// Documents says that a client id may be the address of its metadata.
	Documents bool
}

// metadata has the members of both kinds of document. The packages of the
// endpoints mount the paths that are named here.
type metadata struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	UserinfoEndpoint      string   `json:"userinfo_endpoint"`
	JWKSURI               string   `json:"jwks_uri"`
	RevocationEndpoint    string   `json:"revocation_endpoint"`
	EndSessionEndpoint    string   `json:"end_session_endpoint"`
	IntrospectionEndpoint string   `json:"introspection_endpoint"`
	PushEndpoint          string   `json:"pushed_authorization_request_endpoint"`
	PushRequired          bool     `json:"require_pushed_authorization_requests"`
	DeviceEndpoint        string   `json:"device_authorization_endpoint"`
	RegistrationEndpoint  string   `json:"registration_endpoint,omitempty"`
	Scopes                []string `json:"scopes_supported"`
	ResponseTypes         []string `json:"response_types_supported"`
	ResponseModes         []string `json:"response_modes_supported"`
	Grants                []string `json:"grant_types_supported"`
	ACRValues             []string `json:"acr_values_supported"`
	Subjects              []string `json:"subject_types_supported"`
	IDTokenAlgs           []string `json:"id_token_signing_alg_values_supported"`
	UserinfoAlgs          []string `json:"userinfo_signing_alg_values_supported"`
	TokenAuth             []string `json:"token_endpoint_auth_methods_supported"`
	RevocationAuth        []string `json:"revocation_endpoint_auth_methods_supported"`
	IntrospectionAuth     []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionAlgs     []string `json:"introspection_signing_alg_values_supported"`
	TokenAuthAlgs         []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	RevocationAuthAlgs    []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAuthAlgs []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	RequestAlgs           []string `json:"request_object_signing_alg_values_supported"`
	BackchannelLogout     bool     `json:"backchannel_logout_supported"`
	BackchannelSession    bool     `json:"backchannel_logout_session_supported"`
	DPoPAlgs              []string `json:"dpop_signing_alg_values_supported"`
	Claims                []string `json:"claims_supported"`
	Challenges            []string `json:"code_challenge_methods_supported"`
	Prompts               []string `json:"prompt_values_supported"`
	Documents             bool     `json:"client_id_metadata_document_supported"`
	Issues                bool     `json:"authorization_response_iss_parameter_supported"`
	ClaimsParameter       bool     `json:"claims_parameter_supported"`
	RequestParameter      bool     `json:"request_parameter_supported"`
	RequestURIParameter   bool     `json:"request_uri_parameter_supported"` // true when left out
}

func (a API) metadata() metadata {
	methods := []string{"none", "client_secret_basic", "client_secret_post", "private_key_jwt"}
	m := metadata{
		Issuer:                a.Issuer,
		AuthorizationEndpoint: a.Issuer + "/oauth/authorize",
		TokenEndpoint:         a.Issuer + "/oauth/token",
		UserinfoEndpoint:      a.Issuer + "/oauth/userinfo",
		JWKSURI:               a.Issuer + JWKSPath,
		RevocationEndpoint:    a.Issuer + "/oauth/revoke",
		EndSessionEndpoint:    a.Issuer + "/oauth/end-session",
		IntrospectionEndpoint: a.Issuer + "/oauth/introspect",
		PushEndpoint:          a.Issuer + "/oauth/par",
		DeviceEndpoint:        a.Issuer + "/oauth/device",
		Scopes:                oauth.Scopes(),
		ResponseTypes:         []string{"code"},
		ResponseModes:         []string{"query", "form_post"},
		Grants:                []string{"authorization_code", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:token-exchange"},
		ACRValues:             []string{"single", "mfa", "phr"},
		Subjects:              []string{"public"},
		IDTokenAlgs:           oauth.Algs(),
		UserinfoAlgs:          oauth.Algs(),
		TokenAuth:             methods,
		RevocationAuth:        methods,
		IntrospectionAuth:     methods[1:],
		IntrospectionAlgs:     oauth.Algs(),
		TokenAuthAlgs:         oauth.ClientAlgs(),
		RevocationAuthAlgs:    oauth.ClientAlgs(),
		IntrospectionAuthAlgs: oauth.ClientAlgs(),
		RequestAlgs:           oauth.ClientAlgs(),
		RequestParameter:      true,
		ClaimsParameter:       true,
		BackchannelLogout:     true,
		BackchannelSession:    true,
		DPoPAlgs:              oauth.StrictAlgs(),
		Claims:                oauth.ClaimNames(),
		Challenges:            []string{"S256"},
		Prompts:               oauth.Prompts(),
		Documents:             a.Documents,
		Issues:                true,
	}
	if a.Registration {
		m.RegistrationEndpoint = a.Issuer + "/oauth/register"
	}
	return m
}

// keySet describes the keys (RFC 7517 section 5).
type keySet struct {
	Keys []map[string]any `json:"keys"`
}

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	document, err := json.Marshal(a.metadata())
	serve := func(body func() []byte) web.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			if err != nil {
				return fmt.Errorf("encode metadata: %w", err)
			}
			return write(w, r, body())
		}
	}
	public := []web.Option{web.AnyOrigin(), web.Raw(), web.Open(), web.Tag("Discovery")}
	public = slices.Clip(public)
	about := append(public, web.Doc("Show the metadata of this server"), web.Gives(http.StatusOK, "", metadata{}))
	fixed := serve(func() []byte { return document })
	m.Handle("GET /.well-known/openid-configuration", fixed, about...)
	m.Handle("GET /.well-known/oauth-authorization-server", fixed, about...)
	m.Handle("GET "+JWKSPath, serve(a.Keys.JWKS), append(public, web.Doc("Show the keys that tokens are signed with"), web.Gives(http.StatusOK, "", keySet{}))...)
}

// write sends a public document that may be kept for five minutes.
func write(w http.ResponseWriter, r *http.Request, body []byte) error {
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:12]) + `"`
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("ETag", tag)
	if match := r.Header.Get("If-None-Match"); match == "*" || strings.Contains(match, tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", "application/json")
	_, _ = w.Write(body) // a client that left is not our error
	return nil
}
