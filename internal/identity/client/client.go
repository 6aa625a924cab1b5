package client

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/oauth"
)

// AuthMethod is how a client proves itself to the token endpoint. The words
// are those of the registry of RFC 7591.
type AuthMethod string

// The methods there are.
const (
	AuthNone  AuthMethod = "none" // a public client, which has no secret
	AuthBasic AuthMethod = "client_secret_basic"
	AuthPost  AuthMethod = "client_secret_post"
	AuthKey   AuthMethod = "private_key_jwt" // an assertion signed with its key
)

// RefreshLife says what ends a refresh token early.
type RefreshLife string

// The lives there are.
const (
	LifeSession    RefreshLife = "session"    // signing out
	LifeStandalone RefreshLife = "standalone" // nothing but its revocation
)

// Grants a client may use.
const (
	GrantCode        = "authorization_code"
	GrantRefresh     = "refresh_token"
	GrantCredentials = "client_credentials" // for itself, without a user
	GrantExchange    = "urn:ietf:params:oauth:grant-type:token-exchange"
	GrantDevice      = "urn:ietf:params:oauth:grant-type:device_code"
)

// grants are those that a client may have.
func grants() []string {
	return []string{GrantCode, GrantRefresh, GrantCredentials, GrantDevice, GrantExchange}
}

// Client is one OAuth client.
type Client struct {
	ID   string `json:"-"`
	Name string `json:"-"`
	// Disabled clients are unknown to everybody but administrators.
	Disabled bool `json:"disabled,omitempty"`
	// Verified says that an administrator vouches for who the client is.
	Verified bool `json:"verified,omitempty"`
	// Development lets a web application be answered on the developer's machine.
	Development bool `json:"development,omitempty"`
	// Homepage is where "Back to the app" leads; empty if unknown.
	Homepage   string `json:"homepage,omitempty"`
	FirstParty bool   `json:"first_party,omitempty"`
	Native     bool   `json:"native,omitempty"`
	// Public clients run on the user's machine and have no secret.
	Public bool `json:"public,omitempty"`
	// SkipConsent is for first-party clients whose identity is certain:
	// confidential ones and those that are answered on claimed https only.
	SkipConsent            bool        `json:"skip_consent,omitempty"`
	AuthMethod             AuthMethod  `json:"auth_method"`
	RedirectURIs           []string    `json:"redirect_uris"`
	PostLogoutRedirectURIs []string    `json:"post_logout_redirect_uris,omitempty"`
	CORSOrigins            []string    `json:"cors_origins,omitempty"`
	Scopes                 []string    `json:"scopes"`
	Grants                 []string    `json:"grants"`
	RefreshLife            RefreshLife `json:"refresh_life"`
	// DefaultMaxAge is how old a sign-in may be when the request does not say,
	// in seconds; nil is any age.
	DefaultMaxAge *int64 `json:"default_max_age,omitempty"`
	// RequirePAR refuses requests that were not pushed (RFC 9126).
	RequirePAR bool `json:"require_par,omitempty"`
	// JWKS are the public keys of a client that signs what it sends.
	JWKS json.RawMessage `json:"jwks,omitempty"`
	// TokenAudience also takes assertions whose audience is the token endpoint:
	// for clients made for older servers.
	TokenAudience bool `json:"token_audience,omitempty"`
	// RequireDPoP binds every token of the client to a key that it holds.
	RequireDPoP bool `json:"require_dpop,omitempty"`
	// NoNonce takes the client's DPoP proofs without a nonce of ours.
	NoNonce bool `json:"no_nonce,omitempty"`
	// JWKSURI is where those keys are instead.
	JWKSURI string `json:"jwks_uri,omitempty"`
	// Document says that the id is the address of the metadata document that
	// the client was read from. Nobody but that host has vouched for it.
	Document bool `json:"-"`
	// Opaque gives the client access tokens that say nothing to who reads them.
	Opaque bool `json:"opaque,omitempty"`
	// ExchangeScopes are those that the client may hand on by a token exchange.
	ExchangeScopes []string `json:"exchange_scopes,omitempty"`
	// NoPKCE takes requests without a code challenge; an administrator may allow
	// it to a confidential client that cannot send one.
	NoPKCE bool `json:"no_pkce,omitempty"`
	// IDTokenScopes puts the claims of the scopes into ID tokens too.
	IDTokenScopes bool `json:"id_token_scopes,omitempty"`
	// IDTokenAlg signs the client's ID tokens; "" is ES256.
	IDTokenAlg string `json:"id_token_alg,omitempty"`
	// UserinfoAlg signs what the userinfo endpoint tells the client; "" is JSON
	// that is not signed.
	UserinfoAlg string `json:"userinfo_alg,omitempty"`
	// IntrospectionAlg signs the answers of introspection that the client wants
	// signed (RFC 9701); "" is ES256.
	IntrospectionAlg string `json:"introspection_alg,omitempty"`
	// SignedRequests refuses requests that are not signed (RFC 9101).
	SignedRequests bool `json:"signed_requests,omitempty"`
	// Strict is the profile of FAPI 2.0: the client proves itself by a key, pushes
	// its requests, binds its tokens, and keeps its refresh tokens.
	Strict bool `json:"strict,omitempty"`
	// Resources are the APIs of others that an administrator let the client have
	// tokens for; those that are open to it need not be here.
	Resources []string `json:"resources,omitempty"`
	// BackchannelLogoutURI is told when a user signs out.
	BackchannelLogoutURI string `json:"backchannel_logout_uri,omitempty"`
	// Dynamic clients registered themselves. Nobody has vouched for them.
	Dynamic bool `json:"dynamic,omitempty"`
	// What a dynamic client says about itself besides; nothing here uses it.
	About json.RawMessage `json:"about,omitempty"`
	Details
	Limits

	CreatedAt time.Time `json:"-"`

	secrets []secretHash
	others  []oauth.Resource  // that it may have tokens for
	texts   map[string]string // of the scopes of others; not to be changed
	edited  []string          // the settings that an administrator changed
	keys    oauth.KeySet
	usedAt  time.Time
}

