package sso

import (
	"net/http"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/account"
)

// The cookies, without the prefix that they have over https.
const (
	sessionCookie = "rephlo_s"
	browserCookie = "rephlo_b"
	deviceCookie  = "rephlo_d"
	trustCookie   = "rephlo_t"
	hostPrefix    = "__Host-"
)

// Current returns who is signed in in r's browser; false is nobody.
func (s *Service) Current(r *http.Request) (Session, bool, error) {
	secret := s.read(r, sessionCookie)
	if secret == "" {
		return Session{}, false, nil
	}
	return s.bySecret(r.Context(), secret)
}

// SignIn makes u the one who is signed in in r's browser, with a new secret, and
// remembers the device.
func (s *Service) SignIn(w http.ResponseWriter, r *http.Request, u account.User, way Way) (Session, error) {
	before, _, err := s.Current(r)
	if err != nil {
		return Session{}, err
	}
	a := Arrival{User: u, Address: account.Address(r), Agent: r.UserAgent()}
	if a.NewDevice, err = s.newDevice(r, u.ID); err != nil {
		return Session{}, err
	}
	ss, secret, err := s.signIn(r.Context(), a, way, before)
	if err != nil {
		return Session{}, err
	}
	s.set(w, sessionCookie, secret, ss.cookieLife())
	device := s.read(r, deviceCookie)
	if device == "" {
		device, _ = newSecret()
	}
	s.set(w, deviceCookie, device, deviceLife)
	if err := s.store.remember(r.Context(), hashOf(device), u.ID, s.Now()); err != nil {
		s.Log.WarnContext(r.Context(), "device not remembered", "err", err)
	}
	return ss, nil
}

// cookieLife is how long the browser keeps the session's cookie; 0 is until it
// closes.
func (ss Session) cookieLife() time.Duration {
	if ss.Keep {
		return absolute
	}
	return 0
}

// Raise adds the proofs amr to the sign-in ss in r's browser, with a new
// secret. It returns false if that sign-in has ended meanwhile.
func (s *Service) Raise(w http.ResponseWriter, r *http.Request, ss Session, amr ...string) (bool, error) {
	_, secret, raised, err := s.raise(r.Context(), ss, amr)
	if err != nil || !raised {
		return false, err
	}
	s.set(w, sessionCookie, secret, ss.cookieLife())
	return true, nil
}

// SignOut ends the session in r's browser, if there is one, and its cookie.
func (s *Service) SignOut(w http.ResponseWriter, r *http.Request) error {
	ss, ok, err := s.Current(r)
	if err != nil {
		return err
	}
	if ok {
		if err := s.End(r.Context(), ss.ID); err != nil {
			return err
		}
	}
	s.set(w, sessionCookie, "", -time.Second)
	return nil
}

// Known returns the users who have signed in in r's browser before.
func (s *Service) Known(r *http.Request) ([]string, error) {
	device := s.read(r, deviceCookie)
	if device == "" {
		return nil, nil
	}
	users, err := s.store.knows(r.Context(), hashOf(device), s.Now().Add(-deviceLife))
	return users, unavailable(err)
}

// newDevice reports whether a user has signed in before, but never in r's
// browser.
func (s *Service) newDevice(r *http.Request, userID string) (bool, error) {
	known, err := s.Known(r)
	if err != nil || slices.Contains(known, userID) {
		return false, err
	}
	n, err := s.store.devices(r.Context(), userID)
	return n > 0, unavailable(err)
}

// Browser returns what r's browser is recognised by, or nil if it has no
// cookie yet.
func (s *Service) Browser(r *http.Request) []byte {
	if secret := s.read(r, browserCookie); secret != "" {
		return hashOf(secret)
	}
	return nil
}

// Mark is Browser, giving the browser a cookie if it has none.
func (s *Service) Mark(w http.ResponseWriter, r *http.Request) []byte {
	if hash := s.Browser(r); hash != nil {
		return hash
	}
	secret, hash := newSecret()
	s.set(w, browserCookie, secret, 0)
	return hash
}

func (s *Service) name(cookie string) string {
	if s.Secure {
		return hostPrefix + cookie
	}
	return cookie
}

// read returns a cookie's value if it has the length that we give it.
func (s *Service) read(r *http.Request, cookie string) string {
	c, err := r.Cookie(s.name(cookie))
	if err != nil || len(c.Value) != 43 {
		return ""
	}
	return c.Value
}

// set writes a cookie; life 0 is until the browser closes, below 0 removes it.
func (s *Service) set(w http.ResponseWriter, cookie, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure is left out on plain http only, where browsers refuse it
		Name: s.name(cookie), Value: value, Path: "/", MaxAge: int(life / time.Second),
		Secure: s.Secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
