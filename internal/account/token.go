package account

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
)

// What a link is good for; it is good for nothing else.
const (
	purposeVerify = "verify"
	purposeSetup  = "setup" // the first administrator
	purposeAdmin  = "admin" // a named administrator
	purposeReset  = "reset" // a new password
	purposeEmail  = "email" // a new address
	// purposeKeepEmail calls a change of address off.
	purposeKeepEmail = "keep_email"
	purposeDisown    = "disown" // a sign-in was somebody else's
)

// How long links live.
const (
	verifyLife = 24 * time.Hour
	setupLife  = time.Hour
	resetLife  = 15 * time.Minute
	changeLife = 24 * time.Hour
)

// token is what the database holds of a link.
type token struct {
	purpose, userID, email, back string
	expiresAt, usedAt            time.Time
}

// errNoToken answers a token that we did not make, or have forgotten.
var errNoToken = ErrLinkExpired.Saying("The link is not valid any more. Ask for a new one.")

// link makes a token of 256 random bits and stores its hash.
func (s *Service) link(ctx context.Context, purpose, userID, email, back string, life time.Duration) (string, error) {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	text := base64.RawURLEncoding.EncodeToString(b)
	now := s.Now()
	t := token{purpose: purpose, userID: userID, email: email, back: back, expiresAt: now.Add(life)}
	return text, s.store.addToken(ctx, tokenHash(text), t, now)
}

func tokenHash(text string) []byte {
	h := sha256.Sum256([]byte(text))
	return h[:]
}

// consume uses a token up; only one of many callers gets it.
func (s *Service) consume(ctx context.Context, text, purpose string) (token, error) {
	t, err := s.peek(ctx, text, purpose)
	if err != nil {
		return t, err
	}
	won, err := s.store.useToken(ctx, tokenHash(text), s.Now())
	if err == nil && !won {
		err = ErrLinkUsed
	}
	return t, err
}

// peek returns a token that could be used now.
func (s *Service) peek(ctx context.Context, text, purpose string) (token, error) {
	t, err := s.store.token(ctx, tokenHash(text))
	switch {
	case err != nil:
		return token{}, err
	case t.purpose != purpose:
		return token{}, errNoToken
	case !t.usedAt.IsZero():
		return token{}, ErrLinkUsed
	case !s.Now().Before(t.expiresAt):
		return token{}, ErrLinkExpired
	}
	return t, nil
}

// isLink reports whether err says that a link is of no use.
func isLink(err error) bool { return errors.Is(err, ErrLinkExpired) || errors.Is(err, ErrLinkUsed) }

// Usable returns nil if u may sign in and use what it has at the time now.
func Usable(u User, now time.Time) error {
	var f *fault.Error
	switch u.State {
	case StateActive:
		return nil
	case StateSuspended:
		if !u.Until.IsZero() && !now.Before(u.Until) {
			return nil
		}
		f = ErrSuspended
		if !u.Until.IsZero() {
			f = f.Saying("This account is suspended until %s. Ask the operator of this service.", u.Until.UTC().Format(time.RFC3339))
		}
	case StateBanned:
		f = ErrBanned
	default:
		return ErrCredentials
	}
	if u.Reason != "" {
		f = f.With("reason", u.Reason)
	}
	return f
}
