package oauth

import (
	"slices"
	"strings"
	"time"
)

// Resource is an API of somebody else's that tokens are issued for, as one
// client sees it (RFC 8707).
type Resource struct {
	ID      string   // the audience of its tokens
	Aliases []string // that requests may name it by too
	// Scopes are those of it that the client may have.
	Scopes []string
	// Default are granted of them when a request names none.
	Default []string
	// Opaque tokens say nothing to who reads them; Plain ones do, whatever the
	// client's are.
	Opaque, Plain bool
	// Life bounds that of its access tokens; 0 does not.
	Life time.Duration
	// Alg signs its tokens that are JWTs; "" is ES256.
	Alg string
	// Bound tokens are for the holder of a key only.
	Bound bool
}

// With returns s as a client sees it that may have tokens for others.
func (s Server) With(others []Resource) Server {
	s.Others = others
	return s
}

// other returns the other resource that r names.
func (s Server) other(r string) (Resource, bool) {
	for _, o := range s.Others {
		if SameResource(o.ID, r) || slices.ContainsFunc(o.Aliases, func(a string) bool { return SameResource(a, r) }) {
			return o, true
		}
	}
	return Resource{}, false
}

// Other returns the other resource of an audience; false for our own.
func (s Server) Other(audience string) (Resource, bool) {
	i := slices.IndexFunc(s.Others, func(o Resource) bool { return o.ID == audience })
	if i < 0 {
		return Resource{}, false
	}
	return s.Others[i], true
}

// home returns the resource that a scope belongs to: "" for one of OpenID
// Connect, which belongs to none. It is not known for a scope that there is not.
func (s Server) home(scope string) (resource string, known bool) {
	switch {
	case slices.Contains(identityScopes, scope):
		return "", true
	case ofResource(scope):
		return s.Resource, true
	}
	for _, o := range s.Others {
		if slices.Contains(o.Scopes, scope) {
			return o.ID, true
		}
	}
	return "", false
}

// Audiences are those that the client may get tokens for, our own first.
func (s Server) Audiences() []string {
	out := []string{s.Resource}
	for _, o := range s.Others {
		out = append(out, o.ID)
	}
	return out
}

// CheckResource reports whether id can name a resource: an absolute address
// without fragment or credentials.
func CheckResource(id string) bool {
	_, ok := normalResource(id)
	return ok && !strings.ContainsAny(id, " \t\r\n\"<>\\")
}

// CheckScope reports whether name can be that of a scope of another resource
// (RFC 6749 section 3.3): it is not one of ours.
func CheckScope(name string) bool {
	return name != "" && len(name) <= 64 && !slices.Contains(Scopes(), name) &&
		!strings.ContainsFunc(name, func(r rune) bool { return r < 0x21 || r > 0x7e || r == '"' || r == '\\' })
}

// NormalResource returns the form in which two names of one resource are the
// same text; it is only for ones that CheckResource takes.
func NormalResource(id string) string {
	name, _ := normalResource(id)
	return name
}
