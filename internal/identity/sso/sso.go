package sso

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Limits of sessions and devices.
const (
	idle       = 12 * time.Hour
	absolute   = 30 * 24 * time.Hour
	seenEvery  = time.Minute
	perUser    = 10
	perAdmin   = 3
	adminLife  = 12 * time.Hour
	deviceLife = 365 * 24 * time.Hour
	agentSize  = 200
)

// Ways to sign in, as amr values (RFC 8176).
const (
	ByPassword = "pwd"
	ByCode     = "otp" // of an authenticator app, or a recovery code
	ByOther    = "fed" // an account at another service
	ByTwo      = "mfa" // more than one factor
	ByKey      = "hwk" // a passkey that stays on its device
	BySynced   = "swk" // a passkey that can be on several
	ByPresence = "user"
)

// How surely somebody signed in, as acr values.
const (
	ACRSingle = "single" // one factor
	ACRMulti  = "mfa"    // two
	ACRKey    = "phr"    // a passkey: no other site can phish it
)

// acrOf returns how sure a sign-in by amr is.
func acrOf(amr []string) string {
	switch {
	case slices.Contains(amr, ByPresence):
		return ACRKey
	case slices.Contains(amr, ByTwo):
		return ACRMulti
	default:
		return ACRSingle
	}
}

// Session is one account that is signed in in one browser.
type Session struct {
	ID       string // sid
	UserID   string
	AuthTime time.Time
	ACR      string
	AMR      []string
	// Keep says that the user wants to stay signed in: no pause ends it.
	Keep bool
	// Trust is the trusted device in whose place no second factor was asked for;
	// empty if one was, or none was needed.
	Trust string

	createdAt, lastSeenAt, endedAt time.Time
}

// Needs are what a Service is made of.
type Needs struct {
	DB       *sqldb.DB
	Log      *slog.Logger
	Now      func() time.Time
	Accounts *account.Service
	// Ended is called in the transaction that ends a session: what was bound
	// to it is revoked there.
	Ended func(ctx context.Context, sessionID string) error
	// Started is called in the transaction that signs somebody in.
	Started func(ctx context.Context, a Arrival) error
	// Trusts says whether people may trust a device, so that it takes the place of
	// their second factor; nil: nobody may.
	Trusts func() bool
	// Secure says that browsers reach us over https.
	Secure bool
}

// Service keeps sessions. It is safe for concurrent use.
type Service struct {
	Needs
	store store
}

// New returns a Service.
func New(n Needs) *Service {
	if n.Ended == nil {
		n.Ended = func(context.Context, string) error { return nil }
	}
	if n.Trusts == nil {
		n.Trusts = func() bool { return false }
	}
	if n.Started == nil {
		n.Started = func(context.Context, Arrival) error { return nil }
	}
	return &Service{Needs: n, store: store{n.DB}}
}

// Way is how somebody signs in.
type Way struct {
	AMR   []string
	Keep  bool   // they want to stay signed in; not heard of those with a role
	Trust string // the trusted device that stands for their second factor
}

// Arrival is somebody who has signed in.
type Arrival struct {
	User    account.User
	Session Session
	Address string // of the network
	Agent   string // what the browser calls itself
	// NewDevice says that they have signed in before, but not in this browser.
	NewDevice bool
}

// Device names the browser and the system, as far as people care.
func (a Arrival) Device() string { return device(a.Agent) }

// newSecret returns a cookie's value and the hash that is stored of it.
func newSecret() (text string, hash []byte) {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	text = base64.RawURLEncoding.EncodeToString(b)
	return text, hashOf(text)
}

func hashOf(text string) []byte {
	h := sha256.Sum256([]byte(text))
	return h[:]
}

// bySecret returns the live session with this secret.
func (s *Service) bySecret(ctx context.Context, secret string) (Session, bool, error) {
	ss, ok, err := s.store.byHash(ctx, hashOf(secret))
	if err != nil || !ok {
		return Session{}, false, unavailable(err)
	}
	now := s.Now()
	u, err := s.Accounts.Snapshot(ctx, ss.UserID)
	if errors.Is(err, account.ErrUnknown) {
		return Session{}, false, nil
	}
	if err != nil {
		return Session{}, false, err
	}
	if !live(ss, u, now) {
		return Session{}, false, nil
	}
	if now.Sub(ss.lastSeenAt) >= seenEvery {
		if err := s.store.seen(ctx, ss.ID, now); err != nil {
			s.Log.WarnContext(ctx, "session use not recorded", "session", ss.ID, "err", err)
		}
	}
	return ss, true, nil
}

