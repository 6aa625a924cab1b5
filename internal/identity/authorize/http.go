package authorize

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/identity/pages"
	"github.com/rephlo/rephlo/internal/identity/sso"
	"github.com/rephlo/rephlo/internal/web"
)

// PushPath is where clients push requests to.
const PushPath = "/oauth/par"

// API serves the authorization endpoint and the dispatcher.
type API struct{ Authorize *Service }

// Mount registers the routes. A POST to the endpoint comes from other sites by
// design: it acts on no cookie.
func (a API) Mount(m *web.Mux) {
	page := web.Errors(a.Authorize.Screens.WriteError)
	shows := web.All(web.Open(), web.Gives(http.StatusSeeOther, "-", nil), web.Gives(http.StatusOK, "text/html", nil))
	m.Handle("GET /oauth/authorize", a.start, page, web.Doc("Send somebody to sign in"), web.Params(oauth.AuthorizationParams{}), shows, web.Gives(http.StatusFound, "-", nil))
	m.Handle("POST "+PushPath, a.push, web.Doc("Hand in an authorization request before it is made (RFC 9126)"), web.Takes(oauth.MediaForm, oauth.AuthorizationParams{}), web.Gives(http.StatusCreated, "", pushed{}), web.Secured(web.SchemeBasic), oauth.Errors(), web.Body(64<<10), web.Origins(a.Authorize.Clients.Origins))
	m.Handle("POST /oauth/authorize", a.startByForm, page, web.Doc("Send somebody to sign in, by a form"), web.Takes(oauth.MediaForm, oauth.AuthorizationParams{}), shows, web.Body(64<<10))
	m.Handle("GET /interaction/{uid}", a.dispatch, web.Page(), page)
	m.Handle("GET /interaction/{uid}/abort", a.abort, web.Page(), page)
	m.Handle("GET /interaction/{uid}/data", a.data, web.Doc("Show what a sign-in under way waits for"), web.Gives(http.StatusOK, "", interactionData{}))
}

func (a API) start(w http.ResponseWriter, r *http.Request) error {
	v, err := oauth.ParseForm(r.URL.RawQuery)
	if err != nil {
		return err
	}
	return a.begin(w, r, v, a.Authorize.Sessions.Mark(w, r))
}

// startByForm stores the request without a browser: SameSite cookies do not
// come with another site's POST, but do with the GET that follows.
func (a API) startByForm(w http.ResponseWriter, r *http.Request) error {
	v, err := oauth.ReadForm(r)
	if err != nil {
		return err
	}
	if v.Get("request_uri") != "" { // stored already, and bound to the browser that follows
		only := url.Values{"client_id": {v.Get("client_id")}, "request_uri": {v.Get("request_uri")}}
		http.Redirect(w, r, "/oauth/authorize?"+only.Encode(), http.StatusSeeOther)
		return nil
	}
	return a.begin(w, r, v, nil)
}

// pushed is what a request that was handed in is called.
type pushed struct {
	RequestURI string `json:"request_uri"`
	ExpiresIn  int64  `json:"expires_in"`
}

// push takes a request from the client itself (RFC 9126).
func (a API) push(w http.ResponseWriter, r *http.Request) error {
	v, c, err := a.Authorize.Clients.FromRequest(w, r)
	if err != nil {
		return err
	}
	jkt, err := a.Authorize.Proofs.Prove(w, r, a.Authorize.Server.Issuer+PushPath, !c.NoNonce)
	if err != nil {
		return unavailable(err)
	}
	reference, err := a.Authorize.Push(r.Context(), c, v, jkt)
	if e, ok := errors.AsType[*oauth.Error](err); ok {
		return web.JSON(w, http.StatusBadRequest, oauth.ErrorBody{Error: e.Code, Description: e.Description})
	}
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusCreated, pushed{reference, int64(PushedLife.Seconds())})
}

