package sso

import (
	"context"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/id"
)

const (
	trustLife  = 30 * 24 * time.Hour
	maxTrusted = 10 // devices of one user; the oldest goes first
)

// Trusted is a browser that stands for its user's second factor.
type Trusted struct {
	ID                           string
	Address, Agent               string
	CreatedAt, UsedAt, ExpiresAt time.Time
}

// Device names the browser and the system, as far as people care.
func (t Trusted) Device() string { return device(t.Agent) }

// MayTrust reports whether u may trust a device: it must be allowed here, and
// nobody with a role may.
func (s *Service) MayTrust(u account.User) bool { return s.Trusts() && !u.Staff }

// TrustedHere returns the trusted device of u that r comes from; "" if it does
// not, or u may have none.
func (s *Service) TrustedHere(r *http.Request, u account.User) (string, error) {
	secret := s.read(r, trustCookie)
	if secret == "" || !s.MayTrust(u) {
		return "", nil
	}
	var trusted string
	err := s.DB.InTx(r.Context(), func(ctx context.Context) (err error) {
		trusted, err = s.store.trusted(ctx, hashOf(secret), u.ID, s.Now())
		return err
	})
	return trusted, unavailable(err)
}

// Trust lets r's browser stand for u's second factor for 30 days, if u may. Call
// it when they have just given that factor there.
func (s *Service) Trust(w http.ResponseWriter, r *http.Request, u account.User) error {
	if !s.MayTrust(u) {
		return nil
	}
	now := s.Now()
	before := s.read(r, trustCookie) // of another user of this browser, who may know it
	secret, hash := newSecret()
	agent := r.UserAgent()
	t := Trusted{
		ID: id.New("dev", now), Address: account.Address(r), Agent: agent[:min(len(agent), agentSize)],
		CreatedAt: now, UsedAt: now, ExpiresAt: now.Add(trustLife),
	}
	err := s.DB.InTx(r.Context(), func(ctx context.Context) error {
		if before != "" {
			if err := s.store.rename(ctx, hashOf(before), hash); err != nil {
				return err
			}
		}
		if err := s.store.trust(ctx, t, hash, u.ID); err != nil {
			return err
		}
		all, err := s.store.trustedOf(ctx, u.ID, now)
		if err != nil {
			return err
		}
		for _, old := range all[min(len(all), maxTrusted):] {
			if err := s.store.distrust(ctx, u.ID, old.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return unavailable(err)
	}
	s.set(w, trustCookie, secret, trustLife)
	return nil
}

// TrustedDevices lists a user's trusted devices, the newest first.
func (s *Service) TrustedDevices(ctx context.Context, userID string) ([]Trusted, error) {
	all, err := s.store.trustedOf(ctx, userID, s.Now())
	return all, unavailable(err)
}

// Distrust has a device of the user ask for the second factor again, at once. One
// that is not theirs changes nothing.
func (s *Service) Distrust(ctx context.Context, userID, trustedID string) error {
	return unavailable(s.DB.InTx(ctx, func(ctx context.Context) error { return s.store.distrust(ctx, userID, trustedID) }))
}

// DistrustAll is Distrust for all devices of the user. It joins the transaction
// that ctx carries.
func (s *Service) DistrustAll(ctx context.Context, userID string) error {
	return unavailable(s.DB.InTx(ctx, func(ctx context.Context) error { return s.store.distrustAll(ctx, userID) }))
}
