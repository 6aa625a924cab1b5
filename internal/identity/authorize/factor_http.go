package authorize

import (
	"net/http"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/sso"
)

// Proved is called when u has given a first factor, by the means amr. Without a
// second one u is signed in; otherwise the interaction waits for that.
func (s *Service) Proved(w http.ResponseWriter, r *http.Request, in Interaction, u account.User, amr ...string) error {
	f, err := s.Factors(r.Context(), u)
	if err != nil {
		return unavailable(err)
	}
	if f.Any() {
		in = in.by(u.ID, false, false)
		in.SignedIn, in.Proved, in.ProvedAt = false, amr, s.Now()
		return unavailable(s.store.took(r.Context(), in))
	}
	if _, err := s.Sessions.SignIn(w, r, u, amr...); err != nil {
		return err
	}
	return s.signedIn(r.Context(), in, u.ID)
}

// Challenged is who has to prove a second factor: somebody who has given the
// first one, or whose sign-in lacks it.
type Challenged struct {
	User    account.User
	proved  []string    // empty when session lacks the factor
	session sso.Session // zero when the first factor was given just now
}

// Challenged returns who has to prove a second factor in the interaction; false
// is nobody.
func (s *Service) Challenged(r *http.Request, in Interaction, c client.Client) (Challenged, bool, error) {
	ss, _, err := s.Sessions.Current(r)
	if err != nil {
		return Challenged{}, false, err
	}
	st, err := s.state(r.Context(), in, c, ss)
	if err != nil || st.next() != Challenge {
		return Challenged{}, false, err
	}
	if st.half.ID != "" {
		return Challenged{User: st.half, proved: in.Proved}, true, nil
	}
	return Challenged{User: st.user, session: ss}, true, nil
}

// First reports whether the first factor was given in this interaction.
func (c Challenged) First() bool { return len(c.proved) > 0 }

// Complete is called when c has proved a second factor, by the means amr.
func (s *Service) Complete(w http.ResponseWriter, r *http.Request, in Interaction, c Challenged, amr ...string) error {
	if c.session.ID != "" {
		raised, err := s.Sessions.Raise(w, r, c.session, append(amr, sso.ByTwo)...)
		if err != nil || !raised { // signed out meanwhile: it begins anew
			return err
		}
		return s.signedIn(r.Context(), in, c.User.ID)
	}
	if _, err := s.Sessions.SignIn(w, r, c.User, append(append([]string{}, c.proved...), append(amr, sso.ByTwo)...)...); err != nil {
		return err
	}
	return s.signedIn(r.Context(), in, c.User.ID)
}

// challenge shows the page that asks for a second factor.
func (s *Service) challenge(w http.ResponseWriter, r *http.Request, st state) error {
	u := st.half
	if u.ID == "" {
		u = st.user
	}
	return s.Screens.Challenge(w, Screen(st.in, st.client), who(u), r.URL.Query().Get("use") == "recovery", nil)
}

// Enrolling returns who has to set up a second factor in the interaction, and
// their sign-in; false is nobody.
func (s *Service) Enrolling(r *http.Request, in Interaction, c client.Client) (account.User, sso.Session, bool, error) {
	ss, _, err := s.Sessions.Current(r)
	if err != nil {
		return account.User{}, sso.Session{}, false, err
	}
	st, err := s.state(r.Context(), in, c, ss)
	return st.user, ss, err == nil && st.next() == Enroll, err
}

// Enrolled is called when the user of a sign-in has set up a factor, by the
// means amr, which raises the sign-in.
func (s *Service) Enrolled(w http.ResponseWriter, r *http.Request, in Interaction, ss sso.Session, amr ...string) error {
	return s.Complete(w, r, in, Challenged{User: account.User{ID: ss.UserID}, session: ss}, amr...)
}
