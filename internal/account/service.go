package account

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/throttle"

	"golang.org/x/sync/singleflight"

	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// busKind announces that an account changed; the subject is its id.
const busKind = "account.user"

// Needs are what a Service is made of.
type Needs struct {
	DB        *sqldb.DB
	Bus       *bus.Bus
	Log       *slog.Logger
	Now       func() time.Time
	Passwords *seal.Passwords
	Mail      mail.Sender
	Box       *seal.Box
	// Verified is called in the transaction that proves an address: what a new
	// user starts with is given there, or the proof does not happen.
	Verified func(ctx context.Context, u User) error
	// Admin is called in the transaction that makes an administrator, again if
	// that happens again.
	Admin func(ctx context.Context, u User) error
	// Changed is called in the transaction that changes how somebody signs in:
	// sign-ins end there, and the owner is told.
	Changed func(ctx context.Context, c Change) error
	// Closed says whether nobody may create an account by themselves; nil: all may.
	Closed func() bool
	// Failed is told of a wrong password of somebody. It must not wait: how long
	// an answer takes would tell which names exist.
	Failed func(ctx context.Context, userID string)
	// Closing is called in the transaction that locks somebody out, after that;
	// its error keeps them in. It guards who administers others.
	Closing func(ctx context.Context, userID string) error
	// Turned is called in the transaction that brings somebody into another state,
	// after that: what they hold follows.
	Turned func(ctx context.Context, u User, t Turn) error
	// Audit remembers what administrators do with accounts.
	Audit *audit.Log
	// IDPURL is the address of the Identity Provider; links in mails begin
	// with it, never with a Host header.
	IDPURL string
}

// Service keeps the accounts. It is safe for concurrent use.
type Service struct {
	Needs
	store store
	// key blinds the names that the throttles remember.
	key      []byte
	names    *throttle.Throttle // wrong passwords, by name and by device
	networks *throttle.Throttle // wrong passwords, by network
	mails    *throttle.Throttle // sign-ups and links, by address and network

	users  snapshots
	flight singleflight.Group
}

// New returns a Service that hears of changes in other processes through the
// bus.
func New(n Needs) *Service {
	if n.Verified == nil {
		n.Verified = func(context.Context, User) error { return nil }
	}
	if n.Admin == nil {
		n.Admin = func(context.Context, User) error { return nil }
	}
	if n.Changed == nil {
		n.Changed = func(context.Context, Change) error { return nil }
	}
	if n.Closing == nil {
		n.Closing = func(context.Context, string) error { return nil }
	}
	if n.Turned == nil {
		n.Turned = func(context.Context, User, Turn) error { return nil }
	}
	if n.Failed == nil {
		n.Failed = func(context.Context, string) {}
	}
	s := &Service{
		Needs: n, store: store{n.DB}, key: n.Box.Subkey("account/names"),
		names:    throttle.New(n.Now, 15*time.Minute, true),
		networks: throttle.New(n.Now, 15*time.Minute, true),
		mails:    throttle.New(n.Now, time.Hour, false),
		users:    snapshots{users: map[string]User{}},
	}
	n.Bus.Subscribe(busKind, s.changed)
	return s
}

// ByID returns a user, or ErrUnknown.
func (s *Service) ByID(ctx context.Context, userID string) (User, error) {
	u, err := s.store.byID(ctx, userID)
	return u.User, unavailable(err)
}

// ByEmail returns the user with an address, ignoring case, or ErrUnknown.
func (s *Service) ByEmail(ctx context.Context, email string) (User, error) {
	u, err := s.store.byEmail(ctx, emailKey(email))
	return u.User, unavailable(err)
}

// Named returns who has this id, address or username, ignoring case; ErrUnknown.
func (s *Service) Named(ctx context.Context, name string) (User, error) {
	u, err := s.store.byID(ctx, name)
	if errors.Is(err, ErrUnknown) {
		u, err = s.store.byEmail(ctx, emailKey(name))
	}
	if errors.Is(err, ErrUnknown) {
		u, err = s.store.byUsername(ctx, usernameKey(name))
	}
	return u.User, unavailable(err)
}

// Masked returns u as readers see it who may not see personal data.
func (u User) Masked() User {
	u.Email, u.Username, u.FirstName, u.LastName = masked(u.Email), masked(u.Username), "", ""
	return u
}

// Admins returns how many active administrators there are.
func (s *Service) Admins(ctx context.Context) (int, error) {
	n, err := s.store.admins(ctx)
	return n, unavailable(err)
}

// Profile is what people may change about themselves; nil keeps a field.
type Profile struct{ FirstName, LastName, Username *string }

// Update changes userID's profile and returns the user as it is then.
func (s *Service) Update(ctx context.Context, userID string, p Profile) (User, error) {
	var u user
	err := s.DB.InTx(ctx, func(ctx context.Context) error {
		var err error
		if u, err = s.store.byID(ctx, userID); err != nil {
			return err
		}
		if err := p.apply(&u.User); err != nil {
			return err
		}
		if p.Username != nil {
			if taken, err := s.store.usernameOfOther(ctx, usernameKey(u.Username), u.ID); err != nil || taken {
				return errors.Join(err, when(taken, ErrUsernameTaken))
			}
		}
		if err := s.store.setProfile(ctx, u.User); err != nil {
			return err
		}
		return s.Bus.Publish(ctx, busKind, u.ID)
	})
	if sqldb.IsUnique(err) {
		err = ErrUsernameTaken.Because(err) // somebody was quicker
	}
	return u.User, unavailable(err)
}

func (p Profile) apply(u *User) (err error) {
	if p.FirstName != nil {
		if u.FirstName, err = checkName("firstName", *p.FirstName); err != nil {
			return err
		}
	}
	if p.LastName != nil {
		if u.LastName, err = checkName("lastName", *p.LastName); err != nil {
			return err
		}
	}
	if p.Username != nil {
		u.Username = strings.TrimSpace(*p.Username)
		return checkUsername(u.Username)
	}
	return nil
}

// Sweep removes links that ended a day ago, and lets unproven accounts of a
// week ago go, so that their addresses and names are free again.
func (s *Service) Sweep(ctx context.Context) error {
	now := s.Now()
	return errors.Join(
		s.store.sweepTokens(ctx, now.Add(-24*time.Hour)),
		s.DB.InTx(ctx, func(ctx context.Context) error {
			gone, err := s.store.releaseOlder(ctx, now.Add(-7*24*time.Hour))
			for _, userID := range gone {
				err = errors.Join(err, s.Bus.Publish(ctx, busKind, userID))
			}
			return err
		}),
	)
}

// blind returns the key under which a throttle remembers a name.
func (s *Service) blind(kind, name string) string {
	h := hmac.New(sha256.New, s.key)
	h.Write([]byte(kind))
	h.Write([]byte{0})
	h.Write([]byte(name))
	return string(h.Sum(nil)[:16])
}

func tooMany(wait time.Duration) error {
	seconds := int64((wait + time.Second - 1) / time.Second)
	return ErrTooMany.Saying("Too many attempts. Wait %d s before you try again.", seconds).After(wait)
}

// unavailable says of a failing database that we cannot answer now.
func unavailable(err error) error {
	if sqldb.IsUnavailable(err) {
		return fault.ErrUnavailable.Because(err)
	}
	return err
}

func when(cond bool, err error) error {
	if cond {
		return err
	}
	return nil
}
