package oauth

import (
	"net/url"
	"slices"
	"strings"
)

// Scopes of OpenID Connect. They belong to no resource.
const (
	ScopeOpenID  = "openid"
	ScopeProfile = "profile"
	ScopeEmail   = "email"
	ScopeAddress = "address"
	ScopePhone   = "phone"
	ScopeOffline = "offline_access"
	// ScopeAdmin is granted only to users with a role.
	ScopeAdmin = "admin"
	// ScopeUserInfo is the Resource API's scope that also yields claims.
	ScopeUserInfo = "user.info"
)

var (
	identityScopes = []string{ScopeOpenID, ScopeProfile, ScopeEmail, ScopeAddress, ScopePhone, ScopeOffline}
	resourceScopes = []string{"llm.inference", "models.read", ScopeUserInfo, "account.manage", "credits.read", "keys.manage", "billing.manage", "webhooks.manage", ScopeAdmin}
)

// Scopes returns every scope there is, those of OpenID Connect first.
func Scopes() []string { return slices.Concat(identityScopes, resourceScopes) }

// UserScopes returns the scopes that any user can grant: all but admin.
func UserScopes() []string {
	return slices.DeleteFunc(Scopes(), func(s string) bool { return s == ScopeAdmin })
}

// Resolve finds what an authorization request may be granted: the scopes that
// exist and that the client may have, each once, and the resources. Unknown
// scopes are dropped, as the answer names what was granted, and so are those of
// resources other than the ones that are named. A request that names no resource
// is for those of its scopes. A named resource without a scope gets its default. A
// request that names neither is for the client's default resource.
func Resolve(scopes, resources []string, c Client, s Server) (granted, audiences []string, err error) {
	s, allowed := s.With(c.Others), c.Scopes
	if c.Default != "" && len(resources) == 0 && !slices.ContainsFunc(scopes, func(scope string) bool {
		home, _ := s.home(scope)
		return home != ""
	}) {
		resources = []string{c.Default}
	}
	if audiences, err = s.named(resources); err != nil {
		return nil, nil, err
	}
	open := len(audiences) == 0 // the scopes say which
	for _, scope := range scopes {
		home, known := s.home(scope)
		switch {
		case !known || slices.Contains(granted, scope) || (home == "" || home == s.Resource) && !slices.Contains(allowed, scope):
			continue
		case home == "": // of no resource
		case open && !slices.Contains(audiences, home):
			audiences = append(audiences, home)
		case !slices.Contains(audiences, home):
			continue
		}
		granted = append(granted, scope)
	}
	for _, audience := range audiences {
		o, ok := s.Other(audience)
		if ok && !slices.ContainsFunc(granted, func(g string) bool { return slices.Contains(o.Scopes, g) }) {
			granted = append(granted, o.Default...)
		}
	}
	if len(granted) == 0 {
		return nil, nil, refuse("invalid_scope", "None of the scopes asked for is one that this client may have.")
	}
	return granted, audiences, nil
}

// named returns the resources that a request names, by their ids.
func (s Server) named(resources []string) (audiences []string, err error) {
	if len(resources) > maxResources {
		return nil, refuse("invalid_target", "At most 5 resources can be asked for.")
	}
	for _, r := range resources {
		id := s.Resource
		o, ok := s.other(r)
		switch {
		case r == "":
			continue
		case ok:
			id = o.ID
		case !SameResource(r, s.Resource):
			return nil, refuse("invalid_target", "The resource is not one that this server issues tokens for to this client.")
		}
		if !slices.Contains(audiences, id) {
			audiences = append(audiences, id)
		}
	}
	return audiences, nil
}

func ofResource(scope string) bool { return slices.Contains(resourceScopes, scope) }

// SameResource compares resource indicators (RFC 8707): the scheme and the
// host without regard to case, without the scheme's default port and a lone
// trailing slash.
func SameResource(a, b string) bool {
	x, ok := normalResource(a)
	if !ok {
		return false
	}
	y, ok := normalResource(b)
	return ok && x == y
}

func normalResource(s string) (string, bool) {
	if s == "" || len(s) > MaxParameter || strings.Contains(s, "#") {
		return "", false
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil {
		return "", false
	}
	host := strings.ToLower(u.Host)
	switch u.Scheme { // url.Parse has lowered it
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	rest := s[strings.Index(s, "://")+len("://")+len(u.Host):]
	if rest == "/" {
		rest = ""
	}
	return u.Scheme + "://" + host + rest, true
}

// Audience picks the one audience of an access token: the resource that the
// token request names, which must be authorized, or else the first authorized
// one, or else the issuer, whose userinfo is then all that the token opens. A
// resource that was authorized once and that the client may not have any more
// is ErrInvalidTarget.
func Audience(resource string, authorized []string, s Server) (string, error) {
	i := 0
	if resource != "" {
		i = slices.IndexFunc(authorized, func(a string) bool { return SameResource(resource, a) })
	}
	switch {
	case i < 0:
		return "", ErrInvalidTarget
	case len(authorized) == 0:
		return s.Issuer, nil
	case !slices.Contains(s.Audiences(), authorized[i]):
		return "", ErrInvalidTarget
	}
	return authorized[i], nil
}

// TokenScopes returns the scopes of a token for audience: those of OpenID
// Connect and those of that audience.
func TokenScopes(granted []string, audience string, s Server) []string {
	out := make([]string, 0, len(granted))
	for _, scope := range granted {
		if home, known := s.home(scope); known && (home == "" || home == audience) {
			out = append(out, scope)
		}
	}
	return out
}

// Narrow returns the scopes that a refresh asks for, which must all have been
// granted before (RFC 6749 section 6). Asking for none keeps them all.
func Narrow(requested string, granted []string) ([]string, error) {
	want := strings.Fields(requested)
	if len(want) == 0 {
		return granted, nil
	}
	var out []string
	for _, scope := range want {
		if !slices.Contains(granted, scope) {
			return nil, ErrInvalidScope
		}
		if !slices.Contains(out, scope) {
			out = append(out, scope)
		}
	}
	return out, nil
}

// ClientScopes returns the scopes of a token that a client gets for itself:
// those of the audience that it asks for, or all that it may have. Scopes of a user's identity
// and of administration are not among them.
func ClientScopes(requested string, allowed []string, audience string, s Server) ([]string, error) {
	var own []string
	if o, ok := s.Other(audience); ok {
		own = o.Scopes
	} else {
		own = slices.DeleteFunc(slices.Clone(allowed), func(scope string) bool { return !ofResource(scope) || scope == ScopeAdmin })
	}
	scopes, err := Narrow(requested, own)
	if err != nil {
		return nil, err
	}
	if len(scopes) == 0 {
		return nil, ErrInvalidScope.Saying("This client has no scope that it could use for itself.")
	}
	return scopes, nil
}
