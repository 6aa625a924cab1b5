package self

import (
	"net/http"
	"net/url"

	"github.com/rephlo/rephlo/internal/identity/federation"
	"github.com/rephlo/rephlo/internal/identity/pages"
	"github.com/rephlo/rephlo/internal/web"
)

const linkedPath = securityPath + "/linked"

// mountLinks registers what people do with the accounts that they have
// elsewhere. Going to a provider changes nothing; the button on the page that
// follows does.
func (a API) mountLinks(m *web.Mux, page web.Option, form []web.Option) {
	m.Handle("GET "+linkedPath+"/{provider}", a.with(true, securityPath, a.beginLink), page)
	m.Handle("POST "+linkedPath+"/remove", a.with(true, securityPath, a.unlink), form...)
	m.Handle("GET "+federation.LinkPath, a.linkPage(a.confirmLink), page)
	m.Handle("POST "+federation.LinkPath, a.with(true, securityPath, a.link), form...)
}

func (a API) linked(r *http.Request, p person) ([]pages.Identity, error) {
	list, err := a.Federation.List(r.Context(), p.ID)
	if err != nil {
		return nil, err
	}
	var out []pages.Identity
	for _, i := range list {
		out = append(out, pages.Identity{ID: i.ID, Provider: a.Federation.Name(i.Provider), Email: i.Email, AddedAt: i.CreatedAt, UsedAt: i.LastUsedAt})
	}
	return out, nil
}

func (a API) beginLink(w http.ResponseWriter, r *http.Request, p person) error {
	return a.Federation.Go(w, r, r.PathValue("provider"), "", p.ID, a.Sessions.Mark(w, r))
}

// linkPage serves somebody who has signed in just now, and comes back to this
// very decision if they have to do that first.
func (a API) linkPage(next handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		back := federation.LinkPath + "?id=" + url.QueryEscape(r.URL.Query().Get("id"))
		return a.with(true, back, next)(w, r)
	}
}

func (a API) confirmLink(w http.ResponseWriter, r *http.Request, p person) error {
	handle := r.URL.Query().Get("id")
	pending, err := a.Federation.Linking(r.Context(), handle, a.Sessions.Browser(r))
	if err != nil {
		return err
	}
	return a.Screens.Link(w, p.shown(), a.Federation.Name(pending.Provider), pending.Person.Email, federation.LinkPath, handle)
}

// link links, and goes on where the person came from.
func (a API) link(w http.ResponseWriter, r *http.Request, p person) error {
	browser := a.Sessions.Browser(r)
	pending, err := a.Federation.Linking(r.Context(), p.form.Get("id"), browser)
	if err == nil && p.form.Get("decision") == "link" {
		_, err = a.Federation.Link(r.Context(), p.User, p.form.Get("id"), browser)
	}
	if err != nil {
		return err
	}
	to := securityPath
	switch {
	case pending.Interaction != "":
		to = "/interaction/" + pending.Interaction
	case p.form.Get("decision") == "link":
		to += "?done=linked"
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

func (a API) unlink(w http.ResponseWriter, r *http.Request, p person) error {
	return a.finish(w, r, p, "linked", "unlinked", a.Federation.Unlink(r.Context(), p.User, p.form.Get("id")))
}
