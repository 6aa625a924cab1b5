package login

import (
	"context"
	"net/http"

	"github.com/rephlo/rephlo/internal/account"
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
	// Disown ends the sign-in that a mailed link is about, and returns the token
	// that sets a new password, if there may be one.
	Disown func(ctx context.Context, token string) (reset string, err error)
}

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	page, form := a.Screens.Page(), a.Screens.Form()
	m.Handle("POST /interaction/{uid}/login", a.Authorize.Step(a.signIn), form...)
	m.Handle("GET /register", a.registerForm, page)
	m.Handle("POST /register", oauth.Form(a.register), form...)
	m.Handle("GET /verify", a.verifyForm, page)
	m.Handle("POST /verify", oauth.Form(a.verify), form...)
	m.Handle("POST /verify/resend", oauth.Form(a.resend), form...)
	a.mountRecovery(m, page, form)
}

func (a API) signIn(w http.ResponseWriter, r *http.Request, t authorize.Turn) (bool, error) {
	known, err := a.Sessions.Known(r)
	if err != nil {
		return false, err
	}
	u, err := a.Accounts.Authenticate(r.Context(), account.Attempt{
		Name: t.Form.Get("name"), Password: t.Form.Get("password"), Address: account.Address(r), Known: known,
	})
	if err != nil {
		f, ok := pages.Shown(w, err)
		if !ok {
			return false, err
		}
		return false, a.Screens.SignIn(w, authorize.Screen(t.In, t.Client), bounded(t.Form.Get("name")), f)
	}
	t.In.Keep = t.Form.Get("keep") != ""
	err = a.Authorize.Proved(w, r, t.In, u, sso.ByPassword)
	return err == nil, err
}

// bounded keeps what is shown again short.
func bounded(s string) string { return s[:min(len(s), 254)] }
