package federation

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Event is what happened to somebody's links.
type Event string

// The events.
const (
	Linked   Event = "linked"
	Unlinked Event = "unlinked"
)

// Needs are what a Service is made of.
type Needs struct {
	DB       *sqldb.DB
	Box      *seal.Box
	Now      func() time.Time
	Accounts *account.Service
	// Base is our address, without a slash at the end.
	Base      string
	Providers []Settings
	// Happened is called in the transaction of a change; provider is its name.
	Happened func(ctx context.Context, u account.User, e Event, provider string) error
	// Elsewhere reports whether a user has other ways to sign in than a password
	// and linked identities.
	Elsewhere func(ctx context.Context, userID string) (bool, error)
}

// Service keeps identities. It is safe for concurrent use.
type Service struct {
	Needs
	store     store
	upstreams map[string]upstream
}

// upstream speaks one provider's protocol.
type upstream interface {
	// address returns where a browser is sent to.
	address(ctx context.Context, t trip) (string, error)
	// person exchanges a code for who has signed in. iss is the parameter of the
	// answer, "" when there is none (RFC 9207).
	person(ctx context.Context, t trip, code, iss string) (Person, error)
}

// trip is one way to a provider and back.
type trip struct {
	Provider    string `json:"p"`
	Interaction string `json:"i,omitempty"`
	UserID      string `json:"u,omitempty"` // who wants to link; "" signs in
	Nonce       string `json:"n"`
	Verifier    string `json:"v"`
	state, back string
}

// Pending is a decision that somebody who came back has to take.
type Pending struct {
	Provider    string
	Interaction string // in which it goes on; "" for the account area
	Person      Person
}

// Stages of an attempt.
const (
	stageTrip = "trip"
	stageLink = "link"
	stageJoin = "join"
)

// New returns a Service.
func New(n Needs) *Service {
	s := &Service{Needs: n, store: store{n.DB}, upstreams: map[string]upstream{}}
	for _, p := range n.Providers {
		s.upstreams[p.ID] = newUpstream(p, n.Now)
	}
	return s
}

// Name returns a provider's name; an unknown one is called by its id.
func (s *Service) Name(id string) string {
	for _, p := range s.Providers {
		if p.ID == id {
			return p.Name
		}
	}
	return id
}

func (s *Service) callback(provider string) string {
	return s.Base + "/federation/" + provider + "/callback"
}

func hashOf(text string) []byte {
	h := sha256.Sum256([]byte(text))
	return h[:]
}

// keep stores what an attempt needs later and returns its handle.
func (s *Service) keep(ctx context.Context, stage string, browser []byte, v any) (string, error) {
	handle := rand.Text()
	plain, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("keep a sign-in elsewhere: %w", err)
	}
	data, err := s.Box.Seal(plain, "federation "+stage)
	if err != nil {
		return "", err
	}
	return handle, s.store.begin(ctx, hashOf(handle), stage, browser, data, s.Now().Add(Life))
}

// read opens what keep stored. ErrState when there is nothing for this browser.
func (s *Service) read(data []byte, found bool, err error, stage string, v any) error {
	if err != nil {
		return unavailable(err)
	}
	if !found {
		return ErrState
	}
	plain, err := s.Box.Open(data, "federation "+stage)
	if err != nil {
		return err
	}
	return json.Unmarshal(plain, v)
}

// Begin starts a trip to a provider and returns the address to go to. userID is
// who wants to link; "" signs in, in the interaction. ErrNone when
// there is no such provider, ErrFailed when it does not answer.
func (s *Service) Begin(ctx context.Context, provider, interaction, userID string, browser []byte) (string, error) {
	up, ok := s.upstreams[provider]
	if !ok {
		return "", ErrNone.Saying("There is no such way to sign in.")
	}
	t := trip{Provider: provider, Interaction: interaction, UserID: userID, Nonce: rand.Text(), Verifier: rand.Text() + rand.Text(), back: s.callback(provider)}
	var err error
	if t.state, err = s.keep(ctx, stageTrip, browser, t); err != nil {
		return "", unavailable(err)
	}
	address, err := up.address(ctx, t)
	if err != nil {
		return "", ErrFailed.Saying("%s does not answer right now. Sign in in another way.", s.Name(provider)).Because(err)
	}
	return address, nil
}

// arrival is somebody who came back from a provider.
type arrival struct {
	trip
	up upstream
}

// returned ends the trip of a state. A state of another provider is ErrState, so
// that one cannot answer for another.
func (s *Service) returned(ctx context.Context, provider, state string, browser []byte) (arrival, error) {
	data, ok, err := s.store.take(ctx, hashOf(state), stageTrip, browser, s.Now())
	var t trip
	if err := s.read(data, ok, err, stageTrip, &t); err != nil {
		return arrival{}, err
	}
	up, ok := s.upstreams[t.Provider]
	if !ok || t.Provider != provider {
		return arrival{}, ErrState
	}
	t.back = s.callback(provider)
	return arrival{t, up}, nil
}

// owner returns whose identity p is. Accounts that are gone take their links
// with them.
func (s *Service) owner(ctx context.Context, p Person) (account.User, bool, error) {
	i, ok, err := s.store.bySubject(ctx, p.Issuer, p.Subject)
	if err != nil || !ok {
		return account.User{}, false, unavailable(err)
	}
	u, err := s.Accounts.ByID(ctx, i.UserID)
	if errors.Is(err, account.ErrUnknown) || err == nil && u.State == account.StateDeleted && !u.Leaving(s.Now()) {
		_, err := s.store.remove(ctx, i.UserID, i.ID)
		return account.User{}, false, unavailable(err)
	}
	if err != nil {
		return account.User{}, false, err
	}
	return u, true, unavailable(s.store.used(ctx, i.ID, s.Now()))
}

