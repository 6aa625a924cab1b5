package mfa

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/throttle"
)

// Event says what happened to a person's factors.
type Event string

// The events.
const (
	Enrolled     Event = "enrolled"
	Removed      Event = "removed"
	CodesRenewed Event = "codes_renewed"
	CodeUsed     Event = "code_used" // a recovery code
)

// Needs are what a Service is made of.
type Needs struct {
	DB        *sqldb.DB
	Box       *seal.Box
	Passwords *seal.Passwords // hashes recovery codes
	Now       func() time.Time
	Issuer    string // what authenticator apps show
	// Required reports whether the user may not be without a second factor.
	Required func(u account.User) bool
	// Elsewhere reports whether the user has a factor that is kept elsewhere: a
	// passkey.
	Elsewhere func(ctx context.Context, userID string) (bool, error)
	// Forget removes those that are kept elsewhere, in the transaction that ctx
	// carries; nil: there are none.
	Forget func(ctx context.Context, userID string) error
	// Happened is called in the transaction of each change: other sign-ins end
	// there, and the owner is told.
	Happened func(ctx context.Context, u account.User, e Event) error
}

// Service keeps second factors. It is safe for concurrent use.
type Service struct {
	Needs
	store store
	tries *throttle.Throttle // wrong codes, by user
}

// New returns a Service.
func New(n Needs) *Service {
	if n.Elsewhere == nil {
		n.Elsewhere = func(context.Context, string) (bool, error) { return false, nil }
	}
	return &Service{Needs: n, store: store{n.DB}, tries: throttle.New(n.Now, triesWindow, true)}
}

const (
	tries       = 5
	triesWindow = 5 * time.Minute
)

// Status returns what u has.
func (s *Service) Status(ctx context.Context, u account.User) (Status, error) {
	enrolled, left, err := s.store.status(ctx, u.ID)
	st := Status{RecoveryCodesLeft: left, Required: s.Required(u)}
	if enrolled {
		st.Methods = append(st.Methods, TOTP)
	}
	if left > 0 {
		st.Methods = append(st.Methods, Recovery)
	}
	return st, unavailable(err)
}

// Begin makes the secret of an authenticator, which counts once Confirm has
// seen a code of it. A set-up that was begun before ends.
func (s *Service) Begin(ctx context.Context, u account.User) (Setup, error) {
	secret := make([]byte, secretSize)
	_, _ = rand.Read(secret) // never fails (crypto/rand)
	setup := Setup{ID: id.New("mfa", s.Now()), Secret: base32Secret.EncodeToString(secret)}
	setup.URL = otpauth(s.Issuer, u.Email, setup.Secret)
	sealed, err := s.Box.Seal(secret, sealedFor(u.ID))
	if err != nil {
		return Setup{}, err
	}
	err = s.DB.InTx(ctx, func(ctx context.Context) error {
		return s.store.addSetup(ctx, setup.ID, u.ID, sealed, s.Now().Add(setupLife))
	})
	return setup, unavailable(err)
}

// Pending returns a set-up that was begun, to show it again. ErrSetup when it has
// expired.
func (s *Service) Pending(ctx context.Context, u account.User, setupID string) (Setup, error) {
	sealed, ok, err := s.store.setup(ctx, setupID, u.ID, s.Now())
	if err != nil {
		return Setup{}, unavailable(err)
	}
	if !ok {
		return Setup{}, ErrSetup
	}
	secret, err := s.Box.Open(sealed, sealedFor(u.ID))
	if err != nil {
		return Setup{}, fmt.Errorf("open a second factor: %w", err)
	}
	setup := Setup{ID: setupID, Secret: base32Secret.EncodeToString(secret)}
	setup.URL = otpauth(s.Issuer, u.Email, setup.Secret)
	return setup, nil
}

// sealedFor binds a sealed secret to its owner, so that a row that is copied to
// another person does not open.
func sealedFor(user string) string { return "mfa_totp:" + user }