// live reports whether ss is good for u at the time now.
func live(ss Session, u account.User, now time.Time) bool {
	life := absolute
	if u.Staff {
		life = adminLife
	}
	rested := now.Sub(ss.lastSeenAt) >= idle && (!ss.Keep || u.Staff)
	return ss.endedAt.IsZero() && !rested && now.Sub(ss.createdAt) < life &&
		!ss.AuthTime.Before(u.SignedOutAt) && account.Usable(u, now) == nil
}

// signIn begins a session, or renews the one of the same user in this browser;
// one of another user there ends. It returns the new secret.
func (s *Service) signIn(ctx context.Context, a Arrival, way Way, before Session) (Session, string, error) {
	u, address, agent := a.User, a.Address, a.Agent
	now := s.Now()
	secret, hash := newSecret()
	ss := Session{
		ID: id.New("ses", now), UserID: u.ID, AuthTime: now, ACR: acrOf(way.AMR), AMR: way.AMR, Keep: way.Keep && !u.Staff, Trust: way.Trust, createdAt: now, lastSeenAt: now,
	}
	err := s.DB.InTx(ctx, func(ctx context.Context) error {
		if before.ID != "" && before.UserID == u.ID {
			ss.ID = before.ID
			renewed, err := s.store.renew(ctx, ss, hash)
			if err != nil {
				return err
			}
			if renewed {
				a.Session = ss
				return s.Started(ctx, a)
			}
			ss.ID = id.New("ses", now) // it ended meanwhile
		} else if before.ID != "" {
			if err := s.End(ctx, before.ID); err != nil {
				return err
			}
		}
		if err := s.store.insert(ctx, ss, hash, address, agent[:min(len(agent), agentSize)]); err != nil {
			return err
		}
		if err := s.endOldest(ctx, u); err != nil {
			return err
		}
		a.Session = ss
		return s.Started(ctx, a)
	})
	return ss, secret, unavailable(err)
}

// raise gives a session a further proof and a new secret. When its user signed
// in stays as it was: the first factor was not given again. It returns false if
// the session has ended.
func (s *Service) raise(ctx context.Context, ss Session, amr []string) (Session, string, bool, error) {
	secret, hash := newSecret()
	for _, way := range amr {
		if !slices.Contains(ss.AMR, way) {
			ss.AMR = append(slices.Clip(ss.AMR), way)
		}
	}
	ss.ACR = acrOf(ss.AMR)
	raised, err := s.store.raise(ctx, ss, hash)
	return ss, secret, raised, unavailable(err)
}

// endOldest keeps the number of a user's sessions bounded.
func (s *Service) endOldest(ctx context.Context, u account.User) error {
	limit := perUser
	if u.Staff {
		limit = perAdmin
	}
	open, err := s.store.open(ctx, u.ID)
	if err != nil {
		return err
	}
	for i := limit; i < len(open); i++ {
		if err := s.End(ctx, open[i]); err != nil {
			return err
		}
	}
	return nil
}

// End ends a session and, through the Ended hook, what is bound to it. Ending
// one that has ended does nothing.
func (s *Service) End(ctx context.Context, sessionID string) error {
	err := s.DB.InTx(ctx, func(ctx context.Context) error {
		ended, err := s.store.end(ctx, sessionID, s.Now())
		if err != nil || !ended {
			return err
		}
		return s.Ended(ctx, sessionID)
	})
	return unavailable(err)
}

// EndAll ends the sessions of everybody, and all trust in devices, and returns
// how many sessions there were. It joins the transaction that ctx carries; the
// tokens that they led to are not ended by it.
func (s *Service) EndAll(ctx context.Context) (n int64, err error) {
	err = s.DB.InTx(ctx, func(ctx context.Context) error {
		if n, err = s.store.endAll(ctx, s.Now()); err != nil {
			return err
		}
		return s.store.distrustEverybody(ctx)
	})
	return n, unavailable(err)
}

// EndOthers ends a user's sessions but the one that is kept; "" keeps none. It
// joins the transaction that ctx carries.
func (s *Service) EndOthers(ctx context.Context, userID, keep string) error {
	err := s.DB.InTx(ctx, func(ctx context.Context) error {
		open, err := s.store.open(ctx, userID)
		if err != nil {
			return err
		}
		for _, sessionID := range open {
			if sessionID == keep {
				continue
			}
			if err := s.End(ctx, sessionID); err != nil {
				return err
			}
		}
		return nil
	})
	return unavailable(err)
}

// Sweep removes sessions that ended a day ago or more, and devices that were
// not seen for a year or are trusted no more.
func (s *Service) Sweep(ctx context.Context) error {
	now := s.Now()
	return s.store.sweep(ctx, now.Add(-absolute-24*time.Hour), now.Add(-deviceLife), now)
}

func unavailable(err error) error {
	if sqldb.IsUnavailable(err) {
		return fault.ErrUnavailable.Because(err)
	}
	return err
}