// stranger decides what somebody unknown is asked: to link the account that has
// the address, or to create one.
func (s *Service) stranger(ctx context.Context, p Person) (stage string, err error) {
	if p.Email == "" {
		return "", ErrNoMail
	}
	u, err := s.Accounts.ByEmail(ctx, p.Email)
	switch {
	case errors.Is(err, account.ErrUnknown):
		return stageJoin, nil
	case err != nil:
		return "", err
	case u.Verified || u.Staff || !p.Vouched:
		return stageLink, nil
	default:
		return stageJoin, nil // the provider knows better whose the address is
	}
}

// Pending returns the decision behind a handle, without taking it. ErrState
// when it is not this browser's or too old.
func (s *Service) Pending(ctx context.Context, stage, handle string, browser []byte) (Pending, error) {
	var p Pending
	data, ok, err := s.store.peek(ctx, hashOf(handle), stage, browser, s.Now())
	return p, s.read(data, ok, err, stage, &p)
}

// Linking is Pending for a link.
func (s *Service) Linking(ctx context.Context, handle string, browser []byte) (Pending, error) {
	return s.Pending(ctx, stageLink, handle, browser)
}

// Link links the identity behind a handle to u, once. ErrTaken when it is
// linked to somebody else, ErrState as Pending.
func (s *Service) Link(ctx context.Context, u account.User, handle string, browser []byte) (Pending, error) {
	var p Pending
	err := s.DB.InTx(ctx, func(ctx context.Context) error {
		data, ok, err := s.store.take(ctx, hashOf(handle), stageLink, browser, s.Now())
		if err := s.read(data, ok, err, stageLink, &p); err != nil {
			return err
		}
		return s.link(ctx, u, p)
	})
	return p, unavailable(err)
}

func (s *Service) link(ctx context.Context, u account.User, p Pending) error {
	added, err := s.add(ctx, u, p)
	if err != nil || !added {
		return err
	}
	return s.Happened(ctx, u, Linked, s.Name(p.Provider))
}

// add stores an identity; false when it is u's already, ErrTaken when it is
// somebody else's.
func (s *Service) add(ctx context.Context, u account.User, p Pending) (bool, error) {
	added, err := s.store.add(ctx, Identity{
		ID: id.New("fid", s.Now()), Provider: p.Provider, Issuer: p.Person.Issuer, Subject: p.Person.Subject, UserID: u.ID,
		Email: p.Person.Email, CreatedAt: s.Now(),
	})
	if err != nil || added {
		return added, err
	}
	i, _, err := s.store.bySubject(ctx, p.Person.Issuer, p.Person.Subject)
	if err == nil && i.UserID != u.ID {
		err = ErrTaken
	}
	return false, err
}

// join creates the account of a decision and links it, once.
func (s *Service) join(ctx context.Context, handle string, browser []byte, terms bool) (account.User, Pending, error) {
	p, err := s.Pending(ctx, stageJoin, handle, browser)
	if err != nil {
		return account.User{}, p, err
	}
	u, err := s.Accounts.Join(ctx, account.Newcomer{
		Email: p.Person.Email, Vouched: p.Person.Vouched, FirstName: p.Person.First, LastName: p.Person.Last, Locale: p.Person.Locale,
		Terms: terms, Back: p.Interaction,
	}, func(ctx context.Context, u account.User) error {
		data, ok, err := s.store.take(ctx, hashOf(handle), stageJoin, browser, s.Now())
		if err := s.read(data, ok, err, stageJoin, &p); err != nil {
			return err
		}
		_, err = s.add(ctx, u, p)
		return err
	})
	return u, p, unavailable(err)
}

// List returns a user's identities, the oldest first.
func (s *Service) List(ctx context.Context, userID string) ([]Identity, error) {
	list, err := s.store.of(ctx, userID)
	return list, unavailable(err)
}

// Unlink removes one. ErrNone if it is not the user's, ErrLast if nothing else
// would sign them in.
func (s *Service) Unlink(ctx context.Context, u account.User, identityID string) error {
	return unavailable(s.DB.InTx(ctx, func(ctx context.Context) error {
		list, err := s.store.of(ctx, u.ID)
		if err != nil {
			return err
		}
		provider := ""
		for _, i := range list {
			if i.ID == identityID {
				provider = i.Provider
			}
		}
		if provider == "" {
			return ErrNone
		}
		if len(list) == 1 {
			if err := s.another(ctx, u.ID); err != nil {
				return err
			}
		}
		if removed, err := s.store.remove(ctx, u.ID, identityID); err != nil || !removed {
			return errors.Join(err, ErrNone)
		}
		return s.Happened(ctx, u, Unlinked, s.Name(provider))
	}))
}

// another returns ErrLast unless a user has a password or a way elsewhere.
func (s *Service) another(ctx context.Context, userID string) error {
	ok, err := s.Accounts.HasPassword(ctx, userID)
	if err == nil && !ok {
		ok, err = s.Elsewhere(ctx, userID)
	}
	if err == nil && !ok {
		err = ErrLast
	}
	return err
}

// Forget removes all of a user's links, in the transaction that ctx carries.
func (s *Service) Forget(ctx context.Context, userID string) error {
	return s.store.forget(ctx, userID)
}

// Sweep removes attempts that are over.
func (s *Service) Sweep(ctx context.Context) error { return s.store.sweep(ctx, s.Now()) }

func unavailable(err error) error {
	if sqldb.IsUnavailable(err) {
		return fault.ErrUnavailable.Because(err)
	}
	return err
}