// Confirm enrols the authenticator of a set-up that shows code, instead of the
// one before, and returns new recovery codes, which are shown this once.
// ErrSetup when the set-up has expired; ErrCode; ErrTooMany.
func (s *Service) Confirm(ctx context.Context, u account.User, setupID, code string) ([]string, error) {
	sealed, ok, err := s.store.setup(ctx, setupID, u.ID, s.Now())
	if err != nil {
		return nil, unavailable(err)
	}
	if !ok {
		return nil, ErrSetup
	}
	at, err := s.guess(u.ID, sealed, code)
	if err != nil {
		return nil, err
	}
	codes, hashes, err := s.codes(ctx)
	if err != nil {
		return nil, err
	}
	err = s.DB.InTx(ctx, func(ctx context.Context) error {
		won, err := s.store.dropSetup(ctx, setupID)
		if err != nil {
			return err
		}
		if !won {
			return ErrSetup
		}
		if err := s.store.enroll(ctx, u.ID, sealed, at, s.Now()); err != nil {
			return err
		}
		if err := s.store.replaceRecovery(ctx, u.ID, hashes); err != nil {
			return err
		}
		return s.Happened(ctx, u, Enrolled)
	})
	if err != nil {
		return nil, unavailable(err)
	}
	s.tries.Forget(u.ID)
	return codes, nil
}

// guess counts a try of user and returns the step whose code was typed.
func (s *Service) guess(user string, sealed []byte, typed string) (int64, error) {
	secret, err := s.Box.Open(sealed, sealedFor(user))
	if err != nil {
		return 0, fmt.Errorf("open a second factor: %w", err)
	}
	left, err := s.attempt(user)
	if err != nil {
		return 0, err
	}
	at, ok := matching(secret, digitsOf(typed), s.Now())
	if !ok {
		return 0, ErrCode.With("triesLeft", left)
	}
	return at, nil
}

// attempt counts a try and returns how many are left until there is a pause.
func (s *Service) attempt(user string) (left int, err error) {
	left, wait := s.tries.Take(user, tries)
	if wait > 0 {
		return 0, ErrTooMany.After(wait)
	}
	return left, nil
}

// Check uses a code of the authenticator or a recovery code up, and returns by
// which method the person proved who they are. ErrCode, also for a code that
// was used; ErrTooMany; ErrNone.
func (s *Service) Check(ctx context.Context, u account.User, typed string) (method string, err error) {
	enrolled, codes, err := s.store.status(ctx, u.ID)
	if err != nil {
		return "", unavailable(err)
	}
	if !enrolled && codes == 0 {
		return "", ErrNone
	}
	if code := recoveryOf(typed); code != "" {
		return Recovery, s.recover(ctx, u, code)
	}
	sealed, ok, err := s.store.secret(ctx, u.ID)
	if err != nil {
		return "", unavailable(err)
	}
	if !ok { // there is no app whose code this could be
		left, err := s.attempt(u.ID)
		if err != nil {
			return "", err
		}
		return "", ErrCode.With("triesLeft", left)
	}
	at, err := s.guess(u.ID, sealed, typed)
	if err != nil {
		return "", err
	}
	won, err := s.store.useStep(ctx, u.ID, at)
	if err != nil {
		s.tries.GiveBack(u.ID)
		return "", unavailable(err)
	}
	if !won {
		return "", ErrCode
	}
	s.tries.Forget(u.ID)
	return TOTP, nil
}

// recover uses a recovery code up.
func (s *Service) recover(ctx context.Context, u account.User, code string) error {
	left, err := s.attempt(u.ID)
	if err != nil {
		return err
	}
	selector := code[:selectorChars]
	hash, ok, err := s.store.recovery(ctx, u.ID, selector)
	if err == nil && ok {
		ok, _, err = s.Passwords.Verify(ctx, hash, code)
	}
	if err != nil {
		s.tries.GiveBack(u.ID) // nobody looked at it
		return unavailable(err)
	}
	if !ok {
		return ErrCode.With("triesLeft", left)
	}
	err = s.DB.InTx(ctx, func(ctx context.Context) error {
		won, err := s.store.useRecovery(ctx, u.ID, selector, hash, s.Now())
		if err != nil {
			return err
		}
		if !won {
			return ErrCode
		}
		return s.Happened(ctx, u, CodeUsed)
	})
	if err == nil {
		s.tries.Forget(u.ID)
	}
	return unavailable(err)
}

