package pages

import (
	"net/http"
	"net/url"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/ui"
)

// Register is the sign-up form.
type Register struct {
	ui.Page
	Interaction                          string // to return to; may be empty
	Email, Username, FirstName, LastName string
	Terms                                bool
	Problem, Back                        string
	param                                string
}

// Wrong returns what is wrong with a field.
func (d Register) Wrong(field string) string {
	if d.param == field {
		return d.Problem
	}
	return ""
}

func back(interaction string) string {
	if interaction == "" {
		return ""
	}
	return "/interaction/" + url.PathEscape(interaction)
}

// Register shows the sign-up form; err is what was wrong with the last try.
func (s *Screens) Register(w http.ResponseWriter, d Register, err *fault.Error) error {
	d.Title, d.Back = s.t.Text("register.title"), back(d.Interaction)
	status := http.StatusOK
	if err != nil {
		status, d.Problem, d.param = err.Kind.Status(), err.Message, err.Param
	}
	return s.t.Render(w, status, "register", &d, ui.Options{})
}

type mailed struct {
	ui.Page
	Email, Interaction, Back string
}

// Sent says that a mail is under way, whether or not it is.
func (s *Screens) Sent(w http.ResponseWriter, email, interaction string) error {
	d := mailed{Page: ui.Page{Title: s.t.Text("sent.title")}, Email: email, Interaction: interaction, Back: back(interaction)}
	return s.t.Render(w, http.StatusOK, "sent", &d, ui.Options{})
}

type proof struct {
	ui.Page
	Token, Back string
}

// Verify shows the button that proves an address. Mail scanners follow links
// but press no buttons.
func (s *Screens) Verify(w http.ResponseWriter, token string) error {
	d := proof{Page: ui.Page{Title: s.t.Text("verify.title")}, Token: token}
	return s.t.Render(w, http.StatusOK, "verify", &d, ui.Options{})
}

// Verified says that the address is proven and leads back to the interaction.
func (s *Screens) Verified(w http.ResponseWriter, interaction string) error {
	d := proof{Page: ui.Page{Title: s.t.Text("verified.title")}, Back: back(interaction)}
	return s.t.Render(w, http.StatusOK, "verified", &d, ui.Options{})
}

type signOut struct {
	ui.Page
	Action, Home string
}

// ConfirmSignOut asks whether to sign out; the form is posted to action.
func (s *Screens) ConfirmSignOut(w http.ResponseWriter, _ *http.Request, action string) error {
	d := signOut{Page: ui.Page{Title: s.t.Text("signout.title")}, Action: action, Home: s.home}
	return s.t.Render(w, http.StatusOK, "signout", &d, ui.Options{})
}

// SignedOut says that nobody is signed in any more.
func (s *Screens) SignedOut(w http.ResponseWriter, _ *http.Request) error {
	d := signOut{Page: ui.Page{Title: s.t.Text("signedout.title")}, Home: s.home}
	return s.t.Render(w, http.StatusOK, "signedout", &d, ui.Options{})
}
