package oauth

import (
	"encoding/base64"
	"net/url"
	"strings"
)

// ParseBasic reads the client credentials of an Authorization header with the
// scheme Basic. Both parts are form-encoded before they are joined (RFC 6749
// section 2.3.1). It is false for anything malformed.
func ParseBasic(header string) (id, secret string, ok bool) {
	scheme, encoded, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") || len(encoded) > MaxParameter {
		return "", "", false
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return "", "", false
	}
	rawID, rawSecret, ok := strings.Cut(string(raw), ":")
	if !ok {
		return "", "", false
	}
	id, errID := url.QueryUnescape(rawID)
	secret, errSecret := url.QueryUnescape(rawSecret)
	return id, secret, errID == nil && errSecret == nil && id != ""
}

// ParseForm reads a form of which no name but resource may be repeated, as
// OAuth 2.1 wants it.
func ParseForm(body string) (url.Values, error) {
	v, err := url.ParseQuery(body)
	if err != nil {
		return nil, ErrInvalidRequest.Saying("The body is not a valid form.")
	}
	for name, values := range v {
		if len(values) > 1 && name != "resource" {
			return nil, ErrInvalidRequest.Saying("A parameter was sent more than once.")
		}
	}
	return v, nil
}

// ASCII returns s with what an error_description may not have (RFC 6749
// section 5.2) replaced.
func ASCII(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"' || r == '\\':
			return '\''
		case r < ' ' || r > '~':
			return ' '
		}
		return r
	}, s)
}
