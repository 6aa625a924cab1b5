package self

import (
	"net/http"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/enroll"
	"github.com/rephlo/rephlo/internal/identity/pages"
	"github.com/rephlo/rephlo/internal/identity/sso"
	"github.com/rephlo/rephlo/internal/web"
)

const securityPath = "/account/security"

// shownEvents is how many of the last security events the page shows.
const shownEvents = 10

func (a API) mountSecurity(m *web.Mux, page web.Option, form []web.Option) {
	change := func(path string, next handler) {
		m.Handle("POST "+securityPath+path, a.with(true, securityPath, next), form...)
	}
	m.Handle("GET "+securityPath, a.with(false, securityPath, a.security), page)
	change("/password", a.changePassword)
	change("/email", a.changeEmail)
	change("/totp", a.beginFactor)
	change("/totp/confirm", a.confirmFactor)
	change("/totp/saved", a.savedCodes)
	change("/totp/remove", a.removeFactor)
	change("/codes", a.newCodes)
	m.Handle("GET "+securityPath+"/passkeys/new", a.with(true, securityPath+"/passkeys/new", a.newPasskey), page)
	m.Handle("POST "+securityPath+"/passkeys/options", a.with(true, securityPath, a.passkeyOptions), web.Page(), web.SameOrigin(), web.Body(1<<10))
	change("/passkeys", a.addPasskey)
	m.Handle("POST "+securityPath+"/sessions/end", a.with(false, securityPath, a.endSession), form...)
	m.Handle("POST "+securityPath+"/sessions/end-others", a.with(false, securityPath, a.endOthers), form...)
	m.Handle("POST "+securityPath+"/trusted/remove", a.with(false, securityPath, a.distrust), form...)
	change("/passkeys/{id}/rename", a.renamePasskey)
	change("/passkeys/{id}/remove", a.removePasskey)
}

func (a API) security(w http.ResponseWriter, r *http.Request, p person) error {
	return a.showSecurity(w, r, p, "", nil)
}

// showSecurity shows the page; f is what was wrong with one of its forms.
func (a API) showSecurity(w http.ResponseWriter, r *http.Request, p person, form string, f *fault.Error) error {
	st, err := a.Factors.Status(r.Context(), p.User)
	if err != nil {
		return err
	}
	keys, err := a.passkeys(r, p)
	if err != nil {
		return err
	}
	signIns, err := a.signIns(r, p)
	if err != nil {
		return err
	}
	trusted, err := a.Sessions.TrustedDevices(r.Context(), p.ID)
	if err != nil {
		return err
	}
	var devices []pages.Trusted
	for _, t := range trusted {
		devices = append(devices, pages.Trusted{ID: t.ID, Device: t.Device(), Address: t.Address, ExpiresAt: t.ExpiresAt})
	}
	linked, err := a.linked(r, p)
	if err != nil {
		return err
	}
	happened, err := a.Trail.List(r.Context(), p.ID, "", shownEvents)
	if err != nil {
		return err
	}
	var events []pages.Event
	for _, e := range happened {
		events = append(events, pages.Event{Kind: string(e.Kind), Address: e.Address, At: e.At})
	}
	return a.Screens.Security(w, pages.Security{
		SignIns: signIns, Trusted: devices, Linked: linked, Events: events,
		CanPasskeys: a.Passkeys.Available(), Passkeys: keys, Codes: st.Enrolled() || len(keys) > 0,
		Person: p.shown(), App: st.Enrolled(), Required: st.Required, CodesLeft: st.RecoveryCodesLeft, PasswordAt: p.PasswordAt,
		Form: form, Done: r.URL.Query().Get("done"),
	}, f)
}

// finish leads back to the page, or shows what was wrong with a form.
func (a API) finish(w http.ResponseWriter, r *http.Request, p person, form, done string, err error) error {
	if err == nil {
		http.Redirect(w, r, securityPath+"?done="+done, http.StatusSeeOther)
		return nil
	}
	f, ok := pages.Shown(w, err)
	if !ok {
		return err
	}
	return a.showSecurity(w, r, p, form, f)
}

func (a API) distrust(w http.ResponseWriter, r *http.Request, p person) error {
	return a.finish(w, r, p, "", "distrusted", a.Sessions.Distrust(r.Context(), p.ID, p.form.Get("id")))
}

func (a API) changePassword(w http.ResponseWriter, r *http.Request, p person) error {
	err := a.Accounts.ChangePassword(r.Context(), p.ID, p.form.Get("currentPassword"), p.form.Get("password"),
		p.form.Get("signOut") == "true", p.session.ID)
	return a.finish(w, r, p, "password", "password", err)
}

func (a API) changeEmail(w http.ResponseWriter, r *http.Request, p person) error {
	err := a.Accounts.ChangeEmail(r.Context(), p.ID, p.form.Get("newEmail"), account.Address(r))
	return a.finish(w, r, p, "email", "email", err)
}

func (a API) enrollment() enroll.Pages { return enroll.Pages{Factors: a.Factors, Screens: a.Screens} }

func (p person) enrolls() enroll.Who {
	return enroll.Who{User: p.User, Session: p.session.ID, Base: securityPath + "/totp", Cancel: securityPath}
}

func (a API) beginFactor(w http.ResponseWriter, r *http.Request, p person) error {
	return a.enrollment().Begin(w, r, p.enrolls())
}

func (a API) confirmFactor(w http.ResponseWriter, r *http.Request, p person) error {
	return a.enrollment().Confirm(w, r, p.enrolls(), p.form, func() error {
		_, err := a.Sessions.Raise(w, r, p.session, sso.ByCode, sso.ByTwo)
		return err
	})
}

func (a API) savedCodes(w http.ResponseWriter, r *http.Request, p person) error {
	done, err := a.enrollment().Saved(w, p.enrolls(), p.form)
	if err != nil || !done {
		return err
	}
	return a.finish(w, r, p, "", "factor", nil)
}

// removeFactor asks for no code: the sign-in of a moment ago has proved it.
func (a API) removeFactor(w http.ResponseWriter, r *http.Request, p person) error {
	return a.finish(w, r, p, "", "removed", a.Factors.Remove(r.Context(), p.User))
}

func (a API) newCodes(w http.ResponseWriter, r *http.Request, p person) error {
	codes, err := a.Factors.Replace(r.Context(), p.User)
	if err != nil {
		return a.finish(w, r, p, "", "", err)
	}
	return a.enrollment().Codes(w, p.enrolls(), codes)
}
