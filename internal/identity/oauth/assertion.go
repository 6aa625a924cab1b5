package oauth

import (
	"errors"
	"slices"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
)

// AssertionType is the client_assertion_type of private_key_jwt (RFC 7523
// section 2.2).
const AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// How far ahead the times of a client assertion may be. Its clock may be off
// by assertionAhead, which counts for its end too.
const (
	assertionLife  = 5 * time.Minute
	assertionAhead = 30 * time.Second
	maxJTI         = 512 // bytes
)

// AssertionRules are what a client assertion must fulfil.
type AssertionRules struct {
	ClientID string
	// Audiences are the values that aud may have: our issuer, and for clients
	// made for older servers the token endpoint.
	Audiences []string
	// Text refuses an aud that is a list, even of one (FAPI 2.0).
	Text bool
	Algs []string
	Now  time.Time
}

// AssertionClient returns the client that an assertion claims to be of. Nothing
// is verified: it only tells whose keys to look for.
func AssertionClient(token string) (clientID, kid string, err error) {
	h, err := readHeader(token)
	if err != nil {
		return "", "", ErrInvalidClient.Saying("The client_assertion is wrong: %s.", err)
	}
	payload, err := payloadOf(token)
	var c foreignClaims
	if err != nil || jsonv2.Unmarshal(payload, &c) != nil || c.Subject == "" {
		return "", "", ErrInvalidClient.Saying("The client_assertion has no sub.")
	}
	return c.Subject, h.Kid, nil
}

// CheckAssertion verifies a client assertion (RFC 7523 section 3). The caller
// must make sure that jti was not seen before, and remember it until until.
// Every refusal is ErrInvalidClient and says which rule was broken.
func CheckAssertion(token string, keys KeySet, r AssertionRules) (jti string, until time.Time, err error) {
	c, err := assertionClaims(token, keys, r)
	if err != nil {
		return "", time.Time{}, ErrInvalidClient.Saying("The client_assertion is wrong: %s.", err)
	}
	expiry, _ := at(c.Expiry)
	return c.JTI, expiry.Add(Skew), nil
}

func assertionClaims(token string, keys KeySet, r AssertionRules) (foreignClaims, error) {
	var c foreignClaims
	h, err := readHeader(token)
	if err != nil {
		return c, err
	}
	payload, err := verifyForeign(token, h, keys, r.Algs)
	if err != nil {
		return c, err
	}
	if jsonv2.Unmarshal(payload, &c) != nil {
		return c, errors.New("its claims cannot be read")
	}
	switch {
	case c.Issuer != r.ClientID || c.Subject != r.ClientID:
		return c, errors.New("iss and sub must be the client_id")
	case len(c.Audience.values) != 1 || r.Text && !c.Audience.single || !slices.Contains(r.Audiences, c.Audience.values[0]):
		return c, errors.New("aud must be the issuer and nothing else")
	case c.JTI == "" || len(c.JTI) > maxJTI:
		return c, errors.New("jti is missing or too long")
	}
	return c, c.times(r.Now, assertionLife, assertionAhead)
}
