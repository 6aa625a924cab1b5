package client

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/identity/oauth"
)

// settingName is the only edited setting that is not among the stored JSON.
const settingName = "name"

// Edit is what an administrator says about a client; what is nil is not said.
type Edit struct {
	ID                     *string            `json:"id,omitempty" maxLength:"512" doc:"Of a new client only: letters, digits, dots, dashes and underscores, or the address of its metadata document; default: one of our choice"`
	Name                   *string            `json:"name,omitempty" minLength:"1" maxLength:"120"`
	Homepage               *string            `json:"homepage,omitempty" maxLength:"2048"`
	Status                 *Status            `json:"status,omitempty" enum:"active,disabled" doc:"A disabled client is unknown to everybody, and its tokens end"`
	Verified               *bool              `json:"verified,omitempty" doc:"Somebody here vouches for who the client is"`
	FirstParty             *bool              `json:"firstParty,omitempty"`
	ApplicationType        *string            `json:"applicationType,omitempty" enum:"web,native"`
	Development            *bool              `json:"development,omitempty" doc:"A web application may be answered on the developer's machine"`
	AuthMethod             *AuthMethod        `json:"authMethod,omitempty" enum:"none,client_secret_basic,client_secret_post,private_key_jwt"`
	RedirectURIs           *[]string          `json:"redirectUris,omitempty" maxItems:"50"`
	PostLogoutRedirectURIs *[]string          `json:"postLogoutRedirectUris,omitempty" maxItems:"50"`
	BackchannelLogoutURI   *string            `json:"backchannelLogoutUri,omitempty" maxLength:"2048"`
	CORSOrigins            *[]string          `json:"corsOrigins,omitempty" maxItems:"50"`
	JWKS                   json.RawMessage    `json:"jwks,omitempty" doc:"The public keys of a client that signs what it sends"`
	JWKSURI                *string            `json:"jwksUri,omitempty" maxLength:"2048"`
	Grants                 *[]string          `json:"grants,omitempty" maxItems:"10"`
	Scopes                 *[]string          `json:"scopes,omitempty" maxItems:"50"`
	Resources              *[]string          `json:"resources,omitempty" maxItems:"20" doc:"The APIs of others that it may have tokens for, by address"`
	ExchangeScopes         *[]string          `json:"exchangeScopes,omitempty" maxItems:"50" doc:"What it may hand on by a token exchange"`
	PKCE                   *string            `json:"pkce,omitempty" enum:"required,optional"`
	Consent                *string            `json:"consent,omitempty" enum:"ask,skip"`
	TokenFormat            *string            `json:"tokenFormat,omitempty" enum:"jwt,opaque"`
	RefreshLife            *RefreshLife       `json:"refreshLife,omitempty" enum:"session,standalone"`
	RequirePAR             *bool              `json:"requirePar,omitempty"`
	RequireSignedRequest   *bool              `json:"requireSignedRequest,omitempty"`
	DPoP                   *string            `json:"dpop,omitempty" enum:"optional,required"`
	DPoPNonce              *string            `json:"dpopNonce,omitempty" enum:"on,off"`
	DefaultMaxAge          *int64             `json:"defaultMaxAge,omitempty" minimum:"-1" doc:"How old a sign-in may be when the request does not say, in seconds; -1: any age"`
	AssertionAudience      *string            `json:"assertionAudience,omitempty" enum:"issuer,issuer+token"`
	IDTokenClaims          *string            `json:"idTokenClaims,omitempty" enum:"minimal,scopes"`
	IDTokenAlg             *string            `json:"idTokenAlg,omitempty" enum:"ES256,RS256,EdDSA"`
	UserinfoAlg            *string            `json:"userinfoAlg,omitempty" enum:"none,ES256,RS256,EdDSA" doc:"none: userinfo is JSON that is not signed"`
	IntrospectionAlg       *string            `json:"introspectionAlg,omitempty" enum:"ES256,RS256,EdDSA" doc:"Of the answers of introspection that the client wants signed"`
	Logo                   *string            `json:"logo,omitempty" maxLength:"2048" doc:"Address of its picture, shown once somebody vouches for the client"`
	Policy                 *string            `json:"policy,omitempty" maxLength:"2048" doc:"Address of its privacy policy"`
	Terms                  *string            `json:"terms,omitempty" maxLength:"2048" doc:"Address of its terms"`
	Contacts               *[]string          `json:"contacts,omitempty" maxItems:"10" doc:"How people reach those who make it"`
	Owner                  *string            `json:"owner,omitempty" maxLength:"120" doc:"Who answers for it here; only administrators see it"`
	AllowedRoles           *[]string          `json:"allowedRoles,omitempty" maxItems:"20" doc:"Only people with one of these roles may use it; none: everybody"`
	DefaultResource        *string            `json:"defaultResource,omitempty" maxLength:"512" doc:"The audience of its tokens where a request names neither a resource nor a scope of one"`
	MinimumACR             *string            `json:"minimumAcr,omitempty" enum:"any,single,mfa,phr" doc:"How sure its sign-ins are at least"`
	ExtraClaims            *map[string]string `json:"extraClaims,omitempty" doc:"Claims of its ID tokens and of userinfo, each with the claim that it is a copy of"`
	AccessTokenLife        *int64             `json:"accessTokenLife,omitempty" minimum:"0" maximum:"3600" doc:"In seconds; 0: as usual"`
	IDTokenLife            *int64             `json:"idTokenLife,omitempty" minimum:"0" maximum:"3600" doc:"In seconds; 0: as usual"`
	RefreshTokenLife       *int64             `json:"refreshTokenLife,omitempty" minimum:"0" maximum:"5184000" doc:"In seconds, of refresh tokens issued from now on; 0: as usual"`
	Profile                *string            `json:"profile,omitempty" enum:"default,fapi2"`
}

