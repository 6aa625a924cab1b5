package authorize

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/oauth"
)

// PushedLife is how long a pushed request waits for its browser.
const PushedLife = 60 * time.Second

// requestURI begins the references that we give to pushed requests (RFC 9126
// section 2.2).
const requestURI = "urn:ietf:params:oauth:request_uri:"

var errRequestURI = &oauth.Error{
	Code: "invalid_request_uri", Description: "The request_uri is unknown, expired, was used, or is another client's or browser's.", Page: true,
}

// Push checks the request of an authenticated client as the authorization
// endpoint would, stores it, and returns the reference to it. An *oauth.Error
// says what is wrong with the request. jkt is the key that the push has proven
// to hold, to which the code is then bound (RFC 9449 section 10.1).
func (s *Service) Push(ctx context.Context, c client.Client, v url.Values, jkt string) (reference string, err error) {
	if v.Get("request_uri") != "" {
		return "", &oauth.Error{Code: "invalid_request", Description: "A pushed request cannot refer to another one."}
	}
	v.Set("client_id", c.ID) // it may have been named by its credential alone
	in, _, err := s.check(ctx, v, nil)
	if err != nil {
		return "", err
	}
	switch {
	case jkt == "":
	case in.Request.JKT == "":
		in.Request.JKT = jkt
	case in.Request.JKT != jkt:
		return "", &oauth.Error{Code: "invalid_dpop_proof", Description: "The parameter dpop_jkt and the DPoP proof name different keys."}
	}
	handle := oauth.NewSecret("")
	in.pushed, in.expiresAt = oauth.Hash(handle), in.CreatedAt.Add(PushedLife)
	return requestURI + handle, unavailable(s.store.insert(ctx, in))
}

// pulled continues the request that v refers to. The first browser gets it, and
// may come again until it is answered; nobody else does. Other parameters than
// client_id do not count (RFC 9126 section 4).
func (s *Service) pulled(ctx context.Context, v url.Values, browser []byte) (Interaction, client.Client, error) {
	clientID, err := oauth.ClientID(v)
	if err != nil {
		return Interaction{}, client.Client{}, err
	}
	handle, ok := strings.CutPrefix(v.Get("request_uri"), requestURI)
	if !ok || !oauth.IsSecret("", handle) || len(v["request_uri"]) > 1 {
		return Interaction{}, client.Client{}, errRequestURI
	}
	uid, err := s.store.byHandle(ctx, oauth.Hash(handle), clientID)
	if err != nil {
		return Interaction{}, client.Client{}, unavailable(err)
	}
	if uid == "" {
		return Interaction{}, client.Client{}, errRequestURI
	}
	now := s.Now()
	if _, err := s.store.pull(ctx, uid, browser, now, now.Add(life)); err != nil {
		return Interaction{}, client.Client{}, unavailable(err)
	}
	in, err := s.store.byID(ctx, uid)
	if err != nil {
		return Interaction{}, client.Client{}, unavailable(err)
	}
	if in.browser == nil || !bytes.Equal(in.browser, browser) || !in.finished.IsZero() || !now.Before(in.expiresAt) {
		return Interaction{}, client.Client{}, errRequestURI
	}
	c, err := s.Clients.ByID(ctx, clientID)
	if errors.Is(err, client.ErrUnknown) {
		err = errRequestURI // it was removed meanwhile
	}
	return in, c, unavailable(err)
}