// Faults of looking up and making clients.
var (
	ErrUnknown = fault.New(fault.NotFound, "unknown_client", "There is no client with this id.")
	ErrInvalid = fault.New(fault.Unprocessable, "invalid_client_metadata", "The client's settings break a rule.")
	ErrExists  = fault.New(fault.Conflict, "client_exists", "There is a client with this id already.")
)

// Algs are those that the client may sign with.
func (c Client) Algs() []string {
	if c.Strict {
		return oauth.StrictAlgs()
	}
	return oauth.ClientAlgs()
}

// chosen are the algorithms that c has chosen for what we sign.
func (c Client) chosen() []string {
	return slices.DeleteFunc([]string{c.IDTokenAlg, c.UserinfoAlg, c.IntrospectionAlg}, func(alg string) bool { return alg == "" })
}

// May reports whether c may use the grant.
func (c Client) May(grant string) bool { return slices.Contains(c.Grants, grant) }

// Facts returns what the checks of an authorization request need.
func (c Client) Facts() oauth.Client {
	return oauth.Client{ID: c.ID, RedirectURIs: c.RedirectURIs, Scopes: c.Scopes, NoPKCE: c.NoPKCE, Default: c.DefaultResource, Others: c.others}
}

// Others are the APIs of others that c may have tokens for.
func (c Client) Others() []oauth.Resource { return c.others }

// ScopeTexts say to people what the scopes of others allow. They are not to be
// changed.
func (c Client) ScopeTexts() map[string]string { return c.texts }

// NeedsClick reports whether an answer to the redirect URI must follow a
// click of the user: another program could be listening on a loopback port or
// claim a private scheme (RFC 8252 section 8.6).
func (c Client) NeedsClick(redirectURI string) bool {
	return c.Native && oauth.OriginOf(redirectURI) == "" || oauth.Loopback(redirectURI)
}
