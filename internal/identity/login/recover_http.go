package login

import (
	"context"
	"net/http"
	"net/url"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/identity/pages"
	"github.com/rephlo/rephlo/internal/web"
)

// mountRecovery registers the pages that mailed links lead to, and the one that
// asks for a link. None of them needs a sign-in; showing one consumes nothing.
func (a API) mountRecovery(m *web.Mux, page web.Option, form []web.Option) {
	m.Handle("GET /forgot", a.forgotForm, page)
	m.Handle("POST /forgot", oauth.Form(a.forgot), form...)
	m.Handle("GET /reset", a.resetForm, page)
	m.Handle("POST /reset", oauth.Form(a.reset), form...)
	m.Handle("GET "+confirmEmail, a.emailForm(pages.ConfirmEmail, confirmEmail), page)
	m.Handle("POST "+confirmEmail, a.email(a.Accounts.ConfirmEmail, pages.ConfirmEmail), form...)
	m.Handle("GET "+disown, a.emailForm(pages.Disown, disown), page)
	m.Handle("POST "+disown, oauth.Form(a.disown), form...)
	m.Handle("GET "+keepEmail, a.emailForm(pages.KeepEmail, keepEmail), page)
	m.Handle("POST "+keepEmail, a.email(a.Accounts.KeepEmail, pages.KeepEmail), form...)
}

// useLink consumes the token of a link.
type useLink func(ctx context.Context, token string) error

const (
	confirmEmail = "/account/email/confirm"
	keepEmail    = "/account/email/keep"
	disown       = "/account/disown"
)

func (a API) forgotForm(w http.ResponseWriter, r *http.Request) error {
	return a.Screens.Forgot(w, "", interaction(r.URL.Query().Get("interaction")), nil)
}

func (a API) forgot(w http.ResponseWriter, r *http.Request, v url.Values) error {
	back := interaction(v.Get("interaction"))
	if err := a.Accounts.Forgot(r.Context(), v.Get("email"), account.Address(r), back); err != nil {
		f, ok := pages.Shown(w, err)
		if !ok {
			return err
		}
		return a.Screens.Forgot(w, bounded(v.Get("email")), back, f)
	}
	return a.Screens.ForgotSent(w, bounded(v.Get("email")), back)
}

func (a API) resetForm(w http.ResponseWriter, r *http.Request) error {
	token := bounded(r.URL.Query().Get("token"))
	if err := a.Accounts.CheckReset(r.Context(), token); err != nil {
		return err
	}
	return a.Screens.Reset(w, token, nil)
}

func (a API) reset(w http.ResponseWriter, r *http.Request, v url.Values) error {
	back, err := a.Accounts.Reset(r.Context(), v.Get("token"), v.Get("password"))
	if err != nil {
		f, ok := pages.Shown(w, err)
		if !ok || f.Param != "password" {
			return err
		}
		return a.Screens.Reset(w, bounded(v.Get("token")), f)
	}
	return a.Screens.ResetDone(w, back)
}

func (a API) emailForm(what pages.Proof, action string) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		return a.Screens.Prove(w, what, action, bounded(r.URL.Query().Get("token")))
	}
}

func (a API) email(use useLink, what pages.Proof) web.Handler {
	return oauth.Form(func(w http.ResponseWriter, r *http.Request, v url.Values) error {
		if err := use(r.Context(), v.Get("token")); err != nil {
			return err
		}
		return a.Screens.Proved(w, what)
	})
}

// disown ends a sign-in that was not its owner's, and goes on to a new password.
func (a API) disown(w http.ResponseWriter, r *http.Request, v url.Values) error {
	reset, err := a.Disown(r.Context(), v.Get("token"))
	if err != nil {
		return err
	}
	if reset == "" {
		return a.Screens.Proved(w, pages.Disown)
	}
	http.Redirect(w, r, "/reset?token="+url.QueryEscape(reset), http.StatusSeeOther)
	return nil
}
