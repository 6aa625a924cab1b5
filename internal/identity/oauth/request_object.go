package oauth

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
)

// Times of signed requests. FAPI 2.0 Message Signing section 5.3.1 has the same.
const (
	requestLife  = 60 * time.Minute
	requestAge   = 60 * time.Minute
	requestAhead = 10 * time.Second
)

// RequestObject is what a signed request says (RFC 9101).
type RequestObject struct {
	Values url.Values // the parameters
	JTI    string     // empty if it has none; else it is good once
	Until  time.Time  // then it is refused for its age
}

// RequestRules are what a signed request must fulfil.
type RequestRules struct {
	ClientID string
	Issuer   string
	Algs     []string
	Now      time.Time
}

// RequestKid returns the key id that a signed request names, unverified.
func RequestKid(token string) string {
	h, err := readHeader(token)
	if err != nil {
		return ""
	}
	return h.Kid
}

// CheckRequestObject verifies a signed request. It is refused on our page: the
// redirect URI in it is not to be trusted.
func CheckRequestObject(token string, keys KeySet, r RequestRules) (RequestObject, error) {
	out, err := requestObject(token, keys, r)
	if err != nil {
		return out, &Error{Code: "invalid_request_object", Description: "The signed request is wrong: " + err.Error() + ".", Page: true}
	}
	return out, nil
}

func requestObject(token string, keys KeySet, r RequestRules) (RequestObject, error) {
	var out RequestObject
	h, err := readHeader(token)
	if err != nil {
		return out, err
	}
	if typ := strings.ToLower(h.Typ); !slices.Contains([]string{"", "jwt", "oauth-authz-req+jwt"}, typ) {
		return out, errors.New("typ must be oauth-authz-req+jwt")
	}
	payload, err := verifyForeign(token, h, keys, r.Algs)
	if err != nil {
		return out, err
	}
	var c foreignClaims
	members := map[string]json.RawMessage{}
	if jsonv2.Unmarshal(payload, &members) != nil || jsonv2.Unmarshal(payload, &c) != nil {
		return out, errors.New("its claims cannot be read")
	}
	if err := c.checkRequest(r); err != nil {
		return out, err
	}
	expiry, _ := at(c.Expiry)
	out = RequestObject{JTI: c.JTI, Until: expiry.Add(Skew)}
	out.Values, err = parameters(members)
	if id := out.Values.Get("client_id"); err == nil && id != "" && id != r.ClientID {
		err = errors.New("client_id must be the client's")
	}
	return out, err
}

func (c foreignClaims) checkRequest(r RequestRules) error {
	switch {
	case c.Issuer != r.ClientID:
		return errors.New("iss must be the client_id")
	case !slices.Contains(c.Audience.values, r.Issuer):
		return errors.New("aud must be the issuer")
	case len(c.JTI) > maxJTI:
		return errors.New("jti is too long")
	}
	if from, ok := at(c.NotBefore); c.NotBefore != nil && (!ok || from.Before(r.Now.Add(-requestAge))) {
		return errors.New("nbf is more than an hour ago")
	}
	return c.times(r.Now, requestLife, requestAhead)
}

// parameters turns the members of a request into what a query would have.
func parameters(members map[string]json.RawMessage) (url.Values, error) {
	v := url.Values{}
	for name, raw := range members {
		switch name {
		case "iss", "aud", "exp", "iat", "nbf", "jti", "sub":
			continue
		case "request", "request_uri":
			return nil, errors.New("it cannot refer to another request")
		}
		var text string
		var several []string
		switch {
		case json.Unmarshal(raw, &text) == nil:
			v.Set(name, text)
		case json.Unmarshal(raw, &several) == nil:
			v[name] = several
		default: // a number, or the object of claims
			v.Set(name, string(raw))
		}
	}
	return v, nil
}
