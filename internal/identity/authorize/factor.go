package authorize

import (
	"context"
	"errors"
	"time"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/identity/sso"
)

// halfLife is how long the first of two factors waits for the second.
const halfLife = 15 * time.Minute

// Factors are the second factors that somebody has.
type Factors struct {
	App      bool // an authenticator app
	Passkey  bool
	Recovery bool // recovery codes that are not used
	// Required says that a role of the user demands one.
	Required bool
}

// Any reports whether there is one, so that signing in asks for it.
func (f Factors) Any() bool { return f.App || f.Passkey }

// Best returns the class of the surest sign-in that is possible.
func (f Factors) Best() string {
	switch {
	case f.Passkey:
		return sso.ACRKey
	case f.App:
		return sso.ACRMulti
	default:
		return sso.ACRSingle
	}
}

// needsFactor reports whether the sign-in lacks a factor that the user can
// give: one that they have is always asked for.
func (s state) needsFactor() bool {
	if !s.factors.Any() || s.session.ID == "" {
		return false
	}
	if s.session.ACR == sso.ACRSingle && (s.session.Trust == "" || s.demanding()) {
		return true
	}
	return s.weak() && s.meets(s.factors.Best())
}

// demanding reports whether no trusted device stands for the second factor here:
// where people change how they sign in, and where a role demands one.
func (s state) demanding() bool { return s.in.Request.Back != "" || s.factors.Required }

// meets reports whether a class of sign-in is as sure as the request and the
// client insist on.
func (s state) meets(acr string) bool {
	return oauth.MeetsACR(acr, s.in.Request.EssentialACRs) && (s.client.MinimumACR == "" || oauth.MeetsACR(acr, []string{s.client.MinimumACR}))
}

// weak reports whether the sign-in is less sure than that.
func (s state) weak() bool { return s.session.ID != "" && !s.meets(s.session.ACR) }

// halfway returns who has given one of two factors, if that still counts, and
// which others they have.
func (s *Service) halfway(ctx context.Context, in Interaction) (account.User, Factors, error) {
	now := s.Now()
	if len(in.Proved) == 0 || in.SignedIn || now.Sub(in.ProvedAt) >= halfLife {
		return account.User{}, Factors{}, nil
	}
	u, err := s.Accounts.Snapshot(ctx, in.UserID)
	if errors.Is(err, account.ErrUnknown) {
		return account.User{}, Factors{}, nil
	}
	if err != nil || account.MaySignIn(u, now) != nil || (in.ProvedAt.Before(u.SignedOutAt) || in.ProvedAt.Before(u.PasswordAt)) {
		return account.User{}, Factors{}, err
	}
	f, err := s.Factors(ctx, u)
	if err != nil || !f.Any() { // taken away meanwhile: it begins anew
		return account.User{}, Factors{}, unavailable(err)
	}
	return u, f, nil
}

// signedIn records that a user has signed in, in the interaction.
func (s *Service) signedIn(ctx context.Context, in Interaction, userID string) error {
	in.UserID, in.SignedIn, in.Consented, in.Confirmed = userID, true, false, false
	in.Proved, in.ProvedAt = nil, time.Time{}
	return unavailable(s.store.took(ctx, in))
}

// StartOver forgets the first factor: somebody guesses at the second.
func (s *Service) StartOver(ctx context.Context, in Interaction) error {
	in.Proved, in.ProvedAt = nil, time.Time{}
	return unavailable(s.store.took(ctx, in))
}
