package register

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/oauth"
)

// Refusals of a registration (RFC 7591 section 3.2.2).
var (
	errMetadata = fault.New(fault.Invalid, "invalid_client_metadata", "The client metadata are not valid.")
	errRedirect = fault.New(fault.Invalid, "invalid_redirect_uri", "A redirect URI is not allowed for this kind of client.")
)

const (
	maxName = 120 // characters
	maxURIs = 20
	maxText = 2048
)

// Metadata is what a client says about itself (RFC 7591 section 2). Members
// that are not here are ignored. What is not set is left out of answers:
// clients take a null for a value of the wrong type.
type Metadata struct {
	RedirectURIs    []string `json:"redirect_uris"`
	Method          string   `json:"token_endpoint_auth_method"`
	Grants          []string `json:"grant_types"`
	ResponseTypes   []string `json:"response_types"`
	Name            string   `json:"client_name"`
	URI             string   `json:"client_uri,omitempty"`
	Scope           *string  `json:"scope"`
	ApplicationType string   `json:"application_type"`
	PostLogout      []string `json:"post_logout_redirect_uris,omitempty"`
	DefaultMaxAge   *int64   `json:"default_max_age,omitempty"`
	SubjectType     string   `json:"subject_type"`
	IDTokenAlg      string   `json:"id_token_signed_response_alg"`
	UserinfoAlg     string   `json:"userinfo_signed_response_alg,omitempty"`
	// IntrospectionAlg signs answers of introspection (RFC 9701 section 6).
	IntrospectionAlg string `json:"introspection_signed_response_alg,omitempty"`
	SectorID         string `json:"sector_identifier_uri,omitempty"`
	RequirePAR       bool   `json:"require_pushed_authorization_requests,omitempty"`
	RequireDPoP      bool   `json:"dpop_bound_access_tokens,omitempty"`
	// JWKS are the keys of a client that signs what it sends; elsewhere they
	// would have to be fetched.
	JWKS                 json.RawMessage `json:"jwks,omitempty"`
	JWKSURI              string          `json:"jwks_uri,omitempty"`
	BackchannelLogoutURI string          `json:"backchannel_logout_uri,omitempty"`
	// BackchannelSession wants a sid in logout tokens, which all of ours have.
	BackchannelSession bool `json:"backchannel_logout_session_required,omitempty"`
	SignedRequests     bool `json:"require_signed_request_object,omitempty"`
	// AuthAlg may restrict how assertions are signed; every key is for one
	// algorithm already.
	AuthAlg string `json:"token_endpoint_auth_signing_alg,omitempty"`

	LogoURI   string   `json:"logo_uri,omitempty"`
	PolicyURI string   `json:"policy_uri,omitempty"`
	TermsURI  string   `json:"tos_uri,omitempty"`
	Contacts  []string `json:"contacts,omitempty"`

	about
}

// about is what is only kept and told again.
type about struct {
	SoftwareID      string `json:"software_id,omitempty"`
	SoftwareVersion string `json:"software_version,omitempty"`
}

// client returns the client that m describes.
func (m Metadata) client() (client.Client, error) {
	c := client.Client{
		Name: m.Name, Homepage: m.URI, AuthMethod: client.AuthMethod(m.Method), RedirectURIs: m.RedirectURIs, Grants: m.Grants,
		PostLogoutRedirectURIs: m.PostLogout, DefaultMaxAge: m.DefaultMaxAge, RefreshLife: client.LifeStandalone, RequirePAR: m.RequirePAR,
		RequireDPoP: m.RequireDPoP, JWKS: m.JWKS, JWKSURI: m.JWKSURI,
		BackchannelLogoutURI: m.BackchannelLogoutURI, SignedRequests: m.SignedRequests, UserinfoAlg: m.UserinfoAlg, IntrospectionAlg: m.IntrospectionAlg,
		IDTokenAlg: cmp.Or(m.IDTokenAlg, oauth.AlgRS256), // OpenID Connect Registration section 2
	}
	if m.Method == "" {
		c.AuthMethod = client.AuthBasic // RFC 7591 section 2
	}
	if len(m.Grants) == 0 {
		c.Grants = []string{client.GrantCode}
	}
	c.Public = c.AuthMethod == client.AuthNone
	if err := m.checkSupport(c); err != nil {
		return c, err
	}
	var err error
	if c.Native, err = m.native(); err != nil {
		return c, err
	}
	if err := m.checkURIs(c.Native); err != nil {
		return c, err
	}
	if c.Name, err = m.name(); err != nil {
		return c, err
	}
	if len(m.JWKS) > 0 {
		if _, err := oauth.ParseKeySet(m.JWKS); err != nil {
			return c, errMetadata.Saying("jwks cannot be used: %s.", err)
		}
	}
	if c.Scopes, err = m.scopes(); err != nil {
		return c, err
	}
	c.Details = client.Details{Logo: m.LogoURI, Policy: m.PolicyURI, Terms: m.TermsURI, Contacts: m.Contacts}
	if c.About, err = m.checkAbout(); err != nil {
		return c, err
	}
	return c, nil
}

