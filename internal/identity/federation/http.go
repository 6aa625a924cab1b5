package federation

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/authorize"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/identity/pages"
	"github.com/rephlo/rephlo/internal/identity/sso"
	"github.com/rephlo/rephlo/internal/web"
)

// Paths of pages of the account area that finish a link.
const (
	LinkPath = "/account/link"
	joinPath = "/federation/join"
)

// API serves the way to a provider and back.
type API struct {
	Federation *Service
	Authorize  *authorize.Service
	Screens    *pages.Screens
}

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	page, form := a.Screens.Page(), a.Screens.Form()
	m.Handle("GET /federation/{provider}/start", a.start, page)
	m.Handle("GET /federation/{provider}/callback", a.callback, page)
	m.Handle("GET "+joinPath, a.joinForm, page)
	m.Handle("POST "+joinPath, oauth.Form(a.join), form...)
}

func (a API) browser(r *http.Request) []byte { return a.Authorize.Sessions.Browser(r) }

func (a API) start(w http.ResponseWriter, r *http.Request) error {
	in, _, err := a.Authorize.OpenUID(r, r.URL.Query().Get("interaction"))
	if err != nil {
		return err
	}
	return within(in.UID, a.Federation.Go(w, r, r.PathValue("provider"), in.UID, "", a.browser(r)))
}

// Go sends the browser to a provider; the parameters are those of Begin.
func (s *Service) Go(w http.ResponseWriter, r *http.Request, provider, interaction, userID string, browser []byte) error {
	address, err := s.Begin(r.Context(), provider, interaction, userID, browser)
	if err != nil {
		return err
	}
	http.Redirect(w, r, address, http.StatusSeeOther) //nolint:gosec // the address is the provider's, from the settings
	return nil
}

// callback takes the answer of a provider.
func (a API) callback(w http.ResponseWriter, r *http.Request) error {
	v, err := oauth.ParseForm(r.URL.RawQuery)
	if err != nil {
		return err
	}
	t, err := a.Federation.returned(r.Context(), r.PathValue("provider"), v.Get("state"), a.browser(r))
	if err != nil {
		return err
	}
	return within(t.Interaction, a.answer(w, r, t, v))
}

// within says of a fault in which interaction it happened: the other ways to
// sign in are there.
func within(uid string, err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok && uid != "" {
		return f.With(pages.InteractionDetail, uid)
	}
	return err
}

// answer reads what the provider says.
func (a API) answer(w http.ResponseWriter, r *http.Request, t arrival, v url.Values) error {
	if v.Get("error") == "access_denied" {
		http.Redirect(w, r, t.origin(), http.StatusSeeOther)
		return nil
	}
	name := a.Federation.Name(t.Provider)
	if v.Get("error") != "" || v.Get("code") == "" {
		return ErrFailed.Saying("%s did not sign you in. Try again, or sign in in another way.", name)
	}
	p, err := t.up.person(r.Context(), t.trip, v.Get("code"), v.Get("iss"))
	if err != nil {
		return ErrFailed.Saying("Signing in with %s did not work. Try again, or sign in in another way.", name).Because(err)
	}
	if t.UserID != "" {
		return a.decide(w, r, t, stageLink, p)
	}
	return a.arrived(w, r, t, p)
}

// origin is the page from which somebody went away.
func (t trip) origin() string {
	if t.Interaction != "" {
		return "/interaction/" + t.Interaction
	}
	return "/account/security"
}

// arrived signs in whom we know, and asks strangers what they want.
func (a API) arrived(w http.ResponseWriter, r *http.Request, t arrival, p Person) error {
	in, c, err := a.Authorize.OpenUID(r, t.Interaction)
	if err != nil {
		return err
	}
	u, known, err := a.Federation.owner(r.Context(), p)
	if err != nil {
		return err
	}
	if known {
		return a.proved(w, r, in, u)
	}
	stage, err := a.Federation.stranger(r.Context(), p)
	if err != nil {
		return err
	}
	if stage == stageJoin {
		return a.decide(w, r, t, stage, p)
	}
	handle, err := a.Federation.keep(r.Context(), stage, a.browser(r), Pending{t.Provider, t.Interaction, p})
	if err != nil {
		return unavailable(err)
	}
	return a.Screens.LinkFirst(w, authorize.Screen(in, c), a.Federation.Name(t.Provider), p.Email, LinkPath+"?id="+url.QueryEscape(handle), ErrLink)
}

// decide leads to the page of a decision.
func (a API) decide(w http.ResponseWriter, r *http.Request, t arrival, stage string, p Person) error {
	handle, err := a.Federation.keep(r.Context(), stage, a.browser(r), Pending{t.Provider, t.Interaction, p})
	if err != nil {
		return unavailable(err)
	}
	path := joinPath
	if stage == stageLink {
		path = LinkPath
	}
	http.Redirect(w, r, path+"?id="+url.QueryEscape(handle), http.StatusSeeOther)
	return nil
}

// proved signs u in, or goes on to the second factor.
func (a API) proved(w http.ResponseWriter, r *http.Request, in authorize.Interaction, u account.User) error {
	if err := a.Federation.Accounts.SignedIn(r.Context(), u); err != nil {
		return err
	}
	if err := a.Authorize.Proved(w, r, in, u, sso.ByOther); err != nil {
		return err
	}
	return authorize.Resume(w, r, in)
}

func (a API) joinForm(w http.ResponseWriter, r *http.Request) error {
	return a.showJoin(w, r, r.URL.Query().Get("id"), nil)
}

func (a API) showJoin(w http.ResponseWriter, r *http.Request, handle string, f *fault.Error) error {
	p, err := a.Federation.Pending(r.Context(), stageJoin, handle, a.browser(r))
	if err != nil {
		return err
	}
	return a.Screens.Join(w, pages.Join{
		ID: handle, Action: joinPath, Provider: a.Federation.Name(p.Provider), Email: p.Person.Email,
		Name: p.Person.First + " " + p.Person.Last, Interaction: p.Interaction,
	}, f)
}

// join creates the account that somebody asked for, and signs them in.
func (a API) join(w http.ResponseWriter, r *http.Request, v url.Values) error {
	handle := v.Get("id")
	u, p, err := a.Federation.join(r.Context(), handle, a.browser(r), v.Get("acceptedTerms") == "true")
	if err != nil {
		if f := fault.From(err); f.Param == "acceptedTerms" {
			web.ErrorHeaders(w, f)
			return a.showJoin(w, r, handle, f)
		}
		return err
	}
	in, _, err := a.Authorize.OpenUID(r, p.Interaction)
	if err != nil {
		return err
	}
	return a.proved(w, r, in, u)
}
