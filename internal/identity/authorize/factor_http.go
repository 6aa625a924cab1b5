package authorize

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/identity/pages"
	"github.com/rephlo/rephlo/internal/identity/sso"
	"github.com/rephlo/rephlo/internal/web"
)

// Proved is called when u has given a first factor, by the means amr. Without a
// second one u is signed in; otherwise the interaction waits for that.
func (s *Service) Proved(w http.ResponseWriter, r *http.Request, in Interaction, u account.User, amr ...string) error {
	f, err := s.Factors(r.Context(), u)
	if err != nil {
		return unavailable(err)
	}
	trusted, err := s.Sessions.TrustedHere(r, u)
	if err != nil {
		return err
	}
	if f.Any() && (trusted == "" || state{in: in, factors: f}.demanding()) {
		in = in.by(u.ID, false, false)
		in.SignedIn, in.Proved, in.ProvedAt = false, amr, s.Now()
		return unavailable(s.store.took(r.Context(), in))
	}
	if !f.Any() {
		trusted = ""
	}
	return s.arrive(w, r, in, u, sso.Way{AMR: amr, Trust: trusted})
}

// ProvedAll is called when u has given all that there is to ask for, by the
// means amr: then u is signed in.
func (s *Service) ProvedAll(w http.ResponseWriter, r *http.Request, in Interaction, u account.User, amr ...string) error {
	return s.arrive(w, r, in, u, sso.Way{AMR: amr})
}

// arrive signs u in.
func (s *Service) arrive(w http.ResponseWriter, r *http.Request, in Interaction, u account.User, way sso.Way) error {
	way.Keep = in.Keep
	if _, err := s.Sessions.SignIn(w, r, u, way); err != nil {
		return err
	}
	return s.signedIn(r.Context(), in, u.ID)
}

// Challenged is who has to prove a second factor: somebody who has given the
// first one, or whose sign-in lacks it.
type Challenged struct {
	User    account.User
	Factors Factors
	// Surest says that only a passkey will do.
	Surest  bool
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
	return st.challenged(), true, nil
}

func (s state) challenged() Challenged {
	c := Challenged{User: s.user, Factors: s.factors, session: s.session}
	if s.half.ID != "" {
		c = Challenged{User: s.half, Factors: s.halfFactors, proved: s.in.Proved}
	}
	c.Surest = c.Factors.Passkey && !oauth.MeetsACR(sso.ACRMulti, s.in.Request.EssentialACRs)
	return c
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
	return s.arrive(w, r, in, c.User, sso.Way{AMR: slices.Concat(c.proved, amr, []string{sso.ByTwo})})
}

// challenge shows the page that asks for a second factor.
func (s *Service) challenge(w http.ResponseWriter, r *http.Request, st state) error {
	return s.ShowChallenge(w, st.in, st.client, st.challenged(), r.URL.Query().Get("use") == "recovery", nil)
}

// ShowChallenge shows the page that asks who for a second factor, or for a
// recovery code; f is what was wrong with the last one, if there was one.
func (s *Service) ShowChallenge(w http.ResponseWriter, in Interaction, c client.Client, of Challenged, recovery bool, f *fault.Error) error {
	return s.Screens.Challenge(w, Screen(in, c), pages.Challenge{
		Account: who(of.User), App: of.Factors.App && !of.Surest, Passkey: of.Factors.Passkey,
		Recovery: of.Factors.Recovery && !of.Surest, UseRecovery: recovery && !of.Surest,
		Trust: !of.Surest && in.Request.Back == "" && !of.Factors.Required && s.Sessions.MayTrust(of.User),
	}, f)
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

// Turn is a form that was sent in an interaction: one step of it.
type Turn struct {
	In     Interaction
	Client client.Client
	Form   url.Values
}

// Step returns a handler of a step's form. ErrForeign and ErrEnded are answered
// before next is called. Without an error, the dispatcher goes on afterwards if
// next says so.
func (s *Service) Step(next func(w http.ResponseWriter, r *http.Request, t Turn) (done bool, err error)) web.Handler {
	return oauth.Form(func(w http.ResponseWriter, r *http.Request, v url.Values) error {
		in, c, err := s.Open(r)
		if err != nil {
			return err
		}
		done, err := next(w, r, Turn{in, c, v})
		if err != nil || !done {
			return err
		}
		return Resume(w, r, in)
	})
}
