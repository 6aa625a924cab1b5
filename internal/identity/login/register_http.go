package login

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/identity/pages"
)

// interaction returns the uid of an interaction to return to, if it looks like
// one. Whether it is this browser's is checked when it is shown.
func interaction(uid string) string {
	if len(uid) != 26 || strings.Trim(uid, "abcdefghijklmnopqrstuvwxyz234567") != "" {
		return ""
	}
	return uid
}

func (a API) registerForm(w http.ResponseWriter, r *http.Request) error {
	return a.Screens.Register(w, pages.Register{Interaction: interaction(r.URL.Query().Get("interaction"))}, nil)
}

func (a API) register(w http.ResponseWriter, r *http.Request, v url.Values) error {
	in := account.Registration{
		Email: v.Get("email"), Password: v.Get("password"), Username: v.Get("username"), FirstName: v.Get("firstName"),
		LastName: v.Get("lastName"), Terms: v.Get("acceptedTerms") == "true", Address: account.Address(r),
		Back: interaction(v.Get("interaction")),
	}
	if err := a.Accounts.Register(r.Context(), in); err != nil {
		f, ok := pages.Shown(w, err)
		if !ok {
			return err
		}
		return a.Screens.Register(w, pages.Register{
			Interaction: in.Back, Email: bounded(in.Email), Username: bounded(in.Username), FirstName: bounded(in.FirstName),
			LastName: bounded(in.LastName), Terms: in.Terms,
		}, f)
	}
	return a.Screens.Sent(w, in.Email, in.Back)
}

func (a API) resend(w http.ResponseWriter, r *http.Request, v url.Values) error {
	back := interaction(v.Get("interaction"))
	if err := a.Accounts.Resend(r.Context(), v.Get("email"), account.Address(r), back); err != nil {
		return err
	}
	return a.Screens.Sent(w, v.Get("email"), back)
}

// verifyForm shows a button and consumes nothing: scanners of mail follow every
// link.
func (a API) verifyForm(w http.ResponseWriter, r *http.Request) error {
	return a.Screens.Verify(w, bounded(r.URL.Query().Get("token")))
}

func (a API) verify(w http.ResponseWriter, r *http.Request, v url.Values) error {
	back, err := a.Accounts.Verify(r.Context(), v.Get("token"))
	if err != nil {
		return err
	}
	return a.Screens.Verified(w, back)
}