// checkSupport refuses what this server does not do.
func (m Metadata) checkSupport(c client.Client) error {
	switch {
	case !slices.Contains(client.AuthMethods(), c.AuthMethod):
		return errMetadata.Saying("token_endpoint_auth_method must be none, client_secret_basic, client_secret_post or private_key_jwt.")
	case m.JWKSURI != "" && (!client.IsHTTPS(m.JWKSURI) || len(m.JWKS) > 0):
		return errMetadata.Saying("jwks_uri must be an https address, and jwks must then be left out.")
	case m.AuthAlg != "" && !slices.Contains(oauth.ClientAlgs(), m.AuthAlg):
		return errMetadata.Saying("token_endpoint_auth_signing_alg must be one of: %s.", strings.Join(oauth.ClientAlgs(), ", "))
	case slices.ContainsFunc(c.Grants, func(g string) bool {
		return g != client.GrantCode && g != client.GrantRefresh && g != client.GrantDevice
	}):
		return errMetadata.Saying("grant_types may have authorization_code, refresh_token and %s.", client.GrantDevice)
	case !c.May(client.GrantCode) && !c.May(client.GrantDevice):
		return errMetadata.Saying("grant_types must have authorization_code or %s: refresh tokens come from them.", client.GrantDevice)
	case slices.ContainsFunc(m.ResponseTypes, func(r string) bool { return r != "code" }):
		return errMetadata.Saying("response_types may only have code.")
	case m.SubjectType != "" && m.SubjectType != "public":
		return errMetadata.Saying("subject_type must be public.")
	case m.SectorID != "":
		return errMetadata.Saying("sector_identifier_uri is not supported, as subjects are public.")
	case m.IDTokenAlg != "" && !slices.Contains(oauth.Algs(), m.IDTokenAlg):
		return errMetadata.Saying("id_token_signed_response_alg must be one of: %s.", strings.Join(oauth.Algs(), ", "))
	case m.UserinfoAlg != "" && !slices.Contains(oauth.Algs(), m.UserinfoAlg):
		return errMetadata.Saying("userinfo_signed_response_alg must be one of: %s.", strings.Join(oauth.Algs(), ", "))
	case m.IntrospectionAlg != "" && !slices.Contains(oauth.Algs(), m.IntrospectionAlg):
		return errMetadata.Saying("introspection_signed_response_alg must be one of: %s.", strings.Join(oauth.Algs(), ", "))
	case m.DefaultMaxAge != nil && *m.DefaultMaxAge < 0:
		return errMetadata.Saying("default_max_age is in seconds and cannot be negative.")
	}
	return nil
}

// native reports whether the client is a program on the user's machine. Where
// it does not say, the redirect URIs do.
func (m Metadata) native() (bool, error) {
	switch m.ApplicationType {
	case "native":
		return true, nil
	case "web":
		return false, nil
	case "":
		return !slices.ContainsFunc(m.RedirectURIs, func(uri string) bool { return strings.HasPrefix(uri, "https://") }), nil
	}
	return false, errMetadata.Saying("application_type must be web or native.")
}