// Renew replaces the recovery codes. code is one of the authenticator.
func (s *Service) Renew(ctx context.Context, u account.User, code string) ([]string, error) {
	if recoveryOf(code) != "" {
		return nil, ErrCode.Saying("Use a code of the authenticator, not a recovery code.")
	}
	if _, err := s.Check(ctx, u, code); err != nil {
		return nil, err
	}
	return s.Replace(ctx, u)
}

// Replace is Renew for somebody who has just signed in with a second factor.
// ErrNone when there is none.
func (s *Service) Replace(ctx context.Context, u account.User) ([]string, error) {
	st, err := s.Status(ctx, u)
	if err != nil {
		return nil, err
	}
	other, err := s.Elsewhere(ctx, u.ID)
	if err != nil {
		return nil, unavailable(err)
	}
	if !other && !st.Enrolled() {
		return nil, ErrNone
	}
	codes, hashes, err := s.codes(ctx)
	if err != nil {
		return nil, err
	}
	err = s.DB.InTx(ctx, func(ctx context.Context) error {
		if err := s.store.replaceRecovery(ctx, u.ID, hashes); err != nil {
			return err
		}
		return s.Happened(ctx, u, CodesRenewed)
	})
	if err != nil {
		return nil, unavailable(err)
	}
	return codes, nil
}

// Disable removes the factors of u, who proves with code, of either kind, to
// have them. ErrMandatory when a role requires one.
func (s *Service) Disable(ctx context.Context, u account.User, code string) error {
	if err := s.removable(ctx, u); err != nil {
		return err
	}
	if _, err := s.Check(ctx, u, code); err != nil {
		return err
	}
	return s.remove(ctx, u)
}

// removable returns ErrMandatory for the last factor of somebody who needs one.
func (s *Service) removable(ctx context.Context, u account.User) error {
	if !s.Required(u) {
		return nil
	}
	other, err := s.Elsewhere(ctx, u.ID)
	if err == nil && !other {
		err = ErrMandatory
	}
	return unavailable(err)
}

// Remove is Disable for somebody who has just signed in with a second factor.
func (s *Service) Remove(ctx context.Context, u account.User) error {
	if err := s.removable(ctx, u); err != nil {
		return err
	}
	return s.remove(ctx, u)
}

// remove takes the authenticator away. Recovery codes stay with who has another
// factor to lose.
func (s *Service) remove(ctx context.Context, u account.User) error {
	other, err := s.Elsewhere(ctx, u.ID)
	if err != nil {
		return unavailable(err)
	}
	if !other {
		return s.Reset(ctx, u)
	}
	return unavailable(s.DB.InTx(ctx, func(ctx context.Context) error {
		had, err := s.store.forgetApp(ctx, u.ID)
		if err != nil || !had {
			return err
		}
		return s.Happened(ctx, u, Removed)
	}))
}

// codes makes recovery codes and their hashes by selector. Hashing waits for
// its turn, and fails with a fault when too many wait.
func (s *Service) codes(ctx context.Context) (codes []string, hashes map[string]string, err error) {
	hashes = map[string]string{}
	for _, code := range newRecoveryCodes() {
		hash, err := s.Passwords.Hash(ctx, code)
		if err != nil {
			return nil, nil, err
		}
		hashes[code[:selectorChars]] = hash
		codes = append(codes, grouped(code))
	}
	return codes, hashes, nil
}

// Sweep removes set-ups that have expired.
func (s *Service) Sweep(ctx context.Context) error { return s.store.sweep(ctx, s.Now()) }

// unavailable keeps a storage failure from looking like a wrong code.
func unavailable(err error) error {
	if sqldb.IsUnavailable(err) {
		return fault.ErrUnavailable.Because(err)
	}
	return err
}
