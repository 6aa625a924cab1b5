package pages

import (
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/ui"
)

// Person is who looks at their own account.
type Person struct {
	Name, Email, Username, First, Last string
	Verified                           bool
	Done                               string // what was done just now: a key of the texts' end
}

// area is what the pages of the account area share.
type area struct {
	ui.Page
	P                                   Person
	Initial, Done, Form, Problem, param string
}

// Wrong returns what is wrong with a field.
func (d area) Wrong(field string) string {
	if d.param == field {
		return d.Problem
	}
	return ""
}

// areas are the pages of the account area, by the end of their texts' keys.
var areas = []struct{ key, path string }{{"profile", "/account"}, {"security", "/account/security"}, {"apps", "/account/apps"}, {"privacy", "/account/privacy"}}

// area returns the shared part of a page of the account area. form is which of
// its forms err belongs to.
func (s *Screens) area(title, path string, p Person, form string, err *fault.Error) (area, int) {
	d := area{Page: ui.Page{Title: s.t.Text(title), Wide: true}, P: p, Initial: first(p.Name), Form: form}
	d.P.Name = shown(p.Name)
	for _, a := range areas {
		d.Nav = append(d.Nav, ui.Link{Text: s.t.Text("nav." + a.key), URL: a.path, Here: a.path == path})
	}
	if err == nil {
		return d, http.StatusOK
	}
	d.Problem, d.param = err.Message, err.Param
	if err.Kind == fault.Unauthenticated {
		return d, http.StatusOK
	}
	return d, err.Kind.Status()
}

// done returns the text for what was done just now, if there is one.
func (s *Screens) done(area, what string) string {
	if key := area + ".done." + what; what != "" && s.t.Has(key) {
		return s.t.Text(key)
	}
	return ""
}

// Profile shows p's profile; err is what was wrong with the last change, if there
// was one.
func (s *Screens) Profile(w http.ResponseWriter, p Person, err *fault.Error) error {
	d, status := s.area("account.title", "/account", p, "", err)
	if p.Done != "" {
		d.Done = s.t.Text("account.saved")
	}
	return s.t.Render(w, status, "account", &d, ui.Options{})
}

// Security is how somebody signs in.
type Security struct {
	Person
	App, Required bool // an authenticator; a role demands one
	Codes         bool // there are recovery codes to look after
	CodesLeft     int
	CanPasskeys   bool // this installation can have them
	Passkeys      []Passkey
	SignIns       []SignedIn
	Trusted       []Trusted
	Linked        []Identity
	Events        []Event // the newest first
	PasswordAt    time.Time
	Form          string // which form the fault belongs to: password, email
	Done          string
}

// Trusted is a browser that stands for the second factor.
type Trusted struct {
	ID, Device, Address string
	ExpiresAt           time.Time
}

// Until returns how long, as people read it.
func (t Trusted) Until() string { return day(t.ExpiresAt) }

// Event is something that happened to the safety of an account.
type Event struct {
	Kind    string
	Address string
	At      time.Time
}

// happened is an Event as people read it.
type happened struct{ What, Address, When string }

// Passkey is one passkey.
type Passkey struct {
	ID, Name, Host  string
	Old, Suspect    bool
	AddedAt, UsedAt time.Time
}

// Added returns when it was added, as people read it.
func (p Passkey) Added() string { return day(p.AddedAt) }

// Used returns when it was used last, or "".
func (p Passkey) Used() string { return day(p.UsedAt) }

// day returns a date as people read it, and "" for none.
func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2 January 2006")
}

// NewPasskey asks for a name, and has the browser make a passkey; err is what was
// wrong with the last one, if there was one.
func (s *Screens) NewPasskey(w http.ResponseWriter, p Person, name string, err *fault.Error) error {
	d, status := s.area("passkey.new", "/account/security", p, "", err)
	page := struct {
		area
		Name string
	}{d, name}
	return s.t.Render(w, status, "passkey", &page, ui.Options{Script: true})
}

type security struct {
	area
	CanPasskeys             bool
	Passkeys                []Passkey
	SignIns                 []SignedIn
	Trusted                 []Trusted
	Linked                  []Identity
	Events                  []happened
	CanLink                 []Social
	App, Required, Codes    bool
	CodesText, PasswordText string
}

// few is the number of recovery codes below which there should be new ones.
const few = 3

// Security shows how somebody signs in; err is what was wrong with the last
// change, if there was one.
func (s *Screens) Security(w http.ResponseWriter, in Security, err *fault.Error) error {
	base, status := s.area("security.title", "/account/security", in.Person, in.Form, err)
	base.Done = s.done("security", in.Done)
	d := security{
		area: base, App: in.App, Required: in.Required, Codes: in.Codes, CanPasskeys: in.CanPasskeys, Passkeys: in.Passkeys, SignIns: in.SignIns, Trusted: in.Trusted,
		Linked: in.Linked, CanLink: s.Social,
	}
	for _, e := range in.Events {
		d.Events = append(d.Events, happened{s.t.Text("event." + e.Kind), e.Address, e.At.UTC().Format("2 January 2006, 15:04") + " UTC"})
	}
	key := "security.codes.left"
	if in.CodesLeft < few {
		key = "security.codes.few"
	}
	d.CodesText = s.t.Text(key, in.CodesLeft)
	if !in.PasswordAt.IsZero() {
		d.PasswordText = s.t.Text("security.password.at", day(in.PasswordAt))
	}
	return s.t.Render(w, status, "security", &d, ui.Options{})
}
