package oauth

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// MatchRedirect reports whether got is one of the registered redirect URIs,
// byte for byte and without normalisation. Of a registered loopback URI
// (http to 127.0.0.1, [::1] or localhost) the port may differ (RFC 8252
// section 7.3); its host name, path and query may not.
func MatchRedirect(registered []string, got string) bool {
	if slices.Contains(registered, got) {
		return true
	}
	host, rest, ok := splitLoopback(got)
	if !ok {
		return false
	}
	for _, r := range registered {
		if h, p, ok := splitLoopback(r); ok && h == host && p == rest {
			return true
		}
	}
	return false
}

var loopbacks = []string{"127.0.0.1", "[::1]", "localhost"}

// splitLoopback splits a loopback URI into its host and what follows the port.
func splitLoopback(uri string) (host, rest string, ok bool) {
	after, ok := strings.CutPrefix(uri, "http://")
	if !ok || strings.ContainsAny(after, "#\\") {
		return "", "", false
	}
	for _, host := range loopbacks {
		rest, ok := strings.CutPrefix(after, host)
		if !ok {
			continue
		}
		if port, isPort := strings.CutPrefix(rest, ":"); isPort {
			digits := len(port) - len(strings.TrimLeft(port, "0123456789"))
			if digits == 0 || digits > 5 {
				return "", "", false
			}
			rest = port[digits:]
		}
		if rest == "" || rest[0] == '/' || rest[0] == '?' {
			return host, rest, true
		}
	}
	return "", "", false
}

// Loopback reports whether uri points at the user's own machine over http.
func Loopback(uri string) bool {
	_, _, ok := splitLoopback(uri)
	return ok
}

// CheckRedirect reports whether uri may be registered, for a native
// application or for a web one: https; for native ones also loopback http and
// schemes of a reverse domain name. Fragments, user information, wildcards and
// dot segments are refused.
func CheckRedirect(uri string, native bool) bool {
	if uri == "" || len(uri) > MaxParameter || strings.ContainsAny(uri, "#*\\ \t\r\n\"<>") || Dotted(uri) {
		return false
	}
	u, err := url.Parse(uri)
	if err != nil || u.User != nil || u.Opaque != "" {
		return false
	}
	switch u.Scheme {
	case "https":
		return u.Host != "" && u.Hostname() != ""
	case "http":
		return native && Loopback(uri)
	default: // RFC 8252 section 7.1
		return native && strings.Contains(u.Scheme, ".") && strings.HasPrefix(u.Path, "/") && u.Host == ""
	}
}

// Dotted reports whether the path of uri has dot segments, in whatever way they
// are written.
func Dotted(uri string) bool {
	path, _, _ := strings.Cut(uri, "?")
	path = strings.ReplaceAll(strings.ToLower(path), "%2e", ".")
	return strings.Contains(path, "/../") || strings.Contains(path, "/./") || strings.HasSuffix(path, "/..") || strings.HasSuffix(path, "/.")
}

// OriginOf returns the origin of an http or https address, or "".
func OriginOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return u.Scheme + "://" + strings.ToLower(u.Host)
}

// LoopbackOrigin reports whether origin is a page served from the user's own
// machine, on any port.
func LoopbackOrigin(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" || u.Path != "" || u.RawQuery != "" || u.User != nil {
		return false
	}
	if u.Hostname() == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(u.Hostname())
	return err == nil && a.IsLoopback()
}

// RedirectCode returns the address that answers r with a code.
func RedirectCode(r AuthorizationRequest, issuer, code string) string {
	return answer(r, issuer, "code", code, "")
}

// RedirectError returns the address that answers r with a refusal. It must not
// be used for a page error.
func RedirectError(r AuthorizationRequest, issuer string, e *Error) string {
	return answer(r, issuer, "error", e.Code, e.Description)
}

// WithState returns a post-logout redirect URI with the state that the client
// sent.
func WithState(uri, state string) string { return extend(uri, "state", state) }

// answer appends the parameters of an authorization response to the redirect
// URI, which keeps its own query (RFC 6749 section 3.1.2).
func answer(r AuthorizationRequest, issuer, name, value, description string) string {
	return extend(r.RedirectURI, fields(r, issuer, name, value, description)...)
}

// fields are the parameters of an answer, as pairs. Each answer names the
// issuer, so that a client cannot mix up servers (RFC 9207).
func fields(r AuthorizationRequest, issuer, name, value, description string) []string {
	return []string{name, value, "error_description", description, "state", r.State, "iss", issuer}
}

// CodeFields and ErrorFields are RedirectCode and RedirectError for an answer
// that is a form (OAuth 2.0 Form Post Response Mode section 2).
func CodeFields(r AuthorizationRequest, issuer, code string) []string {
	return fields(r, issuer, "code", code, "")
}

// ErrorFields answers r with a refusal, as pairs of names and values.
func ErrorFields(r AuthorizationRequest, issuer string, e *Error) []string {
	return fields(r, issuer, "error", e.Code, e.Description)
}

// extend appends pairs of names and values to uri's query; empty values are
// left out.
func extend(uri string, pairs ...string) string {
	var b strings.Builder
	b.WriteString(uri)
	sep := byte('?')
	if strings.Contains(uri, "?") {
		sep = '&'
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			continue
		}
		b.WriteByte(sep)
		b.WriteString(pairs[i] + "=" + url.QueryEscape(pairs[i+1]))
		sep = '&'
	}
	return b.String()
}
