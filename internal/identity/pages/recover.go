package pages

import (
	"net/http"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/ui"
)

type forgot struct {
	ui.Page
	Email, Interaction, Back, Problem string
}

// Forgot asks for the address that a link to a new password goes to; err is
// what was wrong with the last one, if there was one.
func (s *Screens) Forgot(w http.ResponseWriter, email, interaction string, err *fault.Error) error {
	d := forgot{Page: ui.Page{Title: s.t.Text("forgot.title")}, Email: email, Interaction: interaction, Back: back(interaction)}
	status := http.StatusOK
	if err != nil {
		status, d.Problem = err.Kind.Status(), err.Message
	}
	return s.t.Render(w, status, "forgot", &d, ui.Options{})
}

// ForgotSent says that a link is under way.
func (s *Screens) ForgotSent(w http.ResponseWriter, email, interaction string) error {
	d := forgot{Page: ui.Page{Title: s.t.Text("sent.title")}, Email: email, Interaction: interaction, Back: back(interaction)}
	return s.t.Render(w, http.StatusOK, "forgotsent", &d, ui.Options{})
}

type reset struct {
	ui.Page
	Token, Problem, Back string
}

// Reset asks for a new password; err is what was wrong with the last one, if
// there was one.
func (s *Screens) Reset(w http.ResponseWriter, token string, err *fault.Error) error {
	d := reset{Page: ui.Page{Title: s.t.Text("reset.title")}, Token: token}
	status := http.StatusOK
	if err != nil {
		status, d.Problem = err.Kind.Status(), err.Message
	}
	return s.t.Render(w, status, "reset", &d, ui.Options{})
}

// ResetDone says that the new password counts.
func (s *Screens) ResetDone(w http.ResponseWriter, interaction string) error {
	d := reset{Page: ui.Page{Title: s.t.Text("reset.done")}, Back: back(interaction)}
	if d.Back == "" {
		d.Back = "/account"
	}
	return s.t.Render(w, http.StatusOK, "resetdone", &d, ui.Options{})
}

// Proof is what the link of a mail is used for.
type Proof string

// The proofs; the texts are named after them.
const (
	ConfirmEmail Proof = "newemail"
	KeepEmail    Proof = "keepemail"
	Disown       Proof = "disown"
)

type proving struct {
	ui.Page
	Action, Token, Lead, Button, Home string
}

// Prove shows the button that uses a link: scanners of mail follow links but
// press no buttons.
func (s *Screens) Prove(w http.ResponseWriter, p Proof, action, token string) error {
	d := proving{
		Page: ui.Page{Title: s.t.Text(string(p) + ".title")}, Action: action, Token: token,
		Lead: s.t.Text(string(p) + ".lead"), Button: s.t.Text(string(p) + ".button"),
	}
	return s.t.Render(w, http.StatusOK, "prove", &d, ui.Options{})
}

// Proved says that the link was used.
func (s *Screens) Proved(w http.ResponseWriter, p Proof) error {
	d := proving{Page: ui.Page{Title: s.t.Text(string(p) + ".done")}, Lead: s.t.Text(string(p) + ".done.lead"), Home: "/account/security"}
	return s.t.Render(w, http.StatusOK, "proved", &d, ui.Options{})
}
