package pages

import (
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/ui"
)

//go:embed templates/*.html texts/en.json
var files embed.FS

// Screens renders. It is safe for concurrent use.
type Screens struct {
	t    *ui.Templates
	home string
	dev  bool
	// Passkeys says that people can sign in with them here. Set it before use.
	Passkeys bool
	// Social are the services that people can sign in with. Set it before use.
	Social []Social
}

// New parses the templates. instance is this installation's name, home the
// address that pages without another way out lead to. With dev, errors show
// developers what they need.
func New(instance, home string, dev bool) (*Screens, error) {
	t, err := ui.Parse(files, instance)
	if err != nil {
		return nil, err
	}
	return &Screens{t: t, home: home, dev: dev}, nil
}

// Home returns the address that pages without another way out lead to.
func (s *Screens) Home() string { return s.home }

// Interaction is what the screens of an interaction share.
type Interaction struct {
	UID         string
	Client      string // its name
	FirstParty  bool
	Verified    bool // an administrator vouches for who it is
	RedirectURI string
	Popup       bool // opened by window.open
	// Addresses of the client's own pages, and how to reach who makes it; empty if
	// it does not say.
	Homepage, Policy, Terms string
	Contacts                []string
	// Logo says that the client has a picture to show.
	Logo bool
	// Texts say what the scopes of others allow, by scope.
	Texts map[string]string
	// Limit is what the client may spend of the user's credits in a month; 0: all.
	Limit money.Credits
	// Host vouches for a client that is named by its address; empty for others.
	Host string
	// LoopbackOnly says that any program on the user's machine can be the client.
	LoopbackOnly bool
	// Device is what asks, when it is one without a browser.
	Device *Device
}

func (i Interaction) path(step string) string {
	return "/interaction/" + url.PathEscape(i.UID) + step
}

// options allows what the redirects after a form need: the client's answer
// address, and for web clients where they lead on from there.
func (i Interaction) options() ui.Options {
	o := ui.Options{Opener: i.Popup}
	u, err := url.Parse(i.RedirectURI)
	switch {
	case err != nil, i.RedirectURI == "":
	case u.Scheme == "https":
		o.FormAction = []string{"https:"}
	case u.Scheme == "http" && strings.Contains(u.Host, "["):
		o.FormAction = []string{"http:"} // CSP has no form for IPv6 addresses
	case u.Scheme == "http":
		o.FormAction = []string{"http://" + u.Host}
	default:
		o.FormAction = []string{u.Scheme + ":"}
	}
	return o
}

// where says in words where the client is answered.
func (s *Screens) where(i Interaction) string {
	if i.Device != nil {
		return s.t.Text("device.where")
	}
	u, err := url.Parse(i.RedirectURI)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return s.t.Text("consent.computer", i.Client)
	}
	switch host := u.Hostname(); host {
	case "localhost", "127.0.0.1", "::1":
		return s.t.Text("consent.computer", host)
	default:
		return u.Host
	}
}

// first returns the first letter of a name, for its tile.
func first(name string) string {
	for _, r := range name {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return string(unicode.ToUpper(r))
		}
	}
	return "?"
}

// shown returns a client's name, bounded and without characters that hide or
// reverse text.
func shown(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) || r == utf8.RuneError {
			return -1
		}
		return r
	}, name)
	if runes := []rune(name); len(runes) > 120 {
		return string(runes[:120]) + "…"
	}
	return name
}

// Names lists the pages, for a test that shows each.
func (s *Screens) Names() []string { return s.t.Names() }

// signIn is the data of signin.html.
type signIn struct {
	ui.Page
	Client, Host, Action, Register, Forgot, Cancel, Name, Complete, Problem string
	Passkey                                                                 *passkeyForm
	Ways                                                                    []way
}

// SignIn shows the form for name and password. name is filled in; err is what
// was wrong with the last try, if there was one.
func (s *Screens) SignIn(w http.ResponseWriter, i Interaction, name string, err *fault.Error) error {
	d := signIn{
		Page: ui.Page{Title: s.t.Text("signin.title")}, Client: shown(i.Client), Name: name, Ways: s.ways(i),
		Action: i.path("/login"), Cancel: i.path("/abort"), Register: "/register?interaction=" + url.QueryEscape(i.UID),
		Forgot: "/forgot?interaction=" + url.QueryEscape(i.UID),
	}
	if u, err := url.Parse(i.RedirectURI); err == nil && u.Scheme == "https" {
		d.Host = u.Host
	}
	o := i.options()
	d.Complete = "username"
	if s.Passkeys {
		d.Complete, o.Script = "username webauthn", true
		d.Passkey = &passkeyForm{
			Action: i.path("/passkey"), Options: i.path("/passkey/options"), Button: s.t.Text("passkey.signin"), Second: true,
			Autofill: err == nil, // not again after a refusal
		}
	}
	status := http.StatusOK
	if err != nil {
		status, d.Problem = s.problem("signin.wrong", err)
	}
	return s.t.Render(w, status, "signin", &d, o)
}

