package device

import (
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/authorize"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/identity/pages"
	"github.com/rephlo/rephlo/internal/identity/sso"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/web"
)

// Paths of the endpoint and of the page.
const (
	Path     = "/oauth/device"
	PagePath = "/device"
)

// Bounds of guessing. 34 bits at 5 a minute for the 10 minutes that a code
// lives are hopeless.
const (
	wrongPerMinute  = 5  // from one address
	wrongPerBrowser = 20 // in an hour
	agentSize       = 200
)

var (
	errWrong   = fault.New(fault.Invalid, "invalid_request", "This code is wrong or too old. Look at your device again.")
	errTooMany = fault.New(fault.RateLimited, "too_many_attempts", "Too many codes were wrong. Wait a minute and look at your device again.")
	errStorage = fault.New(fault.Unavailable, "temporarily_unavailable", "The service cannot answer right now. Try again in a few seconds.").After(2 * time.Second)
)

// Needs is what an API is made of.
type Needs struct {
	Server    oauth.Server
	Clients   *client.Service
	Grants    *grant.Service
	Authorize *authorize.Service
	Sessions  *sso.Service
	Screens   *pages.Screens
	Now       func() time.Time
	// Address returns who is asking.
	Address func(*http.Request) string
}

// API serves the endpoint and the page.
type API struct {
	Needs
	addresses, browsers *oauth.Limiter
}

// New returns an API.
func New(n Needs) *API {
	return &API{
		Needs:     n,
		addresses: oauth.NewLimiter(wrongPerMinute, time.Minute, n.Now),
		browsers:  oauth.NewLimiter(wrongPerBrowser, time.Hour, n.Now),
	}
}

// Mount registers the routes.
func (a *API) Mount(m *web.Mux) {
	page := a.Screens.Page()
	m.Handle("POST "+Path, a.start, web.Doc("Begin a sign-in on a device without a browser (RFC 8628)"), web.Takes(oauth.MediaForm, oauth.DeviceParams{}), web.Gives(http.StatusOK, "", answer{}), web.Secured(web.SchemeBasic), oauth.Errors(), web.Body(64<<10))
	m.Handle("GET "+PagePath, a.form, page)
	m.Handle("POST "+PagePath, oauth.Form(a.enter), a.Screens.Form()...)
}

// answer is what a device shows its user (RFC 8628 section 3.2).
type answer struct {
	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	Where      string `json:"verification_uri"`
	Complete   string `json:"verification_uri_complete"`
	ExpiresIn  int64  `json:"expires_in"`
	Interval   int64  `json:"interval"`
}

// start is the device authorization endpoint (RFC 8628 section 3.1).
func (a *API) start(w http.ResponseWriter, r *http.Request) error {
	v, c, err := a.Clients.FromRequest(w, r)
	if err != nil {
		return err
	}
	if !c.May(client.GrantDevice) {
		return oauth.ErrUnauthorized
	}
	scopes, resources, err := oauth.Resolve(strings.Fields(v.Get("scope")), v["resource"], c.Facts(), a.Server)
	if e, ok := errors.AsType[*oauth.Error](err); ok {
		return e.Fault()
	}
	if err != nil {
		return err
	}
	agent := r.UserAgent()
	d := grant.Device{
		ClientID: c.ID, Scopes: scopes, Resources: resources, Address: a.Address(r),
		Agent: strings.ToValidUTF8(agent[:min(len(agent), agentSize)], ""),
	}
	deviceCode, userCode, err := a.Grants.IssueDevice(r.Context(), d)
	if sqldb.IsUnavailable(err) {
		return errStorage.Because(err)
	}
	if err != nil {
		return err
	}
	where := a.Server.Issuer + PagePath
	return web.JSON(w, http.StatusOK, answer{deviceCode, userCode, where, where + "?user_code=" + url.QueryEscape(userCode), int64(grant.DeviceLife.Seconds()), int64(grant.DevicePause.Seconds())})
}

// form shows the field for the code. A code in the address fills it, but
// decides nothing.
func (a *API) form(w http.ResponseWriter, r *http.Request) error {
	a.Sessions.Mark(w, r)
	return a.Screens.Device(w, r.URL.Query().Get("user_code"), nil)
}

// enter takes a code and leads to the interaction in which it is decided on.
func (a *API) enter(w http.ResponseWriter, r *http.Request, v url.Values) error {
	typed, browser := v.Get("user_code"), a.Sessions.Mark(w, r)
	address, ours := a.Address(r), "browser "+hex.EncodeToString(browser)
	if a.addresses.Check(address) != nil || a.browsers.Check(ours) != nil {
		web.ErrorHeaders(w, errTooMany.After(time.Minute))
		return a.Screens.Device(w, typed, errTooMany)
	}
	d, ok, err := a.Grants.DeviceByUserCode(r.Context(), typed)
	if err != nil {
		if sqldb.IsUnavailable(err) {
			return fault.ErrUnavailable.Because(err)
		}
		return err
	}
	if !ok {
		a.addresses.Count(address)
		a.browsers.Count(ours)
		return a.Screens.Device(w, typed, errWrong)
	}
	path, err := a.Authorize.BeginDevice(r.Context(), d, browser)
	if err != nil {
		return err
	}
	http.Redirect(w, r, path, http.StatusSeeOther) //nolint:gosec // a path of ours
	return nil
}
