package self

import (
	"errors"
	"net/http"

	"github.com/rephlo/rephlo/internal/identity/pages"
	"github.com/rephlo/rephlo/internal/identity/sso"
	"github.com/rephlo/rephlo/internal/passkey"
	"github.com/rephlo/rephlo/internal/web"
)

// passkeys returns what the page shows of p's passkeys.
func (a API) passkeys(r *http.Request, p person) ([]pages.Passkey, error) {
	list, err := a.Passkeys.List(r.Context(), p.ID)
	if err != nil {
		return nil, err
	}
	var out []pages.Passkey
	for _, k := range list {
		out = append(out, pages.Passkey{
			ID: k.ID, Name: k.Name, Host: k.Host, Old: k.Old, Suspect: k.Suspect, AddedAt: k.CreatedAt, UsedAt: k.LastUsedAt,
		})
	}
	return out, nil
}

func (a API) newPasskey(w http.ResponseWriter, _ *http.Request, p person) error {
	return a.Screens.NewPasskey(w, p.shown(), "", nil)
}

func (a API) passkeyOptions(w http.ResponseWriter, r *http.Request, p person) error {
	options, err := a.Passkeys.BeginRegistration(r.Context(), p.User)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, options)
}

// addPasskey stores a passkey. Whoever had no second factor gets recovery codes
// with it, for the day the device is lost.
func (a API) addPasskey(w http.ResponseWriter, r *http.Request, p person) error {
	_, err := a.Passkeys.Register(r.Context(), p.User, p.form.Get("name"), []byte(p.form.Get("credential")))
	if err != nil {
		f, ok := pages.Shown(w, err)
		if !ok {
			return err
		}
		return a.Screens.NewPasskey(w, p.shown(), p.form.Get("name"), f)
	}
	if _, err := a.Sessions.Raise(w, r, p.session, sso.ByKey, sso.ByTwo); err != nil {
		return err
	}
	st, err := a.Factors.Status(r.Context(), p.User)
	if err != nil {
		return err
	}
	if st.RecoveryCodesLeft == 0 {
		return a.newCodes(w, r, p)
	}
	return a.finish(w, r, p, "", "passkey", nil)
}

func (a API) renamePasskey(w http.ResponseWriter, r *http.Request, p person) error {
	err := a.Passkeys.Rename(r.Context(), p.ID, r.PathValue("id"), p.form.Get("name"))
	return a.finish(w, r, p, "passkey", "renamed", err)
}

func (a API) removePasskey(w http.ResponseWriter, r *http.Request, p person) error {
	err := a.Passkeys.Remove(r.Context(), p.User, r.PathValue("id"))
	if errors.Is(err, passkey.ErrUnknown) { // in another tab
		err = nil
	}
	return a.finish(w, r, p, "", "unkeyed", err)
}
