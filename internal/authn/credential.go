package authn

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/rephlo/rephlo/internal/access"
)

// presented returns the one credential of r, and whether it came by the scheme
// DPoP (RFC 9449 section 7.1).
func presented(r *http.Request) (text string, bound bool, err error) {
	if inQuery(r.URL.RawQuery) {
		return "", false, errInURL
	}
	found := ""
	for _, name := range [...]string{"Authorization", "X-Api-Key", "X-Goog-Api-Key"} {
		for _, value := range r.Header[name] {
			if name == "Authorization" {
				scheme, rest, _ := strings.Cut(value, " ")
				switch {
				case strings.EqualFold(scheme, "DPoP"):
					bound = true
				case !strings.EqualFold(scheme, "Bearer"):
					continue // another scheme proves nothing here
				}
				value = rest
			}
			value = strings.Trim(value, " \t")
			switch {
			case value == "" || value == found:
			case found != "":
				return "", false, errTwo
			default:
				found = value
			}
		}
	}
	if found == "" {
		return "", false, access.ErrNoCredential
	}
	return found, bound, nil
}

// inQuery reports whether a query has a credential in it (RFC 6750 section 2.3
// would allow one; addresses end up in logs and histories).
func inQuery(query string) bool {
	for query != "" {
		var part string
		part, query, _ = strings.Cut(query, "&")
		name, _, _ := strings.Cut(part, "=")
		if strings.ContainsAny(name, "%+") {
			if plain, err := url.QueryUnescape(name); err == nil {
				name = plain
			}
		}
		switch name {
		case "access_token", "api_key", "key":
			return true
		}
	}
	return false
}