func (a API) begin(w http.ResponseWriter, r *http.Request, v url.Values, browser []byte) error {
	in, c, err := a.Authorize.begin(r.Context(), v, browser)
	if e, ok := errors.AsType[*oauth.Error](err); ok {
		if !e.Page {
			return a.Authorize.tell(w, r, in.Request, e)
		}
		f := fault.New(fault.Invalid, "invalid_request", e.Description+" Tell the people who make the app.")
		a.Authorize.Screens.Refuse(w, f, pages.Client{Name: c.Name, Homepage: c.Homepage}, v.Get("redirect_uri"), c.RedirectURIs)
		return nil
	}
	if err != nil {
		return err
	}
	next := "/interaction/" + in.UID
	if in.Request.Prompts(oauth.PromptCreate) {
		next = "/register?interaction=" + in.UID
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}

// dispatch shows the first step that is missing, or answers the client.
func (a API) dispatch(w http.ResponseWriter, r *http.Request) error {
	s := a.Authorize
	in, c, err := s.open(r.Context(), r.PathValue("uid"), s.Sessions.Mark(w, r))
	if err != nil {
		return err
	}
	ss, _, err := s.Sessions.Current(r)
	if err != nil {
		return err
	}
	st, err := s.state(r.Context(), in, c, ss)
	if err != nil {
		return err
	}
	step := st.next()
	if st.unmet() && step != Challenge && step != Enroll {
		return s.refuse(w, r, in, &oauth.Error{Code: "unmet_authentication_requirements", Description: "The user cannot sign in as surely as was asked."})
	}
	if (step == Consent || step == Confirm || step == Issue) && !c.Admits(st.roles) {
		return s.refuse(w, r, in, &oauth.Error{Code: "access_denied", Description: "This app is not for this user."})
	}
	if e := silent[step]; e != nil && in.Request.Prompts(oauth.PromptNone) {
		return s.refuse(w, r, in, e)
	}
	switch {
	case step == SignIn && in.SignedIn && in.UserID == ss.UserID && ss.ID != "":
		// Somebody else than the client asked for has signed in.
		return s.refuse(w, r, in, silent[SignIn])
	case step == SignIn, step != Issue && r.URL.Query().Get("switch") != "":
		return s.Screens.SignIn(w, Screen(in, c), in.Request.LoginHint, nil)
	case step == Challenge:
		return s.challenge(w, r, st)
	case step == Enroll:
		return s.Screens.EnrollIntro(w, Screen(in, c), st.account())
	case step == Consent:
		scopes := st.scopes()
		var added []string
		if len(st.consent.Scopes) > 0 {
			added = st.consent.Added(scopes)
		}
		screen := Screen(in, c)
		screen.Limit = st.consent.CreditsPerMonth
		return s.Screens.Consent(w, screen, st.account(), scopes, added)
	case step == Confirm:
		return s.Screens.Continue(w, Screen(in, c), st.account())
	}
	return s.allow(w, r, st)
}

// allow answers the client with a code. A private scheme gets a page that
// forwards: a redirect to one would leave an empty window behind.
func (s *Service) allow(w http.ResponseWriter, r *http.Request, st state) error {
	if back := st.in.Request.Back; back != "" {
		if err := s.end(r.Context(), st.in); err != nil {
			return unavailable(err)
		}
		http.Redirect(w, r, back, http.StatusSeeOther)
		return nil
	}
	if len(st.scopes()) == 0 {
		return s.refuse(w, r, st.in, &oauth.Error{Code: "invalid_scope", Description: "None of the scopes asked for is one that this user can grant."})
	}
	code, err := s.finish(r.Context(), st)
	if err != nil {
		return err
	}
	if st.in.Request.Device != nil {
		return s.Screens.DeviceDone(w, st.client.Name, true)
	}
	if st.in.Request.FormPost {
		return s.Screens.Post(w, Screen(st.in, st.client), oauth.CodeFields(st.in.Request, s.Server.Issuer, code))
	}
	address := oauth.RedirectCode(st.in.Request, s.Server.Issuer, code)
	if oauth.OriginOf(address) == "" {
		return s.Screens.Return(w, Screen(st.in, st.client), address)
	}
	http.Redirect(w, r, address, http.StatusSeeOther)
	return nil
}

// refuse answers the client with an error.
func (s *Service) refuse(w http.ResponseWriter, r *http.Request, in Interaction, e *oauth.Error) error {
	if in.Request.Device != nil {
		return s.refuseDevice(w, r, in)
	}
	if in.Request.Back != "" {
		if err := s.end(r.Context(), in); err != nil {
			return unavailable(err)
		}
		http.Redirect(w, r, s.Screens.Home(), http.StatusSeeOther)
		return nil
	}
	if err := s.end(r.Context(), in); err != nil {
		return unavailable(err)
	}
	return s.tell(w, r, in.Request, e)
}

// tell answers the client with an error, in the way that it asked for.
func (s *Service) tell(w http.ResponseWriter, r *http.Request, request oauth.AuthorizationRequest, e *oauth.Error) error {
	if request.FormPost {
		return s.Screens.Post(w, pages.Interaction{RedirectURI: request.RedirectURI}, oauth.ErrorFields(request, s.Server.Issuer, e))
	}
	to := oauth.RedirectError(request, s.Server.Issuer, e)
	http.Redirect(w, r, to, http.StatusSeeOther) //nolint:gosec // the redirect URI has matched a registered one
	return nil
}

// refuseDevice tells the device no, and the person that it was told.
func (s *Service) refuseDevice(w http.ResponseWriter, r *http.Request, in Interaction) error {
	err := s.DB.InTx(r.Context(), func(ctx context.Context) error {
		if err := s.end(ctx, in); err != nil {
			return err
		}
		return decided(s.Grants.DenyDevice(ctx, in.Request.Device.Ref))
	})
	if err != nil {
		return unavailable(err)
	}
	return s.Screens.DeviceDone(w, "", false)
}

// abort gives up: the client learns that the user did not want to.
func (a API) abort(w http.ResponseWriter, r *http.Request) error {
	in, _, err := a.Authorize.Open(r)
	if err != nil {
		return err
	}
	return a.Authorize.Deny(w, r, in)
}

// Deny answers the client that the user said no.
func (s *Service) Deny(w http.ResponseWriter, r *http.Request, in Interaction) error {
	return s.refuse(w, r, in, &oauth.Error{Code: "access_denied", Description: "The user did not allow it."})
}

// Open returns the interaction that a step's request names, and its client:
// ErrForeign if it is not this browser's, ErrEnded if it is over.
func (s *Service) Open(r *http.Request) (Interaction, client.Client, error) {
	return s.OpenUID(r, r.PathValue("uid"))
}

// OpenUID is Open for a request whose path does not name the interaction.
func (s *Service) OpenUID(r *http.Request, uid string) (Interaction, client.Client, error) {
	return s.open(r.Context(), uid, s.Sessions.Browser(r))
}

// Session is who is signed in and what they can grant.
type Session struct {
	sso.Session
	Scopes []string // of the interaction's request
}

// Present returns who is signed in in r's browser; false is nobody.
func (s *Service) Present(r *http.Request, in Interaction, c client.Client) (Session, bool, error) {
	ss, ok, err := s.Sessions.Current(r)
	if err != nil || !ok {
		return Session{}, false, err
	}
	st, err := s.state(r.Context(), in, c, ss)
	return Session{ss, st.scopes()}, err == nil, err
}

// Resume leads back to the dispatcher after a step. The method becomes GET, so
// that no credential is sent again.
func Resume(w http.ResponseWriter, r *http.Request, in Interaction) error {
	http.Redirect(w, r, "/interaction/"+in.UID, http.StatusSeeOther)
	return nil
}

// Screen returns what the screens of an interaction show of it.
func Screen(in Interaction, c client.Client) pages.Interaction {
	i := pages.Interaction{
		UID: in.UID, Client: c.Name, FirstParty: c.FirstParty, Verified: c.Verified, RedirectURI: in.Request.RedirectURI, Popup: in.Request.Popup,
		Homepage: c.Homepage, Policy: c.Policy, Terms: c.Terms, Contacts: c.Contacts, Logo: c.Shows(), Host: c.Host(), LoopbackOnly: c.Document && c.LoopbackOnly(), Texts: c.ScopeTexts(),
	}
	if d := in.Request.Device; d != nil {
		i.Device = &pages.Device{Address: d.Address, Agent: d.Agent, AskedAt: d.AskedAt}
	}
	return i
}

func (s state) account() pages.Account { return who(s.user) }

func who(u account.User) pages.Account {
	return pages.Account{ID: u.ID, Name: u.DisplayName(), Email: u.Email}
}

// data describes the interaction to a script of our own origin.
func (a API) data(w http.ResponseWriter, r *http.Request) error {
	s := a.Authorize
	in, c, err := s.Open(r)
	if err != nil {
		return err
	}
	ss, _, err := s.Sessions.Current(r)
	if err != nil {
		return err
	}
	st, err := s.state(r.Context(), in, c, ss)
	if err != nil {
		return err
	}
	var out interactionData
	out.UID, out.Prompt = in.UID, st.next()
	out.Client.ClientID, out.Client.ClientName = c.ID, c.Name
	out.Params.Scope, out.Params.RedirectURI = strings.Join(in.Request.Scopes, " "), in.Request.RedirectURI
	if ss.ID != "" {
		out.Session = &dataSession{ss.UserID}
	}
	return web.JSON(w, http.StatusOK, out)
}

// interactionData is an interaction as programs see it.
type interactionData struct {
	UID     string       `json:"uid"`
	Prompt  Step         `json:"prompt"`
	Client  dataClient   `json:"client"`
	Params  dataParams   `json:"params"`
	Session *dataSession `json:"session"`
}

type dataClient struct {
	ClientID   string `json:"clientId"`
	ClientName string `json:"clientName"`
}

type dataParams struct {
	Scope       string `json:"scope"`
	RedirectURI string `json:"redirectUri"`
}

type dataSession struct {
	AccountID string `json:"accountId"`
}
