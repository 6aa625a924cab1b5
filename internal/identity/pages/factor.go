package pages

import (
	"html/template"
	"net/http"
	"strings"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/ui"
)

type challenge struct {
	ui.Page
	User, Email, Initial, Action, Here, Cancel, Problem string
	Recovery, App, Codes, Trust                         bool
	Passkey                                             *passkeyForm
}

// passkeyForm is a form that the script fills in.
type passkeyForm struct {
	Action, Options, Button string
	Second                  bool // another way is the first one
	Autofill                bool
}

// Challenge is who is asked for a second factor, and which they can give.
type Challenge struct {
	Account
	App, Passkey, Recovery bool
	UseRecovery            bool // a recovery code is asked for
	Trust                  bool // this browser may stand for the factor from then on
}

// Challenge asks for a second factor. err is what was wrong with the last one, if
// there was one.
func (s *Screens) Challenge(w http.ResponseWriter, i Interaction, c Challenge, err *fault.Error) error {
	d := challenge{
		Page: ui.Page{Title: s.t.Text("challenge.title")}, User: shown(c.Name), Email: c.Email, Initial: first(c.Name),
		Action: i.path("/mfa"), Here: i.path(""), Cancel: i.path("/abort"), App: c.App, Recovery: c.UseRecovery, Codes: c.Recovery, Trust: c.Trust,
	}
	o := i.options()
	switch {
	case c.UseRecovery:
		d.Title, d.Action = s.t.Text("challenge.recovery.title"), i.path("/recovery-code")
	case c.Passkey:
		d.Passkey = &passkeyForm{Action: i.path("/passkey"), Options: i.path("/passkey/options"), Button: s.t.Text("passkey.use"), Second: c.App}
		o.Script = true
		if !c.App {
			d.Title = s.t.Text("challenge.passkey.title")
		}
	}
	status := http.StatusOK
	if err != nil {
		status, d.Problem = s.problem("challenge.wrong", err)
	}
	return s.t.Render(w, status, "challenge", &d, o)
}

// EnrollIntro says that a needs a second factor to go on.
func (s *Screens) EnrollIntro(w http.ResponseWriter, i Interaction, a Account) error {
	d := challenge{
		Page: ui.Page{Title: s.t.Text("enroll.title")}, User: shown(a.Name), Email: a.Email, Initial: first(a.Name),
		Action: i.path("/enroll"), Cancel: i.path("/abort"),
	}
	return s.t.Render(w, http.StatusOK, "enroll", &d, i.options())
}

// Setup is an authenticator that waits for its first code.
type Setup struct {
	ID, Secret     string
	QR             string // the data URL of an image of ours
	Action, Cancel string
}

type totp struct {
	ui.Page
	Action, Cancel, ID, Key, Problem string
	QR                               template.URL
}

// Setup shows how to set an authenticator app up. err is what was wrong with
// the last code, if there was one.
func (s *Screens) Setup(w http.ResponseWriter, in Setup, err *fault.Error) error {
	d := totp{
		Page: ui.Page{Title: s.t.Text("totp.title")}, Action: in.Action, Cancel: in.Cancel, ID: in.ID, Key: fours(in.Secret),
		QR: template.URL(in.QR), //nolint:gosec // made by us
	}
	status := http.StatusOK
	if err != nil {
		status, d.Problem = s.problem("challenge.wrong", err)
	}
	return s.t.Render(w, status, "totp", &d, ui.Options{})
}

// fours groups a key so that people can type it.
func fours(key string) string {
	var b strings.Builder
	for i, r := range key {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

type codes struct {
	ui.Page
	Action, Ask, Problem string
	Codes                []string
	Number               int
}

// Codes shows recovery codes and asks for the one with a number, from 1.
func (s *Screens) Codes(w http.ResponseWriter, list []string, number int, action string, wrong bool) error {
	d := codes{Page: ui.Page{Title: s.t.Text("codes.title")}, Action: action, Ask: s.t.Text("codes.proof", number), Codes: list, Number: number}
	if wrong {
		d.Problem = s.t.Text("codes.wrong", number)
	}
	return s.t.Render(w, http.StatusOK, "codes", &d, ui.Options{})
}
