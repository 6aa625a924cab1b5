package account

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/throttle"

	"golang.org/x/text/unicode/norm"
)

// Wrong passwords per 15 minutes before there is a pause.
const (
	nameLimit    = 10
	addressLimit = 100
)

// Authenticate returns the user whose name and password a holds. The faults:
// ErrCredentials with the tries that are left in details.triesLeft, whether or
// not the name exists; ErrTooMany with the wait; ErrSuspended and ErrBanned,
// only after the right password; seal.ErrBusy, which counts nothing.
func (s *Service) Authenticate(ctx context.Context, a Attempt) (User, error) {
	u, err := s.byName(ctx, a.Name)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return User{}, unavailable(err)
	}
	key := s.blind("name", nameKey(a.Name))
	if u.ID != "" && slices.Contains(a.Known, u.ID) {
		key = s.blind("device", u.ID)
	}
	net := throttle.Network(a.Address)
	if net != "" {
		net = s.blind("network", net)
		if _, wait := s.networks.Take(net, addressLimit); wait > 0 {
			return User{}, tooMany(wait)
		}
	}
	left, wait := s.names.Take(key, nameLimit)
	if wait > 0 {
		return User{}, tooMany(wait)
	}
	ok, renew, err := s.verify(ctx, u, a.Password)
	if err != nil { // not looked at, so not counted
		s.names.GiveBack(key)
		s.networks.GiveBack(net)
		return User{}, err
	}
	if !ok {
		if u.ID != "" {
			s.Failed(ctx, u.ID)
		}
		if err := s.tried(ctx, u.ID, "password", ErrCredentials); err != nil {
			return User{}, unavailable(err)
		}
		return User{}, ErrCredentials.With("triesLeft", left)
	}
	s.names.Forget(key)
	s.networks.GiveBack(net)
	return s.welcome(ctx, u, a.Password, renew)
}

// tried remembers how a try to sign in ended. A name that nobody has leaves an
// entry too, without the name: the work is the same.
func (s *Service) tried(ctx context.Context, userID, way string, err error) error {
	c := audit.Change{Action: "sign_in", Type: "user", ID: userID, Actor: userID, After: map[string]any{"way": way}}
	if err != nil {
		c.After = map[string]any{"way": way, "fault": fault.From(err).Code}
		if c.Outcome = audit.Refused; errors.Is(err, ErrCredentials) {
			c.Outcome = audit.Failed
		}
	}
	return s.Audit.Write(ctx, c)
}

// verify compares the password. One that no account can have is hashed too.
func (s *Service) verify(ctx context.Context, u user, password string) (ok, renew bool, err error) {
	if len(password) > 4*maxPassword { // bounded before it is hashed
		password = password[:4*maxPassword]
	}
	return s.Passwords.Verify(ctx, u.password, password)
}

// welcome is what follows the right password.
func (s *Service) welcome(ctx context.Context, u user, password string, renew bool) (User, error) {
	if err := MaySignIn(u.User, s.Now()); err != nil {
		return User{}, unavailable(errors.Join(err, s.tried(ctx, u.ID, "password", err)))
	}
	u.LastLoginAt = s.Now()
	phc := ""
	if renew {
		var err error
		if phc, err = s.Passwords.Hash(ctx, password); err != nil {
			phc = "" // the next sign-in does it
		}
	}
	err := s.DB.InTx(ctx, func(ctx context.Context) error {
		if err := s.store.signedIn(ctx, u.ID, u.LastLoginAt, phc, u.password); err != nil {
			return err
		}
		return s.tried(ctx, u.ID, "password", nil)
	})
	if err != nil {
		return User{}, unavailable(err)
	}
	return u.User, nil
}

// SignedIn records that u proved who they are by other means than a password.
// ErrSuspended, ErrBanned: they may not sign in.
func (s *Service) SignedIn(ctx context.Context, u User) error {
	if err := MaySignIn(u, s.Now()); err != nil {
		return unavailable(errors.Join(err, s.tried(ctx, u.ID, "passkey", err)))
	}
	return unavailable(s.DB.InTx(ctx, func(ctx context.Context) error {
		if err := s.store.signedIn(ctx, u.ID, s.Now(), "", ""); err != nil {
			return err
		}
		return s.tried(ctx, u.ID, "passkey", nil)
	}))
}

// byName finds a user by address or username.
func (s *Service) byName(ctx context.Context, name string) (user, error) {
	if strings.Contains(name, "@") {
		return s.store.byEmail(ctx, emailKey(name))
	}
	return s.store.byUsername(ctx, usernameKey(name))
}

func nameKey(name string) string { return strings.ToLower(norm.NFC.String(strings.TrimSpace(name))) }
