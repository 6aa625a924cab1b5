package client

import (
	"slices"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/oauth"
)

// OpenTo says which clients may have tokens for a resource.
type OpenTo string

// The words there are.
const (
	OpenFirstParty OpenTo = "firstParty" // our own
	OpenApproved   OpenTo = "approved"   // and those that an administrator has given it
	OpenAny        OpenTo = "any"        // and everybody's, for its delegable scopes
)

// Scope is one right at a resource.
type Scope struct {
	Name string `json:"name" minLength:"1" maxLength:"64"`
	// Text says to people what it allows.
	Text string `json:"text" minLength:"1" maxLength:"200" doc:"What people are told that it allows"`
	// Delegable scopes are for clients that nobody has vouched for, too.
	Delegable bool `json:"delegable,omitempty" doc:"Clients that nobody has vouched for may have it too"`
}

// Resource is an API of somebody else's that takes our tokens.
type Resource struct {
	ID      string   `json:"-"` // its address, the audience of its tokens
	Name    string   `json:"-"`
	Aliases []string `json:"aliases,omitempty"`
	Scopes  []Scope  `json:"scopes"`
	// Default are the scopes that a request gets which names none.
	Default     []string `json:"default,omitempty"`
	TokenFormat string   `json:"token_format,omitempty"` // jwt, opaque, or the client's
	AccessLife  int64    `json:"access_life,omitempty"`  // seconds; 0: as usual
	// Alg signs its access tokens that are JWTs; "" is ES256.
	Alg         string `json:"alg,omitempty"`
	RequireDPoP bool   `json:"require_dpop,omitempty"`
	OpenTo      OpenTo `json:"open_to"`
	// Introspectors are the clients that may ask about its tokens.
	Introspectors []string  `json:"introspectors,omitempty"`
	Disabled      bool      `json:"disabled,omitempty"`
	CreatedAt     time.Time `json:"-"`
}

// Faults of looking up and making resources.
var (
	ErrNoResource      = fault.New(fault.NotFound, "unknown_resource", "There is no resource with this address.")
	ErrResourceInvalid = fault.New(fault.Unprocessable, "invalid_resource", "The resource's settings break a rule.")
	ErrResourceExists  = fault.New(fault.Conflict, "resource_exists", "Another resource has this address or this scope already.")
)

// maxAccessLife bounds that of a resource's tokens, in seconds.
const maxAccessLife = 24 * 60 * 60

// check returns ErrResourceInvalid for settings that break a rule.
func (r Resource) check() error {
	has := func(name string) bool {
		return slices.ContainsFunc(r.Scopes, func(s Scope) bool { return s.Name == name })
	}
	switch {
	case len(r.ID) > 512 || !oauth.CheckResource(r.ID):
		return ErrResourceInvalid.Saying("The address must be absolute and without a fragment.").At("id")
	case !all(r.Aliases, oauth.CheckResource):
		return ErrResourceInvalid.Saying("An alias must be an absolute address without a fragment.").At("aliases")
	case r.Name == "" || len(r.Name) > 120:
		return ErrResourceInvalid.Saying("The name must be 1 to 120 bytes.").At("name")
	case slices.ContainsFunc(r.Scopes, func(s Scope) bool { return !oauth.CheckScope(s.Name) || s.Text == "" }):
		return ErrResourceInvalid.Saying("A scope needs a name of its own, without blanks, and a text.").At("scopes")
	case !all(r.Default, has):
		return ErrResourceInvalid.Saying("A default scope is not one of the resource.").At("defaultScopes")
	case r.TokenFormat != "" && r.TokenFormat != "jwt" && r.TokenFormat != "opaque":
		return ErrResourceInvalid.Saying("The token format must be client, jwt or opaque.").At("tokenFormat")
	case r.Alg != "" && !slices.Contains(oauth.Algs(), r.Alg):
		return ErrResourceInvalid.Saying("Access tokens are signed with one of: %s.", strings.Join(oauth.Algs(), ", ")).At("accessTokenAlg")
	case r.AccessLife < 0 || r.AccessLife > maxAccessLife:
		return ErrResourceInvalid.Saying("The life of tokens must be at most a day.").At("accessTokenLife")
	case r.OpenTo != OpenFirstParty && r.OpenTo != OpenApproved && r.OpenTo != OpenAny:
		return ErrResourceInvalid.Saying("openTo must be firstParty, approved or any.").At("openTo")
	}
	return nil
}

// chosen are the algorithms that r has chosen for what we sign.
func (r Resource) chosen() []string {
	if r.Alg == "" {
		return nil
	}
	return []string{r.Alg}
}

// claims are what the resource has alone.
func (r Resource) claims() []string {
	out := []string{"uri " + oauth.NormalResource(r.ID)}
	for _, a := range r.Aliases {
		if name := "uri " + oauth.NormalResource(a); !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	for _, s := range r.Scopes {
		out = append(out, "scope "+s.Name)
	}
	return out
}

// as returns r as c sees it; false if c may not have tokens for it.
func (r Resource) as(c Client) (oauth.Resource, bool) {
	approved := c.FirstParty || r.OpenTo != OpenFirstParty && slices.Contains(c.Resources, r.ID)
	if r.Disabled || !approved && r.OpenTo != OpenAny {
		return oauth.Resource{}, false
	}
	out := oauth.Resource{
		ID: r.ID, Aliases: r.Aliases, Life: time.Duration(r.AccessLife) * time.Second, Bound: r.RequireDPoP,
		Alg: r.Alg, Opaque: r.TokenFormat == "opaque", Plain: r.TokenFormat == "jwt",
	}
	for _, s := range r.Scopes {
		if !approved && !s.Delegable {
			continue
		}
		if out.Scopes = append(out.Scopes, s.Name); slices.Contains(r.Default, s.Name) {
			out.Default = append(out.Default, s.Name)
		}
	}
	return out, len(out.Scopes) > 0
}

// placed returns c with the resources that it may have tokens for.
func (all *snapshot) placed(c Client) Client {
	c.others, c.texts = nil, all.texts
	for _, r := range all.resources {
		if o, ok := r.as(c); ok {
			c.others = append(c.others, o)
		}
	}
	return c
}
