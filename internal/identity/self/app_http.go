package self

import (
	"errors"
	"net/http"

	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/pages"
	"github.com/rephlo/rephlo/internal/identity/sso"
)

const appsPath = "/account/apps"

// apps shows which clients p has let in.
func (a API) apps(w http.ResponseWriter, r *http.Request, p person) error {
	list, err := a.Grants.Apps(r.Context(), p.ID)
	if err != nil {
		return err
	}
	var out []pages.App
	for _, g := range list {
		shown := pages.App{ID: g.ClientID, Name: g.ClientID, Scopes: g.Scopes, Since: g.AllowedAt, UsedAt: g.LastUsedAt, Limit: g.CreditsPerMonth}
		c, err := a.Clients.ByID(r.Context(), g.ClientID)
		switch {
		case err == nil:
			shown.Name, shown.FirstParty, shown.Texts = c.Name, c.FirstParty, c.ScopeTexts()
		case !errors.Is(err, client.ErrUnknown) && !errors.Is(err, client.ErrDocument):
			return err
		}
		out = append(out, shown)
	}
	return a.Screens.Apps(w, p.shown(), out, r.URL.Query().Get("done"))
}

// removeApp takes back what p allowed a client; its tokens die at once.
func (a API) removeApp(w http.ResponseWriter, r *http.Request, p person) error {
	if err := a.Grants.RemoveConsent(r.Context(), p.ID, p.form.Get("client")); err != nil {
		return err
	}
	http.Redirect(w, r, appsPath+"?done=removed", http.StatusSeeOther)
	return nil
}

// limitApp says what a client may spend of p's credits in a month; an empty
// field takes the limit away.
func (a API) limitApp(w http.ResponseWriter, r *http.Request, p person) error {
	limit, err := grant.ParseLimit(p.form.Get("limit"))
	if err == nil {
		err = a.Grants.Limit(r.Context(), p.ID, p.form.Get("client"), limit)
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, appsPath+"?done=limited", http.StatusSeeOther)
	return nil
}

// signIns returns what the page shows of p's sign-ins.
func (a API) signIns(r *http.Request, p person) ([]pages.SignedIn, error) {
	list, err := a.Sessions.List(r.Context(), p.ID)
	if err != nil {
		return nil, err
	}
	var out []pages.SignedIn
	for _, l := range list {
		out = append(out, pages.SignedIn{ID: l.ID, Device: l.Device(), Address: l.Address, SeenAt: l.LastSeenAt, Here: l.ID == p.session.ID})
	}
	return out, nil
}

func (a API) endSession(w http.ResponseWriter, r *http.Request, p person) error {
	err := a.Sessions.EndOwn(r.Context(), p.ID, p.form.Get("id"))
	if errors.Is(err, sso.ErrUnknown) { // in another tab
		err = nil
	}
	return a.finish(w, r, p, "", "ended", err)
}

func (a API) endOthers(w http.ResponseWriter, r *http.Request, p person) error {
	return a.finish(w, r, p, "", "others", a.SignOutOthers(r.Context(), p.ID, p.session.ID))
}
