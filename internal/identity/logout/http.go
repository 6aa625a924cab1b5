package logout

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/web"
)

// Paths of the endpoint; the last takes the answer of the confirmation page.
const (
	Path        = "/oauth/end-session"
	ConfirmPath = "/oauth/end-session/confirm"
)

// Session is who is signed in in a browser.
type Session struct{ ID, UserID string }

// Sessions knows the browsers' sessions. Ending one must revoke the tokens that
// are bound to it.
type Sessions interface {
	// Current returns the live session of r's browser; false is none.
	Current(r *http.Request) (Session, bool, error)
	// SignOut ends the session of r's browser and its cookie.
	SignOut(w http.ResponseWriter, r *http.Request) error
}

// Pages shows what the user sees.
type Pages interface {
	// ConfirmSignOut asks; the form is posted to action.
	ConfirmSignOut(w http.ResponseWriter, r *http.Request, action string) error
	// SignedOut says that it is done.
	SignedOut(w http.ResponseWriter, r *http.Request) error
}

// API serves the endpoint.
type API struct {
	Clients  *client.Service
	Tokens   *oauth.Verifier // reads hints
	Sessions Sessions
	Pages    Pages
	// Errors writes failures as a page.
	Errors web.ErrorWriter
}

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	opts := []web.Option{web.Body(64 << 10), web.Page()}
	if a.Errors != nil {
		opts = append(opts, web.Errors(a.Errors))
	}
	for _, path := range []string{Path, "/session/end", "/logout"} {
		m.Handle("GET "+path, a.start, opts...)
		m.Handle("POST "+path, a.start, opts...)
	}
	m.Handle("POST "+ConfirmPath, a.confirm, append(opts, web.SameOrigin())...)
}

// request is what a client asked for.
type request struct {
	hint   oauth.IDToken
	valid  bool   // the hint is
	target string // where to return to; empty if that is not allowed
}

// start signs out at once for a valid hint, and asks otherwise.
func (a API) start(w http.ResponseWriter, r *http.Request) error {
	v := r.URL.Query()
	if r.Method == http.MethodPost {
		var err error
		if v, err = oauth.ReadForm(r); err != nil && !errors.Is(err, oauth.ErrInvalidRequest) {
			return err
		}
	}
	req := a.read(r, v)
	session, live, err := a.Sessions.Current(r)
	if err != nil {
		return err
	}
	switch {
	case req.valid && live && session.ID == req.hint.SessionID:
		if err := a.end(w, r); err != nil {
			return err
		}
	case live && (!req.valid || req.target == ""):
		// The hint is bad, or it names a session that is not this browser's:
		// it has no say here, but the user has.
		return a.Pages.ConfirmSignOut(w, r, ConfirmPath)
	}
	if req.target == "" {
		return a.Pages.SignedOut(w, r)
	}
	http.Redirect(w, r, req.target, http.StatusSeeOther)
	return nil
}

func (a API) confirm(w http.ResponseWriter, r *http.Request) error {
	if err := a.end(w, r); err != nil {
		return err
	}
	return a.Pages.SignedOut(w, r)
}

// end signs out in r's browser. The cache may hold pages of the account; the
// cookies of sibling hosts are left alone.
func (a API) end(w http.ResponseWriter, r *http.Request) error {
	if err := a.Sessions.SignOut(w, r); err != nil {
		return err
	}
	w.Header().Set("Clear-Site-Data", `"cache"`)
	return nil
}

// read checks the parameters. Every doubt makes the hint invalid, and then the
// user is asked.
func (a API) read(r *http.Request, v url.Values) request {
	for _, name := range []string{"id_token_hint", "client_id", "post_logout_redirect_uri", "state"} {
		if len(v[name]) > 1 || len(v.Get(name)) > oauth.MaxToken {
			return request{}
		}
	}
	hint, err := a.Tokens.Hint(v.Get("id_token_hint"))
	if err != nil || v.Get("client_id") != "" && v.Get("client_id") != hint.Audience {
		return request{}
	}
	c, err := a.Clients.ByID(r.Context(), hint.Audience)
	if err != nil {
		return request{}
	}
	req := request{hint: hint, valid: true}
	if uri := v.Get("post_logout_redirect_uri"); uri != "" && oauth.MatchRedirect(c.PostLogoutRedirectURIs, uri) {
		req.target = oauth.WithState(uri, v.Get("state"))
	}
	return req
}
