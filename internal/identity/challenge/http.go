package challenge

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/authorize"
	"github.com/rephlo/rephlo/internal/identity/enroll"
	"github.com/rephlo/rephlo/internal/identity/pages"
	"github.com/rephlo/rephlo/internal/identity/sso"
	"github.com/rephlo/rephlo/internal/mfa"
	"github.com/rephlo/rephlo/internal/passkey"
	"github.com/rephlo/rephlo/internal/trail"
	"github.com/rephlo/rephlo/internal/web"
)

// API serves the step.
type API struct {
	Factors   *mfa.Service
	Passkeys  *passkey.Service
	Accounts  *account.Service
	Authorize *authorize.Service
	Screens   *pages.Screens
	Trail     *trail.Service
}

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	form, step := a.Screens.Form(), a.Authorize.Step
	m.Handle("POST /interaction/{uid}/mfa", a.check(false), form...)
	m.Handle("POST /interaction/{uid}/recovery-code", a.check(true), form...)
	m.Handle("POST /interaction/{uid}/passkey/options", a.passkeyOptions, web.Page(), web.SameOrigin(), web.Body(1<<10))
	m.Handle("POST /interaction/{uid}/passkey", step(a.passkey), form...)
	m.Handle("POST /interaction/{uid}/enroll", step(a.begin), form...)
	m.Handle("POST /interaction/{uid}/enroll/confirm", step(a.confirm), form...)
	m.Handle("POST /interaction/{uid}/enroll/saved", step(a.saved), form...)
}

// check takes a code; recovery says on which of the two pages.
func (a API) check(recovery bool) web.Handler {
	return a.Authorize.Step(func(w http.ResponseWriter, r *http.Request, t authorize.Turn) (bool, error) {
		who, ok, err := a.Authorize.Challenged(r, t.In, t.Client)
		if err != nil || !ok || who.Surest { // a code cannot be as sure as the surest
			return true, err
		}
		_, err = a.Factors.Check(r.Context(), who.User, t.Form.Get("code"))
		switch {
		case errors.Is(err, mfa.ErrNone):
			return true, nil
		case errors.Is(err, mfa.ErrCode):
			a.Trail.Note(r.Context(), who.User.ID, trail.FactorFailed, "")
			return false, a.again(w, r, t, who, recovery, fault.From(err))
		case errors.Is(err, mfa.ErrTooMany):
			return false, a.again(w, r, t, who, recovery, fault.From(err))
		case err != nil:
			return false, err
		}
		if err := a.Authorize.Complete(w, r, t.In, who, sso.ByCode); err != nil || t.Form.Get("trust") == "" || recovery {
			return true, err
		}
		return true, a.trust(w, r, who.User)
	})
}

// trust has this browser stand for the second factor that was just given.
func (a API) trust(w http.ResponseWriter, r *http.Request, u account.User) error {
	if !a.Authorize.Sessions.MayTrust(u) {
		return nil
	}
	a.Trail.Note(r.Context(), u.ID, trail.DeviceTrusted, "")
	return a.Authorize.Sessions.Trust(w, r, u)
}

// again shows the page once more, or, to somebody who guesses, the first one.
func (a API) again(w http.ResponseWriter, r *http.Request, t authorize.Turn, who authorize.Challenged, recovery bool, f *fault.Error) error {
	web.Note(w, slog.String("code", f.Code))
	web.ErrorHeaders(w, f)
	if errors.Is(f, mfa.ErrTooMany) && who.First() {
		if err := a.Authorize.StartOver(r.Context(), t.In); err != nil {
			return err
		}
		return a.Screens.SignIn(w, authorize.Screen(t.In, t.Client), t.In.Request.LoginHint, f)
	}
	return a.Authorize.ShowChallenge(w, t.In, t.Client, who, recovery, f)
}

// enrolling returns who sets up a factor in the interaction; false when nobody
// has to.
func (a API) enrolling(r *http.Request, t authorize.Turn) (enroll.Who, sso.Session, bool, error) {
	u, ss, ok, err := a.Authorize.Enrolling(r, t.In, t.Client)
	base := "/interaction/" + t.In.UID
	return enroll.Who{User: u, Session: ss.ID, Base: base + "/enroll", Cancel: base + "/abort"}, ss, ok, err
}

func (a API) pages() enroll.Pages { return enroll.Pages{Factors: a.Factors, Screens: a.Screens} }

func (a API) begin(w http.ResponseWriter, r *http.Request, t authorize.Turn) (bool, error) {
	who, _, ok, err := a.enrolling(r, t)
	if err != nil || !ok {
		return true, err
	}
	return false, a.pages().Begin(w, r, who)
}

func (a API) confirm(w http.ResponseWriter, r *http.Request, t authorize.Turn) (bool, error) {
	who, ss, ok, err := a.enrolling(r, t)
	if err != nil || !ok {
		return true, err
	}
	return false, a.pages().Confirm(w, r, who, t.Form, func() error { return a.Authorize.Enrolled(w, r, t.In, ss, sso.ByCode) })
}

// saved leads on; the factor counts already.
func (a API) saved(w http.ResponseWriter, _ *http.Request, t authorize.Turn) (bool, error) {
	return a.pages().Saved(w, enroll.Who{Base: "/interaction/" + t.In.UID + "/enroll"}, t.Form)
}