// Status says whether a client may be used.
type Status string

// The states.
const (
	StatusActive   Status = "active"
	StatusDisabled Status = "disabled"
)

// edits are the stored settings that were changed, by name.
type edits struct {
	named []string
	err   error // of a word that means nothing
}

// apply changes c, and returns the names of the stored settings it changed.
// A word that means nothing is ErrInvalid.
func (e Edit) apply(c *Client) ([]string, error) {
	var done edits
	set(&done, settingName, &c.Name, e.Name)
	set(&done, "homepage", &c.Homepage, e.Homepage)
	choose(&done, "disabled", &c.Disabled, e.Status, StatusDisabled, StatusActive)
	set(&done, "verified", &c.Verified, e.Verified)
	set(&done, "first_party", &c.FirstParty, e.FirstParty)
	choose(&done, "native", &c.Native, e.ApplicationType, "native", "web")
	set(&done, "development", &c.Development, e.Development)
	set(&done, "auth_method", &c.AuthMethod, e.AuthMethod)
	if e.AuthMethod != nil {
		public := *e.AuthMethod == AuthNone
		set(&done, "public", &c.Public, &public)
	}
	set(&done, "redirect_uris", &c.RedirectURIs, e.RedirectURIs)
	set(&done, "post_logout_redirect_uris", &c.PostLogoutRedirectURIs, e.PostLogoutRedirectURIs)
	set(&done, "backchannel_logout_uri", &c.BackchannelLogoutURI, e.BackchannelLogoutURI)
	set(&done, "cors_origins", &c.CORSOrigins, e.CORSOrigins)
	if len(e.JWKS) > 0 {
		set(&done, "jwks", &c.JWKS, &e.JWKS)
	}
	set(&done, "jwks_uri", &c.JWKSURI, e.JWKSURI)
	set(&done, "grants", &c.Grants, e.Grants)
	set(&done, "scopes", &c.Scopes, e.Scopes)
	set(&done, "resources", &c.Resources, e.Resources)
	set(&done, "exchange_scopes", &c.ExchangeScopes, e.ExchangeScopes)
	choose(&done, "no_pkce", &c.NoPKCE, e.PKCE, "optional", "required")
	choose(&done, "skip_consent", &c.SkipConsent, e.Consent, "skip", "ask")
	choose(&done, "opaque", &c.Opaque, e.TokenFormat, "opaque", "jwt")
	set(&done, "refresh_life", &c.RefreshLife, e.RefreshLife)
	set(&done, "require_par", &c.RequirePAR, e.RequirePAR)
	set(&done, "signed_requests", &c.SignedRequests, e.RequireSignedRequest)
	choose(&done, "require_dpop", &c.RequireDPoP, e.DPoP, "required", "optional")
	choose(&done, "no_nonce", &c.NoNonce, e.DPoPNonce, "off", "on")
	if e.DefaultMaxAge != nil {
		age := e.DefaultMaxAge
		if *age < 0 {
			age = nil
		}
		set(&done, "default_max_age", &c.DefaultMaxAge, &age)
	}
	choose(&done, "token_audience", &c.TokenAudience, e.AssertionAudience, "issuer+token", "issuer")
	choose(&done, "id_token_scopes", &c.IDTokenScopes, e.IDTokenClaims, "scopes", "minimal")
	set(&done, "id_token_alg", &c.IDTokenAlg, e.IDTokenAlg)
	if e.UserinfoAlg != nil {
		alg := strings.Replace(*e.UserinfoAlg, algNone, "", 1)
		set(&done, "userinfo_alg", &c.UserinfoAlg, &alg)
	}
	set(&done, "introspection_alg", &c.IntrospectionAlg, e.IntrospectionAlg)
	set(&done, "logo_uri", &c.Logo, e.Logo)
	set(&done, "policy_uri", &c.Policy, e.Policy)
	set(&done, "tos_uri", &c.Terms, e.Terms)
	set(&done, "contacts", &c.Contacts, e.Contacts)
	set(&done, "owner", &c.Owner, e.Owner)
	set(&done, "allowed_roles", &c.AllowedRoles, e.AllowedRoles)
	set(&done, "default_resource", &c.DefaultResource, e.DefaultResource)
	if e.MinimumACR != nil {
		acr := strings.Replace(*e.MinimumACR, acrAny, "", 1)
		set(&done, "minimum_acr", &c.MinimumACR, &acr)
	}
	set(&done, "extra_claims", &c.ExtraClaims, e.ExtraClaims)
	set(&done, "access_seconds", &c.AccessSeconds, e.AccessTokenLife)
	set(&done, "id_seconds", &c.IDSeconds, e.IDTokenLife)
	set(&done, "refresh_seconds", &c.RefreshSeconds, e.RefreshTokenLife)
	choose(&done, "strict", &c.Strict, e.Profile, "fapi2", "default")
	return done.named, done.err
}

