package login

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/authorize"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/identity/pages"
	"github.com/rephlo/rephlo/internal/identity/sso"
	"github.com/rephlo/rephlo/internal/web"
)

// API serves the step.
type API struct {
	Accounts  *account.Service
	Sessions  *sso.Service
	Authorize *authorize.Service
	Screens   *pages.Screens
}

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	page := web.Errors(a.Screens.WriteError)
	form := []web.Option{page, web.SameOrigin(), web.Body(64 << 10)}
	m.Handle("POST /interaction/{uid}/login", a.signIn, form...)
	m.Handle("GET /register", a.registerForm, page)
	m.Handle("POST /register", a.register, form...)
	m.Handle("GET /verify", a.verifyForm, page)
	m.Handle("POST /verify", a.verify, form...)
	m.Handle("POST /verify/resend", a.resend, form...)
	a.mountRecovery(m, page, form)
}

func (a API) signIn(w http.ResponseWriter, r *http.Request) error {
	v, err := oauth.ReadForm(r)
	if err != nil {
		return err
	}
	in, c, err := a.Authorize.Open(r)
	if err != nil {
		return err
	}
	known, err := a.Sessions.Known(r)
	if err != nil {
		return err
	}
	u, err := a.Accounts.Authenticate(r.Context(), account.Attempt{
		Name: v.Get("name"), Password: v.Get("password"), Address: account.Address(r), Known: known,
	})
	if err != nil {
		f, ok := shown(w, err)
		if !ok {
			return err
		}
		return a.Screens.SignIn(w, authorize.Screen(in, c), bounded(v.Get("name")), f)
	}
	if err := a.Authorize.Proved(w, r, in, u, sso.ByPassword); err != nil {
		return err
	}
	return authorize.Resume(w, r, in)
}

// bounded keeps what is shown again short.
func bounded(s string) string { return s[:min(len(s), 254)] }

// shown reports whether err is one that the form shows with what was typed; it
// is noted for the log then. Failures of ours have a page of their own.
func shown(w http.ResponseWriter, err error) (*fault.Error, bool) {
	f := fault.From(err)
	if f.Kind == fault.Internal || errors.Is(err, fault.ErrUnavailable) {
		return nil, false
	}
	web.Note(w, slog.String("code", f.Code))
	web.ErrorHeaders(w, f)
	return f, true
}