// problem returns the status and text for a failed try; the texts are those of
// key. A wrong password or code is an answer like another, not an error of the
// request.
func (s *Screens) problem(key string, err *fault.Error) (int, string) {
	left, ok := err.Details["triesLeft"].(int)
	switch {
	case !ok && err.Kind == fault.Unauthenticated:
		return http.StatusOK, err.Message
	case !ok:
		return err.Kind.Status(), err.Message
	case left == 0:
		return http.StatusOK, s.t.Text(key + ".none")
	case left == 1:
		return http.StatusOK, s.t.Text(key + ".one")
	default:
		return http.StatusOK, s.t.Text(key, left)
	}
}

// Account is who is signed in.
type Account struct{ ID, Name, Email string }

// Scope is one line of a consent.
type Scope struct {
	Text string
	New  bool // not part of what was allowed before
}

type consent struct {
	ui.Page
	Client, Letter, Action, Switch, UserID, User, Email, Initial, Where string
	FirstParty, Verified                                                bool
	Scopes                                                              []Scope
	Cannot                                                              []string
	Device                                                              *Device
	Host                                                                string
	LoopbackOnly                                                        bool
	Logo, Homepage, Policy, Terms                                       string
	Contacts                                                            []string
	Spends                                                              bool
	Limit                                                               string
}

func (s *Screens) consent(i Interaction, a Account, title string) consent {
	client := shown(i.Client)
	d := consent{
		Page: ui.Page{Title: s.t.Text(title, client)}, Client: client, Letter: first(client), FirstParty: i.FirstParty, Verified: i.Verified,
		Action: i.path("/consent"), Switch: i.path("?switch=1"), UserID: a.ID, User: shown(a.Name), Email: a.Email,
		Initial: first(a.Name), Where: s.where(i), Device: i.Device, Host: i.Host, LoopbackOnly: i.LoopbackOnly,
		Homepage: i.Homepage, Policy: i.Policy, Terms: i.Terms,
	}
	if i.Logo {
		d.Logo = i.path("/logo")
	}
	for _, c := range i.Contacts {
		d.Contacts = append(d.Contacts, shown(c))
	}
	return d
}

// Consent asks a whether the client may have scopes; those in added are marked
// as new.
func (s *Screens) Consent(w http.ResponseWriter, i Interaction, a Account, scopes, added []string) error {
	d := s.consent(i, a, "consent.title")
	for _, scope := range scopes {
		d.Scopes = append(d.Scopes, Scope{Text: s.scope(scope, i.Texts), New: slices.Contains(added, scope)})
	}
	if d.Spends = slices.Contains(scopes, "llm.inference"); i.Limit > 0 {
		d.Limit = i.Limit.String()
	}
	d.Cannot = s.cannot(scopes)
	return s.t.Render(w, http.StatusOK, "consent", &d, i.options())
}

// scope says what a scope allows: in our words, in those of its resource, or
// just by its name.
func (s *Screens) scope(name string, texts map[string]string) string {
	if key := "scope." + name; s.t.Has(key) {
		return s.t.Text(key)
	}
	if text := texts[name]; text != "" {
		return shown(text)
	}
	return name
}

// cannot says what no scope of these allows, in the order of importance.
func (s *Screens) cannot(scopes []string) []string {
	out := []string{s.t.Text("consent.cannot.password")}
	for _, limit := range []struct{ scope, key string }{
		{"keys.manage", "keys"}, {"billing.manage", "plan"}, {"account.manage", "account"},
	} {
		if !slices.Contains(scopes, limit.scope) && !slices.Contains(scopes, "admin") {
			out = append(out, s.t.Text("consent.cannot."+limit.key))
		}
	}
	return out
}

// Continue asks for the click without which a program on the user's machine is
// not answered.
func (s *Screens) Continue(w http.ResponseWriter, i Interaction, a Account) error {
	d := s.consent(i, a, "continue.title")
	return s.t.Render(w, http.StatusOK, "continue", &d, i.options())
}

type goBack struct {
	ui.Page
	Client string
	URL    template.URL
}

// Return forwards to the private scheme of a program on the user's machine.
// address has matched a registered redirect URI.
func (s *Screens) Return(w http.ResponseWriter, i Interaction, address string) error {
	to := template.URL(address) //nolint:gosec // its scheme was checked when the client was registered
	d := goBack{Page: ui.Page{Title: s.t.Text("return.title"), Refresh: to}, Client: shown(i.Client), URL: to}
	return s.t.Render(w, http.StatusOK, "return", &d, i.options())
}

// PostField is one parameter of an answer that is a form.
type PostField struct{ Name, Value string }

type post struct {
	ui.Page
	Client, URL string
	Fields      []PostField
}

// Post answers the client by a form that sends itself; without scripts the user
// presses its button. pairs are names and values, of which empty ones are left
// out.
func (s *Screens) Post(w http.ResponseWriter, i Interaction, pairs []string) error {
	d := post{Page: ui.Page{Title: s.t.Text("post.title")}, Client: shown(i.Client), URL: i.RedirectURI}
	for n := 0; n+1 < len(pairs); n += 2 {
		if pairs[n+1] != "" {
			d.Fields = append(d.Fields, PostField{pairs[n], pairs[n+1]})
		}
	}
	o := i.options()
	o.Script = true
	return s.t.Render(w, http.StatusOK, "post", &d, o)
}