// chosen are the algorithms that e chooses for what we sign.
func (e Edit) chosen() []string {
	var out []string
	for _, alg := range []*string{e.IDTokenAlg, e.UserinfoAlg, e.IntrospectionAlg} {
		if alg != nil && slices.Contains(oauth.Algs(), *alg) { // what is none of ours is refused later
			out = append(out, *alg)
		}
	}
	return out
}

// Words for nothing in particular.
const (
	algNone = "none" // userinfo that is not signed
	acrAny  = "any"
)

// set gives a setting a value, if there is one.
func set[T any](done *edits, name string, to, value *T) {
	if value != nil {
		*to = *value
		done.named = append(done.named, name)
	}
}

// choose turns a setting on or off by the words for it, if there is one.
func choose[T ~string](done *edits, name string, to *bool, word *T, on, off T) {
	if word == nil {
		return
	}
	if *word != on && *word != off {
		done.err = ErrInvalid.Saying("%q is neither %q nor %q.", *word, on, off).At(name)
	}
	*to = *word == on
	done.named = append(done.named, name)
}

// Shown is a client as administrators see it.
type Shown struct {
	ID                     string            `json:"id"`
	Name                   string            `json:"name"`
	Homepage               *string           `json:"homepage"`
	Status                 Status            `json:"status" enum:"active,disabled"`
	Source                 string            `json:"source" enum:"built_in,administrator,registered" doc:"Who made it: the product, an administrator, or the client itself"`
	Verified               bool              `json:"verified"`
	FirstParty             bool              `json:"firstParty"`
	ApplicationType        string            `json:"applicationType" enum:"web,native"`
	Development            bool              `json:"development"`
	AuthMethod             AuthMethod        `json:"authMethod" enum:"none,client_secret_basic,client_secret_post,private_key_jwt"`
	LiveSecrets            int               `json:"liveSecrets" doc:"2 while an old secret works beside its successor"`
	RedirectURIs           []string          `json:"redirectUris"`
	PostLogoutRedirectURIs []string          `json:"postLogoutRedirectUris"`
	BackchannelLogoutURI   *string           `json:"backchannelLogoutUri"`
	CORSOrigins            []string          `json:"corsOrigins"`
	JWKS                   json.RawMessage   `json:"jwks,omitempty"`
	JWKSURI                *string           `json:"jwksUri"`
	Grants                 []string          `json:"grants"`
	Scopes                 []string          `json:"scopes"`
	Resources              []string          `json:"resources"`
	ExchangeScopes         []string          `json:"exchangeScopes"`
	PKCE                   string            `json:"pkce" enum:"required,optional"`
	Consent                string            `json:"consent" enum:"ask,skip"`
	TokenFormat            string            `json:"tokenFormat" enum:"jwt,opaque"`
	RefreshLife            RefreshLife       `json:"refreshLife" enum:"session,standalone"`
	RequirePAR             bool              `json:"requirePar"`
	RequireSignedRequest   bool              `json:"requireSignedRequest"`
	DPoP                   string            `json:"dpop" enum:"optional,required"`
	DPoPNonce              string            `json:"dpopNonce" enum:"on,off"`
	DefaultMaxAge          *int64            `json:"defaultMaxAge"`
	AssertionAudience      string            `json:"assertionAudience" enum:"issuer,issuer+token"`
	IDTokenClaims          string            `json:"idTokenClaims" enum:"minimal,scopes"`
	IDTokenAlg             string            `json:"idTokenAlg" enum:"ES256,RS256,EdDSA"`
	UserinfoAlg            string            `json:"userinfoAlg" enum:"none,ES256,RS256,EdDSA"`
	IntrospectionAlg       string            `json:"introspectionAlg" enum:"ES256,RS256,EdDSA"`
	Logo                   *string           `json:"logo"`
	Policy                 *string           `json:"policy"`
	Terms                  *string           `json:"terms"`
	Contacts               []string          `json:"contacts"`
	Owner                  *string           `json:"owner"`
	AllowedRoles           []string          `json:"allowedRoles"`
	DefaultResource        *string           `json:"defaultResource"`
	MinimumACR             string            `json:"minimumAcr" enum:"any,single,mfa,phr"`
	ExtraClaims            map[string]string `json:"extraClaims"`
	AccessTokenLife        int64             `json:"accessTokenLife"`
	IDTokenLife            int64             `json:"idTokenLife"`
	RefreshTokenLife       int64             `json:"refreshTokenLife"`
	Profile                string            `json:"profile" enum:"default,fapi2"`
	CreatedAt              time.Time         `json:"createdAt"`
}