func (m Metadata) checkURIs(native bool) error {
	if len(m.RedirectURIs) == 0 && slices.Contains(m.Grants, client.GrantDevice) && !slices.Contains(m.Grants, client.GrantCode) {
		return nil // it is never answered in a browser
	}
	if len(m.RedirectURIs) == 0 || len(m.RedirectURIs) > maxURIs || len(m.PostLogout) > maxURIs {
		return errRedirect.Saying("redirect_uris must have 1 to %d addresses, post_logout_redirect_uris up to as many.", maxURIs)
	}
	for i, uri := range slices.Concat(m.RedirectURIs, m.PostLogout) {
		if oauth.CheckRedirect(uri, native) {
			continue
		}
		if i >= len(m.RedirectURIs) {
			return errMetadata.Saying("A post-logout redirect URI is not allowed for this kind of client: https, or for native clients loopback http or a reverse-domain scheme; no fragment, wildcard or dot segment.")
		}
		return errRedirect.Saying("A redirect URI is not allowed for this kind of client: https, or for native clients loopback http or a reverse-domain scheme; no fragment, wildcard or dot segment.")
	}
	if m.BackchannelLogoutURI != "" && !client.IsHTTPS(m.BackchannelLogoutURI) {
		return errMetadata.Saying("backchannel_logout_uri must be an https address.")
	}
	if m.URI != "" && !client.IsHTTPS(m.URI) {
		return errMetadata.Saying("client_uri must be an https address.")
	}
	return nil
}

// name is what people see: what the client says, or where it is.
func (m Metadata) name() (string, error) {
	name := strings.TrimSpace(m.Name)
	if name == "" && len(m.RedirectURIs) > 0 {
		if name = strings.TrimPrefix(oauth.OriginOf(m.RedirectURIs[0]), "https://"); name == "" || strings.Contains(name, "/") {
			name = "App on this computer"
		}
	}
	if name == "" {
		name = "Device"
	}
	hidden := func(r rune) bool {
		return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) || r == utf8.RuneError
	}
	if utf8.RuneCountInString(name) > maxName || strings.ContainsFunc(name, hidden) {
		return "", errMetadata.Saying("client_name must have at most %d characters, and none that control or reverse text.", maxName)
	}
	return name, nil
}

// scopes returns those that the client may ask for: never admin.
func (m Metadata) scopes() ([]string, error) {
	if m.Scope == nil {
		return oauth.UserScopes(), nil
	}
	var out []string
	for scope := range strings.FieldsSeq(*m.Scope) {
		if slices.Contains(oauth.UserScopes(), scope) && !slices.Contains(out, scope) {
			out = append(out, scope)
		}
	}
	if len(out) == 0 {
		return nil, errMetadata.Saying("scope has none of the scopes that there are: %s.", strings.Join(oauth.UserScopes(), " "))
	}
	return out, nil
}

func (m Metadata) checkAbout() (json.RawMessage, error) {
	text, err := json.Marshal(m.about)
	if err == nil && len(text) > maxText {
		err = errMetadata.Saying("software_id and software_version are longer than %d bytes together.", maxText)
	}
	return text, err
}

// describe returns the metadata of a stored client.
func describe(c client.Client) (Metadata, error) {
	scope := strings.Join(c.Scopes, " ")
	m := Metadata{
		RedirectURIs: c.RedirectURIs, Method: string(c.AuthMethod), Grants: c.Grants, ResponseTypes: []string{"code"}, Name: c.Name, URI: c.Homepage,
		Scope: &scope, ApplicationType: "web", PostLogout: c.PostLogoutRedirectURIs, DefaultMaxAge: c.DefaultMaxAge, SubjectType: "public", IDTokenAlg: cmp.Or(c.IDTokenAlg, oauth.AlgES256), RequirePAR: c.RequirePAR,
		RequireDPoP: c.RequireDPoP, JWKS: c.JWKS, JWKSURI: c.JWKSURI,
		BackchannelLogoutURI: c.BackchannelLogoutURI, SignedRequests: c.SignedRequests, UserinfoAlg: c.UserinfoAlg, IntrospectionAlg: c.IntrospectionAlg,
		LogoURI: c.Logo, PolicyURI: c.Policy, TermsURI: c.Terms, Contacts: c.Contacts,
	}
	if c.Native {
		m.ApplicationType = "native"
	}
	if len(c.About) > 0 {
		if err := json.Unmarshal(c.About, &m.about); err != nil {
			return m, err
		}
	}
	return m, nil
}
