package challenge

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/authorize"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/enroll"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/identity/pages"
	"github.com/rephlo/rephlo/internal/identity/sso"
	"github.com/rephlo/rephlo/internal/mfa"
	"github.com/rephlo/rephlo/internal/passkey"
	"github.com/rephlo/rephlo/internal/web"
)

// API serves the step.
type API struct {
	Factors   *mfa.Service
	Passkeys  *passkey.Service
	Accounts  *account.Service
	Authorize *authorize.Service
	Screens   *pages.Screens
}

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	form := []web.Option{web.Errors(a.Screens.WriteError), web.SameOrigin(), web.Body(64 << 10)}
	m.Handle("POST /interaction/{uid}/mfa", a.check(false), form...)
	m.Handle("POST /interaction/{uid}/recovery-code", a.check(true), form...)
	m.Handle("POST /interaction/{uid}/passkey/options", a.passkeyOptions, web.SameOrigin(), web.Body(1<<10))
	m.Handle("POST /interaction/{uid}/passkey", a.passkey, form...)
	m.Handle("POST /interaction/{uid}/enroll", a.begin, form...)
	m.Handle("POST /interaction/{uid}/enroll/confirm", a.confirm, form...)
	m.Handle("POST /interaction/{uid}/enroll/saved", a.saved, form...)
}

// check takes a code; recovery says on which of the two pages.
func (a API) check(recovery bool) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		v, err := oauth.ReadForm(r)
		if err != nil {
			return err
		}
		in, c, err := a.Authorize.Open(r)
		if err != nil {
			return err
		}
		who, ok, err := a.Authorize.Challenged(r, in, c)
		if err != nil {
			return err
		}
		if !ok {
			return authorize.Resume(w, r, in)
		}
		if who.Surest { // a code cannot be as sure as was asked
			return authorize.Resume(w, r, in)
		}
		_, err = a.Factors.Check(r.Context(), who.User, v.Get("code"))
		switch {
		case errors.Is(err, mfa.ErrNone):
			return authorize.Resume(w, r, in)
		case errors.Is(err, mfa.ErrCode), errors.Is(err, mfa.ErrTooMany):
			return a.again(w, r, in, c, who, recovery, fault.From(err))
		case err != nil:
			return err
		}
		if err := a.Authorize.Complete(w, r, in, who, sso.ByCode); err != nil {
			return err
		}
		return authorize.Resume(w, r, in)
	}
}

// again shows the page once more, or, to somebody who guesses, the first one.
func (a API) again(w http.ResponseWriter, r *http.Request, in authorize.Interaction, c client.Client, who authorize.Challenged, recovery bool, f *fault.Error) error {
	web.Note(w, slog.String("code", f.Code))
	web.ErrorHeaders(w, f)
	if errors.Is(f, mfa.ErrTooMany) && who.First() {
		if err := a.Authorize.StartOver(r.Context(), in); err != nil {
			return err
		}
		return a.Screens.SignIn(w, authorize.Screen(in, c), in.Request.LoginHint, f)
	}
	return a.Authorize.ShowChallenge(w, in, c, who, recovery, f)
}

// enrolling returns the interaction and who sets up a factor in it; false when
// nobody has to.
func (a API) enrolling(r *http.Request) (authorize.Interaction, enroll.Who, sso.Session, bool, error) {
	in, c, err := a.Authorize.Open(r)
	if err != nil {
		return in, enroll.Who{}, sso.Session{}, false, err
	}
	u, ss, ok, err := a.Authorize.Enrolling(r, in, c)
	base := "/interaction/" + in.UID
	return in, enroll.Who{User: u, Session: ss.ID, Base: base + "/enroll", Cancel: base + "/abort"}, ss, ok, err
}

func (a API) pages() enroll.Pages { return enroll.Pages{Factors: a.Factors, Screens: a.Screens} }

func (a API) begin(w http.ResponseWriter, r *http.Request) error {
	in, who, _, ok, err := a.enrolling(r)
	if err != nil {
		return err
	}
	if !ok {
		return authorize.Resume(w, r, in)
	}
	return a.pages().Begin(w, r, who)
}

func (a API) confirm(w http.ResponseWriter, r *http.Request) error {
	v, err := oauth.ReadForm(r)
	if err != nil {
		return err
	}
	in, who, ss, ok, err := a.enrolling(r)
	if err != nil {
		return err
	}
	if !ok {
		return authorize.Resume(w, r, in)
	}
	return a.pages().Confirm(w, r, who, v, func() error { return a.Authorize.Enrolled(w, r, in, ss, sso.ByCode) })
}

// saved leads on; the factor counts already.
func (a API) saved(w http.ResponseWriter, r *http.Request) error {
	v, err := oauth.ReadForm(r)
	if err != nil {
		return err
	}
	in, _, err := a.Authorize.Open(r)
	if err != nil {
		return err
	}
	who := enroll.Who{Base: "/interaction/" + in.UID + "/enroll"}
	done, err := a.pages().Saved(w, who, v)
	if err != nil || !done {
		return err
	}
	return authorize.Resume(w, r, in)
}