// Show returns c as administrators see it; nothing in it is secret.
func Show(c Client, now time.Time) Shown {
	live := slices.DeleteFunc(slices.Clone(c.secrets), func(h secretHash) bool { return !h.live(now) })
	s := Shown{
		ID: c.ID, Name: c.Name, Homepage: orNull(c.Homepage), Status: either(c.Disabled, StatusDisabled, StatusActive), Source: c.source(),
		Verified: c.Verified || c.FirstParty, FirstParty: c.FirstParty, ApplicationType: either(c.Native, "native", "web"), Development: c.Development,
		AuthMethod: c.AuthMethod, LiveSecrets: len(live), RedirectURIs: words(c.RedirectURIs), PostLogoutRedirectURIs: words(c.PostLogoutRedirectURIs),
		BackchannelLogoutURI: orNull(c.BackchannelLogoutURI), CORSOrigins: words(c.CORSOrigins), JWKS: c.JWKS, JWKSURI: orNull(c.JWKSURI),
		Grants: words(c.Grants), Scopes: words(c.Scopes), Resources: words(c.Resources), ExchangeScopes: words(c.ExchangeScopes), PKCE: either(c.NoPKCE, "optional", "required"),
		Consent: either(c.SkipConsent, "skip", "ask"), TokenFormat: either(c.Opaque, "opaque", "jwt"), RefreshLife: c.RefreshLife,
		RequirePAR: c.RequirePAR, RequireSignedRequest: c.SignedRequests, DPoP: either(c.RequireDPoP, "required", "optional"),
		DPoPNonce: either(c.NoNonce, "off", "on"), DefaultMaxAge: c.DefaultMaxAge, AssertionAudience: either(c.TokenAudience, "issuer+token", "issuer"),
		IDTokenClaims: either(c.IDTokenScopes, "scopes", "minimal"), Profile: either(c.Strict, "fapi2", "default"),
		IDTokenAlg: cmp.Or(c.IDTokenAlg, oauth.AlgES256), UserinfoAlg: cmp.Or(c.UserinfoAlg, algNone), IntrospectionAlg: cmp.Or(c.IntrospectionAlg, oauth.AlgES256),
		Logo: orNull(c.Logo), Policy: orNull(c.Policy), Terms: orNull(c.Terms), Contacts: words(c.Contacts), Owner: orNull(c.Owner),
		AllowedRoles: words(c.AllowedRoles), DefaultResource: orNull(c.DefaultResource), MinimumACR: cmp.Or(c.MinimumACR, acrAny),
		ExtraClaims: map[string]string{}, AccessTokenLife: c.AccessSeconds, IDTokenLife: c.IDSeconds, RefreshTokenLife: c.RefreshSeconds,
		CreatedAt: c.CreatedAt.UTC().Truncate(time.Second),
	}
	maps.Copy(s.ExtraClaims, c.ExtraClaims)
	return s
}

func (c Client) source() string {
	switch {
	case c.builtIn():
		return "built_in"
	case c.Dynamic:
		return "registered"
	}
	return "administrator"
}

// builtIn reports whether c comes back at the next start.
func (c Client) builtIn() bool {
	return slices.ContainsFunc(append(firstParty(), demo()), func(own Client) bool { return own.ID == c.ID })
}

func either[T any](which bool, yes, no T) T {
	if which {
		return yes
	}
	return no
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func words(s []string) []string { return append([]string{}, s...) }
