package logout

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/oauth"
)

// Notice is that a client has to be told that a user signed out (OpenID Connect
// Back-Channel Logout 1.0). It is the argument of a job: it holds no secret.
type Notice struct {
	ClientID  string `json:"client_id"`
	UserID    string `json:"user_id"`
	SessionID string `json:"session_id"`
}

// Attempts and Pause say how often a client that does not answer is told, and
// how long apart: 5 seconds, a minute, 5 minutes.
const Attempts = 4

// Pause returns how long to wait after an attempt.
func Pause(attempt int) time.Duration {
	switch attempt {
	case 1:
		return 5 * time.Second
	case 2:
		return time.Minute
	}
	return 5 * time.Minute
}

// tokenLife is how long a logout token is good.
const tokenLife = 2 * time.Minute

// event is the one member of a logout token's events.
const event = "http://schemas.openid.net/event/backchannel-logout"

// token is a logout token (section 2.4). It has no nonce, so that it passes for
// no ID token.
type token struct {
	Issuer    string                    `json:"iss"`
	Subject   string                    `json:"sub"`
	Audience  string                    `json:"aud"`
	IssuedAt  int64                     `json:"iat"`
	Expiry    int64                     `json:"exp"`
	JTI       string                    `json:"jti"`
	SessionID string                    `json:"sid"`
	Events    map[string]map[string]any `json:"events"`
}

// Signer signs with a key of the issuer.
type Signer interface {
	Sign(typ string, claims any) (string, error)
}

// Notifier tells clients.
type Notifier struct {
	Issuer  string
	Clients *client.Service
	Keys    Signer
	// Post sends a form to an address that strangers named.
	Post func(ctx context.Context, address string, form url.Values) error
	Now  func() time.Time
}

// Tell tells a client. A client that is gone, or does not want to know, is no
// error. Telling one twice changes nothing there.
func (n Notifier) Tell(ctx context.Context, notice Notice) error {
	c, err := n.Clients.ByID(ctx, notice.ClientID)
	if errors.Is(err, client.ErrUnknown) || err == nil && c.BackchannelLogoutURI == "" {
		return nil
	}
	if err != nil {
		return err
	}
	now := n.Now()
	signed, err := n.Keys.Sign(oauth.TypeLogout, token{
		Issuer: n.Issuer, Subject: notice.UserID, Audience: notice.ClientID, IssuedAt: now.Unix(), Expiry: now.Add(tokenLife).Unix(),
		JTI: id.New("lgo", now), SessionID: notice.SessionID, Events: map[string]map[string]any{event: {}},
	})
	if err != nil {
		return err
	}
	return n.Post(ctx, c.BackchannelLogoutURI, url.Values{"logout_token": {signed}})
}
