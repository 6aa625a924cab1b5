package self

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/identity/authorize"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/federation"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/identity/pages"
	"github.com/rephlo/rephlo/internal/identity/sso"
	"github.com/rephlo/rephlo/internal/mfa"
	"github.com/rephlo/rephlo/internal/passkey"
	"github.com/rephlo/rephlo/internal/trail"
	"github.com/rephlo/rephlo/internal/web"
)

// recent is how old the sign-in may be of who changes how they sign in.
const recent = 5 * time.Minute

// API serves the account area.
type API struct {
	Accounts *account.Service
	Factors  *mfa.Service
	Passkeys *passkey.Service
	Sessions *sso.Service
	// Federation links accounts that people have elsewhere.
	Federation *federation.Service
	Authorize  *authorize.Service
	Grants     *grant.Service
	Clients    *client.Service
	// SignOutOthers ends a user's sign-ins, in browsers and apps, but one.
	SignOutOthers func(ctx context.Context, userID, keep string) error
	Screens       *pages.Screens
	Trail         *trail.Service
	Now           func() time.Time
	Privacy       Privacy
}

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	page, form := a.Screens.Page(), a.Screens.Form()
	m.Handle("GET /account", a.with(false, "/account", a.profile), page)
	m.Handle("POST /account", a.with(false, "/account", a.saveProfile), form...)
	a.mountSecurity(m, page, form)
	a.mountLinks(m, page, form)
	a.mountPrivacy(m, page, form)
	m.Handle("GET "+appsPath, a.with(false, appsPath, a.apps), page)
	m.Handle("POST "+appsPath+"/remove", a.with(false, appsPath, a.removeApp), form...)
	m.Handle("POST "+appsPath+"/limit", a.with(false, appsPath, a.limitApp), form...)
}

// person is who is signed in.
type person struct {
	account.User
	session sso.Session
	form    url.Values // what was posted
}

// handler serves somebody who is signed in.
type handler func(w http.ResponseWriter, r *http.Request, p person) error

// with serves whoever is signed in, and lets others do that first: then they
// come back to the page. fresh demands that they did so within minutes, and
// gave their second factor.
func (a API) with(fresh bool, back string, next handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		ss, ok, err := a.Sessions.Current(r)
		if err != nil {
			return err
		}
		var u account.User
		if ok {
			if u, err = a.Accounts.ByID(r.Context(), ss.UserID); err != nil {
				return err
			}
			if ok, err = a.enough(r.Context(), u, ss, fresh); err != nil {
				return err
			}
		}
		if !ok {
			return a.signIn(w, r, back, fresh)
		}
		p := person{User: u, session: ss}
		if r.Method == http.MethodPost && r.Header.Get("Content-Type") != "" {
			if p.form, err = oauth.ReadForm(r); err != nil {
				return err
			}
		}
		actor := access.Actor{UserID: u.ID, Session: ss.ID, AuthTime: ss.AuthTime, Verified: u.Verified}
		return next(w, r.WithContext(access.With(r.Context(), actor, nil)), p)
	}
}

// enough reports whether a sign-in is as sure as it can be, and recent if that
// is demanded.
func (a API) enough(ctx context.Context, u account.User, ss sso.Session, fresh bool) (bool, error) {
	if fresh && a.Now().Sub(ss.AuthTime) > recent {
		return false, nil
	}
	st, err := a.Factors.Status(ctx, u)
	if err != nil {
		return false, err
	}
	keys, err := a.Passkeys.Usable(ctx, u.ID)
	return ss.ACR != sso.ACRSingle || !st.Enrolled() && keys == 0 && !st.Required, err
}

// signIn leads through an interaction and back.
func (a API) signIn(w http.ResponseWriter, r *http.Request, back string, fresh bool) error {
	var maxAge *int64
	if fresh {
		seconds := int64(recent.Seconds())
		maxAge = &seconds
	}
	path, err := a.Authorize.BeginOwn(r.Context(), back, maxAge, a.Sessions.Mark(w, r))
	if err != nil {
		return err
	}
	http.Redirect(w, r, path, http.StatusSeeOther) //nolint:gosec // a path of ours
	return nil
}

func (p person) shown() pages.Person {
	return pages.Person{
		Name: p.DisplayName(), Email: p.Email, Username: p.Username, First: p.FirstName, Last: p.LastName, Verified: p.Verified,
	}
}

func (a API) profile(w http.ResponseWriter, r *http.Request, p person) error {
	in := p.shown()
	in.Done = r.URL.Query().Get("done")
	return a.Screens.Profile(w, in, nil)
}

func (a API) saveProfile(w http.ResponseWriter, r *http.Request, p person) error {
	first, last, username := p.form.Get("firstName"), p.form.Get("lastName"), p.form.Get("username")
	if _, err := a.Accounts.Update(r.Context(), p.ID, account.Profile{FirstName: &first, LastName: &last, Username: &username}); err != nil {
		f, ok := pages.Shown(w, err)
		if !ok {
			return err
		}
		in := p.shown()
		in.First, in.Last, in.Username = first, last, username
		return a.Screens.Profile(w, in, f)
	}
	http.Redirect(w, r, "/account?done=saved", http.StatusSeeOther)
	return nil
}
